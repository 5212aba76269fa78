"""The messages of the evidence service: what is asked, and what is answered for each requirement. REST only."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from schemas import rules
from schemas.base import Canonical
from schemas.code_tables import HOLDER_CODE_TYPES
from schemas.fields import EnrolmentNumber, IdNumber, MessageId, Reference, RegionCode, ShortText, UtcDatetime
from schemas.numbers import CATALOGUE_CODE, check_credit_code, check_id_number, check_names_nobody
from schemas.revocations import RevocationReason
from schemas.rules import FieldError, shape

ORGANISATION_TYPE = "001"
ORGANISATION_TYPES = frozenset({ORGANISATION_TYPE, "099"})
MAX_OTHERS = 3

WORD: Final = shape(
    "Word", "[a-z][a-z0-9-]{0,39}",
    "1 至 40 位小写字母、数字或 -, 以字母开头", "1 to 40 lower-case letters, digits or - that begin with a letter",
)  # fmt: skip
PARTY_ID: Final = shape(
    "PartyId", "[a-z0-9][a-z0-9-]{0,62}",
    "1 至 63 位小写字母、数字或 -, 不以 - 开头", "1 to 63 lower-case letters, digits or - that do not begin with -",
)  # fmt: skip
HOLDER_CODE_TYPE: Final = shape("HolderCodeType", "[0-9]{3}", "3 位数字, 如 111 或 001", "3 digits, such as 111 or 001")

Word = Annotated[str, StringConstraints(pattern=WORD.anchored), AfterValidator(check_names_nobody)]
CatalogueCode = Annotated[str, StringConstraints(pattern=CATALOGUE_CODE.anchored)]
HolderCodeType = Annotated[str, StringConstraints(pattern=HOLDER_CODE_TYPE.anchored)]
CaseReference = Annotated[Reference, StringConstraints(max_length=64)]
EndpointId = Annotated[str, StringConstraints(pattern=PARTY_ID.anchored)]


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


class SignerView(Canonical):
    """Who made the signature that a finding is about, as the file says it."""

    subject: str = Field(description="签名证书主体 the subject of the signer's certificate")
    serial: str = Field(description="证书序列号, 十六进制 the certificate's serial number, hexadecimal")
    signed_at: UtcDatetime | None = Field(None, description="签名时间 when it was signed")
    seal_name: str | None = Field(None, description="印章名称 the name of the seal")


class FindingView(Canonical):
    """A finding of the verification report that decided the verdict (docs/verification.md). No personal data."""

    axis: str = Field(description="检查项 what was judged: content, signature, seal, path …")
    clause: str = Field(description="依据的标准条款 the clause of the standard")
    detail_zh: str = Field(description="说明 (中文) the finding, in Chinese")
    detail_en: str = Field(description="说明 (英文) the finding, in English")
    signer: SignerView | None = None


class RevocationView(Canonical):
    """The notice by which the issuer revoked a document (docs/protocol/revocations.md)."""

    notice: str = Field(description="通知编号 the notice's id at the hub")
    source: str = Field(description="决定书或记录的文号 the decision or record behind it, by its number")
    reason: RevocationReason
    revoked_at: UtcDatetime = Field(description="自何时起无效 since when it holds no longer")


class MissingView(Canonical):
    """What stands between a requirement and its satisfaction. ``state`` is a word of docs/protocol/evidence-service.md."""

    document: str = Field(description="证照类型, 他人的加 @角色 the type; with @role where it is not the applicant's")
    state: str = Field(
        description="情形 no-match, ask-the-person, pending-at-the-issuer, issuer-unreachable, revoked, expired, suspended, "
        "not-verified, no-source"
    )
    reason: str | None = Field(None, description="原因 a word of evidence.md")
    who_acts: str = Field(description="由谁处理 who must act: caller, applicant, peer, administrator")
    message_zh: str = Field(description="含义与由谁处理 what it means and who must act, for people")
    message_en: str = Field(description="the same in English")
    nearest: bool = Field(description="属最接近满足的一种组合 of the alternative that is nearest to being whole")
    followed_up: bool = Field(False, description="枢纽继续询问 the hub goes on asking and will tell")
    checked_at: UtcDatetime | None = Field(None, description="何时查询或核验 when it was asked for or judged")
    sha256: str | None = Field(
        None, description="所核验文件的摘要 of the file that was judged; the file itself stays here"
    )
    indication: str | None = Field(None, description="核验结论 the verdict on the file: PASSED, FAILED, INDETERMINATE")
    findings: tuple[FindingView, ...] = Field((), description="决定结论的检查项 the findings that decided it")
    revocation: RevocationView | None = Field(None, description="发证机关通知吊销的 where its issuer gave notice")


class RequirementView(Canonical):
    name: str
    title_zh: str
    title_en: str
    required: bool
    accepts: str = Field(description="可接受材料 what satisfies it: | or, + together, such as degree | diploma")
    satisfied: bool
    by: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()  # extension notices on which it rests
    missing: tuple[MissingView, ...] = Field(
        (), description="各种组合的缺口, 最接近的在前 of every alternative, nearest first"
    )


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
    fields: dict[str, str] = Field(description="签章覆盖的原文, 一字不改 as sealed, to the letter")
    dates: dict[str, date] | None = Field(
        None, description="其中可认读的日期 those of the fields that are days, as YYYY-MM-DD"
    )


class NoticeView(Canonical):
    """An extension notice on which something in the answer rests. Its day is a day in Asia/Shanghai, itself included."""

    number: str  # 文号
    title: str
    source: str  # where it was published
    deemed_valid_until: date


class RestsOnBasis(Canonical):
    """The ground on which a document was asked for."""

    kind: BasisKind = Field(description="依据种类 consent, authorization or law")
    reference: str = Field(
        description="枢纽所据: 同意或授权的编号; 依法为事项与版本 the consent, the authorization, or the item and version"
    )
    cited: str | None = Field(None, description="贵系统所引, 证件号码与姓名已遮蔽 what your message named, masked")


class RestsOnSource(Canonical):
    """Who handed a document out, or answered the question."""

    system: str = Field(description="来源系统编号 the system's id at the hub")
    name: str = Field(description="来源系统名称 its name")


class RestsOnDocument(Canonical):
    """One document or record on which the answer rests. ``status`` and what follows are of certificates only."""

    document: str = Field(description="证照类型, 他人的加 @角色 the type; with @role where it is not the applicant's")
    basis: RestsOnBasis
    source: RestsOnSource | None = Field(None, description="来源; 已撤除的不列 absent where it has been removed since")
    status: str | None = Field(None, description="来源所答状态 how the source said that it stands: valid, expired")
    status_asked_at: UtcDatetime | None = Field(None, description="何时由来源答复 when the source said so")
    indication: str | None = Field(None, description="核验结论 the verdict on the file: PASSED")
    policy: str | None = Field(None, description="核验策略 the policy by which it was verified")
    sealing_rule: str | None = Field(
        None,
        description="代章依据与规则版本 by which rule another than its issuer sealed it, and the version of the rules",
    )


class RestsView(Canonical):
    """On what the answer rests, for whoever must show it. The signed predicate has the same under ``rests``."""

    item: str = Field(description="事项与版本 the item and its version, such as 370105001001@1")
    legal_basis: str = Field(description="事项目录所列依据 the item's legal basis, of the catalogue")
    region: str = Field(description="办理区域 the region")
    purpose: str = Field(description="用途 the registered purpose")
    case_reference: str = Field(description="贵系统的办件号 your case")
    documents: tuple[RestsOnDocument, ...] = Field((), description="满足要求的各材料 what satisfies the requirements")


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
    changed_at: UtcDatetime | None = Field(
        None, description="答复之后因吊销通知改变的时间 when a notice changed it afterwards"
    )
    rests: RestsView | None = None
    requirements: tuple[RequirementView, ...] = ()
    notices: tuple[NoticeView, ...] | None = None
    documents: tuple[DocumentView, ...] | None = None
    fields: tuple[FieldsView, ...] | None = None
    predicate: str | None = None  # compact JWS, signed by the hub's http key
