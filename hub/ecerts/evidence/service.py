"""One call: the item in, the evidence out. The order of things:

1. What cannot be changed by waiting is checked first: the right, the item, the purpose, where to call back.
2. One commit before any effect: replay, repetition, limits, the basis; then the request and the audit entry of the intent. A
   refusal is committed too, with its audit entry.
3. Fetching, with no transaction open (see :mod:`hub.ecerts.evidence.fetching`).
4. One commit with what came of it: documents, uses, deliveries that ask again, the audit entry with the digest of the answer.
   Where a notice has revoked one of the documents meanwhile, it writes nothing, and step 3 goes on without that document.
5. The answer, made of what was committed. The same message again reads it again.

A process that dies between 2 and 4 has told nobody anything: the same message again goes on where it stopped, and if nobody asks
again, :meth:`EvidenceService.keep_house` turns what was to be fetched into deliveries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from adapters.contract import Deadline
from hub.access import replay
from hub.access.callers import Caller, Service
from hub.db import AuditEntry, Database, Tx
from hub.deliveries import endpoint_health
from hub.deliveries.breaker import BreakerPolicy, Sign
from hub.ecerts.authorizations import model as m
from hub.ecerts.catalogue import Evidence, Item
from hub.ecerts.evidence import store
from hub.ecerts.evidence.fetching import Fetcher, standing_of
from hub.ecerts.evidence.following import FollowUps, Settled, relied_on
from hub.ecerts.evidence.judging import BY_NOTICE, HELD, Got
from hub.ecerts.evidence.planning import Question, at_their_libraries, cited, find_grounds, holder_of, questions
from hub.ecerts.evidence.views import Answered, EvidenceFile, grounds_to_json, request_context
from hub.ecerts.presentations.model import FiledRequest
from hub.ecerts.revocations import store as revocations
from hub.ecerts.solver import Standing
from hub.ids import new_id
from hub.logs import mask
from hub.vault import Vault
from schemas.evidence import BasisKind, EvidenceCaseState, EvidenceRequest, Holder
from schemas.problems import (
    EVIDENCE_BASIS_REFUSED,
    EVIDENCE_PURPOSE_REFUSED,
    EVIDENCE_THROTTLED,
    EVIDENCE_UNKNOWN,
    HUB_BUSY,
    ITEM_UNKNOWN,
    MESSAGE_ID_CONFLICT,
    MESSAGE_INVALID,
    MESSAGE_REPLAYED,
    FieldFault,
    HubProblem,
)

GRACE_S: Final = 15  # beyond its deadline a run may still commit; then another may take the request over
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Begin:
    """One message on its way into step 2."""

    caller: Caller
    request: EvidenceRequest
    digest: str
    item: Item
    request_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """``owner`` is the token of the run that may go on; None: somebody else's, or it has been answered.

    ``file``: the request as it was committed, with the endpoints that it may ask, so that the run need not read them; None where
    another run began it.
    """

    request_id: str
    owner: str | None
    file: EvidenceFile | None = None
    endpoints: Mapping[str, store.EndpointRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Revoked:
    """Instead of a commit: a notice names some of what the answer would rest on. ``indexes``: of any run of the batch."""

    indexes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Finish:
    """One run on its way into step 4."""

    before: store.RequestRow
    ready: Settled
    relied_on: set[str]
    asked: tuple[Question, ...]
    keep: tuple[Mapping[str, object], ...]
    reused: int
    signs: Mapping[str, Sequence[Sign]]  # by endpoint
    exact: bool


class EvidenceService:
    """Shared by every thread. :meth:`ask` blocks for as long as the message's deadline says, and a little longer."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        fetcher: Fetcher,
        follow_ups: FollowUps,
        breaker: BreakerPolicy,
        node: str,
    ) -> None:
        self._db = db
        self._vault = vault
        self._fetcher = fetcher
        self._breaker = breaker
        self._node = node
        self._follow_ups = follow_ups
        self._items = follow_ups.items
        self._authorizations = follow_ups.authorizations
        self._views = follow_ups.views
        self._planner = follow_ups.views.planner
        self._rules = follow_ups.views.rules

    # --- asking -----------------------------------------------------------------------------------------------------------

    def ask(self, caller: Caller, request: EvidenceRequest, *, digest: str) -> Answered:
        """HubProblem if it is refused; DatabaseBusy if it could not be taken."""
        caller.require(Service.EVIDENCE, request.region)
        item = self._items.current().item(request.item_code, self._db.clock())
        if item is None:
            raise HubProblem(ITEM_UNKNOWN)
        deadline = Deadline.after(request.deadline_s)
        begun = self._db.submit(
            self._begin_many, _Begin(caller, request, digest, item, new_id("evd"), new_id("run"))
        ).result()
        if isinstance(begun, HubProblem):
            raise begun
        answer = None if begun.owner is None else self._run(begun, begun.owner, deadline)
        return answer or self._answer(begun.request_id)

    def _begin_many(self, tx: Tx, items: Sequence[_Begin]) -> list[_Begun | HubProblem]:
        replayed = replay.used(tx, [item.caller.nonces for item in items])
        answers: list[_Begun | HubProblem] = []
        for one, is_replay in zip(items, replayed, strict=True):
            answer = HubProblem(MESSAGE_REPLAYED) if is_replay else self._begin(tx, one)
            if isinstance(answer, HubProblem):
                detail = {"messageId": one.request.message_id, "digest": one.digest, "reason": answer.detail[:60],
                          "cited": mask(one.request.basis.reference or "")[:200]}  # fmt: skip
                actor = f"system:{one.caller.system_id}"
                tx.audit.append(AuditEntry(actor, "evidence.request", one.request_id, answer.kind.code, detail))
            answers.append(answer)
        return answers

    def _begin(self, tx: Tx, one: _Begin) -> _Begun | HubProblem:
        request, caller = one.request, one.caller
        seen = store.by_message(tx.conn, caller.system_id, request.message_id)
        if seen is not None:
            return self._again(tx, one, seen)
        if (
            request.purpose not in store.purposes(tx.conn, caller.system_id)
            or request.purpose not in self._rules.purpose
        ):
            return HubProblem(EVIDENCE_PURPOSE_REFUSED, request.purpose)
        if request.callback and not store.events_endpoint(tx.conn, request.callback, caller.system_id):
            fault = FieldFault("/callback", "不是本系统登记的事件接收端", "is no events endpoint of your system")
            return HubProblem(MESSAGE_INVALID, faults=[fault])
        if request.subject is None:
            found = self._authorizations.holder_of(tx.conn, request.basis.reference or "", caller.system_id, tx.now)
            if found is None:
                return HubProblem(EVIDENCE_BASIS_REFUSED, "authorization-not-usable")
            holder = Holder(name=found.name, code=found.code, code_type=found.code_type)
            request = request.model_copy(update={"subject": holder})
        subject = request.subject
        assert subject is not None  # noqa: S101  set above where the message left it out
        index = self._authorizations.holder_index(holder_of(subject))
        if (throttled := self._throttle(tx, caller.system_id, index)) is not None:
            return throttled
        grounds = find_grounds(
            self._authorizations, tx.conn, request=request, item=one.item, system_id=caller.system_id, at=tx.now
        )
        if not grounds:
            return self._without_basis(tx, one, request, index)
        known, endpoints = self._planner.known(request, one.item, self._items.current(), grounds, tx.now)
        presented = self._authorizations.use_presentations(
            tx, grounds.values(), message_id=request.message_id, system_id=caller.system_id
        )
        if isinstance(presented, HubProblem):
            return presented
        request = FiledRequest.model_construct(**dict(request), presented=presented)
        endpoints = at_their_libraries(endpoints, grounds, request)
        until = tx.now + timedelta(seconds=request.deadline_s + GRACE_S)
        sealed = self._vault.seal(request.model_dump_json().encode(), request_context(one.request_id))
        row = store.RequestRow(
            id=one.request_id,
            system_id=caller.system_id,
            message_id=request.message_id,
            digest=one.digest,
            subject_index=index,
            item_code=request.item_code,
            region=request.region,
            case_reference=request.case_reference,
            purpose=request.purpose,
            callback=request.callback,
            state=EvidenceCaseState.OPEN.value,
            asked_at=tx.now,
            owned_until=until,
            owner=one.owner,
            answered_at=None,
            answer_digest=None,
            predicate=None,
            purge_at=tx.now + timedelta(seconds=self._rules.times.answer_keep_s + self._rules.times.follow_up_s),
            grounds=grounds_to_json(grounds),
            request_sealed=sealed,
        )
        documents = {
            document: store.DocumentRow(
                one.request_id, str(document), how.standing.value, how.reason, endpoint_id=endpoints.get(document)
            )
            for document, how in known.items()
        }
        if not store.add_request(tx.conn, row, list(documents.values())):
            return HubProblem(HUB_BUSY, "another node takes the same message", retry_after_s=1)
        bases = sorted({f"{basis.kind.value}:{basis.reference}" for basis in grounds.values()})
        detail = {
            "messageId": request.message_id,
            "digest": one.digest,
            "item": request.item_code,
            "region": request.region,
            "case": request.case_reference,
            "purpose": request.purpose,
            "basis": " ".join(bases)[:200],
            "cited": "; ".join(dict.fromkeys(c for one_ in request.holders if (c := cited(request, one_))))[:200],
            "subject": index[:16],
            "answer": request.answer.value,
        }
        tx.audit.append(
            AuditEntry(f"system:{caller.system_id}", "evidence.request", one.request_id, "accepted", detail)
        )
        file = EvidenceFile(row, request, one.item, grounds, documents, known)
        return _Begun(one.request_id, one.owner, file, store.endpoints(tx.conn, set(endpoints.values())))

    def _again(self, tx: Tx, one: _Begin, seen: store.RequestRow) -> _Begun | HubProblem:
        """The same message: its answer, or the run of a process that has died is taken over."""
        if seen.digest != one.digest:
            return HubProblem(MESSAGE_ID_CONFLICT)
        actor = f"system:{one.caller.system_id}"
        if seen.state != EvidenceCaseState.OPEN.value or seen.owned_until > tx.now:
            detail = {"digest": seen.answer_digest or "", "state": seen.state}
            tx.audit.append(AuditEntry(actor, "evidence.request", seen.id, "repeated", detail))
            return _Begun(seen.id, None)
        until = tx.now + timedelta(seconds=one.request.deadline_s + GRACE_S)
        if not store.take_over(tx.conn, seen, one.owner, until):
            return _Begun(seen.id, None)
        tx.audit.append(AuditEntry(actor, "evidence.request", seen.id, "taken-over", {"digest": one.digest}))
        return _Begun(seen.id, one.owner)

    def _throttle(self, tx: Tx, system_id: str, subject_index: str) -> HubProblem | None:
        """Limits of the caller and of the subject, and the detector of enumeration: many holders, one caller."""
        limits, now = self._rules.limits, tx.now
        window = timedelta(seconds=limits.window_s)
        bucket = store.bucket_of(now, window)
        store.note_subject(tx.conn, system_id, subject_index, bucket)
        asked = store.asked(
            tx.conn, system_id, subject_index, bucket=bucket - 5, minute=now - timedelta(minutes=1),
            since=now - timedelta(seconds=limits.subject_window_s),
        )  # fmt: skip
        if (subjects := asked.subjects) > limits.subjects:
            if store.note_throttled(tx.conn, system_id, subjects, now, now + window / 6):
                detail = {"subjects": str(subjects), "window": str(limits.window_s)}
                tx.audit.append(AuditEntry("node", "evidence.enumeration", system_id, "alert", detail))
                tx.after_commit.append(
                    lambda: log.error("one caller asks about many holders", system=system_id, subjects=subjects)
                )
            return HubProblem(EVIDENCE_THROTTLED, "many-subjects", retry_after_s=limits.window_s // 6)
        if asked.by_caller >= limits.caller_requests:
            return HubProblem(EVIDENCE_THROTTLED, "caller-limit", retry_after_s=60)
        if asked.by_subject >= limits.subject_requests:
            return HubProblem(EVIDENCE_THROTTLED, "subject-limit", retry_after_s=limits.subject_window_s // 6)
        return None

    def _without_basis(self, tx: Tx, one: _Begin, request: EvidenceRequest, subject_index: str) -> HubProblem:
        """The holder sees refused questions too."""
        basis = request.basis
        word = "consent-required" if basis.kind is BasisKind.LAW else f"no-{basis.kind.value}"
        if basis.kind is BasisKind.CONSENT and basis.reference is not None:
            word = "no-such-consent"  # another one may cover it: the caller named this one
        use = m.DataUse(
            at=tx.now,
            system_id=one.caller.system_id,
            basis=m.BasisKind(basis.kind.value),
            basis_reference="-",
            case_id=request.case_reference,
            purpose=request.purpose,
            ecert_type="-",
            outcome=EVIDENCE_BASIS_REFUSED.code,
            item=request.item_code,
            cited=mask(basis.reference)[:200] if basis.reference else None,
        )
        self._authorizations.record_uses(tx, [(subject_index, use)])
        return HubProblem(EVIDENCE_BASIS_REFUSED, word)

    # --- fetching ---------------------------------------------------------------------------------------------------------

    def _run(self, begun: _Begun, owner: str, deadline: Deadline) -> Answered | None:
        """Steps 3 and 4. None if another run, or keep_house, was quicker: what it committed stands."""
        file, endpoints = begun.file, begun.endpoints
        if file is None:
            file = self._open(begun.request_id)
            if file is None or file.row.owner != owner:
                return None
            with self._db.read() as conn:
                endpoints = store.endpoints(conn, set(file.endpoints.values()))
        available = [document for document, known in file.known.items() if known.standing is Standing.AVAILABLE]
        asked = questions(file.request, file.item, file.grounds, file.endpoints, available)
        seal = partial(self._follow_ups.seal, file.row.id)
        got: dict[Evidence, Got] = {}
        while True:
            known = {**file.known, **{one: standing_of(file.known[one], came) for one, came in got.items()}}
            fetched = self._fetcher.run(
                file.item.requirements, known, asked, endpoints, file.row.region, deadline, seal
            )
            got |= fetched.got
            finish = self._finish_of(file, asked, got, exact=fetched.exact)
            outcome = self._db.submit(self._finish_many, finish).result()
            if not isinstance(outcome, _Revoked):
                return outcome
            # what is revoked is struck out, and its alternative asked for if there is time
            rows = finish.ready.file.documents
            got |= {
                document: Got(Standing.REVOKED, BY_NOTICE, report=one.report, checked_at=one.checked_at, made=one.made)
                for document, one in got.items()
                if rows[document].identifier_index in outcome.indexes
            }

    def _finish_of(
        self, file: EvidenceFile, asked: Mapping[Evidence, Question], got: Mapping[Evidence, Got], *, exact: bool
    ) -> _Finish:
        """Everything that can be done before the commit: sealing, planning what else to ask for, the answer and its digest."""
        now = self._db.clock()
        rows = [self._follow_ups.row_of(file.documents[document], document, one) for document, one in got.items()]
        opened = {document: one.answer for document, one in got.items() if isinstance(one.answer, HELD)}
        keep = tuple(one.keep for one in got.values() if one.keep is not None)
        signs: dict[str, list[Sign]] = {}
        for document, one in got.items():
            if one.made is not None:
                signs.setdefault(asked[document].endpoint_id, []).append(one.made.sign)
        ready = self._follow_ups.settled(replace(file, opened=opened), rows, now)
        reused = sum(one.reused for one in got.values())
        questions_ = tuple(asked[document] for document in got)
        return _Finish(file.row, ready, relied_on(rows), questions_, keep, reused, signs, exact)

    def _finish_many(self, tx: Tx, runs: Sequence[_Finish]) -> list[Answered | _Revoked | None]:
        revocations.lock_shared(tx.conn)
        gone = revocations.revoked(tx.conn, set().union(*(run.relied_on for run in runs)))
        return [_Revoked(gone) if gone & run.relied_on else self._finish(tx, run) for run in runs]

    def _finish(self, tx: Tx, run: _Finish) -> Answered | None:
        endpoint_health.note(tx, run.signs, self._breaker, self._node)  # whoever's answer stands: the calls were made
        if not self._follow_ups.write(tx, run.ready, owner=run.before.owner):
            return None
        file, answered = run.ready.file, run.ready.answered
        for values in run.keep:
            store.keep(tx.conn, values)
        self._follow_ups.note_uses(tx, file, run.asked)
        answer = answered.answer
        satisfied = sum(one.satisfied for one in answer.requirements)
        detail = {
            "digest": answered.digest,
            "state": file.row.state,
            "satisfied": f"{satisfied}/{len(answer.requirements)}",
            "reused": str(run.reused),
        }
        if not run.exact:
            detail["plan"] = "not-exact"
        if answer.notices:
            detail["notices"] = " ".join(one.number for one in answer.notices)[:200]
        word = "complete" if answer.complete else "partial"
        tx.audit.append(AuditEntry(f"system:{file.row.system_id}", "evidence.answer", file.row.id, word, detail))
        return answered

    # --- reading ----------------------------------------------------------------------------------------------------------

    def read(self, caller: Caller, request_id: str) -> Answered:
        """How a request of the caller's own stands, with all that it may see. HubProblem(EVIDENCE_UNKNOWN) else."""
        caller.require_somewhere(Service.EVIDENCE)
        with self._db.read() as conn:
            row = store.request(conn, request_id)
        if row is None or row.system_id != caller.system_id or not caller.may(Service.EVIDENCE, row.region):
            raise HubProblem(EVIDENCE_UNKNOWN)
        answered = self._answer(request_id)

        def note(tx: Tx) -> None:
            detail = {"digest": answered.digest, "state": answered.answer.state.value}
            tx.audit.append(AuditEntry(f"system:{caller.system_id}", "evidence.read", request_id, "read", detail))

        self._db.write(note)  # before anything leaves the hub
        return answered

    def _open(self, request_id: str) -> EvidenceFile | None:
        with self._db.read() as conn:
            row = store.request(conn, request_id)
            rows = store.documents(conn, request_id)
        return None if row is None else self._views.open(row, rows, self._items.current())

    def _answer(self, request_id: str) -> Answered:
        file = self._open(request_id)
        if file is None:
            raise HubProblem(EVIDENCE_UNKNOWN, "dropped")
        return Answered.of(self._views.answer(file))

    # --- house-keeping --------------------------------------------------------------------------------------------------------

    def keep_house(self) -> int:
        """A chore: take up requests whose process died. Gives how many."""
        return self._db.write(self._follow_ups.hand_over)

    def purge(self) -> int:
        """A chore: drop what may not be kept any longer. Gives how many answers."""
        window = timedelta(seconds=self._rules.limits.window_s)
        return self._db.write(lambda tx: store.purge(tx.conn, tx.now, store.bucket_of(tx.now, window) - 6))

    def close(self) -> None:
        self._fetcher.close()
