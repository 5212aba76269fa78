"""The words of this room: what is delivered, how it can end, and who hears of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from hub.db import Tx
from hub.deliveries.breaker import Sign
from schemas.base import Canonical


class Kind(StrEnum):
    """Which adapter method a delivery calls."""

    STEP = "step"  # deliver(TransferStep)
    ASK = "ask"  # status(TransferStep): a party that took a step's message and has not decided
    CANCEL = "cancel"  # deliver(StepCancelled)
    EVENT = "event"  # deliver(CaseEvent)
    ECERT = "ecert"  # fetch_ecert(EcertQuery)
    PERSON = "person"  # verify_person(PersonQuery)
    ENROLMENT = "enrolment"  # fetch_enrolment(EnrolmentQuery)
    # the same three for the evidence service: issuers that did not answer in time are asked again
    EVIDENCE_ECERT = "evidence-ecert"
    EVIDENCE_PERSON = "evidence-person"
    EVIDENCE_ENROLMENT = "evidence-enrolment"
    EVIDENCE_PRESENTED = "evidence-presented"  # fetch_presented(PresentedQuery)
    COLLECT = "collect"  # collect(Collection)


class State(StrEnum):
    """Every value a delivery can have; transitions are in :data:`TRANSITIONS` and nowhere else."""

    QUEUED = "queued"
    ATTEMPTING = "attempting"
    DELIVERED = "delivered"
    REFUSED = "refused"
    SUSPENDED = "suspended"  # an operator decides


TRANSITIONS: frozenset[tuple[State, State]] = frozenset(
    {
        (State.QUEUED, State.ATTEMPTING),  # claimed under a lease
        (State.QUEUED, State.REFUSED),  # its case, or its ground, ended before it was sent
        (State.ATTEMPTING, State.ATTEMPTING),  # the lease ended: taken over, outcome unknown
        (State.ATTEMPTING, State.QUEUED),  # to be tried again later
        (State.ATTEMPTING, State.DELIVERED),
        (State.ATTEMPTING, State.REFUSED),
        (State.ATTEMPTING, State.SUSPENDED),
        (State.SUSPENDED, State.QUEUED),  # an operator, with a reason
        (State.SUSPENDED, State.REFUSED),  # an operator, with a reason
    }
)


KEY_LENGTH: Final = 64  # of an idempotency key


def event_key(event_id: str, endpoint_id: str) -> str:
    """Of an event as one endpoint is told it. Two ids that do not fit may begin alike: then it is told by a digest."""
    key = f"{event_id}.{endpoint_id}"
    if len(key) <= KEY_LENGTH:
        return key
    return f"{event_id}.{hashlib.sha256(endpoint_id.encode()).hexdigest()}"[:KEY_LENGTH]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What a room hands over to be delivered. ``idempotency_key`` is the same over all attempts."""

    endpoint_id: str
    case_id: str
    kind: Kind
    subject: str  # the step's or requirement's name, or the event's id
    idempotency_key: str
    body: Canonical
    due_at: datetime | None = None  # default: now
    expires_at: datetime | None = None  # no attempt begins after it: suspended instead


@dataclass(frozen=True, slots=True)
class Finished:
    """How one delivery ended (or was suspended). ``result`` is what ``prepare`` made of the adapter's answer."""

    delivery_id: str
    endpoint_id: str
    case_id: str
    kind: Kind
    subject: str
    state: State  # DELIVERED, REFUSED or SUSPENDED
    code: str  # "delivered", the peer's code, or a stable word of ours
    result: object | None


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint's row as an attempt needs it; equal rows share one adapter."""

    id: str
    adapter: str
    region: str
    base_url: str
    settings: str  # JSON object of texts
    secrets_sealed: bytes | None
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery under a lease. ``body_sealed`` opens in the context ``deliveries:<id>``."""

    id: str
    target: Target
    case_id: str
    kind: Kind
    subject: str
    attempt: int  # from 1, over the delivery's whole life
    tries: int  # from 1, since it was made or replayed by an operator: what the limit counts
    replayed: bool  # an operator said so, and this is the first attempt since
    in_doubt: bool  # an earlier attempt may have taken effect
    expires_at: datetime | None
    token: str
    lease_until: datetime  # in the database's time
    lease_ends: float  # the same moment on this process's monotonic clock, or a little earlier
    body_sealed: bytes

    def now(self) -> datetime:
        """The database's time, whatever this node's clock says."""
        return self.lease_until + timedelta(seconds=time.monotonic() - self.lease_ends)


class Word(StrEnum):
    """How an attempt ended, as its row and the audit log say it."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    RETRY_LATER = "retry-later"
    OUTCOME_UNKNOWN = "outcome-unknown"
    MISCONFIGURED = "misconfigured"
    EXPIRED = "expired"  # its time had passed: not sent
    LEASE_LOST = "lease-lost"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to; recorded only if its lease still holds."""

    claimed: Claimed
    word: Word
    state: State  # DELIVERED, REFUSED, SUSPENDED, or QUEUED to be tried again
    code: str  # the peer's, or a stable word of ours
    sign: Sign  # what it says of the endpoint
    at: datetime  # when the call ended
    wait: timedelta = timedelta(0)  # until the next attempt, if QUEUED
    in_doubt: bool = False  # it may have taken effect
    result: object | None = None  # what ``prepare`` made of the answer
    tell: bool = True  # False: the room that asked failed to record it and is not asked again


class OutcomeHandler(Protocol):
    """The room that asked for a kind of delivery hears here how it went."""

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        """Work on the adapter's answer with no transaction open: verify a document, compare, seal. Must not write."""

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        """In the transaction that commits the outcomes: move cases on, enqueue next deliveries, write events."""


@runtime_checkable
class Stopper(Protocol):
    """A handler that may find, when an attempt begins, that it must not be made any more."""

    def stopped(self, case_id: str, subject: str) -> str | None:
        """The word by which the delivery is refused without a call; None: it may go on. Must not write."""


Handlers = Mapping[Kind, OutcomeHandler]
