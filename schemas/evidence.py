"""The messages of the evidence service: what is asked, and what is answered for each requirement. REST only."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas import rules
from schemas.base import Canonical
from schemas.code_tables import HOLDER_CODE_TYPES
from schemas.fields import EnrolmentNumber, IdNumber, MessageId, Reference, RegionCode, ShortText, UtcDatetime
from schemas.numbers import check_credit_code, check_id_number
from schemas.rules import FieldError

ORGANISATION_TYPE = "001"
ORGANISATION_TYPES = frozenset({ORGANISATION_TYPE, "099"})
MAX_OTHERS = 3

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
CatalogueCode = Annotated[str, StringConstraints(pattern=r"^([0-9]{12}|[0-9A-Z]{18}[0-9]{13}([0-9]{2})?)$")]
HolderCodeType = Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")]
CaseReference = Annotated[Reference, StringConstraints(max_length=64)]
EndpointId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class HolderRole(StrEnum):
    """Whose document: the applicant's, the guardian's, or an organisation's (hub.ecerts.entries.Role has the same words)."""

    APPLICANT = "applicant"
    GUARDIAN = "guardian"
    ORGANISATION = "organisation"


class BasisKind(StrEnum):
    """On what ground a holder's data may be asked for."""

    CONSENT = "consent"  # a standing consent that is registered with the hub
    AUTHORIZATION = "authorization"  # a code that the holder showed and that the caller redeemed
    LAW = "law"  # the clause; only for items whose catalogue entry needs no consent


class Basis(Canonical):
    """``reference``: the id of the redeemed authorization, or the clause; of a consent its id or the reference under which it was

    registered. A consent that is named is the one that must cover the question; one that is not named may be any that does.
    """

    kind: BasisKind
    reference: ShortText | None = None

    @model_validator(mode="after")
    def _names_its_ground(self) -> Self:
        if self.reference is None and self.kind is not BasisKind.CONSENT:
            raise FieldError(rules.MISSING, field="reference")
        return self


class HolderKind(StrEnum):
    PERSON = "person"
    ORGANISATION = "organisation"


class EvidenceHolder(Canonical):
    """Whose evidence is asked for. ``basis``: of this holder, where it is another than the message's."""

    kind: HolderKind = HolderKind.PERSON
    role: HolderRole = HolderRole.APPLICANT
    name: ShortText
    code: IdNumber
    code_type: HolderCodeType = "111"
    enrolment_number: EnrolmentNumber | None = None  # of a student, for evidence that is an enrolment record
    basis: Basis | None = None

    @model_validator(mode="after")
    def _code_fits_its_type(self) -> Self:
        is_organisation = self.code_type in ORGANISATION_TYPES
        if self.code_type not in HOLDER_CODE_TYPES or is_organisation != (self.kind is HolderKind.ORGANISATION):
            raise FieldError(rules.NOT_IN_LIST, field="codeType")
        try:
            if self.code_type == ORGANISATION_TYPE:
                check_credit_code(self.code)
            elif not is_organisation:
                check_id_number(self.code_type, self.code)
        except FieldError as error:
            raise FieldError(error.rule, field="code") from None
        return self


class AnswerForm(StrEnum):
    """How much leaves the hub: the documents themselves, the fields of the registered purpose, or only yes and no."""

    DOCUMENTS = "documents"
    FIELDS = "fields"
    PREDICATE = "predicate"


class EvidenceRequest(Canonical):
    """``POST /v1/evidence``: the evidence that an item asks for, of one applicant and those who belong to the case."""

    message_id: MessageId
    item_code: CatalogueCode
    region: RegionCode
    subject: EvidenceHolder | None = None  # may be left out with an authorization: the hub knows whose it is
    others: Annotated[tuple[EvidenceHolder, ...], Field(max_length=MAX_OTHERS)] = ()  # guardian, organisation
    case_reference: CaseReference
    purpose: Word
    basis: Basis
    answer: AnswerForm
    deadline_s: Annotated[int, Field(ge=1, le=30)] = 10
    callback: EndpointId | None = None  # one of the caller's own events endpoints; default: its subscriptions

    @model_validator(mode="after")
    def _one_holder_a_role(self) -> Self:
        if self.subject is None and self.basis.kind is not BasisKind.AUTHORIZATION:
            raise FieldError(rules.MISSING, field="subject")
        roles = [holder.role for holder in self.holders]
        if len(set(roles)) != len(roles):
            raise FieldError(rules.NOT_IN_LIST, field="others")
        return self

    @property
    def holders(self) -> tuple[EvidenceHolder, ...]:
        """The subject, if it is named, and the others."""
        return self.others if self.subject is None else (self.subject, *self.others)


# --- answers ------------------------------------------------------------------------------------------------------------


class EvidenceCaseState(StrEnum):
    OPEN = "open"  # being fetched right now
    PENDING = "pending"  # answered in part; issuers that did not answer are asked again
    ANSWERED = "answered"  # nothing more will come


class MissingView(Canonical):
    """What stands between a requirement and its satisfaction. ``state`` is a word of docs/protocol/evidence-service.md."""

    document: str  # the type; with @role where it is not the applicant's
    state: str
    reason: str | None = None
    who_acts: str
    message_zh: str  # what it means and who must act, for people
    message_en: str
    followed_up: bool = False  # the hub goes on asking and will tell


class RequirementView(Canonical):
    name: str
    title_zh: str
    title_en: str
    required: bool
    satisfied: bool
    by: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()  # extension notices on which it rests
    missing: tuple[MissingView, ...] = ()


class DocumentView(Canonical):
    """A document as it is handed out. ``report`` is the verification report (docs/verification.md)."""

    document: str
    type_code: str
    media_type: str
    content: str  # base64
    sha256: str
    status: str
    verified_at: UtcDatetime
    notice: str | None = None
    report: dict[str, object]


class FieldsView(Canonical):
    """What stands in a document, only the fields that the purpose allows."""

    document: str
    type_code: str | None = None
    sha256: str | None = None
    verified_at: UtcDatetime
    notice: str | None = None
    fields: dict[str, str]


class NoticeView(Canonical):
    """An extension notice on which something in the answer rests. Its day is a day in Asia/Shanghai, itself included."""

    number: str  # 文号
    title: str
    source: str  # where it was published
    deemed_valid_until: date


class EvidenceAnswer(Canonical):
    """The answer, whole or in part. ``documents``, ``fields`` or ``predicate`` is there, as was asked.

    ``fields`` stand beside ``documents`` for those whose file the purpose does not let out.
    """

    id: str
    message_id: str
    state: EvidenceCaseState
    complete: bool  # every required requirement is satisfied
    asked_at: UtcDatetime
    answered_at: UtcDatetime | None = None
    requirements: tuple[RequirementView, ...] = ()
    notices: tuple[NoticeView, ...] | None = None
    documents: tuple[DocumentView, ...] | None = None
    fields: tuple[FieldsView, ...] | None = None
    predicate: str | None = None  # compact JWS, signed by the hub's http key
