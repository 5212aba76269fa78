"""What the hub delivers, and what the other side says of it: steps and ends of transfers, events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from schemas.base import Canonical
from schemas.ecerts import EnrolmentRecord
from schemas.transfers import Decision, TransferRequest


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
