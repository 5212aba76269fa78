"""Canonical ↔ wire of the city registry product (城市学籍管理平台 V2.1): pinyin names and this vendor's own codes.

Pure functions over plain values: a wire record is a mapping of element names to texts, records and lists of records, as
zeep takes and gives them and as the simulator reads them. Nothing is lost either way. What does not fit raises
``ValueError`` (pydantic's ValidationError is one), never KeyError or AttributeError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
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
from schemas.base import Canonical
from schemas.ecerts import EnrolmentRecord
from schemas.transfers import Consent, Decision, Guardian, Placement, Student, TransferRequest

WireValue = str | int | Mapping[str, "WireValue"] | Sequence["WireValue"] | None
Wire = Mapping[str, WireValue]
M = TypeVar("M", bound=Canonical)
_SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


class Unfit(ValueError):
    """A value that this product's interface does not know; the text names the element, never the value."""


# --- codes of this vendor (接口说明 附录 A); another vendor numbers the same things otherwise ----------------------------

ACTIONS: Final[Mapping[str, str]] = {StepAction.REVIEW: "1", StepAction.RELEASE: "2", StepAction.ADMIT: "3"}
CHANGE_IN, CHANGE_OUT = "13", "27"  # 异动类别: 转入, 转出
RELATIONS: Final = {"father": "51", "mother": "52", "grandparent": "60", "other": "97"}  # GB/T 4761
GRADES: Final = {
    str(start + year): f"{school}{year}"  # school kind and year in it: 小学 11-16, 初中 21-23, 高中 31-33
    for school, start, years in ((1, 0, 6), (2, 6, 3), (3, 9, 3))
    for year in range(1, years + 1)
}
ENROLMENT_STATES: Final = {"enrolled": "1", "suspended": "2", "discipline": "3", "graduating": "4", "left": "9"}
OUTCOMES: Final = {"approved": "1", "refused": "0"}
STATUSES: Final = {DeliveryStatus.UNKNOWN: "0", DeliveryStatus.RECEIVED: "1", DeliveryStatus.DECIDED: "2"}


# --- fields -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Codec:
    """How one text is told at the wire, and back."""

    out: Callable[[str], str]
    back: Callable[[str], str]


def _table(name: str, codes: Mapping[str, str]) -> Codec:
    return Codec(_lookup(name, codes), _lookup(name, {code: word for word, code in codes.items()}))


def _lookup(name: str, codes: Mapping[str, str]) -> Callable[[str], str]:
    def look(value: str) -> str:
        if value not in codes:
            raise Unfit(f"{name}: a code that is not in the table")
        return codes[value]

    return look


def _beijing_time(utc: str) -> str:
    return datetime.fromisoformat(utc).astimezone(_SHANGHAI).isoformat()


def _date_back(compact: str) -> str:
    return f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"


TEXT: Final = Codec(str, str)
TIME: Final = Codec(_beijing_time, str)
DATE: Final = Codec(lambda iso: iso.replace("-", ""), _date_back)
ACTION: Final = _table("czlxm", ACTIONS)
RELATION: Final = _table("cy1gx", RELATIONS)
GRADE: Final = _table("njm", GRADES)
ENROLMENT_STATE: Final = _table("xjztm", ENROLMENT_STATES)
OUTCOME: Final = _table("yjdm", OUTCOMES)

Fields = Sequence[tuple[str, str, Codec]]  # wire name, canonical name, codec; in the order of the XSD

STUDENT: Final[Fields] = (
    ("xm", "name", TEXT),
    ("sfzjlxm", "id_type", TEXT),
    ("sfzjh", "id_number", TEXT),
    ("grbsm", "enrolment_number", TEXT),
    ("xbm", "sex", TEXT),
    ("csrq", "birth_date", DATE),
    ("hkszdm", "household_region", TEXT),
)
GUARDIAN: Final[Fields] = (
    ("cy1xm", "name", TEXT),
    ("cy1gx", "relation", RELATION),
    ("cy1sfzjlxm", "id_type", TEXT),
    ("cy1sfzh", "id_number", TEXT),
    ("cy1lxdh", "phone", TEXT),
)
PLACEMENT: Final[Fields] = (
    ("xzqhm", "region", TEXT),
    ("xxbsm", "school_code", TEXT),
    ("xxmc", "school_name", TEXT),
    ("njm", "grade", GRADE),
    ("bjmc", "class_name", TEXT),
)
TRANSFER: Final[Fields] = (  # its parts (student …) are records or stand beside it
    ("sqbh", "message_id", TEXT),
    ("sxbm", "item_code", TEXT),
    ("zxyy", "reason", TEXT),
    ("sqsj", "submitted_at", TIME),
)
CONSENT: Final[Fields] = (("tysj", "given_at", TIME), ("tybh", "reference", TEXT))
STEP: Final[Fields] = (
    ("lsh", "idempotency_key", TEXT),
    ("bjbh", "case_id", TEXT),
    ("hjbm", "step", TEXT),
    ("czlxm", "action", ACTION),
    ("cbjs", "acting_for", TEXT),
    ("blsx", "limit_at", TIME),
)
EVIDENCE: Final[Fields] = (
    ("clbs", "requirement", TEXT),
    ("zzlxdm", "type_code", TEXT),
    ("zzbh", "number", TEXT),
    ("czzt", "holder_name", TEXT),
    ("hyjg", "verdict", TEXT),
    ("hysj", "verified_at", TEXT),
    ("bgzy", "report_digest", TEXT),
)
ENROLMENT: Final[Fields] = (
    ("grbsm", "enrolment_number", TEXT),
    ("xm", "student_name", TEXT),
    ("sfzjh", "id_number", TEXT),
    ("xxbsm", "school_code", TEXT),
    ("njm", "grade", GRADE),
    ("xjztm", "status", ENROLMENT_STATE),
    ("rxny", "entry_month", TEXT),
    ("mzm", "ethnicity_code", TEXT),
    ("jdfsm", "day_or_boarding", TEXT),
)
CANCELLED: Final[Fields] = (
    ("lsh", "idempotency_key", TEXT),
    ("bjbh", "case_id", TEXT),
    ("hjbm", "step", TEXT),
    ("zfyy", "reason", TEXT),
)
DECISION: Final[Fields] = (
    ("yjbh", "message_id", TEXT),
    ("bjbh", "case_id", TEXT),
    ("hjbm", "step", TEXT),
    ("yjdm", "outcome", OUTCOME),
    ("yjnr", "reason", TEXT),
    ("blsj", "decided_at", TIME),
    ("bldw", "decided_by", TEXT),
)
ENROLMENT_QUERY: Final[Fields] = (
    ("grbsm", "enrolment_number", TEXT),
    ("sfzjh", "id_number", TEXT),
    ("bjbh", "case_id", TEXT),
)


def _out(model: Canonical, fields: Fields) -> dict[str, WireValue]:
    values = model.model_dump(mode="json", by_alias=False)
    return {wire: codec.out(str(values[name])) for wire, name, codec in fields if values[name] is not None}


def _back(record: Wire, fields: Fields) -> dict[str, object]:
    values: dict[str, object] = {}
    for wire, name, codec in fields:
        value = record.get(wire)
        if value is None:
            values[name] = None  # where the canonical model needs it, it says so
            continue
        if not isinstance(value, str):
            raise Unfit(f"{wire}: a text is expected")
        values[name] = codec.back(value)
    return values


def _record(record: Wire, name: str) -> Wire:
    value = record.get(name)
    if not isinstance(value, Mapping):
        raise Unfit(f"{name}: missing")
    return value


# --- messages -----------------------------------------------------------------------------------------------------------


def change_code(step: TransferStep) -> str:
    """异动类别码 of this vendor: 27 for what the releasing side does, 13 for everything else."""
    releasing = step.action is StepAction.RELEASE or step.acting_for.startswith("releasing")
    return CHANGE_OUT if releasing else CHANGE_IN


def step_to_wire(step: TransferStep) -> dict[str, WireValue]:
    """``TuisongZhuanxue``."""
    transfer = step.transfer
    return {
        **_out(step, STEP),
        "ydlbm": change_code(step),
        **_out(transfer, TRANSFER),
        **_out(transfer.consent, CONSENT),
        "xs": _out(transfer.student, STUDENT),
        "jhr": _out(transfer.guardian, GUARDIAN),
        "zcxx": _out(transfer.releasing, PLACEMENT),
        "zrxx": _out(transfer.receiving, PLACEMENT),
        "zmcl": [_out(evidence, EVIDENCE) for evidence in step.evidence],
        "xjxx": _out(step.enrolment, ENROLMENT) if step.enrolment else None,
    }


def step_from_wire(record: Wire) -> TransferStep:
    """The other way: what the simulator receives, and the proof that nothing was lost."""
    transfer = TransferRequest.model_validate(
        {
            **_back(record, TRANSFER),
            "student": _model(Student, _record(record, "xs"), STUDENT),
            "guardian": _model(Guardian, _record(record, "jhr"), GUARDIAN),
            "releasing": _model(Placement, _record(record, "zcxx"), PLACEMENT),
            "receiving": _model(Placement, _record(record, "zrxx"), PLACEMENT),
            "consent": _model(Consent, record, CONSENT),
        }
    )
    evidence = record.get("zmcl") or ()
    if isinstance(evidence, str | int | Mapping):
        raise Unfit("zmcl: a list is expected")
    return TransferStep.model_validate(
        {
            **_back(record, STEP),
            "transfer": transfer,
            "evidence": tuple(_model(AttachedEcert, one, EVIDENCE) for one in evidence if isinstance(one, Mapping)),
            "enrolment": enrolment_from_wire(_record(record, "xjxx")) if record.get("xjxx") else None,
        }
    )


def _model(cls: type[M], record: Wire, fields: Fields) -> M:
    return cls.model_validate(_back(record, fields))


def cancelled_to_wire(message: StepCancelled) -> dict[str, WireValue]:
    """``ZuofeiHuanjie``."""
    return _out(message, CANCELLED)


def cancelled_from_wire(record: Wire) -> StepCancelled:
    """What the simulator receives."""
    return _model(StepCancelled, record, CANCELLED)


def enrolment_query_to_wire(query: EnrolmentQuery) -> dict[str, WireValue]:
    """``HuoquXueji``."""
    return _out(query, ENROLMENT_QUERY)


def enrolment_query_from_wire(record: Wire) -> EnrolmentQuery:
    """What the simulator receives."""
    return _model(EnrolmentQuery, record, ENROLMENT_QUERY)


def enrolment_to_wire(record: EnrolmentRecord) -> dict[str, WireValue]:
    """``xjxx``."""
    return _out(record, ENROLMENT)


def enrolment_from_wire(record: Wire) -> EnrolmentRecord:
    """``xjxx``."""
    return _model(EnrolmentRecord, record, ENROLMENT)


def decision_to_wire(decision: Decision) -> dict[str, WireValue]:
    """``blyj``."""
    return _out(decision, DECISION)


def decision_from_wire(record: Wire) -> Decision:
    """``blyj``."""
    return _model(Decision, record, DECISION)


# --- answers ------------------------------------------------------------------------------------------------------------


def answer_from_wire(reply: Wire) -> Receipt | Decision:
    """The reply to a delivery: a decision where the city decides at once (``blyj``), else its receipt (``slbh``)."""
    if reply.get("blyj"):
        return decision_from_wire(_record(reply, "blyj"))
    return Receipt.model_validate(_back(reply, (("slbh", "peer_reference", TEXT),)))


def status_from_wire(reply: Wire) -> StatusAnswer:
    """The reply to ``ChaxunZhuangtai``."""
    word = _lookup("blztm", {code: status.value for status, code in STATUSES.items()})(str(reply.get("blztm")))
    reference = _back(reply, (("slbh", "peer_reference", TEXT),))
    decision = decision_from_wire(_record(reply, "blyj")) if reply.get("blyj") else None
    return StatusAnswer.model_validate({"status": word, "decision": decision, **reference})
