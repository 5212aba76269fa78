"""What every adapter promises, and the only errors that may leave one.

An adapter is a product; an endpoint is one installation of it. An adapter object is made for one endpoint, is used by many
threads at once, keeps its connections, and holds no state that a restart would miss. It is called with no transaction open.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import Base64Bytes, Field

from schemas.base import Canonical
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, EnrolmentRecord, PersonMatch, UseCause
from schemas.transfers import Decision, TransferRequest

# --- errors, grouped by what the hub must do ----------------------------------------------------------------------------


class AdapterError(Exception):
    """Base. ``code`` is the peer's own code or a stable word of ours; ``detail`` never holds personal data or secrets."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class RetryLater(AdapterError):
    """Nothing happened at the peer; the same message may go again, not before ``retry_after_s`` if given."""

    def __init__(self, code: str, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(AdapterError):
    """The message may have taken effect: a timeout or a broken connection after the first byte was sent."""


class PeerRefused(AdapterError):
    """The peer understood and said no. Never retried."""


class PeerMisconfigured(AdapterError):
    """Nothing can work until somebody mends it: bad credentials, wrong address, TLS failure. The endpoint is paused."""


# --- the call's limits --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock that a call must not outlive, whatever the peer does."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One installation of a product: where it is and how to speak with it. ``secrets`` never appear in a repr."""

    id: str
    region: str  # GB/T 2260
    base_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


# --- what is said and answered ------------------------------------------------------------------------------------------


class StepAction(StrEnum):
    """What a registry is asked to do in one step of a transfer."""

    REVIEW = "review"  # decide: school or bureau
    RELEASE = "release"  # move the record out
    ADMIT = "admit"  # move the record in


class AttachedEcert(Canonical):
    """Evidence that the hub has verified: what a step's party sees of it."""

    requirement: str
    type_code: str
    number: str | None
    holder_name: str | None
    verdict: str  # PASSED; nothing else is ever attached
    verified_at: str
    report_digest: str


class TransferStep(Canonical):
    """One step of a transfer, sent to its party. ``idempotency_key`` is the same over all attempts."""

    idempotency_key: str
    case_id: str
    step: str
    action: StepAction
    acting_for: str  # releasing-school, releasing-bureau, receiving-bureau …
    limit_at: datetime
    transfer: TransferRequest
    evidence: tuple[AttachedEcert, ...] = ()
    enrolment: EnrolmentRecord | None = None


class StepCancelled(Canonical):
    """Tells a party that the case ended (withdrawn, refused elsewhere) and its step needs no decision any more."""

    idempotency_key: str
    case_id: str
    step: str
    reason: str


class CaseEvent(Canonical):
    """A CloudEvent (1.0, structured mode) about a case, to its source (callback) or to a subscriber."""

    idempotency_key: str
    id: str
    type: str  # cn.sd.edu.exchange.case.completed …
    source: str
    subject: str  # the case id
    time: datetime
    data: dict[str, str]


Message = TransferStep | StepCancelled | CaseEvent


class Receipt(Canonical):
    """Technical: the peer has the message. The decision is still to come."""

    peer_reference: str | None = None


class DeliveryStatus(StrEnum):
    """What the peer knows of a message, asked by its idempotency key."""

    UNKNOWN = "unknown"  # never arrived: may be sent again
    RECEIVED = "received"
    DECIDED = "decided"


class StatusAnswer(Canonical):
    status: DeliveryStatus
    peer_reference: str | None = None
    decision: Decision | None = None


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


class CollectAction(StrEnum):
    """What an issuing system did to a certificate."""

    ISSUE = "issue"
    CHANGE = "change"
    REVOKE = "revoke"


class CollectedEcert(Canonical):
    """One certificate for the library (归集). ``digest`` is what both sides reconcile by: SHA-256 (hex) over what was collected."""

    action: CollectAction
    metadata: EcertMetadata  # with its identifier; raw values as the issuer wrote them
    digest: str
    content: Base64Bytes | None = None  # the sealed OFD, verified by the hub; none where the issuer sends data only


class Collection(Canonical):
    """Certificates that go to the library together. ``idempotency_key`` is the same over all attempts."""

    idempotency_key: str
    ecerts: tuple[CollectedEcert, ...]


class CollectRefusal(Canonical):
    """One certificate that the library did not take, and its word for why; the others of the collection stand."""

    identifier: str
    code: str


class CollectReceipt(Canonical):
    """The library has them, but for those refused."""

    peer_reference: str | None = None
    refused: tuple[CollectRefusal, ...] = ()


class CollectedQuery(Canonical):
    """What does the library hold of a type? Without ``bucket`` the sums of every bucket, with one its entries.

    A bucket is the first two hexadecimal digits of SHA-256 over the identifier: the same on both sides whatever their clocks say.
    """

    type_code: str
    bucket: str | None = None


class CollectedBucket(Canonical):
    """``digest``: SHA-256 over the lines ``identifier digest standing\\n`` of its entries, sorted: :func:`bucket_digest`."""

    bucket: str
    count: int
    digest: str


class CollectedEntry(Canonical):
    identifier: str
    digest: str
    standing: str  # valid or revoked


class CollectedAnswer(Canonical):
    """One of the two, as was asked."""

    buckets: tuple[CollectedBucket, ...] = ()
    entries: tuple[CollectedEntry, ...] = ()


def bucket_of(identifier: str) -> str:
    """See :class:`CollectedQuery`."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:2]


def bucket_digest(entries: Iterable[CollectedEntry]) -> str:
    """See :class:`CollectedBucket`."""
    lines = sorted(f"{one.identifier} {one.digest} {one.standing}\n" for one in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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


# --- the adapter --------------------------------------------------------------------------------------------------------


class Capability(StrEnum):
    """Each names the one method that it stands for."""

    PROBE = "probe"
    DELIVER = "deliver"
    STATUS = "status"
    FETCH_ECERT = "fetch_ecert"
    ECERT_STATUS = "ecert_status"
    FETCH_ENROLMENT = "fetch_enrolment"
    VERIFY_PERSON = "verify_person"
    VERIFY_LOGIN = "verify_login"
    COLLECT = "collect"
    COLLECTED = "collected"
    BEGIN_PRESENTATION = "begin_presentation"
    PRESENTATION_STATUS = "presentation_status"
    FETCH_PRESENTED = "fetch_presented"


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.toml, checked. See docs/how-to/write-an-adapter.md for each field."""

    id: str
    product: str
    product_zh: str
    protocol: str  # soap-1.1, rest-json, ecert-share, cloudevents
    capabilities: frozenset[Capability]
    idempotent: bool  # the peer recognises a repeated idempotency key: send again after a timeout
    status_query: bool  # the peer can be asked about a key: ask after a timeout
    timeout_s: float
    max_concurrency: int
    encoding: str
    service_hours: str | None  # "07:30-20:00" Asia/Shanghai, None = always
    settings: Mapping[str, str]  # name -> what it means; settings an endpoint may have
    secrets: Mapping[str, str]  # name -> what it means; secrets an endpoint must have
    tier: str  # bronze | silver | gold, see docs/how-to/write-an-adapter.md
    exemptions: Mapping[str, str]  # rule -> reason
    path: Path


class Adapter(Protocol):
    """Every method may raise only the four errors above, and returns before ``deadline``.

    An adapter implements exactly the methods that its manifest declares; the contract suite holds the two together.
    """

    manifest: ClassVar[Manifest]

    def __init__(self, endpoint: Endpoint) -> None: ...

    def probe(self, deadline: Deadline) -> Health:
        """Ask without any effect whether the peer is up and knows us."""

    def close(self) -> None:
        """Give connections back."""


class Deliverer(Adapter, Protocol):
    def deliver(self, message: Message, deadline: Deadline) -> Receipt | Decision:
        """Hand over one message. Carries ``message.idempotency_key`` on the wire."""


class StatusAsker(Adapter, Protocol):
    def status(self, message: Message, deadline: Deadline) -> StatusAnswer:
        """What became of this message (asked by its idempotency key)."""


class EcertFetcher(Adapter, Protocol):
    def fetch_ecert(self, query: EcertQuery, deadline: Deadline) -> EcertDocument:
        """The newest certificate that fits; ``PeerRefused`` with code ``not-found``, ``revoked``, ``expired`` … if none.

        With ``expired_too``, one that ran out comes with its file and the status EXPIRED, where the source hands it out.
        """


class EcertStatusAsker(Adapter, Protocol):
    def ecert_status(self, query: EcertQuery, deadline: Deadline) -> EcertStanding:
        """Which certificate :meth:`EcertFetcher.fetch_ecert` would bring, and how it stands; ``PeerRefused`` as there."""


class EnrolmentFetcher(Adapter, Protocol):
    def fetch_enrolment(self, query: EnrolmentQuery, deadline: Deadline) -> EnrolmentRecord:
        """The record as the registry keeps it; ``PeerRefused("not-found")`` if it has none."""


class PersonVerifier(Adapter, Protocol):
    def verify_person(self, query: PersonQuery, deadline: Deadline) -> PersonAnswer: ...


class LoginVerifier(Adapter, Protocol):
    def verify_login(self, assertion: str, nonce: str, deadline: Deadline) -> LoginAssertion:
        """Who is logged in, from the identity service's own assertion token.

        ``nonce`` is what the hub gave the person when it sent them to log in, and takes back only once: an assertion that names
        another was not made for this login. ``PeerRefused`` with code ``assertion-…`` if it does not hold.
        """


class EcertCollector(Adapter, Protocol):
    def collect(self, message: Collection, deadline: Deadline) -> CollectReceipt:
        """Hand certificates to the library. Carries ``message.idempotency_key`` on the wire."""


class CollectedAsker(Adapter, Protocol):
    def collected(self, query: CollectedQuery, deadline: Deadline) -> CollectedAnswer:
        """What the library holds of what the hub collected: for the daily reconciliation."""


class PresentationBeginner(Adapter, Protocol):
    def begin_presentation(self, request: PresentationRequest, deadline: Deadline) -> PresentationBegun:
        """Ask the holder of a shown code to authorize; ``PeerRefused``: ``not-found`` if it is nobody's, ``expired`` if late.

        The holder may be asked on the phone: a call that was sent and not answered is ``OutcomeUnknown``, and none follows it.
        """


class PresentationAsker(Adapter, Protocol):
    def presentation_status(self, begun: PresentationBegun, deadline: Deadline) -> PresentationStanding:
        """Has the holder answered?"""


class PresentedFetcher(Adapter, Protocol):
    def fetch_presented(self, query: PresentedQuery, deadline: Deadline) -> EcertDocument:
        """The certificate that the holder authorized; ``PeerRefused("no-permission")`` before, or for another type."""
