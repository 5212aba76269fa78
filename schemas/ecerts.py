"""Electronic certificates (电子证照) in canonical form, free of any one province's dialect."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.base import Canonical
from schemas.fields import IdType


class EcertStatus(StrEnum):
    """How the certificate stands at its source."""

    VALID = "valid"
    NOT_ACTIVATED = "not-activated"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class EcertMetadata(Canonical):
    """What a certificate says of itself. Raw values are kept as they came; a date that is none stays a text."""

    identifier: str | None = None  # GB/T 36904, with its check character; wrong ones are met and kept
    type_code: str  # definer's credit code (18) + 3 digits
    type_name: str | None = None
    number: str | None = None
    holder_name: str | None = None
    holder_code: str | None = None
    holder_code_type: str | None = None  # 001, 111 …
    issuer_name: str | None = None
    issuer_code: str | None = None
    issued_on: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None
    extra: dict[str, str] = Field(default_factory=dict)  # type-specific fields, KZ_ at the wire


class UseCause(Canonical):
    """Why a holder's data is asked for. A query by holder code without all of this is refused by the hub itself."""

    case_id: str
    item_code: str | None
    item_name: str
    purpose: str
    system_name: str
    legal_basis: str  # in words: what the item rests on, and the clause, consent or authorization that was cited


class EcertQuery(Canonical):
    """Which certificate is wanted: of one type, of one holder, for one stated use."""

    type_code: str
    holder_code: str
    holder_code_type: IdType | str
    holder_name: str
    number: str | None = None
    expired_too: bool = False  # an extension notice may deem it valid: its file is wanted although it ran out
    use_cause: UseCause


class PersonMatch(StrEnum):
    MATCHED = "matched"
    MISMATCHED = "mismatched"  # the number exists with another name
    NOT_FOUND = "not-found"


class EnrolmentStatus(StrEnum):
    ENROLLED = "enrolled"
    SUSPENDED = "suspended"  # 休学
    DISCIPLINE = "discipline"  # under a disciplinary measure
    GRADUATING = "graduating"
    LEFT = "left"


class EnrolmentRecord(Canonical):
    """The student's record (学籍) as the releasing registry keeps it; what the hub compares and passes on."""

    enrolment_number: str
    student_name: str
    id_number: str
    school_code: str
    grade: int
    status: EnrolmentStatus
    entry_month: str | None = None
    ethnicity_code: str | None = None
    day_or_boarding: str | None = None
