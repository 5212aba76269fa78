"""Canonical ↔ wire of the county registry product (县级学籍管理系统 V3): pinyin names and this vendor's own codes.

Pure functions; a wire record is a JSON object. Nothing is lost either way. What does not fit raises ValueError.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from adapters.contract import (
    AttachedEcert,
    DeliveryStatus,
    EnrolmentQuery,
    Receipt,
    StatusAnswer,
    StepAction,
    StepCancelled,
    TransferStep,
)
from adapters.json_wire import JsonObject, Unfit, checked, decode, maybe_text, part, parts, text
from schemas.ecerts import EnrolmentRecord, EnrolmentStatus
from schemas.fields import IdType
from schemas.transfers import Consent, Decision, DecisionOutcome, Guardian, GuardianRelation, Placement, Student
from schemas.transfers import TransferRequest as Transfer

_SHANGHAI: Final = ZoneInfo("Asia/Shanghai")

# --- this vendor's codes: canonical -> wire; another vendor numbers the same things otherwise ---------------------------------


CHANGE_CODES: Final = MappingProxyType(  # ydlbm 异动类别码: 21 out, 22 in; a review asks about the move out
    {StepAction.REVIEW: "21", StepAction.RELEASE: "21", StepAction.ADMIT: "22"}
)
ACTIONS: Final = MappingProxyType({StepAction.REVIEW: "SH", StepAction.RELEASE: "ZC", StepAction.ADMIT: "ZR"})
RELATIONS: Final = MappingProxyType(
    {
        GuardianRelation.FATHER: "51",
        GuardianRelation.MOTHER: "52",
        GuardianRelation.GRANDPARENT: "61",
        GuardianRelation.OTHER: "99",
    }
)
ID_TYPES: Final = MappingProxyType(
    {
        IdType.RESIDENT_ID: "1",
        IdType.HONG_KONG_MACAO_PERMIT: "6",
        IdType.TAIWAN_PERMIT: "8",
        IdType.PASSPORT_ORDINARY: "A",
        IdType.PASSPORT_DIPLOMATIC: "A1",
        IdType.PASSPORT_SERVICE: "A2",
        IdType.PASSPORT_PUBLIC_AFFAIRS: "A3",
        IdType.OTHER: "Z",
    }
)
RECORD_STATUSES: Final = MappingProxyType(
    {
        EnrolmentStatus.ENROLLED: "01",
        EnrolmentStatus.SUSPENDED: "02",
        EnrolmentStatus.DISCIPLINE: "03",
        EnrolmentStatus.GRADUATING: "04",
        EnrolmentStatus.LEFT: "09",
    }
)
OUTCOMES: Final = MappingProxyType({DecisionOutcome.APPROVED: "1", DecisionOutcome.REFUSED: "2"})
STATES: Final = MappingProxyType(
    {DeliveryStatus.UNKNOWN: "0", DeliveryStatus.RECEIVED: "1", DeliveryStatus.DECIDED: "2"}
)


class Result(StrEnum):
    """The code of the envelope (接口说明 附录 B)."""

    OK = "0000"
    INVALID = "1001"
    NOT_FOUND = "1002"
    NOT_OPEN = "1003"
    NOT_ADMITTED = "2001"
    BUSY = "9001"
    FAILED = "9999"


# --- one step, and its end ---------------------------------------------------------------------------------------------------


def step_to_wire(step: TransferStep) -> JsonObject:
    """异动申请. The idempotency key travels in its header."""
    transfer = step.transfer
    return {
        "ywbz": step.case_id,
        "hjbz": step.step,
        "czlx": ACTIONS[step.action],
        "ydlbm": CHANGE_CODES[step.action],
        "blf": step.acting_for,
        "jzsj": _time_to_wire(step.limit_at),
        "sqbh": transfer.message_id,
        "sxbm": transfer.item_code,
        "xs": _student_to_wire(transfer.student),
        "jhr": _guardian_to_wire(transfer.guardian),
        "zcxx": _placement_to_wire(transfer.releasing),
        "zrxx": _placement_to_wire(transfer.receiving),
        "sqly": transfer.reason,
        "tys": {"tysj": _time_to_wire(transfer.consent.given_at), "tysbh": transfer.consent.reference},
        "tjsj": _time_to_wire(transfer.submitted_at),
        "zmcl": [_evidence_to_wire(one) for one in step.evidence],
        "xjxx": record_to_wire(step.enrolment) if step.enrolment else None,
    }


def step_from_wire(record: JsonObject, idempotency_key: str) -> TransferStep:
    """What :func:`step_to_wire` wrote."""
    action = decode(ACTIONS, record, "czlx")
    if text(record, "ydlbm") != CHANGE_CODES[action]:
        raise Unfit("ydlbm: does not go with czlx")
    consent = part(record, "tys")
    transfer = checked(
        Transfer,
        {
            "message_id": text(record, "sqbh"),
            "item_code": maybe_text(record, "sxbm"),
            "student": _student_from_wire(part(record, "xs")),
            "guardian": _guardian_from_wire(part(record, "jhr")),
            "releasing": _placement_from_wire(part(record, "zcxx")),
            "receiving": _placement_from_wire(part(record, "zrxx")),
            "reason": text(record, "sqly"),
            "consent": checked(Consent, {"given_at": text(consent, "tysj"), "reference": text(consent, "tysbh")}),
            "submitted_at": text(record, "tjsj"),
        },
    )
    return checked(
        TransferStep,
        {
            "idempotency_key": idempotency_key,
            "case_id": text(record, "ywbz"),
            "step": text(record, "hjbz"),
            "action": action,
            "acting_for": text(record, "blf"),
            "limit_at": text(record, "jzsj"),
            "transfer": transfer,
            "evidence": tuple(_evidence_from_wire(one) for one in parts(record, "zmcl")),
            "enrolment": record_from_wire(part(record, "xjxx")) if record.get("xjxx") is not None else None,
        },
    )


def cancellation_to_wire(message: StepCancelled) -> JsonObject:
    """撤销申请."""
    return {"ywbz": message.case_id, "hjbz": message.step, "cxyy": message.reason}


def cancellation_from_wire(record: JsonObject, idempotency_key: str) -> StepCancelled:
    return checked(
        StepCancelled,
        {
            "idempotency_key": idempotency_key,
            "case_id": text(record, "ywbz"),
            "step": text(record, "hjbz"),
            "reason": text(record, "cxyy"),
        },
    )


# --- what the registry answers -------------------------------------------------------------------------------------------------


def receipt_from_wire(data: JsonObject) -> Receipt | Decision:
    """The answer to an application: its number, and the decision if the registry took it at once."""
    if data.get("jd") is not None:
        return decision_from_wire(part(data, "jd"))
    return Receipt(peer_reference=text(data, "ywlsh"))


def status_to_wire(answer: StatusAnswer) -> JsonObject:
    return {
        "zt": STATES[answer.status],
        "ywlsh": answer.peer_reference,
        "jd": decision_to_wire(answer.decision) if answer.decision else None,
    }


def status_from_wire(data: JsonObject) -> StatusAnswer:
    status = decode(STATES, data, "zt")
    if (status is DeliveryStatus.DECIDED) != (data.get("jd") is not None):
        raise Unfit("jd: there is a decision if, and only if, zt says so")
    return StatusAnswer(
        status=status,
        peer_reference=maybe_text(data, "ywlsh"),
        decision=decision_from_wire(part(data, "jd")) if status is DeliveryStatus.DECIDED else None,
    )


def decision_to_wire(decision: Decision) -> JsonObject:
    """办理意见."""
    return {
        "jdbh": decision.message_id,
        "ywbz": decision.case_id,
        "hjbz": decision.step,
        "jdjg": OUTCOMES[decision.outcome],
        "jdyy": decision.reason,
        "jdsj": _time_to_wire(decision.decided_at),
        "jddw": decision.decided_by,
    }


def decision_from_wire(record: JsonObject) -> Decision:
    return checked(
        Decision,
        {
            "message_id": text(record, "jdbh"),
            "case_id": text(record, "ywbz"),
            "step": text(record, "hjbz"),
            "outcome": decode(OUTCOMES, record, "jdjg"),
            "reason": maybe_text(record, "jdyy"),
            "decided_at": text(record, "jdsj"),
            "decided_by": text(record, "jddw"),
        },
    )


def query_to_wire(query: EnrolmentQuery) -> JsonObject:
    return {"grbsm": query.enrolment_number, "sfzjh": query.id_number, "ywbz": query.case_id}


def query_from_wire(record: JsonObject) -> EnrolmentQuery:
    return checked(
        EnrolmentQuery,
        {
            "enrolment_number": text(record, "grbsm"),
            "id_number": text(record, "sfzjh"),
            "case_id": text(record, "ywbz"),
        },
    )


def record_to_wire(record: EnrolmentRecord) -> JsonObject:
    """学籍基本信息."""
    return {
        "grbsm": record.enrolment_number,
        "xm": record.student_name,
        "sfzjh": record.id_number,
        "xxbsm": record.school_code,
        "njm": f"{record.grade:02d}",
        "xjztm": RECORD_STATUSES[record.status],
        "rxny": record.entry_month,
        "mzm": record.ethnicity_code,
        "jdfsm": record.day_or_boarding,
    }


def record_from_wire(record: JsonObject) -> EnrolmentRecord:
    return checked(
        EnrolmentRecord,
        {
            "enrolment_number": text(record, "grbsm"),
            "student_name": text(record, "xm"),
            "id_number": text(record, "sfzjh"),
            "school_code": text(record, "xxbsm"),
            "grade": _grade_from_wire(record),
            "status": decode(RECORD_STATUSES, record, "xjztm"),
            "entry_month": maybe_text(record, "rxny"),
            "ethnicity_code": maybe_text(record, "mzm"),
            "day_or_boarding": maybe_text(record, "jdfsm"),
        },
    )


# --- parts of them -------------------------------------------------------------------------------------------------------------


def _student_to_wire(student: Student) -> JsonObject:
    return {
        "xm": student.name,
        "sfzjlxm": ID_TYPES[student.id_type],
        "sfzjh": student.id_number,
        "grbsm": student.enrolment_number,
        "xbm": student.sex.value,
        "csrq": student.birth_date.isoformat(),
        "hkszdm": student.household_region,
    }


def _student_from_wire(record: JsonObject) -> Student:
    return checked(
        Student,
        {
            "name": text(record, "xm"),
            "id_type": decode(ID_TYPES, record, "sfzjlxm"),
            "id_number": text(record, "sfzjh"),
            "enrolment_number": text(record, "grbsm"),
            "sex": text(record, "xbm"),
            "birth_date": text(record, "csrq"),
            "household_region": maybe_text(record, "hkszdm"),
        },
    )


def _guardian_to_wire(guardian: Guardian) -> JsonObject:
    return {
        "cy1xm": guardian.name,
        "cy1gx": RELATIONS[guardian.relation],
        "cy1sfzjlxm": ID_TYPES[guardian.id_type],
        "cy1sfzh": guardian.id_number,
        "cy1lxdh": guardian.phone,
    }


def _guardian_from_wire(record: JsonObject) -> Guardian:
    return checked(
        Guardian,
        {
            "name": text(record, "cy1xm"),
            "relation": decode(RELATIONS, record, "cy1gx"),
            "id_type": decode(ID_TYPES, record, "cy1sfzjlxm"),
            "id_number": text(record, "cy1sfzh"),
            "phone": maybe_text(record, "cy1lxdh"),
        },
    )


def _placement_to_wire(placement: Placement) -> JsonObject:
    return {
        "xzqhm": placement.region,
        "xxbsm": placement.school_code,
        "xxmc": placement.school_name,
        "njm": f"{placement.grade:02d}",
        "bjmc": placement.class_name,
    }


def _placement_from_wire(record: JsonObject) -> Placement:
    return checked(
        Placement,
        {
            "region": text(record, "xzqhm"),
            "school_code": text(record, "xxbsm"),
            "school_name": text(record, "xxmc"),
            "grade": _grade_from_wire(record),
            "class_name": maybe_text(record, "bjmc"),
        },
    )


def _evidence_to_wire(evidence: AttachedEcert) -> JsonObject:
    return {
        "clmc": evidence.requirement,
        "zzlxdm": evidence.type_code,
        "zzbh": evidence.number,
        "czr": evidence.holder_name,
        "hyjg": evidence.verdict,
        "hysj": evidence.verified_at,
        "bgzy": evidence.report_digest,
    }


def _evidence_from_wire(record: JsonObject) -> AttachedEcert:
    return checked(
        AttachedEcert,
        {
            "requirement": text(record, "clmc"),
            "type_code": text(record, "zzlxdm"),
            "number": maybe_text(record, "zzbh"),
            "holder_name": maybe_text(record, "czr"),
            "verdict": text(record, "hyjg"),
            "verified_at": text(record, "hysj"),
            "report_digest": text(record, "bgzy"),
        },
    )


def _grade_from_wire(record: JsonObject) -> int:
    grade = text(record, "njm")
    if len(grade) != 2 or not grade.isascii() or not grade.isdigit():
        raise Unfit("njm: two digits are expected")
    return int(grade)


def _time_to_wire(time: datetime) -> str:
    """This vendor writes Beijing time with its offset."""
    return time.astimezone(_SHANGHAI).isoformat()
