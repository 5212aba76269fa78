"""Codes of the provincial library: begun there once, asked about until the holder has agreed, kept as a basis.

1. One commit before the library hears of it: replay, repetition, limits; then the row, in state *beginning*, and the audit entry.
2. The library is told the code, with no transaction open. It may ask the holder on the phone, so this happens once.
3. One commit with what came of it, only if the row is still this run's.

A process that dies between 1 and 3 leaves *beginning*, which :meth:`Presentations.keep_house` and every reader take for
*outcome-unknown*: the library cannot be asked about a transaction whose name it never told, so the holder shows a new code. (A
shown e-certificate is only looked up: it is *not-begun*, and the same message begins it again.) The code stands nowhere; a keyed
hash of it does, so that it is begun once whoever brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapters.contract import ShownKind
from hub.access import replay
from hub.access.callers import Caller, Service
from hub.db import AuditEntry, Database, Tx
from hub.deliveries import endpoint_health
from hub.deliveries.breaker import BreakerPolicy
from hub.ecerts.authorizations import model as am
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.authorizations.guessing import Guessing
from hub.ecerts.authorizations.refusals import code_refused
from hub.ecerts.authorizations.service import KEEP_AFTER
from hub.ecerts.evidence import store as evidence_store
from hub.ecerts.evidence.planning import Planner
from hub.ecerts.evidence.rules import EvidenceRules
from hub.ecerts.evidence.store import EndpointRow
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.presentations import model as m
from hub.ecerts.presentations import store
from hub.ecerts.presentations.basis import holder_context, standing_of
from hub.ecerts.presentations.library import Library, Outcome, Run
from hub.ecerts.presentations.model import State
from hub.ids import new_id
from hub.vault import Vault
from schemas import problems as p
from schemas import rules
from schemas.parsing import fault
from schemas.problems import HubProblem

GRACE_S: Final = 15  # beyond the call a run may still commit
POLL_S: Final = 1.0  # the library is not asked more often about one presentation
ACTOR: Final = "node"


@dataclass(frozen=True, slots=True)
class _Begin:
    """One message on its way into step 1."""

    caller: Caller
    request: m.PresentationRequest
    values: store.Values
    message_hash: str
    code_hash: str
    timeout_s: int


@dataclass(frozen=True, slots=True)
class _Begun:
    """``owner``: the token of the run that may go on; None: the row stands as it is."""

    presentation_id: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Presentations:
    """Shared by every thread of the process; a call of the library takes as long as its endpoint's timeout says at most."""

    db: Database
    vault: Vault
    library: Library
    planner: Planner
    items: ItemCatalogue
    bases: Bases
    rules: EvidenceRules
    breaker: BreakerPolicy
    node: str

    # --- beginning --------------------------------------------------------------------------------------------------------

    def begin(self, caller: Caller, request: m.PresentationRequest) -> m.PresentationView:
        """Hand a shown code to its library. The same message again gets the same answer; HubProblem if it is refused."""
        caller.require(Service.AUTHORIZATION_REDEEM, request.wanted.region)
        endpoint = self.library.endpoint(self._endpoint_id(request.wanted))
        one = self._new(caller, request, endpoint)
        begun = self.db.submit(self._begin_many, one).result()
        if isinstance(begun, HubProblem):
            raise begun
        if begun.owner is not None:
            run = Run(begun.presentation_id, caller.system_id, endpoint.target.id, begun.owner, request.use_seconds)
            purpose = self.rules.purpose[request.wanted.purpose].title_zh
            outcome = self.library.begin(run, request, endpoint, self._item_name(request.wanted), purpose)
            self.db.submit(self._record_many, outcome).result()
        row = self._row(begun.presentation_id)
        if row.state == State.REFUSED.value:
            raise code_refused(row.reason or "")
        return view(row, self.db.clock())

    def _endpoint_id(self, wanted: m.Shown) -> str:
        """The one library that issues all types here, by the catalogue as for evidence."""
        now, catalogue = self.db.clock(), self.items.current()
        found: set[str] = set()
        for key in wanted.ecert_types:
            source = catalogue.source(key, wanted.region, now)
            endpoint_id = None if source is None else self.planner.endpoint(source, wanted.region)
            if endpoint_id is None:
                raise HubProblem(p.NO_ROUTE, f"{key} {wanted.region}")
            found.add(endpoint_id)
        if len(found) > 1:
            zh, en = (
                "这些证照由不同的证照库签发, 须分别出示",
                "different libraries issue these: one presentation for each",
            )
            raise HubProblem(p.MESSAGE_INVALID, faults=[fault("/wanted/ecertTypes", rules.NOT_IN_LIST, note=(zh, en))])
        return found.pop()

    def _item_name(self, wanted: m.Shown) -> str:
        """What the library notes it was for: the item, or the purpose where none is named."""
        item = None if wanted.item is None else self.items.current().item(wanted.item, self.db.clock())
        return item.title_zh if item is not None else self.rules.purpose[wanted.purpose].title_zh

    def _new(self, caller: Caller, request: m.PresentationRequest, endpoint: EndpointRow) -> _Begin:
        presentation_id = new_id(m.PREFIX.rstrip("_"))
        scope = am.Scope.model_validate({**request.wanted.model_dump(), "audience": caller.system_id})
        values: store.Values = {
            "id": presentation_id,
            "system_id": caller.system_id,
            "message_id": request.message_id,
            "kind": request.kind.value,
            "endpoint_id": endpoint.target.id,
            "holder_index": self.bases.holder_index(request.holder),
            "scope": scope.model_dump_json(),
            "case_reference": request.case_reference,
            "state": State.BEGINNING.value,
            "use_s": request.use_seconds,
            "holder_sealed": self.vault.seal(
                request.holder.model_dump_json().encode(), holder_context(presentation_id)
            ),
        }
        message_hash = self.vault.index(f"presentation-message:{request.model_dump_json()}")
        return _Begin(
            caller,
            request,
            values,
            message_hash,
            self.vault.index(f"shown-code:{request.code}"),
            endpoint.target.timeout_s,
        )

    def _begin_many(self, tx: Tx, items: Sequence[_Begin]) -> list[_Begun | HubProblem]:
        guessing = Guessing(tx, self.rules.codes, [one.caller.system_id for one in items])
        replayed = replay.used(tx, [one.caller.nonces for one in items])
        answers: list[_Begun | HubProblem] = []
        for one, is_replay in zip(items, replayed, strict=True):
            answer = HubProblem(p.MESSAGE_REPLAYED) if is_replay else self._begin(tx, one, guessing)
            if isinstance(answer, HubProblem):
                detail = {"messageId": one.request.message_id, "reason": answer.detail[:60]}
                actor = f"system:{one.caller.system_id}"
                tx.audit.append(AuditEntry(actor, "presentation.begin", "-", answer.kind.code, detail))
            answers.append(answer)
        return answers

    def _begin(self, tx: Tx, one: _Begin, guessing: Guessing) -> _Begun | HubProblem:
        system_id, purpose = one.caller.system_id, one.request.wanted.purpose
        seen = store.by_message(tx.conn, system_id, one.request.message_id)
        if seen is not None:
            return self._again(tx, one, seen)
        if purpose not in evidence_store.purposes(tx.conn, system_id) or purpose not in self.rules.purpose:
            return HubProblem(p.EVIDENCE_PURPOSE_REFUSED, purpose)
        if (throttled := guessing.refusal(system_id)) is not None:
            return throttled
        waiting, first_ends = store.waiting_for(tx.conn, str(one.values["holder_index"]), tx.now)
        if waiting >= self.rules.codes.live:  # nobody's phone is asked again and again until the holder gives in
            wait = 1 if first_ends is None else max(1, round((first_ends - tx.now).total_seconds() + 0.5))
            return HubProblem(p.AUTHORIZATION_THROTTLED, "live-codes", retry_after_s=wait)
        if store.code_is_taken(tx.conn, one.code_hash):
            return code_refused(am.Standing.REDEEMED.value)
        owner, times = new_id("run"), self._times(tx.now, one)
        hashes: store.Values = {"message_hash": one.message_hash, "code_hash": one.code_hash, "begun_at": tx.now}
        if not store.add(tx.conn, {**one.values, **hashes, **times, "owner": owner}):
            return HubProblem(
                p.HUB_BUSY, said=("另一节点正在受理同一授权码", "another node takes the same code"), retry_after_s=1
            )
        return self._accepted(tx, one, str(one.values["id"]), owner, "accepted")

    def _times(self, now: datetime, one: _Begin) -> store.Values:
        expires_at = now + timedelta(seconds=self.rules.codes.confirm_s)
        owned_until = now + timedelta(seconds=one.timeout_s + GRACE_S)
        return {"owned_until": owned_until, "expires_at": expires_at, "purge_at": expires_at + KEEP_AFTER}

    def _again(self, tx: Tx, one: _Begin, seen: store.PresentationRow) -> _Begun | HubProblem:
        """The same message: as it stands; where nothing happened at the library, it is begun now."""
        if seen.message_hash != one.message_hash:
            return HubProblem(p.MESSAGE_ID_CONFLICT)
        if standing_of(seen, tx.now) is not State.NOT_BEGUN:
            return self._accepted(tx, one, seen.id, None, "repeated")
        owner = new_id("run")
        values: store.Values = {
            "state": State.BEGINNING.value,
            "owner": owner,
            "reason": None,
            **self._times(tx.now, one),
        }
        if not store.change(tx.conn, seen.id, seen.state, seen.owner, values):
            return _Begun(seen.id, None)
        return self._accepted(tx, one, seen.id, owner, "accepted")

    def _accepted(self, tx: Tx, one: _Begin, presentation_id: str, owner: str | None, word: str) -> _Begun:
        wanted = one.request.wanted
        detail = {
            "messageId": one.request.message_id,
            "kind": one.request.kind.value,
            "case": one.request.case_reference,
            "purpose": wanted.purpose,
            "region": wanted.region,
            "types": " ".join(wanted.ecert_types)[:200],
            "subject": str(one.values["holder_index"])[:16],
            "endpoint": str(one.values["endpoint_id"]),
        }
        actor = f"system:{one.caller.system_id}"
        tx.audit.append(AuditEntry(actor, "presentation.begin", presentation_id, word, detail))
        return _Begun(presentation_id, owner)

    # --- what came of it ----------------------------------------------------------------------------------------------------

    def _record_many(self, tx: Tx, outcomes: Sequence[Outcome]) -> list[None]:
        guessing = Guessing(tx, self.rules.codes, [one.run.system_id for one in outcomes if one.is_wrong_code])
        for one in outcomes:
            run = one.run
            endpoint_health.note(tx, {run.endpoint_id: [one.sign]}, self.breaker, self.node)
            values: store.Values = {"state": one.state.value, "reason": one.reason}
            if one.reference_sealed is not None:
                values["reference_sealed"] = one.reference_sealed
            if one.state is State.AUTHORIZED:
                use_until = tx.now + timedelta(seconds=run.use_s)
                values |= {"use_until": use_until, "purge_at": use_until + KEEP_AFTER}
            if one.before is State.PENDING:
                values["checked_at"] = tx.now
            if not store.change(tx.conn, run.presentation_id, one.before.value, run.owner, values):
                continue  # another was quicker: that stands
            if one.is_wrong_code:
                guessing.count(run.system_id)
            action = "presentation.begin" if one.before is State.BEGINNING else "presentation.status"
            detail = {"endpoint": run.endpoint_id, "reason": one.reason or ""}
            tx.audit.append(AuditEntry(f"system:{run.system_id}", action, run.presentation_id, one.state.value, detail))
        return [None] * len(outcomes)

    # --- how it stands --------------------------------------------------------------------------------------------------------

    def status(self, caller: Caller, presentation_id: str) -> m.PresentationView:
        """Asked at the library while the holder has not answered. HubProblem(AUTHORIZATION_UNKNOWN) if it is not the caller's."""
        caller.require_somewhere(Service.AUTHORIZATION_REDEEM)
        row = self._own(caller, presentation_id)
        now = self.db.clock()
        fresh = row.checked_at is not None and now - row.checked_at < timedelta(seconds=POLL_S)
        if standing_of(row, now) is State.PENDING and not fresh:
            self.db.submit(self._record_many, self.library.state(row)).result()
            row = self._own(caller, presentation_id)
        found = view(row, self.db.clock())

        def note(tx: Tx) -> None:
            actor, detail = f"system:{caller.system_id}", {"reason": row.reason or ""}
            tx.audit.append(AuditEntry(actor, "presentation.read", row.id, found.state.value, detail))

        self.db.write(note)  # before anything leaves the hub
        return found

    def _own(self, caller: Caller, presentation_id: str) -> store.PresentationRow:
        with self.db.read() as conn:
            row = store.presentation(conn, presentation_id)
        if row is None or row.system_id != caller.system_id:
            raise HubProblem(p.AUTHORIZATION_UNKNOWN)
        return row

    def _row(self, presentation_id: str) -> store.PresentationRow:
        with self.db.read() as conn:
            row = store.presentation(conn, presentation_id)
        if row is None:
            raise HubProblem(p.AUTHORIZATION_UNKNOWN)  # purged meanwhile
        return row

    # --- taking back, house-keeping ---------------------------------------------------------------------------------------------

    def revoke(self, caller: Caller, presentation_id: str, holder: am.Holder) -> am.Revoked:
        """The holder takes it back at the counter: nothing rests on it from now on. HubProblem(AUTHORIZATION_UNKNOWN)."""
        index = self.bases.holder_index(holder)

        def write(tx: Tx) -> am.Revoked:
            if replay.used(tx, [caller.nonces])[0]:
                raise HubProblem(p.MESSAGE_REPLAYED)
            row = store.presentation(tx.conn, presentation_id, lock=True)
            if row is None or (row.system_id, row.holder_index) != (caller.system_id, index):
                raise HubProblem(p.AUTHORIZATION_UNKNOWN)
            store.revoke(tx.conn, row.id, tx.now)
            tx.audit.append(AuditEntry(f"system:{caller.system_id}", "presentation.revoke", row.id, "revoked"))
            return am.Revoked(id=row.id, revoked_at=row.revoked_at or tx.now)

        caller.require_somewhere(Service.AUTHORIZATION_REDEEM)
        return self.db.write(write)

    def keep_house(self) -> int:
        """A chore: say of what a dead process left in the middle that nobody can know. Gives how many."""

        def settle(tx: Tx) -> int:
            rows = store.left_behind(tx.conn, tx.now)
            for row in rows:
                state = m.left_by(ShownKind(row.kind)).value
                values: store.Values = {"state": state, "reason": "process-died"}
                store.change(tx.conn, row.id, State.BEGINNING.value, row.owner, values)
                detail = {"endpoint": row.endpoint_id, "reason": "process-died"}
                tx.audit.append(AuditEntry(ACTOR, "presentation.begin", row.id, state, detail))
            return len(rows)

        return self.db.write(settle)

    def purge(self) -> int:
        """A chore: forget presentations whose time is over. Gives how many."""
        return self.db.write(lambda tx: store.purge(tx.conn, tx.now))

    def close(self) -> None:
        self.library.places.close()


def view(row: store.PresentationRow, now: datetime) -> m.PresentationView:
    return m.PresentationView(
        presentation_id=row.id,
        message_id=row.message_id,
        kind=ShownKind(row.kind),
        state=standing_of(row, now),
        reason=row.reason,
        expires_at=row.expires_at,
        checked_at=row.checked_at,
        use_until=row.use_until,
    )
