"""Places at an endpoint, on both databases: calls and deliveries together never exceed its limit, and neither starves the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from adapters.contract import Deadline
from hub import tables as t
from hub.audit.chain import AuditChain
from hub.db import Database, Tx
from hub.deliveries.claims import ClaimRequest, claim
from hub.deliveries.model import Claimed
from hub.deliveries.places import BUSY, Places
from tests.conftest import AUDIT_KEY
from tests.delivering import add_endpoints, enqueue

LEASE = timedelta(seconds=30)


@pytest.fixture
def places(database: Database) -> Iterator[Places]:
    made = Places(database, "a")
    yield made
    made.close()


def claimed(db: Database, free: int = 64) -> list[Claimed]:
    return db.submit(claim, ClaimRequest("w", free, LEASE)).result(20)


def set_endpoint(db: Database, **values: object) -> None:
    def act(tx: Tx) -> None:
        tx.conn.execute(sa.update(t.endpoints).values(values))

    db.write(act)


def held(db: Database) -> list[tuple[int, int]]:
    with db.read() as conn:
        return [(row.calls, row.wanted) for row in conn.execute(sa.select(t.endpoint_calls))]


def soon() -> Deadline:
    return Deadline.after(0.2)


def test_leases_and_calls_share_one_limit(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=4)
    enqueue(database, "e0", [f"k{n}" for n in range(10)])
    assert len(claimed(database, 2)) == 2
    assert [places.enter("e0", soon()) for _ in range(3)] == [None, None, BUSY]
    assert claimed(database) == []
    places.leave("e0")
    places.give_back()  # what waited has gone
    places.give_back()
    assert len(claimed(database)) == 1
    assert claimed(database) == []


def test_calls_leave_one_place_to_deliveries_that_are_due(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=4)
    enqueue(database, "e0", [f"k{n}" for n in range(10)])
    assert [places.enter("e0", soon()) for _ in range(4)] == [None, None, None, BUSY]
    assert len(claimed(database)) == 1


def test_deliveries_leave_room_for_calls_that_wait(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=3)
    enqueue(database, "e0", [f"k{n}" for n in range(20)])
    leases = claimed(database)
    assert len(leases) == 3
    got: list[str | None] = []
    waiting = threading.Thread(target=lambda: got.append(places.enter("e0", Deadline.after(10))))
    waiting.start()
    end = time.monotonic() + 5
    while not held(database):
        assert time.monotonic() < end
        time.sleep(0.01)

    def finish(tx: Tx) -> None:
        """All leases end, and at once somebody claims again."""
        done = t.deliveries.c.id.in_([one.id for one in leases])
        tx.conn.execute(sa.update(t.deliveries).where(done).values(state="delivered", lease_until=None))

    database.write(finish)
    assert len(claimed(database)) == 2
    waiting.join(10)
    assert got == [None]


def test_a_block_is_used_again_and_given_back(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=8)
    written: list[object] = []
    whole = database.submit

    def counted(operation: object, item: object) -> object:
        written.append(item)
        return whole(operation, item)  # type: ignore[arg-type]

    database.submit = counted  # type: ignore[method-assign, assignment]
    for _ in range(50):
        assert places.enter("e0", soon()) is None
        places.leave("e0")
    assert len(written) == 1  # one commit, not a hundred
    places.give_back()
    places.give_back()
    assert held(database) == []


def test_two_processes_together_stay_within_the_limit(database_url: str, database: Database) -> None:
    add_endpoints(database, prefix="e", max_concurrency=5)
    other = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    both = [Places(database, "a"), Places(other, "b")]
    running, most, done = 0, 0, 0
    lock = threading.Lock()

    def work(one: Places) -> None:
        nonlocal running, most, done
        for _ in range(10):
            if one.enter("e0", Deadline.after(20)) is not None:
                continue
            with lock:
                running, done = running + 1, done + 1
                most = max(most, running)
            time.sleep(0.002)
            with lock:
                running -= 1
            one.leave("e0")

    threads = [threading.Thread(target=work, args=(both[number % 2],)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 5
    assert done == 120
    for one in both:
        one.close()
    assert held(database) == []
    other.close()


def test_a_closed_endpoint_gives_none_and_an_open_breaker_one(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=4)
    now = database.clock()
    set_endpoint(database, paused_at=now)
    assert places.enter("e0", soon()) == "endpoint-paused"
    set_endpoint(database, paused_at=None, breaker="open", failures=5, open_at=now + timedelta(hours=1))
    assert places.enter("e0", soon()) == "endpoint-resting"
    set_endpoint(database, open_at=now)  # its time has come: one call is the probe
    assert places.enter("e0", soon()) is None
    with database.read() as conn:
        assert conn.execute(sa.select(t.endpoints.c.breaker)).scalar_one() == "half-open"
    assert places.enter("e0", soon()) == BUSY
    assert places.enter("nobody", soon()) == "no-endpoint"


def test_after_a_failure_one_call_at_a_time(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=4)
    assert places.enter("e0", soon()) is None
    set_endpoint(database, failures=1)
    places.leave("e0", well=False)
    assert places.enter("e0", soon()) is None
    assert places.enter("e0", soon()) == BUSY


def test_what_a_dead_process_held_comes_back(database: Database, places: Places) -> None:
    add_endpoints(database, prefix="e", max_concurrency=1)

    def dead(tx: Tx) -> None:
        values = {
            "endpoint_id": "e0",
            "holder": "dead",
            "calls": 1,
            "wanted": 1,
            "until": tx.now + timedelta(seconds=0.5),
        }
        tx.conn.execute(sa.insert(t.endpoint_calls).values(values))

    database.write(dead)
    assert places.enter("e0", soon()) == BUSY
    assert places.enter("e0", Deadline.after(5)) is None
