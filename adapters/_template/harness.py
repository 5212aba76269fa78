"""This adapter, for the contract suite. FILL IN: the peer's own refusals, one each."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from adapters import samples
from adapters._template import mapping
from adapters.contract import (
    DeliveryStatus,
    PeerRefused,
    StatusAnswer,
    StepCancelled,
    TransferStep,
)
from adapters.harness import Harness, Refusal, RoundTrip, Setup
from adapters.json_wire import read_object, write_object
from adapters.registry_calls import STEPS

TOKEN = "template-token"  # noqa: S105 - the simulator's


def setup(_: Path) -> Setup:
    return Setup("adapters._template.simulator", ("--token", TOKEN), secrets={"access_token": TOKEN})


HARNESS = Harness(
    setup=setup,
    calls=STEPS,
    round_trips=(
        RoundTrip(
            "step",
            "step.json",
            (samples.full_step("key-1"), samples.step("key-1")),
            lambda m: write_object(mapping.step_to_wire(cast(TransferStep, m))),
            lambda b: mapping.step_from_wire(read_object(b), "key-1"),
        ),
        RoundTrip(
            "cancellation",
            "cancellation.json",
            (samples.cancelled("key-1"),),
            lambda m: write_object(mapping.cancellation_to_wire(cast(StepCancelled, m))),
            lambda b: mapping.cancellation_from_wire(read_object(b), "key-1"),
        ),
        RoundTrip(
            "status",
            "status.json",
            (
                StatusAnswer(status=DeliveryStatus.DECIDED, peer_reference="R-1", decision=samples.decision()),
                StatusAnswer(status=DeliveryStatus.RECEIVED, peer_reference="R-1"),
                StatusAnswer(status=DeliveryStatus.UNKNOWN),
            ),
            lambda m: write_object(mapping.status_to_wire(cast(StatusAnswer, m))),
            lambda b: mapping.status_from_wire(read_object(b)),
        ),
    ),
    private=(*samples.private(), TOKEN),
    message=samples.step,
    refusals=(Refusal("invalid", "deliver-step", b"?", PeerRefused, "http-400", status=400),),
)
