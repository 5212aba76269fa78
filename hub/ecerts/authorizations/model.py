"""Authorizations and consents in canonical form, and the rules that say whether one covers a question."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from hub.ecerts.entries import RECORDS
from hub.ecerts.logins.model import LoginProof
from schemas import numbers, rules
from schemas.base import Canonical
from schemas.code_tables import HOLDER_CODE_TYPES
from schemas.ecert_types import ecert_types
from schemas.evidence import HOLDER_CODE_TYPE, PARTY_ID, BasisKind, Word
from schemas.fields import ID_NUMBER, MessageId, PersonName, Reference, RegionCode, ShortText, UtcDatetime
from schemas.regions import REGIONS
from schemas.rules import FieldError

CODE_S: Final = 180  # a code's longest life, and its life by default
MAX_ATTEMPTS: Final = 5
CREDIT_CODE, RESIDENT_ID = "001", "111"
OF_AGE: Final = 18


def _holder_type(code: str) -> str:
    if code not in HOLDER_CODE_TYPES:
        known = ", ".join(HOLDER_CODE_TYPES)
        raise FieldError(rules.NOT_IN_LIST, note=(known, known))
    return code


def _ecert_type(key: str) -> str:
    if key not in ecert_types() and key not in RECORDS:
        known = ", ".join((*ecert_types(), *RECORDS))
        raise FieldError(rules.NOT_IN_LIST, note=(known, known))
    return key


EcertTypes = Annotated[tuple[Annotated[str, AfterValidator(_ecert_type)], ...], Field(min_length=1, max_length=20)]
HolderType = Annotated[str, StringConstraints(pattern=HOLDER_CODE_TYPE.anchored), AfterValidator(_holder_type)]
Item = Annotated[str, StringConstraints(pattern=numbers.BASIC_CODE.anchored)]  # it is for the item anywhere
SystemId = Annotated[str, StringConstraints(pattern=PARTY_ID.anchored)]


class Holder(Canonical):
    """A person or an organisation, by the number on its own document."""

    name: PersonName
    code_type: HolderType
    code: Annotated[str, StringConstraints(pattern=ID_NUMBER.anchored)]

    @model_validator(mode="after")
    def _number_fits_its_type(self) -> Holder:
        try:
            if self.code_type == CREDIT_CODE:
                numbers.check_credit_code(self.code)
            else:
                numbers.check_id_number(self.code_type, self.code)
        except FieldError as error:
            raise FieldError(error.rule, field="code") from None
        return self

    @property
    def index_text(self) -> str:
        """What the vault indexes: the same text for the same holder, however its letters were written."""
        return f"{self.code_type}:{self.code.upper()}"


def is_minor(person: Holder, day: date) -> bool:
    """Whether the number itself shows that the person is under age on ``day``; a number that tells no birth date does not."""
    if person.code_type != RESIDENT_ID:
        return False
    try:
        born = numbers.check_resident_id(person.code, today=day).birth_date
    except FieldError:
        return False
    return (day.year - OF_AGE, day.month, day.day) < (born.year, born.month, born.day)


class Scope(Canonical):
    """What was allowed: these e-certificates, for this purpose, in this region; for one item or one consumer only if named.

    ``onBehalfOf``: the child as whose guardian the holder allows it; the holder's word opens the records of nobody else.
    """

    ecert_types: EcertTypes
    purpose: Word  # a purpose that is registered for the consumer as POST /v1/evidence names it
    region: RegionCode
    item: Item | None = None
    audience: SystemId | None = None
    on_behalf_of: Holder | None = None

    @property
    def kept(self) -> str:
        """As it is kept in clear: without the child, of whom a keyed hash is kept."""
        return self.model_dump_json(exclude={"on_behalf_of"})


class Wanted(Canonical):
    """What a consumer wants to do."""

    ecert_types: EcertTypes
    purpose: Word  # a purpose that is registered for the consumer as POST /v1/evidence names it
    region: RegionCode
    item: Item | None = None


def outside(scope: Scope, wanted: Wanted, system_id: str) -> str | None:
    """None if ``scope`` covers ``wanted`` by ``system_id``; else the word that says what is outside."""
    if scope.audience is not None and scope.audience != system_id:
        return "scope-audience"
    if not set(wanted.ecert_types) <= set(scope.ecert_types):
        return "scope-ecert-types"
    if wanted.purpose != scope.purpose:
        return "scope-purpose"
    if scope.item is not None and wanted.item != scope.item:
        return "scope-item"
    if not REGIONS.covers(scope.region, wanted.region):
        return "scope-region"
    return None


# --- messages -------------------------------------------------------------------------------------------------------------


class AuthorizationRequest(Canonical):
    """A holder asks for a code to show: logged in by way of the hub, or identified by a caller that may vouch."""

    holder: Holder
    login: LoginProof | None = None
    holder_proof: ShortText | None = (
        None  # a vouching caller's reference of how it identified the holder; no personal data
    )
    scope: Scope
    code_seconds: Annotated[int, Field(ge=10, le=CODE_S)] = CODE_S
    use_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800  # from the redemption on


class AuthorizationIssued(Canonical):
    """The code, once: it is not kept and cannot be asked for again. A QR code holds the same 20 digits."""

    authorization_id: str
    code: str
    code_shown: str
    expires_at: UtcDatetime


class RedemptionRequest(Canonical):
    """A counter takes a code. The same message again gets the same answer."""

    message_id: MessageId
    code: Annotated[str, StringConstraints(max_length=40)]
    wanted: Wanted


class AuthorizationRedeemed(Canonical):
    """What may be done now: ask for the evidence with ``authorizationId`` as its basis. The holder's number stays in the hub."""

    authorization_id: str
    holder_name: str
    assurance: str | None = None  # level of the holder's login; absent where the issuing system vouched
    scope: Scope
    use_until: UtcDatetime


class RevocationRequest(Canonical):
    """The holder takes an authorization or a consent back."""

    holder: Holder
    login: LoginProof | None = None


class Revoked(Canonical):
    """``revokedAt`` of the first revocation, if there were several."""

    id: str
    revoked_at: UtcDatetime


class ConsentRequest(Canonical):
    """A standing consent. ``reference`` is where the caller keeps the holder's own declaration."""

    holder: Holder
    scope: Scope
    reference: Reference
    given_at: UtcDatetime
    ends_at: UtcDatetime
    login: LoginProof | None = None


class ConsentRegistered(Canonical):
    consent_id: str
    ends_at: UtcDatetime


class UsesRequest(Canonical):
    """What was my data used for? A POST, because an ID number must not stand in an address."""

    holder: Holder
    login: LoginProof | None = None  # for the first page; a cursor is good for the same holder only
    holder_proof: ShortText | None = None
    cursor: Annotated[str, StringConstraints(max_length=400)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class DataUse(Canonical):
    """One use of a holder's data; what was refused for want of a basis too."""

    at: UtcDatetime
    system_id: str
    basis: BasisKind
    basis_reference: str
    case_id: str
    purpose: str
    ecert_type: str
    outcome: str
    item: str | None = None
    form: str | None = None  # what of it left the hub: documents, fields or predicate; none: nothing
    fields: tuple[str, ...] | None = None  # the names of those that were shown
    digest: str | None = None  # SHA-256 of the document, where it was handed out itself
    cited: str | None = None  # the clause, consent or authorization that the caller named
    on_behalf_of: PersonName | None = None  # the child, where its guardian's word was the basis
    # what the words mean, filled in where it is listed
    system_name: str | None = None
    purpose_zh: str | None = None
    purpose_en: str | None = None
    outcome_zh: str | None = None
    outcome_en: str | None = None
    times: int = 1  # of a refusal that came again within a day; ``at`` and ``caseId`` are the first's


class UsePage(Canonical):
    """Newest first. ``nextCursor`` is absent on the last page."""

    items: tuple[DataUse, ...]
    next_cursor: str | None = None


# --- may this code be redeemed? ----------------------------------------------------------------------------------------------


class Standing(StrEnum):
    """What a redemption finds. All but REDEEMABLE are the reason words of ``authorization-code-refused``."""

    REDEEMABLE = "redeemable"
    UNKNOWN = "unknown"  # no such code; or too many wrong ones were tried: the two are not told apart
    EXPIRED = "expired"
    REDEEMED = "redeemed-already"
    REVOKED = "revoked"


class CodeState(StrEnum):
    """How a code stands for those who watch over it; REDEEMED and REVOKED stay so, whatever runs out afterwards."""

    REDEEMABLE = "redeemable"
    REDEEMED = "redeemed"
    REVOKED = "revoked"
    LOCKED = "locked"  # too many wrong codes were tried
    EXPIRED = "expired"


_STANDINGS: Final = {
    CodeState.REDEEMABLE: Standing.REDEEMABLE,
    CodeState.REDEEMED: Standing.REDEEMED,
    CodeState.REVOKED: Standing.REVOKED,
    CodeState.LOCKED: Standing.UNKNOWN,
    CodeState.EXPIRED: Standing.EXPIRED,
}


def code_state(*, attempts: int, expires_at: datetime, redeemed: bool, revoked: bool, now: datetime) -> CodeState:
    if revoked:
        return CodeState.REVOKED
    if redeemed:
        return CodeState.REDEEMED
    if attempts >= MAX_ATTEMPTS:
        return CodeState.LOCKED
    return CodeState.EXPIRED if now >= expires_at else CodeState.REDEEMABLE


def standing(
    *, attempts: int, right_code: bool, expires_at: datetime, redeemed: bool, revoked: bool, now: datetime
) -> Standing:
    """Only who shows the right code learns how it stands."""
    if not right_code or attempts >= MAX_ATTEMPTS:
        return Standing.UNKNOWN
    return _STANDINGS[code_state(attempts=attempts, expires_at=expires_at, redeemed=redeemed, revoked=revoked, now=now)]
