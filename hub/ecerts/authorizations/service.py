"""Authorization codes issued and redeemed, consents kept and taken back, uses listed for the holder.

A redemption is atomic over threads, processes and nodes: the row is locked, judged and written in one transaction, and the write
itself takes an untouched row only. A code never reaches the database: keyed hashes of its locator and of the whole code do.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.access import replay
from hub.access.callers import Caller, Nonce, Service
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations import store
from hub.ecerts.authorizations.bases import Bases, open_holder, use_of
from hub.ecerts.authorizations.codes import Code, new_code, read_code
from hub.ecerts.authorizations.guessing import GUESSING_KEPT, PARTS, Guessing, bucket_at
from hub.ecerts.authorizations.refusals import code_refused
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.evidence.rules import CodeLimits, load_rules
from hub.ecerts.logins.identified import Identified, VerifiedLogin, identified, take
from hub.ids import new_id
from hub.vault import Vault
from schemas import rules
from schemas.parsing import fault
from schemas.problems import (
    AUTHORIZATION_THROTTLED,
    AUTHORIZATION_UNKNOWN,
    CONSENT_CONFLICT,
    HUB_BUSY,
    MESSAGE_INVALID,
    MESSAGE_REPLAYED,
    FieldFault,
    HubProblem,
)

KEEP_AFTER: Final = timedelta(days=1)  # after a code or its use has ended, until it is purged
LONGEST_CONSENT: Final = timedelta(days=5 * 366)
_NO_PROOF: Final = fault(
    "/holderProof",
    rules.MISSING,
    note=("调用方核验持有人身份的编号", "the caller's reference of how it identified the holder"),
)
_NO_CHILD: Final = fault(
    "/scope/onBehalfOf/code",
    rules.OUT_OF_RANGE,
    note=(
        "公民身份号码所示未满 18 周岁的人; 成年人由本人授权",
        "somebody under 18 by a resident ID number; an adult allows it in person",
    ),
)

_NEW_REFERENCE: Final = FieldFault(
    "/reference",
    "此编号的同意已撤销或已期满",
    "the consent of this reference was taken back or has ended",
    cure_zh="由持有人重新同意, 用新的 reference 登记",
    cure_en="the holder agrees anew: register it under a new reference",
)


@dataclass(frozen=True, slots=True)
class _Redemption:
    system_id: str
    request: m.RedemptionRequest
    locator_hash: str
    code_hash: str
    nonces: tuple[Nonce, ...]


@dataclass(frozen=True, slots=True)
class _Issue:
    values: store.Values
    answer: m.AuthorizationIssued
    code_seconds: int
    identified: Identified
    audited: dict[str, str]
    nonces: tuple[Nonce, ...]


class Authorizations:
    """Shared by every thread of the process; each write is a batch operation of the one writer."""

    def __init__(self, db: Database, vault: Vault, limits: CodeLimits | None = None) -> None:
        self._db = db
        self._vault = vault
        self._limits = limits or load_rules().codes
        self.bases = Bases(vault)

    # --- codes ------------------------------------------------------------------------------------------------------------

    def issue(
        self, caller: Caller, request: m.AuthorizationRequest, login: VerifiedLogin | None = None
    ) -> Future[m.AuthorizationIssued | HubProblem]:
        """A new code for the holder, who has logged in or for whom the caller may vouch.

        HubProblem(ACCESS_DENIED, LOGIN_REQUIRED or MESSAGE_INVALID) is raised, others are answers.
        """
        caller.require(Service.AUTHORIZATION_ISSUE, request.scope.region)
        how = identified(caller, request.holder.index_text, login, request.scope.region)
        self._require_sound(caller, request.scope)
        code, authorization_id = new_code(), new_id("auth")
        sealed = self._vault.seal(request.holder.model_dump_json().encode(), f"authorizations:{authorization_id}")
        values: store.Values = {
            "id": authorization_id,
            **self._hashes(code),
            "issued_by": caller.system_id,
            "holder_index": self.bases.holder_index(request.holder),
            "on_behalf_index": self.bases.on_behalf_index(request.scope),
            "scope": request.scope.kept,
            "use_s": request.use_seconds,
            "holder_sealed": sealed,
            **how.columns,
        }
        answer = m.AuthorizationIssued(
            authorization_id=authorization_id, code=code.text, code_shown=code.shown, expires_at=self._db.clock()
        )
        audited = how.detail | self._proof(how, request.holder_proof)
        issue = _Issue(values, answer, request.code_seconds, how, audited, caller.nonces)
        return self._db.submit(self._issue_many, issue)

    def _proof(self, how: Identified, reference: str | None) -> dict[str, str]:
        """A vouching system's own reference, as a keyed hash: what it named can be shown later, but it stands nowhere."""
        if how.login is not None:
            return {}
        if reference is None:
            raise HubProblem(MESSAGE_INVALID, faults=[_NO_PROOF])
        return {"proof": self._vault.index(f"holder-proof:{reference}")[:16]}

    def _require_sound(self, caller: Caller, scope: m.Scope) -> None:
        """A purpose that there is none of would open nothing, and say so only when the evidence is asked for. A login proves who
        somebody is, not whose guardian: that a system that may vouch has seen. And only for a child."""
        if scope.purpose not in (purposes := load_rules().purpose):
            known = ", ".join(purposes)
            raise HubProblem(MESSAGE_INVALID, faults=[fault("/scope/purpose", rules.NOT_IN_LIST, note=(known, known))])
        if scope.on_behalf_of is None:
            return
        caller.require(Service.AUTHORIZATION_VOUCH, scope.region)
        if not m.is_minor(scope.on_behalf_of, shanghai_day(self._db.clock())):
            raise HubProblem(MESSAGE_INVALID, faults=[_NO_CHILD])

    def _hashes(self, code: Code) -> dict[str, str]:
        return {
            "locator_hash": self._vault.index(f"authorization-locator:{code.locator}"),
            "code_hash": self._vault.index(f"authorization-code:{code.text}"),
        }

    def _issue_many(self, tx: Tx, issues: Sequence[_Issue]) -> list[m.AuthorizationIssued | HubProblem]:
        answers: list[m.AuthorizationIssued | HubProblem] = []
        replayed = replay.used(tx, [issue.nonces for issue in issues])
        live = store.live_codes(tx.conn, [str(issue.values["holder_index"]) for issue in issues], tx.now)
        for issue, is_replay in zip(issues, replayed, strict=True):
            holder, actor = str(issue.values["holder_index"]), f"system:{issue.values['issued_by']}"
            expires_at = tx.now + timedelta(seconds=issue.code_seconds)
            purge_at = expires_at + KEEP_AFTER
            times = {"issued_at": tx.now, "expires_at": expires_at, "purge_at": purge_at}
            if is_replay:
                answers.append(HubProblem(MESSAGE_REPLAYED))
            elif holder in live and live[holder][0] >= self._limits.live:
                wait = max(1, round((live[holder][1] - tx.now).total_seconds() + 0.5))
                answers.append(HubProblem(AUTHORIZATION_THROTTLED, "live-codes", retry_after_s=wait))
                tx.audit.append(AuditEntry(actor, "authorization.issue", "-", "live-codes", {"holder": holder[:16]}))
            elif not store.add_authorization(tx.conn, {**issue.values, **times}):
                answers.append(HubProblem(HUB_BUSY, "locator-taken", retry_after_s=1))
            elif (problem := take(tx, issue.identified, issue.answer.authorization_id)) is not None:
                store.remove_authorization(tx.conn, issue.answer.authorization_id)
                answers.append(problem)
            else:
                answers.append(issue.answer.model_copy(update={"expires_at": expires_at}))
                detail = {"until": expires_at.isoformat(timespec="seconds"), **issue.audited}
                count, first = live.get(holder, (0, expires_at))
                live[holder] = count + 1, min(first, expires_at)
                tx.audit.append(
                    AuditEntry(actor, "authorization.issue", issue.answer.authorization_id, "issued", detail)
                )
        return answers

    def redeem(self, caller: Caller, request: m.RedemptionRequest) -> Future[m.AuthorizationRedeemed | HubProblem]:
        """Take a code. Of any number at once exactly one succeeds; the same message of the same system again gets its answer."""
        caller.require(Service.AUTHORIZATION_REDEEM, request.wanted.region)
        code = read_code(request.code)
        if code is None:
            raise code_refused("malformed")
        redemption = _Redemption(caller.system_id, request, nonces=caller.nonces, **self._hashes(code))
        return self._db.submit(self._redeem_many, redemption)

    def _redeem_many(self, tx: Tx, redemptions: Sequence[_Redemption]) -> list[m.AuthorizationRedeemed | HubProblem]:
        replayed = replay.used(tx, [one.nonces for one in redemptions])
        rows = store.by_locator(tx.conn, [one.locator_hash for one in redemptions])
        guessing = Guessing(tx, self._limits, [one.system_id for one in redemptions])
        answers: list[m.AuthorizationRedeemed | HubProblem] = []
        for one, is_replay in zip(redemptions, replayed, strict=True):
            row = rows.get(one.locator_hash)
            if is_replay:
                answers.append(HubProblem(MESSAGE_REPLAYED))
            else:
                answers.append(self._redeem_one(tx, row, one, guessing))
        return answers

    def _redeem_one(
        self, tx: Tx, row: store.AuthorizationRow | None, one: _Redemption, guessing: Guessing
    ) -> m.AuthorizationRedeemed | HubProblem:
        right_code = row is not None and hmac.compare_digest(row.code_hash, one.code_hash)
        actor = f"system:{one.system_id}"
        by = None if row is None else (row.redeemed_by, row.redeemed_as)
        if row is not None and right_code and row.revoked_at is None and by == (one.system_id, one.request.message_id):
            tx.audit.append(AuditEntry(actor, "authorization.redeem", row.id, "repeated"))
            return self._redeemed(row)  # the answer to its redemption was lost on the way
        if (throttled := guessing.refusal(one.system_id)) is not None:
            tx.audit.append(AuditEntry(actor, "authorization.redeem", "-", throttled.detail))
            return throttled
        if not right_code:
            guessing.count(one.system_id)
        if row is None:
            tx.audit.append(AuditEntry(actor, "authorization.redeem", "-", m.Standing.UNKNOWN.value))
            return code_refused(m.Standing.UNKNOWN.value)
        found = m.standing(
            attempts=row.attempts, right_code=right_code, expires_at=row.expires_at,
            redeemed=row.redeemed_at is not None, revoked=row.revoked_at is not None, now=tx.now,
        )  # fmt: skip
        word: str | None = None if found is m.Standing.REDEEMABLE else found.value
        if found is m.Standing.REDEEMABLE:
            word = m.outside(m.Scope.model_validate_json(row.scope), one.request.wanted, one.system_id)
        if word is None:
            row.redeemed_at, row.redeemed_by, row.redeemed_as = tx.now, one.system_id, one.request.message_id
            row.use_until = tx.now + timedelta(seconds=row.use_s)
            values: store.Values = {
                "redeemed_at": row.redeemed_at, "redeemed_by": row.redeemed_by, "redeemed_as": row.redeemed_as,
                "use_until": row.use_until, "purge_at": row.use_until + KEEP_AFTER,
            }  # fmt: skip
            if not store.redeem(tx.conn, row.id, values):
                raise RuntimeError("a locked authorization was redeemed by another")
        elif row.attempts < m.MAX_ATTEMPTS:
            row.attempts += 1
            store.count_attempt(tx.conn, row.id)
        outcome = word or "redeemed"
        tx.audit.append(AuditEntry(actor, "authorization.redeem", row.id, outcome, {"attempts": str(row.attempts)}))
        return self._redeemed(row) if word is None else code_refused(word)

    def _redeemed(self, row: store.AuthorizationRow) -> m.AuthorizationRedeemed:
        return m.AuthorizationRedeemed(
            authorization_id=row.id,
            holder_name=open_holder(self._vault, row).name,
            assurance=row.assurance,
            scope=m.Scope.model_validate_json(row.scope),
            use_until=row.use_until or row.expires_at,
        )

    # --- consents ---------------------------------------------------------------------------------------------------------

    def register_consent(
        self, caller: Caller, request: m.ConsentRequest, login: VerifiedLogin | None = None
    ) -> m.ConsentRegistered:
        """The same consent under the same reference again gets the same answer; HubProblem(CONSENT_CONFLICT) for another one,

        and for one on which nothing rests any more.

        So does the same consent with the same login, although it was used: the first answer was lost on its way.
        """
        caller.require(Service.AUTHORIZATION_ISSUE, request.scope.region)
        how = identified(caller, request.holder.index_text, login, request.scope.region)
        self._require_sound(caller, request.scope)
        if not request.given_at < request.ends_at <= request.given_at + LONGEST_CONSENT:
            note = ("晚于 givenAt, 且不超过五年", "after givenAt, by five years at most")
            raise HubProblem(MESSAGE_INVALID, faults=[fault("/endsAt", rules.OUT_OF_RANGE, note=note)])
        values: store.Values = {
            "id": new_id("cons"),
            "registered_by": caller.system_id,
            "holder_index": self.bases.holder_index(request.holder),
            "on_behalf_index": self.bases.on_behalf_index(request.scope),
            "scope": request.scope.kept,
            "reference": request.reference,
            "given_at": request.given_at,
            "ends_at": request.ends_at,
            **how.columns,
        }

        def write(tx: Tx) -> m.ConsentRegistered:
            _require_fresh(tx, caller)
            if store.add_consent(tx.conn, values):
                consent_id, actor = str(values["id"]), f"system:{caller.system_id}"
                _use(tx, how, consent_id)
                tx.audit.append(AuditEntry(actor, "consent.register", consent_id, "registered", how.detail))
                return m.ConsentRegistered(consent_id=consent_id, ends_at=request.ends_at)
            row = store.consent_by_reference(tx.conn, caller.system_id, request.reference)
            same = ("holder_index", "on_behalf_index", "scope", "given_at", "ends_at")
            if row is None or any(getattr(row, name) != values[name] for name in same):
                raise HubProblem(CONSENT_CONFLICT)
            if row.revoked_at is not None or row.ends_at <= tx.now:  # to say "registered" would be untrue
                withdrawn = row.revoked_at is not None
                raise HubProblem(
                    CONSENT_CONFLICT, "consent-withdrawn" if withdrawn else "consent-ended", faults=[_NEW_REFERENCE]
                )
            if row.login_id is None or row.login_id != how.columns["login_id"]:
                _use(tx, how, row.id)
            return m.ConsentRegistered(consent_id=row.id, ends_at=row.ends_at)

        return self._db.write(write)

    # --- taking back ------------------------------------------------------------------------------------------------------

    def revoke_authorization(
        self, caller: Caller, authorization_id: str, holder: m.Holder, login: VerifiedLogin | None = None
    ) -> m.Revoked:
        """Whether it was redeemed or not: from now on nothing rests on it. HubProblem(AUTHORIZATION_UNKNOWN)."""

        def find(conn: Connection) -> store.AuthorizationRow | None:
            return store.authorization(conn, authorization_id, lock=True)

        return self._revoke(caller, holder, login, t.authorizations, find, "authorization.revoke")

    def revoke_consent(
        self, caller: Caller, consent_id: str, holder: m.Holder, login: VerifiedLogin | None = None
    ) -> m.Revoked:
        """HubProblem(AUTHORIZATION_UNKNOWN) if the caller registered no such consent of this holder."""

        def find(conn: Connection) -> store.ConsentRow | None:
            return store.consent(conn, consent_id)

        return self._revoke(caller, holder, login, t.consents, find, "consent.revoke")

    def _revoke(
        self,
        caller: Caller,
        holder: m.Holder,
        login: VerifiedLogin | None,
        table: Table,
        find: Callable[[Connection], store.AuthorizationRow | store.ConsentRow | None],
        action: str,
    ) -> m.Revoked:
        def write(tx: Tx) -> m.Revoked:
            _require_fresh(tx, caller)
            row = find(tx.conn)
            if row is None or (row.owner, row.holder_index) != (caller.system_id, self.bases.holder_index(holder)):
                raise HubProblem(AUTHORIZATION_UNKNOWN)
            _use(tx, how, row.id)
            store.revoke(tx.conn, table, row.id, tx.now)
            tx.audit.append(AuditEntry(f"system:{caller.system_id}", action, row.id, "revoked", how.detail))
            return m.Revoked(id=row.id, revoked_at=row.revoked_at or tx.now)

        caller.require_somewhere(Service.AUTHORIZATION_ISSUE)
        how = identified(caller, holder.index_text, login, None)
        return self._db.write(write)

    # --- for the holder ---------------------------------------------------------------------------------------------------

    def uses(
        self, caller: Caller, request: m.UsesRequest, *, before: str | None, login: VerifiedLogin | None = None
    ) -> tuple[list[m.DataUse], str | None]:
        """A page of what the holder's data was used for, newest first, and where the next one starts.

        ``before`` is where a page of this very caller and holder ended: only the first page needs a login, for what follows
        was open to whoever got it.
        """
        caller.require_somewhere(Service.AUTHORIZATION_ISSUE)
        index, limit = self.bases.holder_index(request.holder), request.limit
        how = identified(caller, request.holder.index_text, login, None) if before is None else None
        detail = {"holder": index[:16]} | (how.detail | self._proof(how, request.holder_proof) if how else {})

        def note(tx: Tx) -> None:
            _require_fresh(tx, caller)
            if how is not None:
                _use(tx, how, "holder.uses")
            actor = f"system:{caller.system_id}"
            tx.audit.append(AuditEntry(actor, "holder.uses", "-", "listed", detail))

        self._db.write(note)
        with self._db.read() as conn:
            rows = store.uses_of(conn, index, before=before, limit=limit + 1)
        page = rows[:limit]
        uses = [use_of(self._vault, row, load_rules().purpose) for row in page]
        return uses, page[-1]["id"] if len(rows) > limit else None

    def purge(self) -> int:
        """A chore: forget authorizations whose use has ended. Gives how many."""

        def forget(tx: Tx) -> int:
            store.forget_wrong_codes(tx.conn, bucket_at(tx, self._limits) - PARTS, tx.now - GUESSING_KEPT)
            return store.purge_authorizations(tx.conn, tx.now)

        return self._db.write(forget)


def _use(tx: Tx, how: Identified, used_for: str) -> None:
    if (problem := take(tx, how, used_for)) is not None:
        raise problem


def _require_fresh(tx: Tx, caller: Caller) -> None:
    if replay.used(tx, [caller.nonces])[0]:
        raise HubProblem(MESSAGE_REPLAYED)
