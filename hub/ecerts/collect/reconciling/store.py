"""The SQL of reconciling: when each library is due, what was found, and what a repair works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.ecerts.collect.ending import REPAIR
from hub.ecerts.collect.model import RowState
from hub.ecerts.collect.store import Values

c, n, d = t.collected, t.reconciliations, t.differences


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    endpoint_id: str
    identifier_index: str
    type_code: str
    kind: str
    system_id: str | None
    batch_id: str | None
    row: int | None
    digest: str | None
    standing: str | None
    identifier_sealed: bytes


@dataclass(frozen=True, slots=True)
class ReconciliationRow:
    endpoint_id: str
    due_at: datetime
    ended_at: datetime | None
    ours: int
    theirs: int
    differences: int
    error: str | None


@dataclass(frozen=True, slots=True)
class HeldRow:
    """The last delivered row of a certificate."""

    batch_id: str | None
    row: int | None
    standing: str


_DIFFERENCE = [d.c[field.name] for field in fields(DifferenceRow)]
_RECONCILIATION = [n.c[field.name] for field in fields(ReconciliationRow)]


def libraries(conn: Connection) -> list[str]:
    """Endpoints to which something was collected."""
    return list(conn.execute(sa.select(c.c.endpoint_id).distinct().order_by(c.c.endpoint_id)).scalars())


def type_codes(conn: Connection, endpoint_id: str) -> list[str]:
    query = sa.select(c.c.type_code).where(c.c.endpoint_id == endpoint_id).distinct().order_by(c.c.type_code)
    return list(conn.execute(query).scalars())


def claim(conn: Connection, endpoint_id: str, now: datetime, following: datetime) -> bool:
    """Whether this node reconciles now: it is due, and no other node was faster."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(n)
    new = {"endpoint_id": endpoint_id, "due_at": now, "ours": 0, "theirs": 0, "differences": 0}
    conn.execute(insert.values(new).on_conflict_do_nothing())
    due = (n.c.endpoint_id == endpoint_id, n.c.due_at <= now)
    return conn.execute(sa.update(n).where(*due).values(due_at=following)).rowcount == 1


def put_reconciliation(conn: Connection, values: Values) -> None:
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(n)
    conn.execute(insert.values(values).on_conflict_do_update(index_elements=["endpoint_id"], set_=values))


def reconciliations(conn: Connection) -> list[ReconciliationRow]:
    query = sa.select(*_RECONCILIATION).order_by(n.c.endpoint_id)
    return [ReconciliationRow(**row._mapping) for row in conn.execute(query)]


def replace_differences(conn: Connection, endpoint_id: str, rows: Sequence[Values]) -> None:
    conn.execute(sa.delete(d).where(d.c.endpoint_id == endpoint_id))
    if rows:
        conn.execute(sa.insert(d), list(rows))


def differences(
    conn: Connection, endpoint_id: str, after: str, limit: int, *, lock: bool = False
) -> list[DifferenceRow]:
    query = sa.select(*_DIFFERENCE).where(d.c.endpoint_id == endpoint_id, d.c.identifier_index > after)
    query = query.order_by(d.c.identifier_index).limit(limit)
    return [DifferenceRow(**row._mapping) for row in conn.execute(query.with_for_update() if lock else query)]


def handed_in(conn: Connection, endpoint_id: str, until: str) -> dict[str, tuple[str, int] | None]:
    """Of the differences up to an index whose last delivery was a repair: the batch and row that their system handed in last,
    None once that was purged."""
    b, r = t.collect_batches, t.collect_rows
    these = (d.c.endpoint_id == endpoint_id, d.c.identifier_index <= until)
    repaired = sa.select(d.c.identifier_index).join(b, (b.c.id == d.c.batch_id) & (b.c.form == REPAIR)).where(*these)
    places: dict[str, tuple[str, int] | None] = dict.fromkeys(conn.execute(repaired).scalars())
    query = (
        sa.select(r.c.identifier_index, r.c.batch_id, r.c.row)
        .join(b, (b.c.id == r.c.batch_id) & (b.c.form != REPAIR))
        .where(
            r.c.identifier_index.in_(repaired),
            r.c.endpoint_id == endpoint_id,
            r.c.state == RowState.DELIVERED.value,
        )
        .order_by(r.c.came_at, r.c.batch_id, r.c.row)
    )
    for index, batch_id, number in conn.execute(query):
        places[index] = (batch_id, number)
    return places


def sendable(conn: Connection, endpoint_id: str, until: str) -> frozenset[str]:
    """Of the differences up to an index those whose last delivered row is still there."""
    r = t.collect_rows
    held = (c.c.endpoint_id == d.c.endpoint_id) & (c.c.identifier_index == d.c.identifier_index)
    query = (
        sa.select(d.c.identifier_index)
        .join(c, held)
        .join(r, (r.c.batch_id == c.c.batch_id) & (r.c.row == c.c.row))
        .where(d.c.endpoint_id == endpoint_id, d.c.identifier_index <= until)
    )
    return frozenset(conn.execute(query).scalars())


def open_differences(conn: Connection) -> dict[str, int]:
    """By endpoint, how many are not repaired."""
    query = sa.select(d.c.endpoint_id, sa.func.count().label("n")).group_by(d.c.endpoint_id)
    return {row.endpoint_id: row.n for row in conn.execute(query)}


def drop_difference(conn: Connection, row: DifferenceRow) -> None:
    same = (d.c.endpoint_id == row.endpoint_id, d.c.identifier_index == row.identifier_index)
    conn.execute(sa.delete(d).where(*same))


def held(conn: Connection, endpoint_id: str, identifier_index: str) -> HeldRow | None:
    query = sa.select(c.c.batch_id, c.c.row, c.c.standing)
    row = conn.execute(
        query.where(c.c.endpoint_id == endpoint_id, c.c.identifier_index == identifier_index)
    ).one_or_none()
    return None if row is None else HeldRow(**row._mapping)
