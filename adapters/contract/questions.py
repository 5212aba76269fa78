"""What the hub asks, and the answers: certificates, persons, logins, what a holder shows, enrolment records."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from schemas.base import Canonical
from schemas.ecerts import EcertMetadata, EcertStatus, PersonMatch, UseCause


class EcertDocument(Canonical):
    """A fetched certificate, not yet trusted: the hub verifies it. ``status`` is what the source says of it now."""

    content: bytes
    media_type: str  # application/ofd, application/pdf
    metadata: EcertMetadata  # as the source's interface states it, not what stands inside the file
    status: EcertStatus


class EcertStanding(Canonical):
    """How a certificate stands at its source now, without its file: for a document that is kept, at each use."""

    metadata: EcertMetadata
    status: EcertStatus


class PersonQuery(Canonical):
    """Does this name belong to this number?"""

    name: str
    id_type: str
    id_number: str
    case_id: str
    purpose: str


class PersonAnswer(Canonical):
    match: PersonMatch
    peer_reference: str | None = None


class LoginAssertion(Canonical):
    """Who a person's login token says they are (real-name level included). ``subject`` is the service's own name of the person."""

    subject: str
    name: str
    id_type: str
    id_number: str
    level: str
    asserted_at: datetime


class ShownKind(StrEnum):
    """What a holder shows on a phone that was issued on the library's side."""

    AUTHORIZATION_CODE = "authorization-code"  # 授权码: stands for the person, who is then asked to agree
    ECERT = "ecert"  # 亮证: stands for one e-certificate, and showing it is agreeing


class PresentationRequest(Canonical):
    """A code that the holder shows, issued by the library's side, and the types that are asked for by it."""

    kind: ShownKind = ShownKind.AUTHORIZATION_CODE
    shown_code: str = Field(repr=False)
    type_codes: tuple[str, ...]
    use_cause: UseCause


class PresentationBegun(Canonical):
    """The library's own name of the transaction. Whoever may ask the library can ask for the holder's certificates by it."""

    reference: str = Field(repr=False)


class PresentationState(StrEnum):
    PENDING = "pending"  # the holder has not answered yet
    AUTHORIZED = "authorized"
    FAILED = "failed"


class PresentationStanding(Canonical):
    state: PresentationState


class PresentedQuery(Canonical):
    """The certificate of one type that the holder has authorized in a presentation."""

    reference: str = Field(repr=False)
    type_code: str
    use_cause: UseCause


class EnrolmentQuery(Canonical):
    enrolment_number: str
    id_number: str
    case_id: str


class Health(Canonical):
    """The answer of a probe: reachable, and what the peer says of itself."""

    version: str | None = None
    detail: str = ""
