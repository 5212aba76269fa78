"""What only grows is dropped in time, on both databases, in bounded commits; and nothing personal outlives its purge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.db import Database, Tx
from hub.ecerts.evidence import service
from hub.ecerts.evidence.rules import EvidenceRules, load_rules
from hub.ids import first_id, new_id
from hub.keeping import purging
from hub.keeping.purging import Keeping, purge
from hub.resealing import store as resealing
from hub.vault import HEADER_BYTES
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

__all__ = ["simulators", "world"]  # fixtures
LONG = timedelta(days=10_000)
KEPT = Keeping(LONG, LONG, LONG, LONG, LONG)


def ended(world: World, index: int) -> str:
    """A request that deliveries ended."""
    world.consent(index)
    world.peers.library.fail("down")
    answer = world.ask(world.request(index, deadlineS=1))
    world.peers.library.fail("none")
    with world.worker():
        world.until(answer.id, "answered")
    return answer.id


def bodies(world: World) -> set[tuple[str, str, bool]]:
    return {(row.case_id, row.state, bool(row.body_sealed)) for row in world.rows(t.deliveries) if row.kind != "event"}


def test_what_deliveries_carried_goes_with_their_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PURGED_AT_ONCE", 1)
    done = ended(world, 91)
    world.consent(92)
    world.peers.library.fail("down")
    waiting = world.ask(world.request(92, deadlineS=1)).id
    world.peers.library.fail("none")
    assert bodies(world) == {(done, "delivered", True), (waiting, "queued", True)}
    later = world.db.clock() + timedelta(days=2)
    assert world.service.purge(now=later) == 1
    assert bodies(world) == {(done, "delivered", False), (waiting, "queued", True)}
    assert world.service.purge(now=later + timedelta(days=30)) == 1
    assert bodies(world) == {(done, "delivered", False), (waiting, "refused", False)}
    assert {row.outcome for row in world.audited("delivery.cancel")} == {"refused"}
    with world.db.read() as conn:  # what is empty rests under no key
        column = next(one for one in resealing.COLUMNS if one.name == "deliveries.body_sealed")
        found = resealing.resting_otherwise(conn, column, b"x" * HEADER_BYTES, (), 100)
        assert all(len(start) == HEADER_BYTES for start in resealing.counts(conn, column))
    assert all(one.sealed for one in found)


def test_each_that_only_grows_has_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "AT_ONCE", 1)
    request_id = ended(world, 93)
    kept = world.asked(94).id
    now = world.db.clock()
    assert set(purge(world.db, KEPT, "node:test").values()) == {0}
    assert world.audited("keeping.purge") == []
    monkeypatch.setattr(world.db, "clock", lambda: now + timedelta(days=40))
    changed = Keeping(timedelta(days=30), timedelta(days=30), timedelta(days=30), LONG, timedelta(days=30))
    dropped = purge(world.db, changed, "node:test")
    assert dropped["requests"] == 0
    assert min(dropped[name] for name in ("bodies", "attempts", "events", "uses")) >= 1
    assert [world.rows(table) for table in (t.attempts, t.events, t.data_uses)] == [[], [], []]
    assert not any(row.body_sealed for row in world.rows(t.deliveries) if row.state == "delivered")
    # a request goes with all that is its own, and only once its answer was dropped
    before = Keeping(LONG, LONG, LONG, timedelta(days=30), LONG)
    assert purge(world.db, before, "node:test")["requests"] == 0
    world.service.purge(now=now + timedelta(days=5))
    assert purge(world.db, before, "node:test")["requests"] == 2
    assert [world.rows(table) for table in (t.evidence_requests, t.evidence_documents)] == [[], []]
    assert {row.case_id for row in world.rows(t.deliveries)} & {request_id, kept} == set()
    assert world.audited("keeping.purge")[-1].outcome == "purged"


def test_what_an_open_case_or_a_waiting_delivery_needs_stays(database: Database) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)

    def put(tx: Tx) -> None:
        event = {"type": "case.opened", "at": old, "data": "{}"}
        for case_id in ("case_open", "case_closed"):
            tx.conn.execute(sa.insert(t.events).values(id=f"evt_00{case_id}", case_id=case_id, **event))
        tx.conn.execute(sa.insert(t.systems).values(id="s", name="s", enabled=True, created_at=old))
        for case_id, closed in (("case_open", None), ("case_closed", old)):
            values = {
                "id": case_id, "flow": "f@1", "system_id": "s", "message_id": case_id, "subject_index": "x",
                "releasing_region": "370102", "receiving_region": "370103", "state": "waiting", "opened_at": old,
                "near_at": old, "limit_at": old, "limit_provisional": False, "closed_at": closed, "payload_sealed": b"x",
            }  # fmt: skip
            tx.conn.execute(sa.insert(t.cases).values(values))

    database.write(put)
    dropped = purge(database, Keeping(*[timedelta(days=1)] * 5), "node:test")
    assert dropped["events"] == 1
    with database.read() as conn:
        assert list(conn.execute(sa.select(t.events.c.case_id)).scalars()) == ["case_open"]


def test_ids_of_before_sort_before() -> None:
    made = new_id("use")
    now = datetime.now(UTC)
    assert first_id("use", now - timedelta(seconds=5)) < made < first_id("use", now + timedelta(seconds=5))


def test_requests_outlast_those_who_rely_on_them() -> None:
    rules = load_rules().model_dump()
    rules["times"]["request_keep_s"] = 86_400
    with pytest.raises(ValueError, match="request_keep_s"):
        EvidenceRules.model_validate(rules)
