"""Collecting, killed with -9 at each of its commits, and a node that is lost: nothing lost, doubled or left over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.audit.chain import verify_chain
from hub.db import Database, Tx
from hub.ecerts.collect.purging import UNTAKEN, purge
from schemas.events import EventType
from tests.conftest import AUDIT_KEY
from tests.integration import collect_world, killing
from tests.integration.collect_world import Library, World, caller, table, values
from tests.integration.killing import When

CHILD = "tests.integration.collect_world"
ROWS = 250  # two steps of checking, three deliveries
TAKING = [("collect.take:taken", 1), ("collect.claim:begun", 1), ("collect.check:checked", 1), ("collect.check:checked", 2),
          ("collect.checked:checked", 1), ("collect.send:queued", 2), ("delivery.attempt:begun", 2),
          ("collect.delivered:delivered", 2), ("collect.done:done", 1)]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with collect_world.running_library(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.fixture
def world(database: Database, tmp_path: Path, library: Library) -> Iterator[World]:
    with collect_world.opened(database, tmp_path, library) as made:
        yield made


def child(world: World, url: str, *act: str, node: str = "dead", kill: dict[str, str] | None = None) -> killing.Child:
    arguments = (url, str(world.folder), node, *act)
    return killing.start(CHILD, arguments, environment=kill, errors=Path(os.devnull))


def killed(world: World, url: str, when: When, word: str, number: int, *act: str) -> None:
    process = child(world, url, *act, kill=killing.killed_at(when, number, word))
    process.communicate(timeout=90)
    assert killing.was_killed(process)
    time_passes(world)


def time_passes(world: World) -> None:
    """The dead process's leases, of a file and of deliveries, have run out."""

    def act(tx: Tx) -> None:
        for table_ in (t.collect_batches, t.deliveries):
            leased = table_.c.lease_until.is_not(None)
            tx.conn.execute(sa.update(table_).where(leased).values(lease_until=tx.now))

    world.db.write(act)


def judge(world: World, batch_id: str, rows: int = ROWS) -> None:
    """Every row delivered in one effect of each delivery, the end told once, the file gone, both sides equal, the log whole."""
    world.until_done(batch_id)
    view = world.collections.view(caller(), batch_id)
    assert (view.rows, view.delivered) == (rows, rows)
    assert set(world.library.effects().values()) == {1}
    (found,) = world.reconciler().run(actor="test")
    assert (found.ours, found.theirs, found.differences) == (rows, rows, ())
    with world.db.read() as conn:
        assert verify_chain(conn, AUDIT_KEY).faults == ()
        told = sa.select(sa.func.count()).select_from(t.events).where(t.events.c.type == EventType.COLLECTION_ENDED)
        assert conn.execute(told).scalar_one() == 1
    with world.db.engine.begin() as conn:  # time passes
        conn.execute(sa.update(t.collect_files).values(at=world.db.clock() - UNTAKEN - timedelta(minutes=1)))
    purge(world.db, timedelta(days=1), "test")
    assert world.count(t.collect_files) == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("word", "number"), TAKING)
def test_killed_at_each_write_boundary(world: World, database_url: str, when: When, word: str, number: int) -> None:
    """The issuing system hands the same message in again, as it must after no answer."""
    killed(world, database_url, when, word, number, "take", str(ROWS))
    batch_id = world.take(table([values(index) for index in range(ROWS)]))
    assert world.count(t.collect_batches) == 1
    with world.worker():
        judge(world, batch_id)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_repairs(world: World, database_url: str, when: When) -> None:
    batch_id = world.take(table([values(index) for index in range(ROWS)]))
    world.until_idle()
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    killed(world, database_url, when, "collect.repair:sent-again", 2, "repair")
    world.reconciler().repair("library", adopt=False, actor="test")
    world.until_idle()
    sent = ROWS // 100 + 1  # 100 a commit: what was sent before the kill was not sent again
    assert world.count(t.collect_batches) == 1 + sent
    with world.worker():
        judge(world, batch_id)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_looks_at_a_document_again(world: World, database_url: str, when: When) -> None:
    rows, packed = collect_world.documents(world, (1, 2))
    lists = world.folder / "crls"
    lists.rename(world.folder / "later")
    batch_id = world.take(collect_world.archive(rows, packed), form="zip")
    with world.worker():
        world.until(lambda: world.collections.view(caller(), batch_id).pending == 2)
    (world.folder / "later").rename(lists)
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collect_rows).values(due_at=world.db.clock()))
    killed(world, database_url, when, "collect.verify:waiting", 1)
    world.reopen()
    with world.worker():
        judge(world, batch_id, rows=2)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_purges(world: World, database_url: str, when: When) -> None:
    world.take(table([values(index) for index in range(ROWS)]))
    world.until_idle()
    killed(world, database_url, when, "collect.purge:purged", 1, "purge")
    purge(world.db, timedelta(0), "test")
    assert [world.count(one) for one in (t.collect_batches, t.collect_rows, t.deliveries, t.attempts)] == [0, 0, 0, 0]
    (found,) = world.reconciler().run(actor="test")
    assert (found.ours, found.theirs, found.differences) == (ROWS, ROWS, ())


def test_another_node_goes_on_with_the_file_of_a_lost_one(world: World, database_url: str) -> None:
    """Two hubs on one database; the one that checks the file is killed, the other takes it over when the lease has run out."""
    rows = 3_000
    batch_id = world.take(table([values(index) for index in range(rows)]))
    nodes = {name: child(world, database_url, node=name) for name in ("a", "b")}
    try:
        world.until(lambda: world.collections.view(caller(), batch_id).rows > 0)
        with world.db.read() as conn:
            lost = conn.execute(sa.select(t.collect_batches.c.node)).scalar_one()
        nodes[lost].kill()
        world.until(lambda: world.collections.view(caller(), batch_id).state == "done", timeout_s=120)
    finally:
        for process in nodes.values():
            process.kill()
            process.wait()
    with world.db.read() as conn:
        claims = sa.select(t.audit.c.actor, t.audit.c.outcome).where(t.audit.c.action == "collect.claim")
        other = next(name for name in nodes if name != lost)
        assert conn.execute(claims.order_by(t.audit.c.seq)).all() == [
            (f"node:{lost}", "begun"), (f"node:{other}", "taken-over")]  # fmt: skip
    judge(world, batch_id, rows)


def test_a_file_that_ends_every_process_is_given_up(world: World, database_url: str) -> None:
    """What was read stays and goes on; the file's system is told that the rest was not."""
    batch_id = world.take(table([values(index) for index in range(ROWS)]))
    for _ in range(4):
        killed(world, database_url, "before", "collect.check:checked", 1)
    with world.worker():
        world.until(lambda: world.collections.view(caller(), batch_id).state == "unreadable")
    view = world.collections.view(caller(), batch_id)
    assert (view.reason, [fault.rule for fault in view.faults]) == ("check-given-up", ["check-given-up"])
    assert world.count(t.collect_files) == 0


def test_a_slow_node_finds_its_lease_gone(world: World) -> None:
    """It was thought lost: the rows that the other one wrote stay as they are, and it writes none."""
    batch_id = world.take(table([values(index) for index in range(ROWS)]))
    checker = world.parts.worker._checker
    write_step, steps = checker._write_step, []

    def slow(*arguments: object) -> None:
        steps.append(1)
        if len(steps) == 2:  # meanwhile its lease has run out, and another took the file
            with world.db.engine.begin() as conn:
                conn.execute(sa.update(t.collect_batches).values(lease_token="another", lease_until=world.db.clock()))
        write_step(*arguments)  # type: ignore[arg-type]

    checker._write_step = slow  # type: ignore[method-assign]
    assert checker.check_next()
    assert world.collections.view(caller(), batch_id).rows == 200
    checker._write_step = write_step  # type: ignore[method-assign]
    with world.worker():
        judge(world, batch_id)


def test_a_stopped_node_gives_its_file_back(world: World) -> None:
    batch_id = world.take(table([values(index) for index in range(1_000)]))
    world.parts.worker._stop.set()
    assert world.parts.worker._checker.check_next()
    view = world.collections.view(caller(), batch_id)
    assert (view.rows, 10 < view.percent < 50) == (200, True)
    world.renew()
    began = time.monotonic()
    with world.worker():
        world.until(lambda: world.collections.view(caller(), batch_id).rows > 200)
    assert time.monotonic() - began < collect_world.FILE_LEASE.total_seconds()
