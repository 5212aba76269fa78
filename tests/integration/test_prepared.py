"""Statements run by the driver: the same rows, times, errors and transactions as by SQLAlchemy, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub import tables as t
from hub.access import registration
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.engine import is_constraint, is_transient
from hub.prepared import Prepared, in_list, insert_many, insert_new, listed, replace_many, run_text
from tests.conftest import AUDIT_KEY

NOW = datetime(2026, 9, 1, 1, 2, 3, 456789, tzinfo=UTC)
n = t.nonces
BY_DIGEST = sa.select(n.c.digest, n.c.expires_at).where(n.c.digest == sa.bindparam("digest"))


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    yield opened
    opened.close()


def nonce(digest: str, at: datetime = NOW) -> dict[str, object]:
    return {"digest": digest, "expires_at": at}


def test_times_and_truths_are_read_as_they_were_written(db: Database) -> None:
    db.write(lambda tx: registration.add_system(tx, "test", "sdjs", "师范"))
    db.write(lambda tx: insert_many(tx.conn, n, [nonce("a")]))
    with db.read() as conn:
        assert Prepared(BY_DIGEST).rows(conn, digest="a") == [("a", NOW)]
        assert Prepared(BY_DIGEST).row(conn, digest="b") is None
        (row,) = Prepared(sa.select(t.systems.c.name, t.systems.c.enabled)).rows(conn)
    assert row == ("师范", True)
    assert type(row[1]) is bool


def test_an_update_says_how_many_and_keeps_its_own_constants(db: Database) -> None:
    db.write(lambda tx: insert_many(tx.conn, n, [nonce("a"), nonce("b")]))
    later = NOW.replace(year=2027)
    to = sa.bindparam("to", type_=n.c.expires_at.type)
    update = Prepared(
        sa.update(n).where(n.c.digest == sa.bindparam("one"), n.c.expires_at == NOW).values(expires_at=to)
    )
    assert db.write(lambda tx: (update.run(tx.conn, one="a", to=later), update.run(tx.conn, one="a", to=later))) == (
        1,
        0,
    )
    db.write(lambda tx: update.run(tx.conn, one="b", to=later))
    with db.read() as conn:
        assert {row[1] for row in Prepared(sa.select(n.c.digest, n.c.expires_at)).rows(conn)} == {later}


@pytest.mark.parametrize("count", [0, 1, 5, 8, 100])
def test_many_rows_and_only_the_new_ones(db: Database, count: int) -> None:
    rows = [nonce(f"n{index:03}") for index in range(count)]
    assert db.write(lambda tx: sorted(map(str, insert_new(tx.conn, n, rows)))) == [row["digest"] for row in rows]
    again = [*rows, nonce("new")]
    assert db.write(lambda tx: insert_new(tx.conn, n, again)) == ["new"]
    asked = in_list(lambda digests: sa.select(n.c.digest).where(n.c.digest.in_(digests)))(2)
    with db.read() as conn:
        assert asked.rows(conn, **listed(["new", "absent"])) == [("new",)]


@pytest.mark.parametrize("count", [1, 3, 150])
def test_rows_that_are_there_get_what_is_named_and_the_others_come_in(db: Database, count: int) -> None:
    later = NOW.replace(year=2027)
    db.write(lambda tx: insert_many(tx.conn, n, [nonce("0"), nonce("stays")]))
    db.write(lambda tx: replace_many(tx.conn, n, [nonce(str(index), later) for index in range(count)]))
    db.write(lambda tx: replace_many(tx.conn, n, []))
    with db.read() as conn:
        found = dict(Prepared(sa.select(n.c.digest, n.c.expires_at)).rows(conn))
    assert found == {"stays": NOW} | {str(index): later for index in range(count)}


def test_a_column_that_is_not_there_is_a_fault_of_ours(db: Database) -> None:
    with pytest.raises(ValueError, match="nonces has no expires"):
        db.write(lambda tx: insert_many(tx.conn, n, [{"digest": "a", "expires": NOW}]))


def test_the_drivers_errors_are_sqlalchemys(db: Database) -> None:
    db.write(lambda tx: insert_many(tx.conn, n, [nonce("a")]))
    with pytest.raises(IntegrityError) as doubled:
        db.write(lambda tx: insert_many(tx.conn, n, [nonce("a")]))
    assert is_constraint(doubled.value)
    assert not is_transient(doubled.value)
    with pytest.raises(DBAPIError) as wrong:
        db.write(lambda tx: run_text(tx.conn, "SELECT nothing FROM nowhere"))
    assert "nowhere" not in str(wrong.value.params)


def test_what_is_rolled_back_is_not_there(db: Database) -> None:
    with db.read() as conn:  # a reader's transaction is begun by the first statement, and rolled back
        insert_many(conn, n, [nonce("a")])
        assert Prepared(BY_DIGEST).row(conn, digest="a") is not None
    with db.read() as conn:
        assert Prepared(BY_DIGEST).row(conn, digest="a") is None
