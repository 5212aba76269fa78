"""The adapter: what it is made for, the limits of a call, its manifest, and a protocol for each thing that it can do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final, Protocol

from adapters.contract.collecting import CollectedAnswer, CollectedQuery, Collection, CollectReceipt
from adapters.contract.messages import Message, Receipt, StatusAnswer
from adapters.contract.questions import (
    EcertDocument,
    EcertStanding,
    EnrolmentQuery,
    Health,
    LoginAssertion,
    PersonAnswer,
    PersonQuery,
    PresentationBegun,
    PresentationRequest,
    PresentationStanding,
    PresentedQuery,
)
from schemas.ecerts import EcertQuery, EnrolmentRecord
from schemas.transfers import Decision


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


# What an endpoint may serve the hub as; each adapter says in its manifest which of these its product can be.
SERVICES: Final = ("registry", "ecert-library", "identity", "events")


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.toml, checked. See docs/how-to/write-an-adapter.md for each field."""

    id: str
    product: str
    product_zh: str
    protocol: str  # soap-1.1, rest-json, ecert-share, cloudevents
    services: frozenset[str]  # of SERVICES
    capabilities: frozenset[Capability]
    idempotent: bool  # the peer recognises a repeated idempotency key: send again after a timeout
    status_query: bool  # the peer can be asked about a key: ask after a timeout
    timeout_s: float
    max_concurrency: int
    encoding: str
    service_hours: str | None  # "07:30-20:00" Asia/Shanghai, None = always
    settings: Mapping[str, str]  # name -> what it means; settings an endpoint may have
    needed: frozenset[str]  # those of the settings that an endpoint must have
    secrets: Mapping[str, str]  # name -> what it means; secrets an endpoint must have
    tier: str  # bronze | silver | gold, see docs/how-to/write-an-adapter.md
    exemptions: Mapping[str, str]  # rule -> reason
    path: Path


class Adapter(Protocol):
    """Every method may raise only the four errors of :mod:`adapters.contract.errors`, and returns before ``deadline``.

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
