"""The writer: groups, isolates what fails, answers everybody once, and outlasts what a database does to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import RootTransaction

from hub import db as db_module
from hub import tables as t
from hub.audit.chain import AuditChain
from hub.db import AuditEntry, CommitInDoubt, Database, DatabaseBusy, Tx
from tests.conftest import AUDIT_KEY
from tests.databases import PostgresServer, free_port


def add_system(tx: Tx, ids: Sequence[str]) -> list[str]:
    for id_ in ids:
        tx.conn.execute(sa.insert(t.systems).values(id=id_, name=id_, enabled=True, created_at=tx.now))
        tx.audit.append(AuditEntry("test", "system.add", id_, "added"))
    return list(ids)


def systems(db: Database) -> set[str]:
    with db.read() as conn:
        return set(conn.execute(sa.select(t.systems.c.id)).scalars())


def audited(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.execute(sa.select(t.audit.c.object).order_by(t.audit.c.seq)).scalars())


def hold_writer(db: Database) -> threading.Event:
    """Keep the writer busy until the event is set, so that what is submitted meanwhile shares one batch."""
    go, began = threading.Event(), threading.Event()

    def operation(tx: Tx, items: Sequence[None]) -> list[None]:
        began.set()
        go.wait(10)
        return [None] * len(items)

    db.submit(operation, None)
    assert began.wait(10)
    return go


def test_many_threads_each_get_their_own_answer(database: Database) -> None:
    answers: dict[int, list[str]] = {}

    def work(thread: int) -> None:
        answers[thread] = [database.submit(add_system, f"s{thread}.{n}").result(20) for n in range(25)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {thread: [f"s{thread}.{n}" for n in range(25)] for thread in range(8)}
    assert len(systems(database)) == 200
    with database.read() as conn:
        assert list(conn.execute(sa.select(t.audit.c.seq).order_by(t.audit.c.seq)).scalars()) == list(range(1, 201))


def test_one_bad_item_fails_alone_and_leaves_nothing(database: Database) -> None:
    database.submit(add_system, "taken").result(20)
    go = hold_writer(database)
    ids = [f"s{n}" for n in range(20)]
    futures = [database.submit(add_system, id_) for id_ in [*ids[:7], "taken", *ids[7:]]]
    go.set()
    wait(futures, 20)
    assert [future.exception() is None for future in futures] == [True] * 7 + [False] + [True] * 13
    assert isinstance(futures[7].exception(), sa.exc.IntegrityError)
    assert systems(database) == {"taken", *ids}
    assert audited(database).count("taken") == 1


def test_what_a_function_raises_undoes_only_itself(database: Database) -> None:
    def fail(tx: Tx) -> None:
        add_system(tx, ["half"])
        tx.after_commit.append(lambda: woken.append("no"))
        raise LookupError("mine")

    woken: list[str] = []
    go = hold_writer(database)
    good = [database.submit(add_system, "a"), database.submit(add_system, "b")]
    caught: list[BaseException] = []

    def write() -> None:
        try:
            database.write(fail)
        except LookupError as error:
            caught.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    go.set()
    thread.join()
    wait(good, 20)
    assert [str(error) for error in caught] == ["mine"]
    assert systems(database) == {"a", "b"}
    assert set(audited(database)) == {"a", "b"}
    assert woken == []


def test_a_caller_that_went_away_is_not_written_and_stops_nobody(database: Database) -> None:
    go = hold_writer(database)
    gone, stays = database.submit(add_system, "gone"), database.submit(add_system, "stays")
    assert gone.cancel()
    go.set()
    assert stays.result(20) == "stays"
    assert systems(database) == {"stays"}


def test_a_hint_that_fails_does_not_stop_the_writer(database: Database) -> None:
    def act(tx: Tx) -> None:
        tx.after_commit.append(lambda: 1 / 0)  # type: ignore[arg-type,return-value]

    database.write(act)
    assert database.submit(add_system, "after").result(20) == "after"


def test_closing_commits_what_waits_and_refuses_more(database: Database) -> None:
    go = hold_writer(database)
    futures = [database.submit(add_system, f"s{n}") for n in range(10)]
    closing = threading.Thread(target=database.close)
    closing.start()
    go.set()
    closing.join(20)
    assert [future.result(0) for future in futures] == [f"s{n}" for n in range(10)]
    with pytest.raises(DatabaseBusy):
        database.submit(add_system, "late")


def test_the_queue_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "QUEUE_LIMIT", 3)
    small = Database(database.url.render_as_string(hide_password=False), chain_audit=AuditChain(AUDIT_KEY).append)
    go = hold_writer(small)
    futures = [small.submit(add_system, f"s{n}") for n in range(3)]
    with pytest.raises(DatabaseBusy):
        small.submit(add_system, "too many")
    go.set()
    wait(futures, 20)
    small.close()


def test_a_batch_is_run_again_after_a_lock_was_held_too_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite:
        pytest.skip("SQLite's lock")
    database.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA busy_timeout=50"))
    with database.engine.connect().execution_options(hub_writer=True) as other:
        begun = other.begin()
        future = database.submit(add_system, "patient")
        threading.Event().wait(0.5)
        assert not future.done()
        begun.rollback()
    assert future.result(20) == "patient"


# --- PostgreSQL: what happens to connections and commits ----------------------------------------------------------------


@pytest.fixture
def pg(postgres: PostgresServer) -> Iterator[Database]:
    url = postgres.create()
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    yield db
    db.close()
    postgres.drop(url)


def terminate_others(server: PostgresServer, database: str | None) -> None:
    with server.connect() as conn:
        conn.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])


@pytest.mark.postgresql
def test_a_lost_connection_is_made_anew(postgres: PostgresServer, pg: Database) -> None:
    pg.submit(add_system, "before").result(20)
    terminate_others(postgres, pg.url.database)
    assert pg.submit(add_system, "after").result(20) == "after"
    with pg.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(t.systems)).scalar_one() == 2


class LosesAnswer(Database):
    """The connection breaks at the commit: before it reaches the server, or after the server has committed."""

    lost = 0
    commits_first = True
    server: PostgresServer

    def _commit(self, transaction: RootTransaction, mark: Any) -> None:
        if self.lost or mark is None:
            super()._commit(transaction, mark)
            return
        self.lost += 1
        if self.commits_first:
            super()._commit(transaction, mark)
        terminate_others(self.server, self.url.database)
        raise sa.exc.OperationalError("COMMIT", {}, psycopg.OperationalError("connection lost"))


@pytest.mark.postgresql
@pytest.mark.parametrize("commits_first", [True, False])
def test_a_commit_in_doubt_takes_place_once(postgres: PostgresServer, commits_first: bool) -> None:
    db = LosesAnswer(postgres.create(), chain_audit=AuditChain(AUDIT_KEY).append)
    db.server, db.commits_first = postgres, commits_first
    go = hold_writer(db)
    futures: list[Future[str]] = [db.submit(add_system, f"s{n}") for n in range(5)]
    go.set()
    assert [future.result(30) for future in futures] == [f"s{n}" for n in range(5)]
    assert db.lost == 1
    assert audited(db) == [f"s{n}" for n in range(5)]
    db.close()


@pytest.mark.postgresql
def test_a_commit_that_nobody_can_tell_of_is_not_acknowledged(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GoneForGood(LosesAnswer):
        def _took_place(self, written: Any) -> bool:
            raise sa.exc.OperationalError("SELECT", {}, psycopg.OperationalError("no server"))

    monkeypatch.setattr(db_module, "RETRY_FOR_S", 0.2)
    db = GoneForGood(postgres.create(), chain_audit=AuditChain(AUDIT_KEY).append)
    db.server = postgres
    with pytest.raises(CommitInDoubt):
        db.submit(add_system, "in doubt").result(20)
    db.close()


@pytest.mark.postgresql
def test_two_nodes_that_lock_crosswise_both_succeed(postgres: PostgresServer, pg: Database) -> None:
    """A deadlock is one node's batch run again, not an error of its callers."""
    pg.write(lambda tx: add_system(tx, ["x", "y"]))
    other = Database(pg.url.render_as_string(hide_password=False), chain_audit=AuditChain(AUDIT_KEY).append)
    meet = threading.Barrier(2, timeout=2)

    def lock(order: tuple[str, str]) -> Any:
        def act(tx: Tx) -> None:
            s = t.systems
            tx.conn.execute(sa.update(s).where(s.c.id == order[0]).values(name=order[0] + order[1]))
            with suppress(threading.BrokenBarrierError):  # the second time we are alone
                meet.wait()
            tx.conn.execute(sa.update(s).where(s.c.id == order[1]).values(name=order[0] + order[1]))

        return act

    threads = [
        threading.Thread(target=pg.write, args=(lock(("x", "y")),)),
        threading.Thread(target=other.write, args=(lock(("y", "x")),)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with pg.read() as conn:
        names = set(conn.execute(sa.select(t.systems.c.name)).scalars())
    assert len(names) == 1
    assert names <= {"xy", "yx"}
    other.close()


@pytest.mark.postgresql
def test_two_nodes_append_to_one_gapless_chain(pg: Database) -> None:
    other = Database(pg.url.render_as_string(hide_password=False), chain_audit=AuditChain(AUDIT_KEY).append)
    futures = [db.submit(add_system, f"{name}{n}") for n in range(100) for name, db in (("a", pg), ("b", other))]
    wait(futures, 30)
    with pg.read() as conn:
        assert list(conn.execute(sa.select(t.audit.c.seq).order_by(t.audit.c.seq)).scalars()) == list(range(1, 201))
    other.close()


@pytest.mark.postgresql
def test_several_hosts_in_the_url(postgres: PostgresServer) -> None:
    """The first host is dead: the primary is found behind it."""
    made = sa.make_url(postgres.create())
    query = {"host": [f"127.0.0.1:{free_port()}", f"127.0.0.1:{postgres.port}"], "target_session_attrs": "read-write"}
    url = sa.URL.create("postgresql+psycopg", username="hub", database=made.database, query=query)  # type: ignore[arg-type]
    db = Database(url.render_as_string(hide_password=False), chain_audit=AuditChain(AUDIT_KEY).append)
    assert db.submit(add_system, "found").result(20) == "found"
    assert systems(db) == {"found"}
    db.close()


@pytest.mark.postgresql
def test_notify_reaches_another_node(pg: Database) -> None:
    other = Database(pg.url.render_as_string(hide_password=False))
    heard = threading.Semaphore(0)
    other.on_due(heard.release)
    assert heard.acquire(timeout=10)  # once it listens

    def act(tx: Tx) -> None:
        tx.wake_workers = True

    pg.write(act)
    assert heard.acquire(timeout=10)
    other.close()


def test_a_log_that_cannot_be_written_does_not_end_the_writer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def error(self, *_: object, **__: object) -> None:
            raise ValueError("I/O operation on closed file")

    def hints(tx: Tx) -> str:
        tx.after_commit.append(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        return "written"

    monkeypatch.setattr("hub.db.log", Closed())
    assert database.write(hints) == "written"  # as it is: it was committed before the hint
    assert database.write(lambda tx: "still here") == "still here"


def test_what_is_committed_is_written_once_though_the_log_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def warning(self, *_: object, **__: object) -> None:
            raise ValueError("I/O operation on closed file")

        error = warning

    go = hold_writer(database)
    both = [database.submit(add_system, name) for name in ("one", "two")]  # in one commit
    database.not_writable = "SQLITE_FULL"  # until then
    monkeypatch.setattr("hub.db.log", Closed())
    go.set()
    assert [future.result(20) for future in both] == ["one", "two"]
    assert database.not_writable is None
    assert systems(database) == {"one", "two"}
    assert audited(database) == ["one", "two"]
