"""Revocation notices: a certificate holds no longer, from this commit on, and those who relied on it are told.

One commit does it all, whoever gave the notice (an issuing system's message, an operator's command): the certificate is
remembered, whether the hub had met it or not; kept copies are dropped; answers that rest on it say *revoked* when they are read
again; each system that was handed it out for a purpose that has not run out yet is told by an event; and cases whose evidence it
is are changed and told (:mod:`hub.cases.revoked`). A fetch that is under way
meanwhile finds the notice in its own commit (``settle`` in :mod:`hub.ecerts.evidence.following`): it hands out and keeps nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from hub.access import replay
from hub.access.callers import Caller, Service
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.evidence import store
from hub.ecerts.evidence.file import handed_out
from hub.ecerts.evidence.following import FollowUps
from hub.ecerts.evidence.judging import AFTER_ANSWER
from hub.ecerts.revocations import store as revocations
from hub.ecerts.revocations.index import identifier_index
from hub.ecerts.revocations.relying import Revoked
from hub.ecerts.solver import Standing
from hub.ids import new_id
from hub.logs import mask
from schemas.events import EventType
from schemas.numbers import EcertIdentifier
from schemas.parsing import fault
from schemas.problems import MESSAGE_ID_CONFLICT, MESSAGE_INVALID, MESSAGE_REPLAYED, HubProblem
from schemas.regions import PROVINCE, REGIONS
from schemas.revocations import RevocationAccepted, RevocationNotice, RevocationReason
from schemas.rules import OUT_OF_RANGE, FieldError

CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said, by whom (as the audit log names them). ``digest`` is of the message."""

    identifiers: tuple[str, ...]
    reason: RevocationReason
    revoked_at: datetime
    source: str
    actor: str
    digest: str
    system_id: str | None = None
    message_id: str | None = None


@dataclass(slots=True)
class _Told:
    """What is counted on the way."""

    certificates: set[str]
    answers: set[str]
    systems: set[str]
    systems_told: set[str]


class Revocations:
    """Shared by every thread."""

    def __init__(self, db: Database, follow_ups: FollowUps) -> None:
        self._db = db
        self._follow_ups = follow_ups

    def take(self, caller: Caller, request: RevocationNotice, *, digest: str) -> RevocationAccepted:
        """The message of an issuing authority or a library. The same again gets the same answer; HubProblem if it is refused."""
        for region in sorted({region_of(one) for one in request.identifiers}):
            caller.require(Service.ECERT_REVOKE, region)
        if request.revoked_at > self._db.clock() + CLOCK_SKEW:
            note = "不晚于当前时间; 将来才失效的, 届时再通知", "not after now; of what will end later, give notice then"
            raise HubProblem(MESSAGE_INVALID, faults=[fault("/revokedAt", OUT_OF_RANGE, note=note)])
        notice = Notice(
            request.identifiers, request.reason, request.revoked_at, request.source, f"system:{caller.system_id}", digest,
            caller.system_id, request.message_id,
        )  # fmt: skip

        def write(tx: Tx) -> RevocationAccepted:
            if replay.used(tx, [caller.nonces])[0]:
                raise HubProblem(MESSAGE_REPLAYED)
            revocations.lock_exclusive(tx.conn)
            before = revocations.by_message(tx.conn, caller.system_id, request.message_id)
            if before is None:
                return revoke(tx, self._follow_ups, notice)
            if before.digest != digest:
                raise HubProblem(MESSAGE_ID_CONFLICT)
            tx.audit.append(AuditEntry(notice.actor, "evidence.revocation", before.id, "repeated", {"digest": digest}))
            return RevocationAccepted.model_validate_json(before.answer)

        return self._db.write(write)

    def purge(self) -> int:
        """A chore: forget certificates whose time has passed. Gives how many."""
        return self._db.write(lambda tx: revocations.purge(tx.conn, tx.now))


def region_of(identifier: str) -> str:
    """Whose certificate it is: the region of its issuer (credit code or region code); the province where that cannot be told."""
    try:
        issuer = EcertIdentifier.parse(identifier).issuer
    except FieldError:
        return PROVINCE
    region = issuer[2:8] if len(issuer) == 18 else issuer
    return region if region in REGIONS else PROVINCE


def revoke(tx: Tx, follow_ups: FollowUps, notice: Notice) -> RevocationAccepted:
    """The one function behind the message and the command, in the caller's commit."""
    revocations.lock_exclusive(tx.conn)
    notice_id = new_id("rev")
    indexes = {identifier_index(follow_ups.vault, one) for one in notice.identifiers}
    until = tx.now + timedelta(seconds=follow_ups.views.rules.times.revoked_keep_s)
    dropped = store.drop_kept(tx.conn, indexes)
    told = _tell(tx, follow_ups, notice, notice_id, indexes)
    cases = follow_ups.tell_cases(
        tx, Revoked(notice_id, notice.reason.value, notice.revoked_at, notice.source, frozenset(indexes))
    )
    answer = RevocationAccepted(
        id=notice_id,
        message_id=notice.message_id or notice_id,
        received_at=tx.now,
        certificates=len(indexes),
        relied_on=len(told.certificates | cases.certificates),
        answers=len(told.answers),
        cases=len(cases.cases),
        systems=len(told.systems | cases.systems),
        systems_told=len(told.systems_told | cases.systems_told),
        remembered_until=until,
    )
    row = revocations.NoticeRow(
        notice_id, notice.system_id, notice.message_id, notice.digest, notice.reason.value, notice.source,
        notice.revoked_at, tx.now, answer.model_dump_json(),
    )  # fmt: skip
    revocations.add_notice(tx.conn, row)
    revocations.remember(tx.conn, sorted(indexes), notice_id, until)
    detail = {
        "messageId": answer.message_id,
        "digest": notice.digest,
        "reason": notice.reason.value,
        "revokedAt": notice.revoked_at.isoformat(),
        "sourceDigest": hashlib.sha256(notice.source.encode()).hexdigest(),  # the notice has the text
        "certificates": str(answer.certificates),
        "answers": str(answer.answers),
        "cases": str(answer.cases),
        "told": f"{answer.systems_told}/{answer.systems}",
        "dropped": str(dropped),
    }
    tx.audit.append(AuditEntry(notice.actor, "evidence.revocation", notice_id, "told", detail))
    return answer


def _tell(tx: Tx, follow_ups: FollowUps, notice: Notice, notice_id: str, indexes: Collection[str]) -> _Told:
    """Mark every document that is one of these, and tell whoever was handed it out."""
    told = _Told(set(), set(), set(), set())
    by_request: dict[str, set[str]] = {}
    for request_id, document in store.relied_on(tx.conn, indexes):
        by_request.setdefault(request_id, set()).add(document)
    for request_id, words in sorted(by_request.items()):  # locked in one order on every node
        row = store.request(tx.conn, request_id, lock=True)
        if row is None:
            continue
        rows = {one.document: one for one in store.documents(tx.conn, request_id)}
        handed = _mark(tx, follow_ups, row, rows, words, notice_id)
        heard = 0
        for word in handed if follow_ups.views.relied_until(row) > tx.now else ():
            data = {
                "evidenceId": row.id,
                "messageId": row.message_id,
                "document": word,
                "notice": notice_id,
                "reason": notice.reason.value,
                "revokedAt": notice.revoked_at.isoformat(),
                "source": notice.source,
            }
            if follow_ups.tell(tx, row, EventType.ANSWER_REVOKED, data):
                told.systems_told.add(row.system_id)
                heard += 1
            told.certificates.add(rows[word].identifier_index or "")
            told.answers.add(row.id)
            told.systems.add(row.system_id)
        detail = {
            "notice": notice_id,
            "documents": " ".join(sorted(words))[:200],
            "reason": notice.reason.value,
            "revokedAt": notice.revoked_at.isoformat(),
        }
        tx.audit.append(
            AuditEntry(
                notice.actor, EventType.ANSWER_REVOKED.value, request_id, "told" if heard else "not-told", detail
            )
        )
    return told


def _mark(
    tx: Tx,
    follow_ups: FollowUps,
    row: store.RequestRow,
    rows: Mapping[str, store.DocumentRow],
    words: Collection[str],
    notice_id: str,
) -> list[str]:
    """These documents of a request are revoked; gives those that were handed out (all, if that can no longer be told)."""
    gone = [
        replace(
            rows[word], standing=Standing.REVOKED.value, reason=AFTER_ANSWER, notice=notice_id, document_sealed=None
        )
        for word in sorted(words)
    ]
    store.put_documents(tx.conn, gone)
    handed = set(words)

    def look() -> None:
        file = follow_ups.open(row, list(rows.values()))
        if file is None:
            return
        signed = follow_ups.views.predicate(follow_ups.changed(file, gone), tx.now)
        store.update_request(tx.conn, row.id, {"predicate": signed})
        handed.intersection_update(_words(handed_out(file.plan)))

    if not tx.apart(look, "evidence.revocation", row.id):  # one that cannot be opened must not stop a notice
        store.update_request(tx.conn, row.id, {"predicate": None})
    return sorted(handed)


def _words(documents: Iterable[object]) -> set[str]:
    return {str(one) for one in documents}


def reinstate(tx: Tx, follow_ups: FollowUps, identifier: str, actor: str, reason: str) -> bool:
    """A notice was wrong: the certificate may be relied on again when it is fetched anew. Whether a notice was in force."""
    revocations.lock_exclusive(tx.conn)
    index = identifier_index(follow_ups.vault, identifier)
    done = revocations.forget(tx.conn, index)
    outcome = "reinstated" if done else "unknown"
    tx.audit.append(AuditEntry(actor, "evidence.reinstate", index[:16], outcome, {"reason": mask(reason)[:300]}))
    return done
