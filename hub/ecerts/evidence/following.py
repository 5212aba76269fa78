"""Issuers that did not answer in time are asked again by deliveries, under one key; the caller is told of the end.

Everything here runs inside a transaction, but for :meth:`FollowUps.prepare`, which works on an answer with none open.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from adapters.contract import CaseEvent, EcertDocument, RetryLater
from hub.db import AuditEntry, Database, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Finished, Kind, NewDelivery, State, event_key
from hub.ecerts.authorizations.bases import LAPSED, Bases
from hub.ecerts.entries import Evidence
from hub.ecerts.evidence import judging, store
from hub.ecerts.evidence.file import EvidenceFile, handed_out
from hub.ecerts.evidence.judging import BY_NOTICE, Got, Judge, Sealed
from hub.ecerts.evidence.planning import Question, documents_of, questions
from hub.ecerts.evidence.uses import uses_of
from hub.ecerts.evidence.views import Answered, Views, document_context
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.revocations import store as revocations
from hub.ecerts.revocations.index import identifier_index
from hub.ecerts.revocations.relying import TellCases, no_cases
from hub.ecerts.solver import Known, RequirementState, Standing, solve
from hub.ecerts.validity import Validity
from hub.ids import new_id
from hub.vault import Vault
from schemas.base import Canonical
from schemas.events import TYPE_PREFIX, EventType
from schemas.evidence import AnswerForm, EvidenceAnswer, EvidenceCaseState

GAVE_UP: Final = "gave-up"  # the deliveries have ended without an answer; an operator may still try again
ACTOR: Final = "node"
KINDS: Final = (Kind.EVIDENCE_ECERT, Kind.EVIDENCE_PERSON, Kind.EVIDENCE_ENROLMENT, Kind.EVIDENCE_PRESENTED)
_MAY_COME: Final = {
    Standing.AVAILABLE,
    Standing.UNREACHABLE,
    Standing.PENDING,
    Standing.HELD,
    Standing.DEEMED_VALID,
}  # of a document that was not handed out yet
AGAIN_AFTER: Final = timedelta(hours=1)  # what could not be handed over is tried again
_ENDED: Final = frozenset(
    {GAVE_UP, Validity.NOT_YET.value}
)  # a certificate does not begin sooner for being asked again


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source's later answer, judged and sealed."""

    got: Got
    row: store.DocumentRow


@dataclass(frozen=True, slots=True)
class Settled:
    """A request as it stands once ``rows`` are written and ``again`` is asked for; the answer is made of exactly that."""

    file: EvidenceFile
    rows: tuple[store.DocumentRow, ...]
    again: tuple[Evidence, ...]
    answered: Answered


@dataclass(frozen=True, slots=True)
class FollowUps:
    """The outcome handler of the kinds ``evidence-*``, and what the service uses to start them."""

    db: Database
    vault: Vault
    views: Views
    judge: Judge
    items: ItemCatalogue
    bases: Bases
    tell_cases: TellCases = no_cases  # of a revocation

    # --- rows -----------------------------------------------------------------------------------------------------------

    def row_of(self, row: store.DocumentRow, document: Evidence, got: Got) -> store.DocumentRow:
        """The document's row after it was asked for."""
        sealed, made = got.sealed, got.made
        if sealed is None and got.answer is not None:
            sealed = self.seal(row.request_id, document, got.answer)
        return store.DocumentRow(
            row.request_id,
            row.document,
            standing=got.standing.value,
            reason=got.reason,
            notice=got.notice,
            endpoint_id=row.endpoint_id,
            followed_up=False,
            checked_at=got.checked_at,
            content_sha256=sealed.content_sha256 if sealed else None,
            identifier_index=sealed.identifier_index if sealed else None,
            document_sealed=sealed.document_sealed if sealed else None,
            report=got.report,
            called_at=made.began if made else row.called_at,
            call_ended_at=made.ended if made else row.call_ended_at,
            call_outcome=made.word.value if made else row.call_outcome,
        )

    def seal(self, request_id: str, document: Evidence, answer: Canonical) -> Sealed:
        """For the row of this request alone."""
        index = None
        if isinstance(answer, EcertDocument) and answer.metadata.identifier is not None:
            index = identifier_index(self.vault, answer.metadata.identifier)
        content = self.vault.seal(judging.to_bytes(answer), document_context(request_id, document))
        return Sealed(judging.content_digest(answer), content, index)

    def named(self, conn: Connection, file: EvidenceFile) -> EvidenceFile:
        """With the notices that revoked something of it: asked for only where one did."""
        ids = file.revoked_by
        return replace(file, revocations=revocations.notices(conn, ids)) if ids - file.revocations.keys() else file

    def load(self, tx: Tx, request_id: str) -> EvidenceFile | None:
        """The request, locked."""
        row = store.request(tx.conn, request_id, lock=True)
        return None if row is None else self.open(row, store.documents(tx.conn, row.id))

    def open(self, row: store.RequestRow, documents: Sequence[store.DocumentRow]) -> EvidenceFile | None:
        """See :meth:`Views.open`; with the catalogue read anew where another node may have imported the version just now."""
        file = self.views.open(row, documents, self.items.current())
        if file is None and row.request_sealed is not None:
            self.items.forget()
            file = self.views.open(row, documents, self.items.current())
        return file

    # --- asking again -----------------------------------------------------------------------------------------------------

    def to_follow(self, file: EvidenceFile) -> list[Evidence]:
        """What else to ask for, so that all that can still be satisfied will be: the least of what may come.

        The solver plans it as for a first call, with what is being asked for already taken as good.
        """
        if all(one.state is RequirementState.SATISFIED for one in file.plan.answers):
            return []
        hoped = {}
        for document, known in file.known.items():
            row = file.documents[document]
            hope = Standing.HELD if row.followed_up else Standing.AVAILABLE if _may_come(row) else known.standing
            hoped[document] = replace(known, standing=hope)
        return list(solve(file.item.requirements, hoped).fetch)

    def _follow(self, tx: Tx, file: EvidenceFile, documents: Sequence[Evidence]) -> None:
        """Enqueue a delivery for each."""
        if not documents:
            return
        asked = questions(file.request, file.item, file.grounds, file.endpoints, documents)
        order = documents_of(file.item)
        expires = file.row.asked_at + timedelta(seconds=self.views.rules.times.follow_up_s)
        deliveries.enqueue(
            tx,
            self.vault,
            [
                NewDelivery(
                    endpoint_id=question.endpoint_id,
                    case_id=file.row.id,
                    kind=question.kind,
                    subject=str(document),
                    idempotency_key=f"{file.row.id}.{order.index(document)}",
                    body=self.judge.to_ask(question, file.row.region, tx.now),
                    expires_at=expires,
                )
                for document, question in asked.items()
            ],
        )

    def hand_over(self, tx: Tx, limit: int = 50) -> int:
        """Requests whose process died while it fetched: their documents become deliveries. Gives how many."""
        done = 0
        for row in store.orphans(tx.conn, tx.now, limit=limit):
            if tx.apart(partial(self._hand_over, tx, row), "evidence.hand-over", row.id):
                done += 1
            else:  # one that cannot be handed over must not stand before the others at the next round
                store.update_request(tx.conn, row.id, {"owned_until": tx.now + AGAIN_AFTER})
        return done

    def _hand_over(self, tx: Tx, row: store.RequestRow) -> None:
        file = self.open(row, store.documents(tx.conn, row.id))
        if file is None:  # what was sealed of it has been dropped: nobody can be answered any more
            store.update_request(tx.conn, row.id, {"state": EvidenceCaseState.ANSWERED.value})
            return
        self.settle(tx, file, self._lapsed_rows(file, self.lapsed(tx.conn, file, tx.now), tx.now))
        tx.audit.append(AuditEntry(ACTOR, "evidence.hand-over", row.id, "pending"))

    def settled(self, file: EvidenceFile, changed: Sequence[store.DocumentRow], at: datetime) -> Settled:
        """What comes of changed documents, with what else is asked for. Writes nothing: it may be made before the commit."""
        file = self.changed(file, changed)
        waits = any(row.followed_up for row in file.documents.values())
        again: list[Evidence] = []
        while more := self.to_follow(file):  # a document that was planned and not asked for opens the next gap
            again += more
            file = self.changed(file, [_followed(file.documents[document]) for document in more])
        written = dict.fromkeys([row.document for row in changed] + [str(document) for document in again])
        state = EvidenceCaseState.PENDING if waits or again else EvidenceCaseState.ANSWERED
        file = file.with_row(replace(file.row, state=state.value, answered_at=max(at, file.row.asked_at)))
        if file.request.answer is AnswerForm.PREDICATE:
            file = file.with_row(replace(file.row, predicate=self.views.predicate(file, at)))
        answered = Answered.of(self.views.answer(file))
        rows = tuple(row for row in file.documents.values() if row.document in written)
        return Settled(file, rows, tuple(again), answered)

    def settle(self, tx: Tx, file: EvidenceFile, changed: Sequence[store.DocumentRow]) -> Settled:
        """Write changed documents, ask again for what may still come, write the request's state and tell its end.

        What a notice has revoked meanwhile is not handed out, whatever its source said.
        """
        gone = revocations.revoked(tx.conn, relied_on(changed))
        struck = [
            _struck(row, gone[row.identifier_index or ""]) if row.identifier_index in gone else row for row in changed
        ]
        one = self.settled(self.named(tx.conn, self.changed(file, struck)), struck, tx.now)
        self.write(tx, one)
        row = one.file.row
        if row.state == EvidenceCaseState.ANSWERED.value:
            complete = str(one.answered.answer.complete).lower()
            data = {"evidenceId": row.id, "messageId": row.message_id, "state": row.state, "complete": complete}
            self.tell(tx, row, EventType.ANSWER_READY, data)
        return one

    def write(self, tx: Tx, one: Settled, *, owner: str | None = None) -> bool:
        """The rows, and deliveries that ask again. False if the request is not the run's ``owner`` any more: nothing is written."""
        row = one.file.row
        values: store.Values = {
            "state": row.state,
            "answered_at": row.answered_at,
            "predicate": row.predicate,
            "answer_digest": one.answered.digest,
            "purge_at": row.purge_at,
        }
        if row.state == EvidenceCaseState.ANSWERED.value:
            values["purge_at"] = tx.now + timedelta(seconds=self.views.rules.times.answer_keep_s)
        if owner is None:
            store.update_request(tx.conn, row.id, values)
        elif not store.finish(tx.conn, row.id, owner, values):
            return False
        store.put_documents(tx.conn, one.rows)
        self._follow(tx, one.file, one.again)
        return True

    @staticmethod
    def changed(file: EvidenceFile, rows: Sequence[store.DocumentRow]) -> EvidenceFile:
        """The request with these rows in it."""
        documents, known = dict(file.documents), dict(file.known)
        words = {str(document): document for document in documents}
        for row in rows:
            document = words[row.document]
            documents[document] = row
            known[document] = Known(Standing(row.standing), known[document].fields, row.notice, row.reason)
        return replace(file, documents=documents, known=known)

    def tell(self, tx: Tx, row: store.RequestRow, event_type: EventType, data: dict[str, str]) -> int:
        """To the endpoint that the message named, else to those of the caller's that subscribed; gives to how many.

        No personal data.
        """
        event_id = new_id("evt")
        values: store.Values = {
            "id": event_id, "case_id": row.id, "type": event_type.value, "at": tx.now,
            "data": json.dumps(data, ensure_ascii=False),
        }  # fmt: skip
        store.add_event(tx.conn, values)
        named = row.callback  # which may have been removed since
        if named and store.events_endpoint(tx.conn, named, row.system_id):
            ids = [named]
        else:
            ids = store.events_subscribers(tx.conn, row.system_id, event_type)
        told = []
        for endpoint_id in ids:
            key = event_key(event_id, endpoint_id)
            body = CaseEvent(
                idempotency_key=key, id=event_id, type=TYPE_PREFIX + event_type, source="urn:exchange-hub",
                subject=row.id, time=tx.now, data=data,
            )  # fmt: skip
            told.append(NewDelivery(endpoint_id, row.id, Kind.EVENT, event_id, key, body))
        deliveries.enqueue(tx, self.vault, told)
        return len(told)

    def note_uses(self, tx: Tx, file: EvidenceFile, answer: EvidenceAnswer, asked: Iterable[Question]) -> None:
        """One line each for the holders."""
        self.bases.record_uses(tx, uses_of(self.bases, file, answer, asked, tx.now))

    # --- grounds that do not stand any more -------------------------------------------------------------------------------

    def lapsed(self, conn: Connection, file: EvidenceFile, at: datetime, *, lock: bool = True) -> dict[Evidence, str]:
        """What may not be asked for or handed out any more, and why. What had been handed out stays handed out."""
        words = self.bases.lapsed(conn, file.grounds.values(), at, lock=lock)
        return lapsed_documents(file, words, handed_out(file.plan)) if words else {}

    def _lapsed_rows(self, file: EvidenceFile, gone: Mapping[Evidence, str], at: datetime) -> list[store.DocumentRow]:
        """Nothing of them is kept."""
        ended = Standing.ASK_THE_PERSON
        return [self.row_of(file.documents[one], one, Got(ended, word, checked_at=at)) for one, word in gone.items()]

    def stopped(self, case_id: str, subject: str) -> str | None:
        """Before a source is asked again: the word by which it must not be, if the ground does not stand any more."""
        with self.db.read() as conn:
            row = store.request(conn, case_id)
            file = None if row is None else self.views.open(row, store.documents(conn, case_id), self.items.current())
            gone = {} if file is None else self.lapsed(conn, file, self.db.clock(), lock=False)
        if file is None:
            return None
        known = {str(document): one.reason for document, one in file.known.items() if one.reason in LAPSED}
        return known.get(subject) or {str(document): word for document, word in gone.items()}.get(subject)

    # --- as an outcome handler ------------------------------------------------------------------------------------------

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        """Judge and seal what the source says now. RetryLater where only time or a revocation list is missing."""
        with self.db.read() as conn:
            row = store.request(conn, case_id)
            documents = store.documents(conn, case_id)
        file = None if row is None else self.open(row, documents)
        if file is None:
            return None  # its time has passed: nobody waits for it
        document = next(one for one in file.documents if str(one) == subject)
        question = questions(file.request, file.item, file.grounds, file.endpoints, [document])[document]
        got = self.judge.answered(question, answer, file.row.region, self.db.clock())
        if got.ask_again:
            raise RetryLater(got.reason or "pending")
        return Prepared(got, self.row_of(file.documents[document], document, got))

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        revocations.lock_shared(tx.conn)
        for one in sorted(finished, key=lambda one: one.case_id):  # locked in one order on every node
            file = self.load(tx, one.case_id)
            if file is None:
                continue
            document = next((found for found in file.documents if str(found) == one.subject), None)
            if document is None or file.known[document].reason in LAPSED:
                continue  # what came afterwards is not kept
            gone = self.lapsed(tx.conn, file, tx.now)
            changed = self._lapsed_rows(file, gone, tx.now)
            if document not in gone:
                changed.append(self._outcome(file.documents[document], document, one, tx.now))
            waited = [other for other in gone if file.documents[other].followed_up and other != document]
            if waited:
                subjects = [str(other) for other in waited]
                deliveries.cancel_queued(tx, file.row.id, kinds=KINDS, subjects=subjects, word=gone[waited[0]])
            before = handed_out(file.plan)
            done = self.settle(tx, file, changed)
            file, row = done.file, done.file.documents[document]
            told = dict.fromkeys([document, *waited, *(one for one in handed_out(file.plan) if one not in before)])
            asked = questions(file.request, file.item, file.grounds, file.endpoints, told)
            self.note_uses(tx, file, done.answered.answer, asked.values())
            detail = {"document": one.subject, "reason": row.reason or "", "state": file.row.state,
                      "digest": row.content_sha256 or ""}  # fmt: skip
            tx.audit.append(AuditEntry(ACTOR, "evidence.follow-up", one.case_id, row.standing, detail))

    def _outcome(self, row: store.DocumentRow, document: Evidence, one: Finished, now: datetime) -> store.DocumentRow:
        if isinstance(one.result, Prepared):
            return one.result.row
        if one.state is State.REFUSED and one.code != "refused-by-operator":
            standing = judging.REFUSED_AS.get(one.code, Standing.ASK_THE_PERSON)
            return self.row_of(row, document, Got(standing, f"source-{one.code}"[:100], checked_at=now))
        return replace(row, followed_up=False, reason=GAVE_UP)


def relied_on(rows: Iterable[store.DocumentRow]) -> set[str]:
    """By what index notices know the documents that these rows hand out.

    Whoever commits them has the shared lock since before its first row, or a notice could not see what this commit makes of them.
    """
    return {row.identifier_index for row in rows if row.identifier_index and row.document_sealed is not None}


def lapsed_documents(
    file: EvidenceFile, words: Mapping[str, str], handed: Collection[Evidence] = ()
) -> dict[Evidence, str]:
    """The documents whose ground is among ``words`` (by its reference) and that have not been ``handed`` out."""
    return {
        document: word
        for document, basis in file.grounds.items()
        if (word := words.get(basis.reference))
        and document not in handed
        and file.known[document].standing in _MAY_COME
    }


def _struck(row: store.DocumentRow, notice_id: str) -> store.DocumentRow:
    """``notice`` of what was revoked is the notice that revoked it."""
    return replace(row, standing=Standing.REVOKED.value, reason=BY_NOTICE, notice=notice_id, document_sealed=None)


def _followed(row: store.DocumentRow) -> store.DocumentRow:
    """As it stands while a delivery goes on asking."""
    never_asked = row.standing == Standing.AVAILABLE.value
    return replace(
        row,
        followed_up=True,
        standing=Standing.UNREACHABLE.value if never_asked else row.standing,
        reason=row.reason or "deadline",
    )


def _may_come(row: store.DocumentRow | None) -> bool:
    if row is None or row.endpoint_id is None or row.followed_up or row.reason in _ENDED:
        return False
    waits = (Standing.AVAILABLE.value, Standing.UNREACHABLE.value, Standing.PENDING.value)
    return row.standing in waits and not (row.reason or "").startswith("source-")
