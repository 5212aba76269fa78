"""Canonical ↔ wire. Pure functions; nothing is lost either way; what does not fit raises ValueError.

FILL IN: the peer's names and codes. Until then a step travels under our own names, so that there is something to run. See
adapters/county_rest/mapping.py for a whole one, with the peer's codes as tables.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from adapters.contract import DeliveryStatus, Receipt, StatusAnswer, StepCancelled, TransferStep
from adapters.json_wire import JsonObject, Unfit, checked, decode, maybe_text, part, text
from schemas.transfers import Decision

STATES: Final = MappingProxyType(
    {DeliveryStatus.UNKNOWN: "0", DeliveryStatus.RECEIVED: "1", DeliveryStatus.DECIDED: "2"}
)


def step_to_wire(step: TransferStep) -> JsonObject:
    """The idempotency key travels in its header."""
    return step.model_dump(mode="json", by_alias=True, exclude={"idempotency_key"})


def step_from_wire(record: JsonObject, idempotency_key: str) -> TransferStep:
    return checked(TransferStep, {**record, "idempotencyKey": idempotency_key})


def cancellation_to_wire(message: StepCancelled) -> JsonObject:
    return {"caseId": message.case_id, "step": message.step, "reason": message.reason}


def cancellation_from_wire(record: JsonObject, idempotency_key: str) -> StepCancelled:
    names = ("caseId", "step", "reason")
    return checked(StepCancelled, {"idempotencyKey": idempotency_key, **{name: text(record, name) for name in names}})


def receipt_from_wire(record: JsonObject) -> Receipt:
    return Receipt(peer_reference=text(record, "reference"))


def status_to_wire(answer: StatusAnswer) -> JsonObject:
    decision = answer.decision.model_dump(mode="json", by_alias=True) if answer.decision else None
    return {"state": STATES[answer.status], "reference": answer.peer_reference, "decision": decision}


def status_from_wire(record: JsonObject) -> StatusAnswer:
    status = decode(STATES, record, "state")
    if (status is DeliveryStatus.DECIDED) != (record.get("decision") is not None):
        raise Unfit("decision: there is one if, and only if, state says so")
    return StatusAnswer(
        status=status,
        peer_reference=maybe_text(record, "reference"),
        decision=checked(Decision, part(record, "decision")) if status is DeliveryStatus.DECIDED else None,
    )
