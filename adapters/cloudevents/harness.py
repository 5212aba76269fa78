"""This adapter, for the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from adapters import samples
from adapters.cloudevents import mapping
from adapters.contract import (
    Adapter,
    Capability,
    CaseEvent,
    Deadline,
    Deliverer,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    RetryLater,
)
from adapters.harness import Call, Harness, Refusal, RoundTrip, Setup, write_key_pair
from adapters.json_wire import read_object, write_object
from certs.keys import SignatureAlgorithm
from schemas.base import Canonical


def setup(folder: Path) -> Setup:
    private, public = write_key_pair(folder, "hub", SignatureAlgorithm.ECDSA_P256_SHA256)
    return Setup(
        "adapters.cloudevents.simulator",
        ("--hub-key-file", public),
        settings={"signing_key_file": private, "signing_key_id": "hub-1", "path": "/events/in"},
    )


def _probe(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return adapter.probe(deadline)


def _deliver(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(Deliverer, adapter).deliver(samples.event(key), deadline)


HARNESS = Harness(
    setup=setup,
    calls=(
        Call("probe", Capability.PROBE, _probe, reads_answer=False),
        Call("deliver-event", Capability.DELIVER, _deliver, has_effect=True, reads_answer=False),
    ),
    round_trips=(
        RoundTrip(
            "event",
            "event.json",
            (samples.event("key-1"),),
            lambda m: write_object(mapping.event_to_wire(cast(CaseEvent, m))),
            lambda b: mapping.event_from_wire(read_object(b), "key-1"),
        ),
    ),
    private=(samples.RARE_TEXT,),
    message=samples.event,
    refusals=(
        Refusal("bad-request", "deliver-event", b"?", PeerRefused, "http-400", status=400),
        Refusal("gone", "deliver-event", b"", PeerMisconfigured, "http-410", status=410),
        Refusal("signature", "deliver-event", b"signature-stale", PeerMisconfigured, "http-401", status=401),
        Refusal("too-many", "deliver-event", b"", RetryLater, "http-429", status=429),
        Refusal("crashed", "deliver-event", b"", OutcomeUnknown, "http-502", status=502),
    ),
)
