"""The words of this room: what is delivered, how it can end, and who hears of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hub.db import Tx
from schemas.base import Canonical


class Kind(StrEnum):
    """Which adapter method a delivery calls."""

    STEP = "step"  # deliver(TransferStep)
    CANCEL = "cancel"  # deliver(StepCancelled)
    EVENT = "event"  # deliver(CaseEvent)
    ECERT = "ecert"  # fetch_ecert(EcertQuery)
    PERSON = "person"  # verify_person(PersonQuery)
    ENROLMENT = "enrolment"  # fetch_enrolment(EnrolmentQuery)


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
        (State.QUEUED, State.REFUSED),  # its case ended before it was sent
        (State.ATTEMPTING, State.ATTEMPTING),  # the lease ended: taken over, outcome unknown
        (State.ATTEMPTING, State.QUEUED),  # to be tried again later
        (State.ATTEMPTING, State.DELIVERED),
        (State.ATTEMPTING, State.REFUSED),
        (State.ATTEMPTING, State.SUSPENDED),
        (State.SUSPENDED, State.QUEUED),  # an operator, with a reason
        (State.SUSPENDED, State.REFUSED),  # an operator, with a reason
    }
)


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


class OutcomeHandler(Protocol):
    """The room that asked for a kind of delivery hears here how it went."""

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        """Work on the adapter's answer with no transaction open: verify a document, compare, seal. Must not write."""

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        """In the transaction that commits the outcomes: move cases on, enqueue next deliveries, write events."""


Handlers = Mapping[Kind, OutcomeHandler]
