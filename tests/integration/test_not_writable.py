"""A full disk, a file that may not grow, a read-only one: told at once, nothing half written, and well again by itself."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import RootTransaction
from starlette.testclient import TestClient

from hub import tables as t
from hub.app import Hub
from hub.audit.chain import AuditChain
from hub.config import Settings
from hub.db import AuditEntry, Database, DatabaseBusy, DatabaseNotWritable, Tx
from tests.conftest import AUDIT_KEY
from tests.databases import PostgresServer

AT_ONCE_S = 5.0  # far below the 30 s for which a lost connection is waited for


def add_system(db: Database, id_: str, *, size: int = 1) -> None:
    def act(tx: Tx) -> None:
        name = "n" * size
        tx.conn.execute(sa.insert(t.systems).values(id=id_, name=name, enabled=True, created_at=tx.now))
        tx.audit.append(AuditEntry("test", "system.add", id_, "added"))

    db.write(act)


def told(db: Database) -> tuple[set[str], list[str]]:
    """The systems that are there, and those whose audit rows are."""
    with db.read() as conn:
        known = set(conn.execute(sa.select(t.systems.c.id)).scalars())
        return known, list(conn.execute(sa.select(t.audit.c.object).order_by(t.audit.c.seq)).scalars())


def refused_at_once(db: Database, id_: str, *, size: int = 1) -> str:
    began = time.monotonic()
    with pytest.raises(DatabaseNotWritable) as caught:
        add_system(db, id_, size=size)
    assert time.monotonic() - began < AT_ONCE_S
    return str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MiB, where the machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is free, to the last byte."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return ballast
    raise AssertionError


def until_full(db: Database) -> list[str]:
    """What was acknowledged before the first that was not: the write-ahead log has room for some."""
    done: list[str] = []
    for number in range(20):
        try:
            add_system(db, f"s{number}", size=20_000)
        except DatabaseBusy:
            return done
        done.append(f"s{number}")
    raise AssertionError


def test_a_full_disk(small_disk: Path, sqlite_file: Path) -> None:
    path = small_disk / "hub.sqlite"
    shutil.copy(sqlite_file, path)
    db = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    add_system(db, "before")
    ballast = fill(small_disk)
    acknowledged = {"before", *until_full(db)}
    assert "SQLITE_FULL" in refused_at_once(db, "refused", size=20_000)
    assert db.not_writable == "SQLITE_FULL"
    known, audited = told(db)  # reading goes on
    assert known == set(audited) == acknowledged
    ballast.unlink()
    assert db.check_writable()
    assert db.not_writable is None
    add_system(db, "refused")  # the same again, as callers are told to
    db.close()
    again = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    known, audited = told(again)
    assert known == set(audited) == acknowledged | {"refused"}
    again.close()


def test_a_log_that_may_not_grow_fails_at_the_commit(sqlite_file: Path, tmp_path: Path) -> None:
    """The kernel refuses the write itself, whoever we are: SQLite calls that an I/O error."""
    path = tmp_path / "hub.sqlite"
    shutil.copy(sqlite_file, path)
    db = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    add_system(db, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size + 100, hard))
    try:
        assert "SQLITE_IOERR" in refused_at_once(db, "refused")
        assert not db.check_writable()
        assert told(db) == ({"before"}, ["before"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert db.check_writable()
    add_system(db, "after")
    db.close()
    again = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    assert told(again) == ({"before", "after"}, ["before", "after"])
    again.close()


def limit_pages(db: Database, *, more: int | None) -> None:
    """As a disk with room for so many pages more; on the writer's own connection."""

    def act(tx: Tx) -> None:
        pages = tx.conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages + more if more is not None else 1 << 30}")

    db.write(act)


def test_full_in_the_midst_of_a_write_leaves_nothing_of_its_batch(sqlite_file: Path, tmp_path: Path) -> None:
    """SQLite then undoes the whole transaction by itself: no later function of the batch may be committed on its own."""
    path = tmp_path / "hub.sqlite"
    shutil.copy(sqlite_file, path)
    db = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    add_system(db, "before")
    limit_pages(db, more=2)
    assert "SQLITE_FULL" in refused_at_once(db, "refused", size=1_000_000)
    assert told(db) == ({"before"}, ["before"])
    limit_pages(db, more=None)
    add_system(db, "after")
    assert db.not_writable is None
    assert told(db) == ({"before", "after"}, ["before", "after"])
    db.close()


def test_a_read_only_file(sqlite_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    shutil.copy(sqlite_file, path)
    db = Database(f"sqlite:///{path}", chain_audit=AuditChain(AUDIT_KEY).append)
    db.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA query_only=ON"))
    assert "SQLITE_READONLY" in refused_at_once(db, "refused")
    assert not db.check_writable()
    assert told(db) == (set(), [])
    db.close()


class FullAtCommit(Database):
    """A server whose disk is full answers the commit with an error: it has undone all of it."""

    full = True

    def _commit(self, transaction: RootTransaction, mark: object) -> None:
        if self.full:
            raise sa.exc.OperationalError("COMMIT", {}, psycopg.errors.DiskFull("no space left on device"))
        super()._commit(transaction, mark)  # type: ignore[arg-type]


@pytest.mark.postgresql
def test_a_server_whose_disk_is_full(postgres: PostgresServer) -> None:
    db = FullAtCommit(postgres.create(), chain_audit=AuditChain(AUDIT_KEY).append)
    assert "DiskFull" in refused_at_once(db, "refused")
    assert not db.check_writable()
    db.full = False
    assert db.check_writable()
    assert told(db) == (set(), [])
    add_system(db, "refused")
    assert told(db) == ({"refused"}, ["refused"])
    db.close()


def test_not_ready_until_a_write_succeeds_again(state_dir: Path, small_disk: Path) -> None:
    state = Path(shutil.copytree(state_dir, small_disk / "state"))
    hub = Hub(Settings(state_dir=state))
    client = TestClient(hub.app)
    assert client.get("/health/ready").status_code == 200
    ballast = fill(small_disk)
    until_full(hub.db)
    hub.db.write(lambda tx: None)  # writes nothing, so it says nothing
    not_ready = client.get("/health/ready")
    assert (not_ready.status_code, not_ready.json()["reason"]) == (503, "database-not-writable")
    metrics = client.get("/metrics").text
    assert "hub_database_writable 0.0" in metrics
    assert "hub_database_up 1.0" in metrics
    ballast.unlink()
    assert client.get("/health/ready").json() == {"status": "ready"}
    assert "hub_database_writable 1.0" in client.get("/metrics").text
    hub.db.close()
