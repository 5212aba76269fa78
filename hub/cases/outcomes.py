"""What a finished delivery means for its case. ``prepare`` works with no transaction open; ``record`` is in the commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.contract import AttachedEcert, EcertDocument, PersonAnswer, RetryLater
from certs.render import report_to_json
from certs.report import Indication
from hub.cases import store
from hub.cases.opening import question
from hub.cases.progress import CaseFile, Progress, Rooms, load_files
from hub.db import AuditEntry, Database, Tx
from hub.deliveries.model import Finished, Handlers, Kind, State
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence.judging import BY_NOTICE
from hub.ecerts.revocations import store as revocations
from hub.ecerts.revocations.index import identifier_index
from schemas.base import Canonical
from schemas.ecerts import EcertQuery, EnrolmentRecord, EnrolmentStatus, PersonMatch
from schemas.events import EventType
from schemas.transfers import CaseState, Decision, DecisionOutcome, EvidenceState, StepState, TransferRequest


@dataclass(frozen=True, slots=True)
class EvidenceResult:
    """An evidence as it will be stored."""

    state: EvidenceState
    reason: str | None
    report: str | None = None
    content_sha256: str | None = None
    media_type: str | None = None
    content_sealed: bytes | None = None
    summary_sealed: bytes | None = None
    identifier_index: str | None = None  # of a certificate, for notices that revoked it before or will


class EvidenceOutcomes:
    """Persons, certificates and enrolment records: judged, sealed, and the case moved on."""

    def __init__(self, db: Database, rooms: Rooms, checker: EcertChecker) -> None:
        self._db = db
        self._rooms = rooms
        self._checker = checker

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> EvidenceResult:
        with self._db.read() as conn:
            case = store.load_cases(conn, [case_id])[case_id]
        request = TransferRequest.model_validate_json(self._rooms.vault.open(case.payload_sealed, f"cases:{case_id}"))
        match answer:
            case PersonAnswer():
                return _judge_person(answer)
            case EnrolmentRecord():
                return self._judge_enrolment(case_id, subject, request, answer)
            case EcertDocument():
                return self._judge_ecert(case, subject, request, answer)
        raise TypeError(f"no evidence: {type(answer).__name__}")

    def _judge_ecert(
        self, case: store.CaseRow, requirement: str, request: TransferRequest, document: EcertDocument
    ) -> EvidenceResult:
        flow = self._rooms.flows[case.flow]
        query = question(flow, flow.need(requirement), case.id, request)
        if not isinstance(query, EcertQuery):
            raise TypeError(f"{requirement} is no certificate")
        now = self._db.clock()
        verdict = self._checker.check(document, query, now)
        if verdict.retry:
            raise RetryLater(verdict.reason or "indeterminate")
        digest = hashlib.sha256(document.content).hexdigest()
        context = f"evidence:{case.id}:{requirement}"
        summary = AttachedEcert(
            requirement=requirement,
            type_code=query.type_code,
            number=document.metadata.number,
            holder_name=document.metadata.holder_name,
            verdict=verdict.report.indication.value,
            verified_at=now.isoformat(),
            report_digest=digest,
        )
        identifier = document.metadata.identifier or verdict.inside.get("identifier")
        passed = verdict.report.indication is Indication.PASSED and verdict.state is EvidenceState.SATISFIED
        return EvidenceResult(
            state=verdict.state,
            reason=verdict.reason,
            report=json.dumps(report_to_json(verdict.report), ensure_ascii=False),
            content_sha256=digest,
            media_type=document.media_type,
            content_sealed=self._rooms.vault.seal(document.content, context),
            summary_sealed=self._seal_summary(context, summary) if passed else None,
            identifier_index=identifier_index(self._rooms.vault, identifier) if identifier is not None else None,
        )

    def _judge_enrolment(
        self, case_id: str, requirement: str, request: TransferRequest, record: EnrolmentRecord
    ) -> EvidenceResult:
        student = request.student
        if record.id_number != student.id_number or record.enrolment_number != student.enrolment_number:
            return EvidenceResult(EvidenceState.REFUSED, "enrolment-number-mismatch")
        if record.student_name != student.name:
            return EvidenceResult(EvidenceState.REFUSED, "student-name-mismatch")
        if record.school_code != request.releasing.school_code:
            return EvidenceResult(EvidenceState.REFUSED, "releasing-school-mismatch")
        if record.status is not EnrolmentStatus.ENROLLED:
            return EvidenceResult(EvidenceState.REFUSED, f"enrolment-{record.status.value}")
        context = f"evidence:{case_id}:{requirement}"
        return EvidenceResult(EvidenceState.SATISFIED, None, summary_sealed=self._seal_summary(context, record))

    def _seal_summary(self, context: str, summary: Canonical) -> bytes:
        return self._rooms.vault.seal(summary.model_dump_json().encode(), f"{context}:summary")

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        revoked = _revoked(tx, finished)
        files = load_files(tx, {item.case_id for item in finished})
        progress = Progress(tx, self._rooms)
        rows: list[store.Values] = []
        changed: dict[str, CaseFile] = {}
        for item in finished:
            file = files.get(item.case_id)
            if file is None:
                continue
            if item.state is State.SUSPENDED:
                progress.flag(file.case, EventType.NEEDS_OPERATOR, requirement=item.subject, code=item.code)
                continue
            result = item.result if isinstance(item.result, EvidenceResult) else _not_found(item)
            if result.identifier_index in revoked:
                result = EvidenceResult(EvidenceState.REFUSED, BY_NOTICE)
            row = next((row for row in file.evidence if row.requirement == item.subject), None)
            if row is None or row.state is not EvidenceState.PENDING:
                continue
            row.state, row.reason, row.summary_sealed = result.state, result.reason, result.summary_sealed
            rows.append(_evidence_values(tx, item, result))
            changed[item.case_id] = file
            tx.audit.append(
                AuditEntry(
                    "node",
                    "evidence.judge",
                    item.case_id,
                    result.state.value,
                    {"requirement": item.subject, "reason": result.reason or "", "digest": result.content_sha256 or ""},
                )
            )
        store.update_evidence(tx.conn, rows)
        for file in changed.values():
            progress.evidence_changed(file)
        progress.finish()


def _revoked(tx: Tx, finished: Sequence[Finished]) -> frozenset[str]:
    """What a notice says holds no longer, whatever the source said; asked in the commit that relies on it."""
    indexes = {
        item.result.identifier_index
        for item in finished
        if isinstance(item.result, EvidenceResult) and item.result.identifier_index is not None
    }
    if not indexes:
        return frozenset()
    revocations.lock_shared(tx.conn)
    return frozenset(revocations.revoked(tx.conn, indexes))


def _judge_person(answer: PersonAnswer) -> EvidenceResult:
    match answer.match:
        case PersonMatch.MATCHED:
            return EvidenceResult(EvidenceState.SATISFIED, None)
        case PersonMatch.MISMATCHED:
            return EvidenceResult(EvidenceState.REFUSED, "person-name-mismatch")
        case PersonMatch.NOT_FOUND:
            return EvidenceResult(EvidenceState.REFUSED, "person-not-found")


def _not_found(item: Finished) -> EvidenceResult:
    """The source said no: the certificate or person is not there, revoked, restricted …: its word is the reason."""
    return EvidenceResult(EvidenceState.REFUSED, f"source-{item.code}"[:100])


def _evidence_values(tx: Tx, item: Finished, result: EvidenceResult) -> store.Values:
    return {
        "b_case_id": item.case_id,
        "b_requirement": item.subject,
        "state": result.state.value,
        "reason": result.reason,
        "report": result.report,
        "content_sha256": result.content_sha256,
        "media_type": result.media_type,
        "content_sealed": result.content_sealed,
        "summary_sealed": result.summary_sealed,
        "identifier_index": result.identifier_index,
        "updated_at": tx.now,
    }


class StepOutcomes:
    """A step's message reached its party, which may have decided in its reply, or when it was asked later; or the peer refused
    the message itself."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> Canonical:
        return answer

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        needed = {
            item.case_id for item in finished if isinstance(item.result, Decision) or item.state is not State.DELIVERED
        }
        if not needed:  # receipts: the case goes on waiting
            return
        files = load_files(tx, needed)
        progress = Progress(tx, self._rooms)
        for item in finished:
            file = files.get(item.case_id)
            step = file.step(item.subject) if file else None
            if file is None or step is None:
                continue
            if item.state is State.SUSPENDED:
                progress.flag(file.case, EventType.NEEDS_OPERATOR, step=item.subject, code=item.code)
            elif step.state is not StepState.OPEN or file.case.state is not CaseState.WAITING:
                continue  # decided by callback meanwhile, or the case has ended
            elif item.state is State.REFUSED and item.kind is Kind.ASK:  # the question, not the step
                if item.code != "refused-by-operator":
                    progress.flag(file.case, EventType.NEEDS_OPERATOR, step=item.subject, code=item.code)
            elif item.state is State.REFUSED:
                progress.decide(file, step, False, "peer", f"message refused: {item.code}")
            elif isinstance(item.result, Decision):
                approved = item.result.outcome is DecisionOutcome.APPROVED
                progress.decide(file, step, approved, item.result.decided_by, item.result.reason)
        progress.finish()


class NoticeOutcomes:
    """Cancellations and events: told, or not; the case does not depend on them."""

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> Canonical:
        return answer

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        """Nothing: the delivery's own row says it all."""


def outcome_handlers(db: Database, rooms: Rooms, checker: EcertChecker) -> Handlers:
    """Who hears of which kind."""
    evidence, step, notice = EvidenceOutcomes(db, rooms, checker), StepOutcomes(rooms), NoticeOutcomes()
    return {
        Kind.PERSON: evidence,
        Kind.ECERT: evidence,
        Kind.ENROLMENT: evidence,
        Kind.STEP: step,
        Kind.ASK: step,
        Kind.CANCEL: notice,
        Kind.EVENT: notice,
    }
