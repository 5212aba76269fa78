"""Claiming, on both databases: limits, fairness, leases; and on PostgreSQL with several nodes that claim at once."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub import tables as t
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.deliveries.breaker import BreakerPolicy, Effect, Sign
from hub.deliveries.claims import ClaimRequest, claim
from hub.deliveries.model import Claimed, Outcome, State, Word
from hub.deliveries.outcomes import Recorder
from tests.conftest import AUDIT_KEY
from tests.delivering import Heard, add_endpoints, attempts, deliveries, endpoint, enqueue, handlers

LEASE = timedelta(seconds=30)
NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)  # in Shandong


class Frozen:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Frozen:
    return Frozen()


@pytest.fixture
def db(database_url: str, clock: Frozen) -> object:
    database = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append, clock=clock)
    yield database
    database.close()


def take(db: Database, free: int = 64, node: str = "node-a") -> list[Claimed]:
    return db.submit(claim, ClaimRequest(node, free, LEASE)).result(20)


def finish(db: Database, claimed: Sequence[Claimed], word: Word = Word.DELIVERED, state: State = State.DELIVERED,
           sign: Sign | None = None, wait: float = 0.0) -> list[bool]:  # fmt: skip
    recorder = Recorder(handlers(Heard()), BreakerPolicy(failures=3, open_s=60), "node-a")
    outcomes = [
        Outcome(one, word, state, word.value, sign or Sign(Effect.WELL), db.clock(), timedelta(seconds=wait))
        for one in claimed
    ]
    return db.write(lambda tx: recorder.record(tx, outcomes))


def set_endpoint(db: Database, id_: str, **values: object) -> None:
    db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).where(t.endpoints.c.id == id_).values(**values)))


def test_no_more_than_the_limit_of_an_endpoint(db: Database) -> None:
    add_endpoints(db, 1, max_concurrency=3)
    enqueue(db, "ep0", [f"k{n}" for n in range(10)])
    first = take(db)
    assert len(first) == 3
    assert take(db) == []
    finish(db, first[:2])
    assert len(take(db)) == 2


def test_the_oldest_due_go_first(db: Database, clock: Frozen) -> None:
    add_endpoints(db, 1, max_concurrency=2)
    enqueue(db, "ep0", ["late"], due_at=clock.now - timedelta(seconds=1))
    enqueue(db, "ep0", ["early"], due_at=clock.now - timedelta(seconds=9))
    enqueue(db, "ep0", ["not yet"], due_at=clock.now + timedelta(seconds=1))
    assert [one.subject for one in take(db)] == ["early", "late"]


def test_slots_are_shared_round_robin(db: Database) -> None:
    """A long backlog of one endpoint does not take the slots of the others."""
    add_endpoints(db, 5, max_concurrency=50)
    enqueue(db, "ep0", [f"many{n}" for n in range(200)])
    for number in range(1, 5):
        enqueue(db, f"ep{number}", [f"few{number}.{n}" for n in range(2)])
    got = Counter(one.target.id for one in take(db, 20))
    assert got == {"ep0": 12, "ep1": 2, "ep2": 2, "ep3": 2, "ep4": 2}


def test_lease_attempt_and_intent_are_one_commit(db: Database, clock: Frozen) -> None:
    add_endpoints(db)
    (id_,) = enqueue(db, "ep0", ["k"])
    (one,) = take(db)
    assert (one.id, one.attempt, one.tries, one.in_doubt) == (id_, 1, 1, False)
    row = deliveries(db)["k"]
    assert (row["state"], row["lease_token"], row["lease_until"]) == ("attempting", one.token, clock.now + LEASE)
    (attempt,) = attempts(db)
    assert (attempt["delivery_id"], attempt["number"], attempt["node"], attempt["outcome"]) == (id_, 1, "node-a", None)
    with db.read() as conn:
        entry = conn.execute(sa.select(t.audit).where(t.audit.c.object == id_)).one()
    assert (entry.action, entry.outcome) == ("delivery.attempt", "begun")


def test_an_ended_lease_is_taken_over_in_doubt_and_the_late_outcome_is_not_recorded(
    db: Database, clock: Frozen
) -> None:
    add_endpoints(db)
    enqueue(db, "ep0", ["k"])
    (first,) = take(db)
    clock.pass_(LEASE.total_seconds() - 1)
    assert take(db, node="node-b") == []
    clock.pass_(2)
    (second,) = take(db, node="node-b")
    assert (second.attempt, second.in_doubt, second.id) == (2, True, first.id)
    assert finish(db, [first]) == [False]
    assert deliveries(db)["k"]["state"] == "attempting"
    assert finish(db, [second]) == [True]
    assert deliveries(db)["k"]["state"] == "delivered"
    assert [attempt["outcome"] for attempt in attempts(db)] == ["lease-lost", "delivered"]


def test_an_outcome_is_recorded_once(db: Database) -> None:
    add_endpoints(db)
    enqueue(db, "ep0", ["k"])
    (one,) = take(db)
    assert finish(db, [one]) == [True]
    assert finish(db, [one]) == [False]


def test_paused_closed_and_broken_endpoints_are_left_alone(db: Database, clock: Frozen) -> None:
    add_endpoints(db, 4)
    for number in range(4):
        enqueue(db, f"ep{number}", [f"k{number}"])
    set_endpoint(db, "ep0", paused_at=clock.now, paused_reason="test")
    set_endpoint(db, "ep1", open_at=clock.now + timedelta(seconds=60), breaker="open")
    set_endpoint(db, "ep2", service_hours="20:00-21:00")
    (open_one,) = take(db)
    assert open_one.target.id == "ep3"
    finish(db, [open_one])
    set_endpoint(db, "ep2", service_hours="07:30-20:00")
    clock.pass_(61)
    assert {one.target.id for one in take(db)} == {"ep1"}
    clock.pass_(600)  # by then it is looked at again
    assert "ep2" in {one.target.id for one in take(db)}


def test_a_half_open_endpoint_gets_one_probe(db: Database, clock: Frozen) -> None:
    add_endpoints(db, 1, max_concurrency=5)
    enqueue(db, "ep0", [f"k{n}" for n in range(20)])
    failed = Sign(Effect.FAILED, "timeout")
    finish(db, take(db), Word.RETRY_LATER, State.QUEUED, failed)
    assert endpoint(db, "ep0")["breaker"] == "open"
    assert take(db) == []
    clock.pass_(61)
    (probe,) = take(db)
    assert endpoint(db, "ep0")["breaker"] == "half-open"
    assert take(db) == []
    finish(db, [probe], Word.RETRY_LATER, State.QUEUED, failed)
    assert take(db) == []
    clock.pass_(61)
    finish(db, take(db))
    assert endpoint(db, "ep0")["breaker"] == "closed"
    assert len(take(db)) == 5


def test_an_endpoint_that_just_failed_is_tried_one_at_a_time(db: Database) -> None:
    add_endpoints(db, 1, max_concurrency=5)
    enqueue(db, "ep0", [f"k{n}" for n in range(20)])
    first = take(db)
    finish(db, first[:1], Word.RETRY_LATER, State.QUEUED, Sign(Effect.FAILED, "timeout"))
    assert take(db) == []
    finish(db, first[1:4])
    assert len(take(db)) == 4


def test_the_audit_log_tells_an_outage_once_and_its_end_once(db: Database, clock: Frozen) -> None:
    add_endpoints(db, 1, max_concurrency=1)
    enqueue(db, "ep0", [f"k{n}" for n in range(20)])
    for _ in range(6):
        clock.pass_(61)
        finish(db, take(db), Word.RETRY_LATER, State.QUEUED, Sign(Effect.FAILED, "timeout"))
    clock.pass_(61)
    finish(db, take(db))
    with db.read() as conn:
        query = sa.select(t.audit.c.outcome).where(t.audit.c.action == "endpoint.breaker").order_by(t.audit.c.seq)
        assert list(conn.execute(query).scalars()) == ["open", "closed"]


def test_the_claim_reads_indexes_only(db: Database) -> None:
    """However many deliveries there are, the claim touches those that it takes."""
    if not db.is_sqlite:
        pytest.skip("PostgreSQL plans by its statistics; the concurrency test stands for it")
    add_endpoints(db, 3)
    enqueue(db, "ep0", [f"k{n}" for n in range(50)])
    plans = []

    def explain(conn: sa.Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT") and "deliveries" in statement:
            plan = conn.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(row[-1] for row in plan)

    sa.event.listen(db.engine, "before_cursor_execute", explain)
    take(db)
    sa.event.remove(db.engine, "before_cursor_execute", explain)
    assert plans
    assert not [step for step in plans if "SCAN deliveries" in step or "SCAN x" in step or "SCAN d" in step]


Step = tuple[str, int]
steps = st.lists(st.tuples(st.sampled_from(["take", "finish", "fail", "die", "add"]), st.integers(1, 9)), max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_whatever_happens_limits_hold_and_nothing_is_taken_twice(
    sqlite_file: object, tmp_path_factory: pytest.TempPathFactory, script: list[Step]
) -> None:
    path = tmp_path_factory.mktemp("claims") / "hub.sqlite"
    shutil.copy(str(sqlite_file), path)
    clock = Frozen()
    db = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append, clock=clock)
    add_endpoints(db, 3, max_concurrency=2)
    live: dict[str, Claimed] = {}
    made, done = 0, set()
    for what, count in [*script, ("die", 1), ("take", 9), ("finish", 9)]:
        if what == "add":
            enqueue(db, f"ep{count % 3}", [f"k{made + n}" for n in range(count)])
            made += count
        elif what == "take":
            for one in take(db, count):
                assert one.id not in live
                assert one.id not in done
                live[one.id] = one
            at_once = Counter(one.target.id for one in live.values())
            assert all(number <= 2 for number in at_once.values())
        elif what == "die":  # the node is gone, and its leases end
            clock.pass_(LEASE.total_seconds() + 1)
            live.clear()
        else:
            some = list(live.values())[:count]
            if what == "finish":
                assert finish(db, some) == [True] * len(some)
                done |= {one.id for one in some}
            else:
                finish(db, some, Word.RETRY_LATER, State.QUEUED, Sign(Effect.NONE))
            for one in some:
                del live[one.id]
    assert len(deliveries(db)) == made
    db.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_four_nodes_never_exceed_a_limit_nor_take_one_twice(database_url: str) -> None:
    """Several writers in parallel, each with its own connection: what one statement alone gets wrong."""
    nodes = [Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append) for _ in range(4)]
    add_endpoints(nodes[0], 20, max_concurrency=3)
    for number in range(20):
        enqueue(nodes[0], f"ep{number}", [f"k{number}.{n}" for n in range(40)])
    lock, running, most, seen = threading.Lock(), Counter[str](), Counter[str](), Counter[str]()
    give_up = time.monotonic() + 60

    def work(db: Database, name: str) -> None:
        while time.monotonic() < give_up and seen.total() < 800:
            claimed = take(db, 13, name)
            with lock:
                for one in claimed:
                    seen[one.id] += 1
                    running[one.target.id] += 1
                    most[one.target.id] = max(most[one.target.id], running[one.target.id])
            time.sleep(0.02)  # the call
            with lock:  # before the outcome: from its commit on another node may claim
                for one in claimed:
                    running[one.target.id] -= 1
            assert finish(db, claimed) == [True] * len(claimed)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, nodes, [f"node-{n}" for n in range(4)]))
    assert seen.total() == 800
    assert set(seen.values()) == {1}
    with nodes[0].read() as conn:
        assert conn.execute(sa.select(sa.func.count()).where(t.deliveries.c.state == "delivered")).scalar_one() == 800
        nodes_at_work = conn.execute(sa.select(t.attempts.c.node).distinct()).scalars().all()
    assert max(most.values()) <= 3
    assert len(nodes_at_work) >= 2
    for db in nodes:
        db.close()
