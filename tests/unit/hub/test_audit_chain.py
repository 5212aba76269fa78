"""Whatever is done to the log behind the hub's back is found, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.audit.chain import AuditChain, FaultKind, read_anchors, verify_chain, write_anchor
from hub.db import AuditEntry, Database, Tx, utc_now

KEY = b"k" * 32


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'hub.sqlite'}", chain_audit=AuditChain(KEY).append)
    t.metadata.create_all(database.engine)  # without the migration's triggers: here they would stop the attacker
    for number in range(9):

        def act(tx: Tx, number: int = number) -> None:
            tx.audit.extend(AuditEntry("system:a", "test.act", f"obj_{number}", "ok", {"n": str(n)}) for n in range(3))

        database.write(act)
    yield database
    database.close()


def tamper(db: Database, *statements: sa.Executable) -> None:
    with db.engine.begin() as conn:
        for statement in statements:
            conn.execute(statement)


def faults(db: Database, anchors: Path | None = None) -> list[tuple[FaultKind, int]]:
    with db.read() as conn:
        report = verify_chain(conn, KEY, read_anchors(anchors) if anchors else ())
    return [(fault.kind, fault.seq) for fault in report.faults]


a = t.audit


def test_an_untouched_log_is_whole(db: Database) -> None:
    with db.read() as conn:
        report = verify_chain(conn, KEY)
    assert (report.rows, report.faults, report.head.seq) == (27, (), 27)


@pytest.mark.parametrize("column", ["actor", "action", "object", "outcome", "detail", "at"])
def test_an_altered_column_is_found(db: Database, column: str) -> None:
    value: object = utc_now() if column == "at" else "forged"
    tamper(db, sa.update(a).where(a.c.seq == 5).values({column: value}))
    assert faults(db) == [(FaultKind.ALTERED, 5)]


@pytest.mark.parametrize("column", ["mac", "row_mac"])
def test_an_altered_mac_is_found(db: Database, column: str) -> None:
    tamper(db, sa.update(a).where(a.c.seq == 5).values({column: "0" * 64}))
    assert {seq for _, seq in faults(db)} == {5}


def test_a_row_altered_behind_a_removed_one_is_found(db: Database) -> None:
    tamper(db, sa.delete(a).where(a.c.seq == 7), sa.update(a).where(a.c.seq == 8).values(actor="forged"))
    assert faults(db) == [(FaultKind.ALTERED, 8), (FaultKind.MISSING, 7)]


def test_a_removed_row_is_found(db: Database) -> None:
    tamper(db, sa.delete(a).where(a.c.seq == 7))
    assert faults(db) == [(FaultKind.MISSING, 7)]


def test_swapped_rows_are_found(db: Database) -> None:
    tamper(
        db,
        sa.update(a).where(a.c.seq == 3).values(seq=1000),
        sa.update(a).where(a.c.seq == 4).values(seq=3),
        sa.update(a).where(a.c.seq == 1000).values(seq=4),
    )
    assert faults(db) == [(FaultKind.MOVED, 3)]


def test_an_inserted_row_is_found(db: Database) -> None:
    now = utc_now()
    row = {"actor": "x", "action": "x", "object": "x", "outcome": "x", "detail": "{}", "at": now, "row_mac": "0" * 64}
    tamper(db, sa.insert(a).values(seq=28, mac="0" * 64, **row))
    assert faults(db) == [(FaultKind.ALTERED, 28), (FaultKind.MOVED, 28), (FaultKind.HEAD, 27)]


def test_a_tail_that_was_cut_off_is_found_by_the_head(db: Database) -> None:
    tamper(db, sa.delete(a).where(a.c.seq > 20))
    assert faults(db) == [(FaultKind.CUT_OFF, 21)]


def test_a_tail_cut_off_with_its_head_is_found_by_an_anchor(db: Database, tmp_path: Path) -> None:
    anchors = tmp_path / "audit-anchors.log"
    with db.read() as conn:
        assert write_anchor(conn, anchors) is not None
        assert write_anchor(conn, anchors) is None  # nothing new
        mac = conn.execute(sa.select(a.c.mac).where(a.c.seq == 20)).scalar_one()
    tamper(db, sa.delete(a).where(a.c.seq > 20), sa.update(t.audit_head).values(seq=20, mac=mac))
    assert faults(db) == []
    assert faults(db, anchors) == [(FaultKind.CUT_OFF, 21)]


def test_a_log_written_anew_under_another_key_is_found(db: Database, tmp_path: Path) -> None:
    forger = AuditChain(b"f" * 32)
    tamper(db, sa.delete(a), sa.delete(t.audit_head))
    with db.engine.begin() as conn:
        forger.append(conn, utc_now(), [AuditEntry("x", "x", "x", "x")] * 27)
    assert faults(db)[0] == (FaultKind.ALTERED, 1)


@pytest.mark.parametrize("make", [lambda _: "", lambda line: line[:30], lambda line: "garbage \x00 line"])
def test_an_anchor_line_that_was_cut_short_is_left_out(tmp_path: Path, make: Callable[[str], str]) -> None:
    path = tmp_path / "anchors"
    good = f"2026-01-01T00:00:00+00:00 3 {'a' * 64}"
    path.write_text(f"{good}\n{make(good)}", encoding="utf-8")
    assert [anchor.seq for anchor in read_anchors(path)] == [3]
