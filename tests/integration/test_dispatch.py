"""The failure semantics of deliveries, with a dispatcher that runs, on both databases: docs/protocol says the same in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from adapters.contract import (
    Adapter,
    Deadline,
    Endpoint,
    Message,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
)
from hub import tables as t
from hub.db import Database, Tx
from hub.deliveries import store
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher, LeaseTooShort
from hub.deliveries.model import Claimed, Finished, Outcome, State
from hub.deliveries.retry import RetryPolicy
from hub.vault import Vault
from schemas.base import Canonical
from tests.delivering import (
    Heard,
    Peer,
    PeerAdapter,
    add_endpoints,
    attempts,
    deliveries,
    dispatcher,
    endpoint,
    enqueue,
    manifest,
    states,
)

ONCE_TOLD = RetryPolicy(base_s=0.02, cap_s=0.1)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "did not happen in time"
        time.sleep(0.01)


class Script:
    """For each message, what happens at its first, second … sending; after the last nothing special happens."""

    def __init__(self, *steps: Exception | None) -> None:
        self.steps = steps
        self.seen: dict[str, int] = {}

    def __call__(self, endpoint: str, message: Message, deadline: Deadline) -> Receipt:
        number = self.seen.get(message.idempotency_key, 0)
        self.seen[message.idempotency_key] = number + 1
        step = self.steps[number] if number < len(self.steps) else None
        if step is not None:
            raise step
        return Receipt()


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def heard() -> Heard:
    return Heard()


class Running:
    """A dispatcher for the length of a block."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def __enter__(self) -> Dispatcher:
        self.dispatcher.start()
        return self.dispatcher

    def __exit__(self, *_: object) -> None:
        self.dispatcher.stop()


def deliver_all(db: Database, peer: Peer, heard: Heard, count: int = 1, **changes: object) -> None:
    """Run until ``count`` deliveries have finished (suspension counts)."""
    with Running(dispatcher(db, peer, heard, retry=ONCE_TOLD, **changes)):  # type: ignore[arg-type]
        until(lambda: len(heard.finished) >= count)


def test_each_is_delivered_once_and_its_room_hears_of_it(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database, 4)
    for number in range(4):
        enqueue(database, f"ep{number}", [f"k{number}.{n}" for n in range(25)])
    deliver_all(database, peer, heard, 100)
    assert states(database) == {"delivered": 100}
    assert set(peer.effects.values()) == {1}
    assert sorted(one.subject for one in heard.finished) == sorted(peer.effects)
    assert {one.state for one in heard.finished} == {State.DELIVERED}


def test_retry_later_is_sent_again_after_a_stored_wait(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(RetryLater("busy"), RetryLater("busy"))
    deliver_all(database, peer, heard)
    assert [one["outcome"] for one in attempts(database)] == ["retry-later", "retry-later", "delivered"]
    assert peer.effects == {"k": 1}


def test_retry_after_closes_the_endpoint_for_that_long(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(RetryLater("busy", retry_after_s=1.0))
    deliver_all(database, peer, heard)
    first, second = attempts(database)
    assert second["started_at"] - first["started_at"] >= timedelta(seconds=1)  # type: ignore[operator]
    assert endpoint(database, "ep0")["failures"] == 0


def test_retries_end_in_suspension(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(*[RetryLater("down")] * 9)
    policy = replace(ONCE_TOLD, limit=3)
    with Running(dispatcher(database, peer, heard, retry=policy, breaker=BreakerPolicy(failures=99))):
        until(lambda: bool(heard.finished))
    assert [(one.state, one.code) for one in heard.finished] == [(State.SUSPENDED, "down")]
    assert peer.calls["ep0"] == 3


def test_a_refusal_is_final(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(PeerRefused("not-found"))
    deliver_all(database, peer, heard)
    assert [(one.state, one.code) for one in heard.finished] == [(State.REFUSED, "not-found")]
    assert peer.calls["ep0"] == 1
    assert endpoint(database, "ep0")["ill_since"] is None


def test_after_a_timeout_the_peer_is_asked_and_has_it(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.then = Script(OutcomeUnknown("timeout"))
    deliver_all(database, peer, heard)
    assert (peer.calls["ep0"], peer.asked["k"], peer.effects["k"]) == (1, 1, 1)
    assert states(database) == {"delivered": 1}


def test_after_a_timeout_the_peer_is_asked_and_does_not_have_it(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(OutcomeUnknown("timeout"))
    deliver_all(database, peer, heard)
    assert (peer.calls["ep0"], peer.asked["k"], peer.effects["k"]) == (2, 1, 1)


def test_after_a_timeout_an_idempotent_peer_is_sent_it_again(database: Database, peer: Peer, heard: Heard) -> None:
    peer.manifest = manifest(idempotent=True, status_query=False)
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.then = Script(OutcomeUnknown("timeout"))
    deliver_all(database, peer, heard)
    assert (peer.calls["ep0"], peer.asked["k"]) == (2, 0)


def test_after_a_timeout_that_nobody_can_explain_an_operator_decides(
    database: Database, peer: Peer, heard: Heard
) -> None:
    peer.manifest = manifest(idempotent=False, status_query=False)
    add_endpoints(database)
    (id_,) = enqueue(database, "ep0", ["k"])
    peer.then = Script(OutcomeUnknown("timeout"))
    with Running(dispatcher(database, peer, heard, retry=ONCE_TOLD)):
        until(lambda: bool(heard.finished))
        assert [(one.state, one.code) for one in heard.finished] == [(State.SUSPENDED, "timeout")]
        assert peer.calls["ep0"] == 1
        database.write(lambda tx: store.replay(tx, id_, "operator:o", "the county says it has nothing"))
        until(lambda: len(heard.finished) == 2)
    assert heard.finished[1].state is State.DELIVERED
    assert peer.calls["ep0"] == 2


def test_a_misconfigured_endpoint_is_paused_and_nothing_is_lost(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database, 1, max_concurrency=1)
    enqueue(database, "ep0", ["a", "b", "c"])
    peer.does = Script(PeerMisconfigured("bad-credentials"))
    with Running(dispatcher(database, peer, heard, retry=ONCE_TOLD)):
        until(lambda: endpoint(database, "ep0")["paused_at"] is not None)
        time.sleep(0.3)
        assert peer.calls["ep0"] == 1
        assert endpoint(database, "ep0")["paused_reason"] == "bad-credentials"
        peer.does = Script()
        database.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(paused_at=None, paused_reason=None)))
        until(lambda: len(heard.finished) == 3)
    assert states(database) == {"delivered": 3}


def test_an_unknown_exception_suspends_and_leaks_nothing(
    database: Database, peer: Peer, heard: Heard, capsys: pytest.CaptureFixture[str]
) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    peer.does = Script(KeyError("370102201501012316"))
    deliver_all(database, peer, heard)
    assert [(one.state, one.code) for one in heard.finished] == [(State.SUSPENDED, "bug-KeyError")]
    printed = capsys.readouterr()
    assert "370102201501012316" not in printed.out + printed.err
    assert "370102201501012316" not in str(deliveries(database)["k"])


def test_a_database_that_is_away_for_a_moment_suspends_nothing_and_repeats_nothing(
    database: Database, peer: Peer
) -> None:
    class Away(Heard):
        prepared = 0

        def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
            self.prepared += 1
            if self.prepared == 1:
                raise sa.exc.OperationalError("SELECT", {}, Exception("the connection is lost"))
            return super().prepare(case_id, subject, answer)

    add_endpoints(database)
    enqueue(database, "ep0", ["k"])
    deliver_all(database, peer, Away())
    assert states(database) == {"delivered": 1}
    assert (peer.calls["ep0"], peer.asked["k"], peer.effects["k"]) == (1, 1, 1)
    assert attempts(database)[0]["code"] == "database-away"


def test_an_endpoint_that_changes_while_it_is_called_costs_no_worker(
    database: Database, peer: Peer, heard: Heard
) -> None:
    """Its adapter cannot be made anew after the call, of which nobody knows what became: the one that called judges."""
    made: list[str] = []

    def make(adapter_id: str, endpoint: Endpoint) -> Adapter:
        made.append(adapter_id)
        if len(made) > 1:
            raise RuntimeError("the settings are none now")
        return PeerAdapter(peer, endpoint)  # type: ignore[return-value]

    add_endpoints(database)
    enqueue(database, "ep0", ["k0"])
    running = dispatcher(database, peer, heard, workers=1)
    adapters = running._attempter.adapters
    adapters._make = make

    def fail(endpoint: str, message: Message, deadline: Deadline) -> Receipt:
        with adapters._lock:
            adapters._made.clear()  # as if its row had changed
        raise OutcomeUnknown("timeout")

    peer.then = fail
    with Running(running):
        until(lambda: len(attempts(database)) > 1)
        assert attempts(database)[0]["outcome"] == "outcome-unknown"
        assert running._threads[1].is_alive()
    assert running._free == 1


def test_a_worker_survives_whatever_an_attempt_raises(
    database: Database, peer: Peer, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["bad"])
    running = dispatcher(database, peer, heard, workers=1)
    run, submit = Attempter.run, running._submit
    faults: list[str] = []

    def raises(self: Attempter, claimed: Claimed) -> Outcome:
        if not faults:
            faults.append(claimed.id)
            raise ZeroDivisionError
        return run(self, claimed)

    def fails(outcome: Outcome) -> None:
        if len(faults) == 2:
            faults.append("submit")
            raise RuntimeError("cannot start new thread")
        submit(outcome)

    monkeypatch.setattr(Attempter, "run", raises)
    with Running(running), capture_logs() as logged:
        until(lambda: states(database)["suspended"] == 1)
        until(lambda: [line["endpoint"] for line in logged if line["event"] == "delivery suspended"] == ["ep0"])
        assert attempts(database)[0]["code"] == "bug-ZeroDivisionError"
        faults.append("next")
        monkeypatch.setattr(running, "_submit", fails)
        enqueue(database, "ep0", ["lost", "good"])
        until(lambda: states(database)["delivered"] == 1)
        assert faults[-1] == "submit"
    assert running._free == 1


def test_a_body_sealed_under_another_key_suspends(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    (id_,) = enqueue(database, "ep0", ["k"])
    foreign = Vault(b"another vault's key, as of old..").seal(b"{}", store.body_context(id_))
    database.write(lambda tx: tx.conn.execute(sa.update(t.deliveries).values(body_sealed=foreign)))
    deliver_all(database, peer, heard)
    assert heard.finished[0].code == "bug-VaultError"
    assert peer.calls["ep0"] == 0


def test_no_attempt_begins_after_the_expiry_even_on_a_paused_endpoint(
    database: Database, peer: Peer, heard: Heard
) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["k"], expires_at=database.clock() - timedelta(seconds=1))
    database.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(paused_at=tx.now)))
    deliver_all(database, peer, heard)
    assert [(one.state, one.code) for one in heard.finished] == [(State.SUSPENDED, "expired")]
    assert peer.calls["ep0"] == 0


class RefusesToRecord(Heard):
    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        if any(one.subject == "poison" for one in finished):
            raise LookupError("a bug of the room")
        super().record(tx, finished)


def test_a_room_that_fails_to_record_does_not_hold_up_the_others(database: Database, peer: Peer) -> None:
    heard = RefusesToRecord()
    add_endpoints(database)
    enqueue(database, "ep0", ["poison", *(f"k{n}" for n in range(20))])
    with Running(dispatcher(database, peer, heard, retry=ONCE_TOLD)):
        until(lambda: len(heard.finished) == 20)
        until(lambda: deliveries(database)["poison"]["state"] == "suspended")
    assert deliveries(database)["poison"]["last_error"] == "bug-LookupError"
    assert peer.effects["poison"] == 1


def test_a_dead_node_s_delivery_is_taken_over_and_asked_about(database: Database, peer: Peer, heard: Heard) -> None:
    """It hangs in the call; its lease ends; another node asks, and what the first one says later counts for nothing."""
    add_endpoints(database, 1, timeout_s=1)
    enqueue(database, "ep0", ["k"])
    release = threading.Event()

    def hang_once(endpoint: str, message: Message, deadline: Deadline) -> Receipt:
        if not release.is_set():
            release.wait(10)  # ignores its deadline, as no adapter should
        return Receipt()

    peer.then = hang_once
    other = Heard()
    with Running(dispatcher(database, peer, heard, lease_s=2, node="hangs")):
        until(lambda: peer.effects["k"] == 1)
        with Running(dispatcher(database, peer, other, lease_s=2, node="takes-over")):
            until(lambda: bool(other.finished) or bool(heard.finished), 8)
            release.set()
            until(lambda: states(database) == {"delivered": 1})
    assert peer.effects["k"] == 1
    assert peer.asked["k"] == 1
    assert len(heard.finished) + len(other.finished) == 1


def test_dead_endpoints_starve_nobody(database: Database, peer: Peer, heard: Heard) -> None:
    """One endpoint hangs until its deadline at every call; the others go on as if it were not there."""
    add_endpoints(database, 6)
    enqueue(database, "ep0", [f"dead{n}" for n in range(100)])
    for number in range(1, 6):
        enqueue(database, f"ep{number}", [f"k{number}.{n}" for n in range(40)])

    def hang(endpoint: str, message: Message, deadline: Deadline) -> None:
        if endpoint == "ep0":
            time.sleep(min(deadline.remaining(), 1.0))
            raise OutcomeUnknown("timeout")

    peer.does = hang
    with Running(dispatcher(database, peer, heard, workers=8)):
        began = time.monotonic()
        until(lambda: len(heard.finished) == 200)
        assert time.monotonic() - began < 5
        until(lambda: endpoint(database, "ep0")["breaker"] == "open")
        assert peer.calls["ep0"] <= 8
        assert peer.most["ep0"] <= 4


def test_stopping_lets_running_attempts_end(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", [f"k{n}" for n in range(30)])
    peer.does = lambda endpoint, message, deadline: time.sleep(0.05)
    running = dispatcher(database, peer, heard)
    running.start()
    until(lambda: len(heard.finished) >= 4)
    running.stop()
    assert set(states(database)) <= {"delivered", "queued"}
    assert states(database)["delivered"] == sum(peer.effects.values()) == len(heard.finished)


def test_a_lease_shorter_than_a_call_is_refused_at_start(database: Database, peer: Peer, heard: Heard) -> None:
    add_endpoints(database, 1, timeout_s=30)
    with pytest.raises(LeaseTooShort, match="ep0"):
        dispatcher(database, peer, heard, lease_s=30).start()
