"""What the contract suite asks of every registry's adapter: the calls of its harness."""

from __future__ import annotations

from typing import Final, cast

from adapters import samples
from adapters.contract import Adapter, Capability, Deadline, Deliverer, EnrolmentFetcher, StatusAsker
from adapters.harness import Call
from schemas.base import Canonical


def probe(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return adapter.probe(deadline)


def _step(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(Deliverer, adapter).deliver(samples.step(key), deadline)


def _cancel(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(Deliverer, adapter).deliver(samples.cancelled(key), deadline)


def _status(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(StatusAsker, adapter).status(samples.step(key), deadline)


def _enrolment(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(EnrolmentFetcher, adapter).fetch_enrolment(samples.enrolment_query(), deadline)


STEPS: Final = (
    Call("probe", Capability.PROBE, probe),
    Call("deliver-step", Capability.DELIVER, _step, has_effect=True),
    Call("deliver-cancellation", Capability.DELIVER, _cancel, has_effect=True),
    Call("status", Capability.STATUS, _status),
)
STEPS_AND_ENROLMENT: Final = (*STEPS, Call("fetch-enrolment", Capability.FETCH_ENROLMENT, _enrolment))
