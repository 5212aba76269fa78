"""This adapter, for the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from adapters import samples
from adapters.contract import (
    DeliveryStatus,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
    StatusAnswer,
    StepCancelled,
    TransferStep,
)
from adapters.county_rest import mapping
from adapters.harness import Harness, Refusal, RoundTrip, Setup, write_key_pair
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.registry_calls import STEPS_AND_ENROLMENT
from certs.keys import SignatureAlgorithm
from schemas.ecerts import EnrolmentRecord
from schemas.transfers import Decision

TOKEN = "county-token-4711"  # noqa: S105 - the simulator's


def setup(folder: Path) -> Setup:
    private, public = write_key_pair(folder, "hub", SignatureAlgorithm.SM2_SM3)
    return Setup(
        "adapters.county_rest.simulator",
        ("--token", TOKEN, "--decide-after", "0.3", "--region", samples.REGION, "--hub-key-file", public),
        settings={"signing_key_file": private, "signing_key_id": "hub-1"},
        secrets={"access_token": TOKEN},
    )


def _envelope(code: str, data: JsonObject | None = None) -> bytes:
    return write_object({"code": code, "msg": f"{samples.private()[0]} 的申请", "data": data})


HARNESS = Harness(
    setup=setup,
    calls=STEPS_AND_ENROLMENT,
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
            "decision",
            "decision.json",
            (samples.decision(refused=True), samples.decision()),
            lambda m: write_object(mapping.decision_to_wire(cast(Decision, m))),
            lambda b: mapping.decision_from_wire(read_object(b)),
        ),
        RoundTrip(
            "status",
            "status.json",
            (
                StatusAnswer(status=DeliveryStatus.DECIDED, peer_reference="YD1", decision=samples.decision()),
                StatusAnswer(status=DeliveryStatus.RECEIVED, peer_reference="YD1"),
                StatusAnswer(status=DeliveryStatus.UNKNOWN),
            ),
            lambda m: write_object(mapping.status_to_wire(cast(StatusAnswer, m))),
            lambda b: mapping.status_from_wire(read_object(b)),
        ),
        RoundTrip(
            "record",
            "record.json",
            (samples.record(), samples.bare_record()),
            lambda m: write_object(mapping.record_to_wire(cast(EnrolmentRecord, m))),
            lambda b: mapping.record_from_wire(read_object(b)),
        ),
        RoundTrip(
            "receipt",
            "receipt.json",
            (Receipt(peer_reference="YD37010200000001"),),
            lambda m: write_object({"ywlsh": cast(Receipt, m).peer_reference}),
            lambda b: mapping.receipt_from_wire(read_object(b)),
        ),
    ),
    private=(*samples.private(), TOKEN),
    message=samples.step,
    refusals=(
        Refusal("invalid", "deliver-step", _envelope("1001"), PeerRefused, "1001"),
        Refusal("invalid-400", "deliver-step", _envelope("1001"), PeerRefused, "1001", status=400),
        Refusal("not-open", "deliver-step", _envelope("1003"), PeerRefused, "1003"),
        Refusal("no-such-student", "fetch-enrolment", _envelope("1002"), PeerRefused, "not-found"),
        Refusal("token", "deliver-step", _envelope("2001"), PeerMisconfigured, "2001"),
        Refusal("busy", "deliver-step", _envelope("9001"), RetryLater, "9001"),
        Refusal("failed", "deliver-step", _envelope("9999"), OutcomeUnknown, "9999"),
        Refusal("failed-query", "fetch-enrolment", _envelope("9999"), RetryLater, "9999"),
        Refusal("unheard-of", "deliver-step", _envelope("姓名有误"), OutcomeUnknown, "code-unknown"),
        Refusal("no-reference", "deliver-step", _envelope("0000", {}), OutcomeUnknown, "answer-unreadable"),
        Refusal("no-interface", "deliver-step", b"<html>", PeerMisconfigured, "http-404", status=404),
        Refusal(
            "decision-of-another-case",
            "deliver-step",
            _envelope("0000", {"ywlsh": "1", "jd": mapping.decision_to_wire(samples.decision())}),
            OutcomeUnknown,
            "decision-elsewhere",
        ),
    ),
)
