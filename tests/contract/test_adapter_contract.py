"""One suite for every adapter in the registry: what architecture.md, "Adapter contract", promises.

The table of hostile peers is in hostile_peer.py, what an adapter says of itself in its harness.py. A failure names both.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from adapters.contract import (
    Adapter,
    AdapterError,
    Capability,
    Deadline,
    Deliverer,
    DeliveryStatus,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
    StatusAsker,
)
from adapters.harness import Call, RoundTrip
from adapters.simulation_faults import Mode
from adapters.simulator_process import SimulatorProcess
from schemas.base import Canonical
from schemas.transfers import Decision
from tests.contract.conftest import Subject
from tests.contract.hostile_peer import BODIES, TRANSPORT, HostilePeer, answer
from tests.contract.stalls import stalls

CLASSES = {
    "unknown": OutcomeUnknown,
    "retry": RetryLater,
    "misconfigured": PeerMisconfigured,
    "refused": PeerRefused,
}
LIMIT_S, SLACK_S = 0.8, 0.5
AMPLE_S = 10.0


def new_key() -> str:
    return f"key-{uuid.uuid4().hex}"


def failure(run: Callable[[], object]) -> AdapterError:
    """The error that ``run`` ends with; any other exception, or none, fails the test."""
    try:
        value = run()
    except AdapterError as error:
        return error
    pytest.fail(f"no error, but {type(value).__name__}")


@contextmanager
def nothing_private(subject: Subject, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[object], None]]:
    """Whatever is given to ``seen``, and every log record meanwhile, holds nothing private."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def seen(thing: object) -> None:
        texts.extend((str(thing), repr(thing)))
        if isinstance(thing, AdapterError):
            texts.extend(traceback.format_exception(thing))
            texts.append(thing.detail)

    yield seen
    for text in (*texts, caplog.text):
        for secret in subject.harness.private:
            assert secret not in text, "something private was told"


@dataclass(frozen=True)
class Ended:
    """How one call ended, and how long it took."""

    call: Call
    error: AdapterError
    took_s: float


def all_fail(adapter: Adapter, calls: list[Call], limit_s: float) -> list[Ended]:
    """Every call at once, each in a thread of its own, as the hub's workers do. What the machine stalled is not counted."""

    def one(call: Call) -> Ended:
        began, stalled = time.monotonic(), machine.seconds
        error = failure(lambda: call.run(adapter, new_key(), Deadline.after(limit_s)))
        return Ended(call, error, time.monotonic() - began - (machine.seconds - stalled))

    with stalls() as machine, ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return list(pool.map(one, calls))


def network_calls(subject: Subject) -> list[Call]:
    return [call for call in subject.harness.calls if call.uses_network]


# --- declared = implemented -------------------------------------------------------------------------------------------------


def test_declares_what_it_implements(subject: Subject, adapter: Adapter) -> None:
    implemented = {one for one in Capability if callable(getattr(adapter, one.value, None))}
    assert implemented == set(subject.manifest.capabilities)


def test_every_capability_is_called_here_and_works(
    subject: Subject, adapter: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    assert {call.capability for call in subject.harness.calls} == set(subject.manifest.capabilities)
    with nothing_private(subject, caplog) as seen:
        for call in subject.harness.calls:
            call.run(adapter, new_key(), Deadline.after(AMPLE_S))
        seen(adapter)
        seen(subject.endpoint("http://127.0.0.1"))


# --- mapping ---------------------------------------------------------------------------------------------------------------


def test_round_trip_loses_nothing(subject: Subject) -> None:
    for trip in subject.harness.round_trips:
        for sample in trip.samples:
            assert trip.decode(trip.encode(sample)) == sample, trip.name


def test_the_wire_form_is_the_fixture(subject: Subject) -> None:
    for trip in subject.harness.round_trips:
        path = subject.manifest.path.parent / "fixtures" / trip.fixture
        assert path.exists(), f"python -m tests.contract.write_fixtures {subject.id}"
        assert trip.encode(trip.samples[0]) == path.read_bytes(), path.name
        assert trip.decode(path.read_bytes()) == trip.samples[0], path.name


def test_a_broken_wire_form_is_a_value_error(subject: Subject) -> None:
    """Every prefix class of damage: cut off, empty, another document, a field gone."""
    for trip in subject.harness.round_trips:
        whole = trip.encode(trip.samples[0])
        for damaged in (b"", whole[: len(whole) // 2], whole[:-1], b"{}", b"[]", b"<a/>", b"\xff\xfe\x00"):
            with pytest.raises(ValueError):
                trip.decode(damaged)


def test_damage_anywhere_is_a_value_error_or_another_message(subject: Subject) -> None:
    """Bytes lost, doubled or changed at random places; and in JSON each value gone or of another type."""
    chance = random.Random(subject.id)
    for trip in subject.harness.round_trips:
        whole = trip.encode(trip.samples[0])
        for _ in range(200):
            at, length = chance.randrange(len(whole)), chance.randrange(1, 12)
            put = chance.choice((b"", chance.randbytes(length), whole[at : at + length] * 2))
            decoded_or_refused(trip, whole[:at] + put + whole[at + length :])
        if trip.fixture.endswith(".json"):
            for damaged in damaged_values(json.loads(whole)):
                decoded_or_refused(trip, json.dumps(damaged).encode())


def decoded_or_refused(trip: RoundTrip, data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(trip.decode(data), Canonical), trip.name


def damaged_values(value: object) -> Iterator[object]:
    """The same document again and again, with one value replaced or left out."""
    wrong = (None, 0, -1.5, True, "", "x", "9" * 400, [], {}, [[]], {"a": None}, "\ud800")
    yield from wrong
    if isinstance(value, dict):
        for name in value:
            yield {key: one for key, one in value.items() if key != name}
            for damaged in damaged_values(value[name]):
                yield {**value, name: damaged}
    elif isinstance(value, list):
        for index in range(len(value)):
            for damaged in damaged_values(value[index]):
                yield [*value[:index], damaged, *value[index + 1 :]]


# --- hostile peers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSPORT)
def test_hostile_transport_ends_in_time_with_the_right_error(
    subject: Subject, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    behaviour, (with_effect, without) = TRANSPORT[name]
    with HostilePeer(behaviour) as peer, nothing_private(subject, caplog) as seen:
        adapter = subject.at(peer.url)
        for end in all_fail(adapter, network_calls(subject), LIMIT_S):
            expected = CLASSES[with_effect if end.call.has_effect else without]
            assert type(end.error) is expected, f"{end.call.name}: {end.error!r}"
            assert end.took_s <= LIMIT_S + SLACK_S, end.call.name
            seen(end.error)
        adapter.close()


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_that_makes_no_sense_is_no_success(
    subject: Subject, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with HostilePeer(BODIES[name]) as peer, nothing_private(subject, caplog) as seen:
        adapter = subject.at(peer.url)
        reading = [call for call in network_calls(subject) if call.reads_answer]
        for end in all_fail(adapter, reading, AMPLE_S) if reading else ():
            expected = OutcomeUnknown if end.call.has_effect else RetryLater
            assert type(end.error) is expected, f"{end.call.name}: {end.error!r}"
            seen(end.error)
        adapter.close()


def test_the_peers_wish_to_wait_is_heard(subject: Subject) -> None:
    for name, least, most in (("status-429", 7, 7), ("status-503", 7, 7), ("status-503-date", 3000, 3600)):
        with HostilePeer(TRANSPORT[name][0]) as peer:
            for call in network_calls(subject):
                error = failure(
                    lambda call=call, peer=peer: call.run(subject.at(peer.url), new_key(), Deadline.after(5))
                )
                assert isinstance(error, RetryLater)
                assert error.retry_after_s is not None
                assert least <= error.retry_after_s <= most


def test_a_closed_port_is_tried_again_later(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for call in network_calls(subject):
        error = failure(lambda call=call: call.run(subject.at(url), new_key(), Deadline.after(2)))
        assert type(error) is RetryLater
        assert error.code == "connection-refused"


def test_the_peers_own_refusals(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    calls = {call.name: call for call in subject.harness.calls}
    for refusal in subject.harness.refusals:
        behaviour = answer(refusal.body, status=f"{refusal.status} X", media_type=refusal.media_type)
        with HostilePeer(behaviour) as peer, nothing_private(subject, caplog) as seen:
            adapter = subject.at(peer.url)
            call = calls[refusal.call]
            error = failure(lambda call=call, adapter=adapter: call.run(adapter, new_key(), Deadline.after(AMPLE_S)))
            assert (type(error), error.code) == (refusal.error, refusal.code), refusal.name
            seen(error)
            adapter.close()


# --- the simulator's faults, and what they must not do --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in (Mode.NONE, Mode.DOWN)])
def test_simulator_faults(subject: Subject, adapter: Adapter, mode: Mode) -> None:
    # A web hook's answer may have no body: there is no fault to put into it, and nothing to cut.
    calls = network_calls(subject)
    if mode in (Mode.FAULT_IN_200, Mode.TRUNCATED):
        calls = [call for call in calls if call.reads_answer]
    if not calls:
        pytest.skip("no call reads its answer")
    subject.simulator.fail(mode, times=len(calls), retryAfter=3)
    for end in all_fail(adapter, calls, LIMIT_S):
        assert end.took_s <= LIMIT_S + SLACK_S, end.call.name
        if mode is Mode.STATUS_503_RETRY_AFTER:
            assert isinstance(end.error, RetryLater)
            assert end.error.retry_after_s == 3
        elif mode is not Mode.FAULT_IN_200:
            expected = OutcomeUnknown if end.call.has_effect else RetryLater
            assert type(end.error) is expected, f"{end.call.name}: {end.error!r}"


def test_down_and_up_again(subject: Subject, adapter: Adapter) -> None:
    call = network_calls(subject)[0]
    call.run(adapter, new_key(), Deadline.after(AMPLE_S))
    subject.simulator.fail("down")
    error = failure(lambda: call.run(adapter, new_key(), Deadline.after(2)))
    assert type(error) is RetryLater, repr(error)
    subject.simulator.fail("none")
    call.run(adapter, new_key(), Deadline.after(AMPLE_S))


# --- one key, one effect ----------------------------------------------------------------------------------------------------------


def delivering(subject: Subject, adapter: Adapter) -> Callable[[str, float], Receipt | Decision]:
    """Deliver the harness's message for a key; skips the test where the adapter delivers nothing."""
    make = subject.harness.message
    if make is None:
        assert Capability.DELIVER not in subject.manifest.capabilities
        pytest.skip("delivers nothing")
    return lambda key, limit_s: cast(Deliverer, adapter).deliver(make(key), Deadline.after(limit_s))


def known(subject: Subject, adapter: Adapter, key: str) -> DeliveryStatus:
    make = subject.harness.message
    assert make is not None
    return cast(StatusAsker, adapter).status(make(key), Deadline.after(AMPLE_S)).status


def test_one_delivery_is_one_effect(subject: Subject, adapter: Adapter) -> None:
    deliver, key = delivering(subject, adapter), new_key()
    if subject.manifest.status_query:
        assert known(subject, adapter, key) is DeliveryStatus.UNKNOWN
    deliver(key, AMPLE_S)
    assert subject.simulator.effects()[key] == 1
    if subject.manifest.status_query:
        assert known(subject, adapter, key) in (DeliveryStatus.RECEIVED, DeliveryStatus.DECIDED)
    if subject.manifest.idempotent:
        deliver(key, AMPLE_S)
        assert subject.simulator.effects()[key] == 1


@pytest.mark.parametrize("mode", [Mode.HANG_BEFORE, Mode.RESET, Mode.HANG_AFTER, Mode.RESET_AFTER, Mode.SLOW_DRIP])
def test_an_unknown_outcome_is_resolved_to_one_effect(subject: Subject, adapter: Adapter, mode: Mode) -> None:
    """As the hub does it: send again where repeats are recognised, else ask, else leave it to an operator."""
    deliver, key = delivering(subject, adapter), new_key()
    subject.simulator.fail(mode, times=1)
    error = failure(lambda: deliver(key, LIMIT_S))
    assert isinstance(error, OutcomeUnknown)
    happened = mode not in (Mode.HANG_BEFORE, Mode.RESET)
    assert subject.simulator.effects().get(key, 0) == int(happened)
    if subject.manifest.idempotent:
        deliver(key, AMPLE_S)
    elif subject.manifest.status_query:
        if known(subject, adapter, key) is DeliveryStatus.UNKNOWN:
            assert not happened
            deliver(key, AMPLE_S)
        else:
            assert happened
    else:
        pytest.skip("an operator decides")
    assert subject.simulator.effects()[key] == 1


def test_effects_survive_a_kill_of_the_simulator(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> None:
    journal = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    arguments = (*subject.setup.arguments, "--journal", str(journal))
    key = new_key()
    with SimulatorProcess(subject.setup.module, arguments) as first:
        adapter = subject.at(first.url)
        delivering(subject, adapter)(key, AMPLE_S)
        first.kill()
    with SimulatorProcess(subject.setup.module, arguments) as second:
        assert second.effects()[key] == 1
        adapter = subject.at(second.url)
        if subject.manifest.status_query:
            assert known(subject, adapter, key) is not DeliveryStatus.UNKNOWN
        if subject.manifest.idempotent:
            delivering(subject, adapter)(key, AMPLE_S)
            assert second.effects()[key] == 1
