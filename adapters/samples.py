"""Canonical messages for the harnesses: plain ones, full ones, and ones with characters that encodings like to lose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from adapters.contract import (
    AttachedEcert,
    CaseEvent,
    EnrolmentQuery,
    PersonQuery,
    StepAction,
    StepCancelled,
    TransferStep,
)
from adapters.population import family, transfer
from schemas.ecerts import EcertMetadata, EnrolmentRecord
from schemas.transfers import Decision, DecisionOutcome, TransferRequest

WHEN: Final = datetime(2026, 11, 2, 1, 30, 0, 250_000, tzinfo=UTC)
REGION, OTHER_REGION = "370102", "370202"
STUDENT: Final = 0  # free to go
# GBK lacks 䶮; 𠮷 and 𬭎 lie outside the BMP; U+E863 is where old systems keep 䶮; a middle dot, an ideographic space
RARE_TEXT: Final = "䶮𠮷𬭎㛃堃\ue863 古丽米热·买买提\u3000<&>\"'镕"


def private(index: int = STUDENT) -> tuple[str, ...]:
    """What must never be seen in a log: names and numbers of the student and the guardian."""
    one = family(REGION, index)
    return (
        one.student.name,
        one.student.id_number,
        one.student.enrolment_number,
        one.guardian.name,
        one.guardian.id_number,
        one.guardian.phone or one.guardian.name,
    )


def step(key: str, *, index: int = STUDENT, action: StepAction = StepAction.REVIEW) -> TransferStep:
    """A step as most are."""
    return TransferStep(
        idempotency_key=key,
        case_id=f"case-{key}"[:60],
        step="releasing-review",
        action=action,
        acting_for="releasing-bureau",
        limit_at=WHEN.replace(day=20, microsecond=0),
        transfer=transfer(f"m-{key}"[:60], REGION, index, OTHER_REGION, submitted_at=WHEN),
    )


def full_step(key: str) -> TransferStep:
    """Every optional part there, and rare characters in every free text."""
    plain = step(key, index=4, action=StepAction.ADMIT)
    request = plain.transfer
    student = request.student.model_copy(update={"name": RARE_TEXT})
    rich = TransferRequest.model_validate(
        request.model_copy(
            update={
                "item_code": "11370800MB285591843370117002011",
                "student": student,
                "guardian": request.guardian.model_copy(update={"name": "李𠮷"}),
                "releasing": request.releasing.model_copy(update={"school_name": f"{RARE_TEXT}小学"}),
                "reason": f"{RARE_TEXT}\n随迁",
            }
        ).model_dump()
    )
    evidence = AttachedEcert(
        requirement="student-identity",
        type_code="11100000000013127D001",
        number=student.id_number,
        holder_name=RARE_TEXT,
        verdict="PASSED",
        verified_at="2026-11-02T01:29:00Z",
        report_digest="ab" * 32,
    )
    bare = AttachedEcert(
        requirement="household",
        type_code="11100000000013127D002",
        number=None,
        holder_name=None,
        verdict="PASSED",
        verified_at="2026-11-02T01:29:01Z",
        report_digest="cd" * 32,
    )
    return plain.model_copy(update={"transfer": rich, "evidence": (evidence, bare), "enrolment": record()})


def record() -> EnrolmentRecord:
    """A record with everything in it."""
    return family(REGION, 4).record.model_copy(update={"student_name": RARE_TEXT})


def bare_record() -> EnrolmentRecord:
    """A record with nothing that may be missing."""
    missing = {"entry_month": None, "ethnicity_code": None, "day_or_boarding": None}
    return family(REGION, 2).record.model_copy(update=missing)


def metadata() -> EcertMetadata:
    """A certificate as a library tells of it, with everything there is."""
    return EcertMetadata(
        identifier="1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
        type_code="11100000MB03271699022",
        type_name="不动产登记证明",
        number=f"鲁（2021）第1号 {RARE_TEXT}",
        holder_name=RARE_TEXT,
        holder_code="379800201501010011",
        holder_code_type="111",
        issuer_name="历下区自然资源局",
        issuer_code="11370102000000000X",
        issued_on="2021-1-5",  # as it came
        valid_from="20210105",
        valid_until="长期",
        extra={"KZ_ZL": RARE_TEXT},
    )


def bare_metadata() -> EcertMetadata:
    return EcertMetadata(type_code="11100000MB03271699001")


def cancelled(key: str) -> StepCancelled:
    """The step of :func:`step` with the same key needs no decision any more."""
    return StepCancelled(idempotency_key=key, case_id=f"case-{key}"[:60], step="releasing-review", reason=RARE_TEXT)


def event(key: str) -> CaseEvent:
    return CaseEvent(
        idempotency_key=key,
        id=f"evt-{key}"[:60],
        type="cn.sd.edu.exchange.case.completed",
        source="urn:exchange-hub",
        subject=f"case-{key}"[:60],
        time=WHEN,
        data={"caseId": f"case-{key}"[:60], "state": "completed", "reason": RARE_TEXT},
    )


def decision(*, refused: bool = False) -> Decision:
    return Decision(
        message_id="JD-YD37010200000001",
        case_id="case-1",
        step="releasing-review",
        outcome=DecisionOutcome.REFUSED if refused else DecisionOutcome.APPROVED,
        reason=RARE_TEXT if refused else None,
        decided_at=WHEN,
        decided_by="历下区教育局",
    )


def enrolment_query(index: int = STUDENT) -> EnrolmentQuery:
    student = family(REGION, index).student
    return EnrolmentQuery(enrolment_number=student.enrolment_number, id_number=student.id_number, case_id="case-1")


def person_query(name: str | None = None, index: int = STUDENT) -> PersonQuery:
    student = family(REGION, index).student
    return PersonQuery(
        name=name or student.name,
        id_type="111",
        id_number=student.id_number,
        case_id="case-1",
        purpose="转学办理身份核验",
    )
