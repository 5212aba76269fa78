"""Student transfer (转学): the four messages that partners exchange with the hub, and the view of a case.

The same documents are described by ``schemas/wsdl/transfer.xsd``; a test proves that both accept and refuse the same.
Fields stand in the order of the XSD. Rules over several fields are below the fields that they compare.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from schemas import rules
from schemas.base import Canonical
from schemas.fields import (
    BirthDate,
    EnrolmentNumber,
    Grade,
    HouseholdRegion,
    IdNumber,
    IdType,
    ItemCode,
    MessageId,
    PersonName,
    PhoneNumber,
    RegionCode,
    SchoolCode,
    Sex,
    ShortText,
    Text,
    UtcDatetime,
)
from schemas.numbers import check_id_number, check_resident_id
from schemas.rules import FieldError

_SHANGHAI = ZoneInfo("Asia/Shanghai")


class GuardianRelation(StrEnum):
    """GB/T 4761, the values that a guardian can have."""

    FATHER = "father"
    MOTHER = "mother"
    GRANDPARENT = "grandparent"
    OTHER = "other"


class Student(Canonical):
    """The student whose record moves. ``enrolment_number`` is the 学籍号; ``id_number`` obeys the rule of ``id_type``."""

    name: PersonName
    id_type: IdType = IdType.RESIDENT_ID
    id_number: IdNumber
    enrolment_number: EnrolmentNumber
    sex: Sex
    birth_date: BirthDate
    household_region: HouseholdRegion | None = None

    @model_validator(mode="after")
    def _agrees_with_id_number(self) -> Self:
        _check_id(self.id_type, self.id_number)
        if self.id_type is not IdType.RESIDENT_ID:
            return self  # nothing to compare: only the resident ID number holds a date and a sex
        known = check_resident_id(self.id_number)
        if known.birth_date != self.birth_date:
            raise FieldError(rules.BIRTH_DATE_MISMATCH, field="birthDate")
        if self.sex in (Sex.MALE, Sex.FEMALE) and known.sex.value != self.sex.value:
            raise FieldError(rules.SEX_MISMATCH, field="sex")
        if self.enrolment_number.startswith("G") and self.enrolment_number[1:] != known.number:
            raise FieldError(rules.ENROLMENT_MISMATCH, field="enrolmentNumber")
        return self


class Guardian(Canonical):
    """The guardian who applies and consents."""

    name: PersonName
    relation: GuardianRelation
    id_type: IdType = IdType.RESIDENT_ID
    id_number: IdNumber
    phone: PhoneNumber | None = None

    @model_validator(mode="after")
    def _number_fits_type(self) -> Self:
        _check_id(self.id_type, self.id_number)
        return self


def _check_id(id_type: IdType, id_number: str) -> None:
    try:
        check_id_number(id_type, id_number)
    except FieldError as error:
        raise FieldError(error.rule, field="idNumber") from None


class Placement(Canonical):
    """A place at a school: region (the county or zone of its education bureau), school and grade."""

    region: RegionCode
    school_code: SchoolCode
    school_name: ShortText
    grade: Grade
    class_name: ShortText | None = None


class Consent(Canonical):
    """The guardian's consent that the hub may fetch the evidence (PIPL art. 13, 31)."""

    given_at: UtcDatetime
    reference: ShortText  # the source system's own number of the consent record


class TransferRequest(Canonical):
    """SubmitTransfer: the receiving side asks for a student's record."""

    message_id: MessageId
    item_code: ItemCode | None = None
    student: Student
    guardian: Guardian
    releasing: Placement
    receiving: Placement
    reason: Text
    consent: Consent
    submitted_at: UtcDatetime

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.releasing.school_code == self.receiving.school_code:
            raise FieldError(rules.SAME_SCHOOL, field="receiving/schoolCode")
        if self.student.birth_date > self.submitted_at.astimezone(_SHANGHAI).date():
            raise FieldError(rules.BIRTH_DATE_FUTURE, field="student/birthDate")
        return self


class TransferQuery(Canonical):
    """QueryTransfer: how does the case stand? REST has the case id in the path instead."""

    case_id: ShortText


class WithdrawalRequest(Canonical):
    """WithdrawTransfer: the source takes its request back. ``case_id`` is in the path for REST and here for SOAP."""

    message_id: MessageId
    case_id: ShortText
    reason: Text


class DecisionOutcome(StrEnum):
    APPROVED = "approved"
    REFUSED = "refused"


class Decision(Canonical):
    """SubmitDecision: the business answer (办理意见) of the party of one step; a receipt is not a decision."""

    message_id: MessageId
    case_id: ShortText
    step: ShortText
    outcome: DecisionOutcome
    reason: Text | None = None
    decided_at: UtcDatetime
    decided_by: ShortText  # the office, never a person's name


class CaseState(StrEnum):
    """What a case can be; the flags (near-limit, past-limit, provisional-limit) stand beside it."""

    OPEN = "open"  # gathering evidence
    WAITING = "waiting"  # for the parties of the open steps
    COMPLETED = "completed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class StepState(StrEnum):
    PENDING = "pending"  # its group has not opened yet
    OPEN = "open"  # being delivered, or waiting for the decision
    APPROVED = "approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"  # the case ended before it


class EvidenceState(StrEnum):
    PENDING = "pending"
    SATISFIED = "satisfied"
    REFUSED = "refused"  # found, and not acceptable: altered, another person's, revoked …
    UNAVAILABLE = "unavailable"  # not found, or could not be told


class CaseFlag(StrEnum):
    NEAR_LIMIT = "near-limit"
    PAST_LIMIT = "past-limit"
    PROVISIONAL_LIMIT = "provisional-limit"  # crosses a year whose calendar is not published
    NEEDS_OPERATOR = "needs-operator"  # one of its deliveries is suspended


class StepView(Canonical):
    name: str
    title: str
    party: str  # the region's name and its role
    state: StepState
    opened_at: UtcDatetime | None = None
    limit_at: UtcDatetime | None = None
    decided_at: UtcDatetime | None = None
    reason: str | None = None


class EvidenceView(Canonical):
    requirement: str
    title: str
    state: EvidenceState
    reason: str | None = None  # a stable word, for example hash-failure, holder-mismatch, not-found


class TransferAccepted(Canonical):
    """The answer to SubmitTransfer; the same message again gets the same answer."""

    case_id: str
    message_id: str
    state: CaseState
    accepted_at: UtcDatetime
    limit_at: UtcDatetime
    limit_provisional: bool


class TransferView(Canonical):
    """The answer to QueryTransfer: no personal data, only how the case stands."""

    case_id: str
    message_id: str
    flow: str
    state: CaseState
    flags: Annotated[tuple[CaseFlag, ...], Field(default=())]
    accepted_at: UtcDatetime
    limit_at: UtcDatetime
    limit_provisional: bool
    closed_at: UtcDatetime | None = None
    outcome_reason: str | None = None
    steps: tuple[StepView, ...] = ()
    evidence: tuple[EvidenceView, ...] = ()
