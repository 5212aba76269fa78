"""The SQL of collecting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.ecerts.collect.model import BatchState, RowState

b, r, c = t.collect_batches, t.collect_rows, t.collected
Values = dict[str, object]
_UNFINISHED = (RowState.WAITING.value, RowState.SENDING.value, RowState.SUSPENDED.value)


@dataclass(frozen=True, slots=True)
class BatchRow:
    id: str
    system_id: str
    message_id: str
    digest: str
    region: str
    endpoint_id: str
    form: str
    node: str
    state: str
    reason: str | None
    rows_read: int
    next_row: int
    received_at: datetime
    checked_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class RowRow:
    batch_id: str
    row: int
    state: str
    endpoint_id: str
    identifier_index: str | None
    code: str | None
    faults: str | None
    record_sealed: bytes


@dataclass(frozen=True, slots=True)
class CollectedRow:
    identifier_index: str
    type_code: str
    bucket: str
    digest: str
    standing: str
    batch_id: str
    row: int
    identifier_sealed: bytes


_BATCH = [b.c[field.name] for field in fields(BatchRow)]
_ROW = [r.c[field.name] for field in fields(RowRow)]
_COLLECTED = [c.c[field.name] for field in fields(CollectedRow)]


def batch_by_message(conn: Connection, system_id: str, message_id: str) -> BatchRow | None:
    query = sa.select(*_BATCH).where(b.c.system_id == system_id, b.c.message_id == message_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else BatchRow(**row._mapping)


def batch(conn: Connection, batch_id: str, *, lock: bool = False) -> BatchRow | None:
    query = sa.select(*_BATCH).where(b.c.id == batch_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else BatchRow(**row._mapping)


def add_batch(conn: Connection, values: Values) -> None:
    conn.execute(sa.insert(b).values(values))


def update_batch(conn: Connection, batch_id: str, values: Values) -> None:
    conn.execute(sa.update(b).where(b.c.id == batch_id).values(values))


def batches_to_check(conn: Connection, node: str) -> list[BatchRow]:
    query = sa.select(*_BATCH).where(b.c.state == sa.literal_column("'checking'"), b.c.node == node).order_by(b.c.id)
    return [BatchRow(**row._mapping) for row in conn.execute(query)]


def add_rows(conn: Connection, rows: Sequence[Values]) -> None:
    if rows:
        conn.execute(sa.insert(r), list(rows))


def known_in_batch(conn: Connection, batch_id: str, indexes: Sequence[str]) -> set[str]:
    """Which of these certificates stand in the batch already."""
    query = sa.select(r.c.identifier_index).where(r.c.batch_id == batch_id, r.c.identifier_index.in_(indexes))
    return {str(found) for found in conn.execute(query).scalars()}


def counts(conn: Connection, batch_id: str) -> Mapping[RowState, int]:
    query = sa.select(r.c.state, sa.func.count()).where(r.c.batch_id == batch_id).group_by(r.c.state)
    return {RowState(state): count for state, count in conn.execute(query)}


def reports(conn: Connection, batch_id: str, after: int, limit: int) -> list[RowRow]:
    """Rows that have faults or were refused, after a row."""
    told = sa.or_(r.c.faults.is_not(None), r.c.state == RowState.REFUSED.value)
    query = sa.select(*_ROW).where(r.c.batch_id == batch_id, r.c.row > after, told).order_by(r.c.row).limit(limit)
    return [RowRow(**row._mapping) for row in conn.execute(query)]


def rows_of(conn: Connection, batch_id: str) -> list[RowRow]:
    return [RowRow(**row._mapping) for row in conn.execute(sa.select(*_ROW).where(r.c.batch_id == batch_id))]


def endpoints_with_waiting(conn: Connection) -> list[str]:
    query = sa.select(r.c.endpoint_id).where(r.c.state == sa.literal_column("'waiting'")).distinct()
    return list(conn.execute(query).scalars())


def open_deliveries(conn: Connection, endpoint_id: str) -> int:
    d = t.deliveries.c
    query = sa.select(sa.func.count()).where(
        d.endpoint_id == endpoint_id, d.kind == "collect", d.state.in_(("queued", "attempting"))
    )
    return conn.execute(query).scalar_one()


def take_waiting(conn: Connection, endpoint_id: str, limit: int) -> list[RowRow]:
    """Waiting rows in the order in which they came, locked. One whose certificate has an earlier row under way must wait:
    a revocation never overtakes the issue."""
    e = r.alias("earlier")
    earlier = (
        sa.exists()
        .where(e.c.identifier_index == r.c.identifier_index, e.c.endpoint_id == r.c.endpoint_id)
        .where(e.c.batch_id < r.c.batch_id, e.c.state.in_(_UNFINISHED))
    )
    sending = (
        sa.exists()
        .where(e.c.identifier_index == r.c.identifier_index, e.c.endpoint_id == r.c.endpoint_id)
        .where(e.c.state == RowState.SENDING.value)
    )
    query = (
        sa.select(*_ROW)
        .where(r.c.state == sa.literal_column("'waiting'"), r.c.endpoint_id == endpoint_id, ~earlier, ~sending)
        .order_by(r.c.batch_id, r.c.row)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [RowRow(**row._mapping) for row in conn.execute(query)]


def mark_sending(conn: Connection, rows: Sequence[RowRow], key: str) -> None:
    at = [(row.batch_id, row.row) for row in rows]
    for batch_id in sorted({one for one, _ in at}):
        numbers = [number for one, number in at if one == batch_id]
        conn.execute(
            sa.update(r)
            .where(r.c.batch_id == batch_id, r.c.row.in_(numbers), r.c.state == RowState.WAITING.value)
            .values(state=RowState.SENDING.value, delivery_key=key)
        )


def rows_of_delivery(conn: Connection, key: str) -> list[RowRow]:
    """Those still under way."""
    query = sa.select(*_ROW).where(r.c.delivery_key == key)
    query = query.where(r.c.state.in_((RowState.SENDING.value, RowState.SUSPENDED.value))).order_by(
        r.c.batch_id, r.c.row
    )
    return [RowRow(**row._mapping) for row in conn.execute(query)]


def finish_rows(conn: Connection, states: Sequence[tuple[RowRow, RowState, str | None]]) -> None:
    if not states:
        return
    statement = (
        sa.update(r)
        .where(r.c.batch_id == sa.bindparam("b_batch"), r.c.row == sa.bindparam("b_row"))
        .values(state=sa.bindparam("b_state"), code=sa.bindparam("b_code"))
    )
    values = [
        {"b_batch": row.batch_id, "b_row": row.row, "b_state": state.value, "b_code": code}
        for row, state, code in states
    ]
    conn.execute(statement, values)


def finish_batches(conn: Connection, ids: Sequence[str], now: datetime) -> list[str]:
    """Batches of these with nothing left to do; gives their ids."""
    left = sa.exists().where(r.c.batch_id == b.c.id, r.c.state.in_(_UNFINISHED))
    query = sa.select(b.c.id).where(b.c.id.in_(ids), b.c.state == BatchState.DELIVERING.value, ~left)
    done = list(conn.execute(query).scalars())
    if done:
        conn.execute(sa.update(b).where(b.c.id.in_(done)).values(state=BatchState.DONE.value, finished_at=now))
    return done


# --- what the library must hold ---------------------------------------------------------------------------------------------


def put_collected(conn: Connection, rows: Sequence[Values]) -> None:
    if not rows:
        return
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(c)
    changed = {column.name: insert.excluded[column.name] for column in c.c if not column.primary_key}
    conn.execute(
        insert.on_conflict_do_update(index_elements=["endpoint_id", "identifier_index"], set_=changed), list(rows)
    )


def collected_of(conn: Connection, endpoint_id: str, type_code: str) -> Iterator[CollectedRow]:
    """In the order of their buckets, streamed."""
    query = sa.select(*_COLLECTED).where(c.c.endpoint_id == endpoint_id, c.c.type_code == type_code)
    for row in conn.execution_options(yield_per=1000).execute(query.order_by(c.c.bucket)):
        yield CollectedRow(**row._mapping)


def under_way(conn: Connection, endpoint_id: str, indexes: Sequence[str]) -> set[str]:
    """Certificates with a row that has not ended: the two sides may differ for a moment."""
    query = sa.select(r.c.identifier_index).where(
        r.c.endpoint_id == endpoint_id, r.c.identifier_index.in_(indexes), r.c.state.in_(_UNFINISHED)
    )
    return {str(found) for found in conn.execute(query).scalars()}


def send_again(conn: Connection, rows: Sequence[CollectedRow]) -> list[str]:
    """Delivered rows wait once more; gives the batches concerned."""
    for row in rows:
        conn.execute(
            sa.update(r)
            .where(r.c.batch_id == row.batch_id, r.c.row == row.row, r.c.state == RowState.DELIVERED.value)
            .values(state=RowState.WAITING.value)
        )
    ids = sorted({row.batch_id for row in rows})
    conn.execute(sa.update(b).where(b.c.id.in_(ids)).values(state=BatchState.DELIVERING.value, finished_at=None))
    return ids


def library_endpoints(conn: Connection) -> list[str]:
    """Endpoints to which something was collected."""
    return list(conn.execute(sa.select(c.c.endpoint_id).distinct().order_by(c.c.endpoint_id)).scalars())
