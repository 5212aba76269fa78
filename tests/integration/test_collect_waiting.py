"""Taking waiting rows costs the same whatever the planner knows: on tables that were never analyzed, behind files and rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.db import Database, Tx
from hub.ecerts.collect import store
from tests.delivering import add_endpoints

AT = datetime(2026, 9, 1, tzinfo=UTC)
MANY = 20_000


def add_batch(tx: Tx, id_: str, minute: int, system: str = "sys", state: str = "delivering") -> None:
    values = {"id": id_, "system_id": system, "message_id": id_, "digest": "d", "region": "370102", "endpoint_id": "ep0",
              "form": "csv", "node": "n", "state": state, "rows_read": 0, "next_row": 0, "percent": 0,
              "received_at": AT + timedelta(minutes=minute)}  # fmt: skip
    tx.conn.execute(sa.insert(t.collect_batches).values(values))


def add_rows(
    tx: Tx, batch: str, minute: int, count: int, *, state: str = "waiting", system: str = "sys", first: int = 0
) -> None:
    rows = [{"batch_id": batch, "row": number, "state": state, "endpoint_id": "ep0", "system_id": system,
             "came_at": AT + timedelta(minutes=minute), "identifier_index": f"i{first + number}", "record_sealed": b"x" * 600}
            for number in range(1, count + 1)]  # fmt: skip
    store.add_rows(tx.conn, rows)


@pytest.fixture
def db(database: Database) -> Iterator[Database]:
    """Nothing of it is ever analyzed."""
    if not database.is_sqlite:
        for name in ("collect_rows", "collect_batches"):
            database.write(
                lambda tx, name=name: tx.conn.exec_driver_sql(f"ALTER TABLE {name} SET (autovacuum_enabled = false)")  # type: ignore[misc]
            )
    add_endpoints(database)
    database.write(
        lambda tx: tx.conn.execute(
            sa.insert(t.systems), [{"id": one, "name": one, "enabled": True, "created_at": AT} for one in ("b", "zz")]
        )
    )
    return database


def take(db: Database, seconds: float) -> list[tuple[str, int]]:
    began = time.monotonic()
    found = db.write(lambda tx: store.take_waiting(tx.conn, "ep0", 100))
    assert time.monotonic() - began < seconds
    return [(row.batch_id, row.row) for row in found]


def test_rows_behind_a_file_that_is_being_checked_cost_nothing(db: Database) -> None:
    def fill(tx: Tx) -> None:
        add_batch(tx, "before", 0)
        add_batch(tx, "reading", 1, state="checking")
        add_batch(tx, "behind", 2)
        add_batch(tx, "other", 3, "b")
        add_rows(tx, "before", 0, 3)
        add_rows(tx, "reading", 1, 2, first=50)  # its own rows go on as they are read
        add_rows(tx, "behind", 2, MANY, first=1000)
        add_rows(tx, "other", 3, 2, system="b", first=10**6)

    db.write(fill)
    expected = [("before", 1), ("before", 2), ("before", 3), ("reading", 1), ("reading", 2), ("other", 1), ("other", 2)]
    assert take(db, 1.0) == expected


def test_rows_behind_rows_of_their_certificate_that_have_not_ended(db: Database) -> None:
    def fill(tx: Tx) -> None:
        add_batch(tx, "first", 0)
        add_batch(tx, "second", 1)
        add_batch(tx, "third", 2, "zz")
        add_rows(tx, "first", 0, MANY, state="suspended")
        add_rows(tx, "second", 1, MANY)
        add_rows(tx, "third", 2, 5, system="zz", first=MANY - 2)  # two are behind, three are not

    db.write(fill)
    assert take(db, 3.0) == [("third", 3), ("third", 4), ("third", 5)]


def test_the_oldest_of_all_systems_come_first(db: Database) -> None:
    def fill(tx: Tx) -> None:
        for minute, (batch, system) in enumerate([("x", "zz"), ("y", "b"), ("z", "sys")]):
            add_batch(tx, batch, minute, system)
            add_rows(tx, batch, minute, 60, system=system, first=minute * 1000)

    db.write(fill)
    assert take(db, 1.0) == [("x", n) for n in range(1, 61)] + [("y", n) for n in range(1, 41)]
