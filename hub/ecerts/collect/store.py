"""The SQL of collecting: batches, their files and rows, and what the library must hold. Reconciling has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.ecerts.collect.model import BatchState, RowState

b, r, c, f = t.collect_batches, t.collect_rows, t.collected, t.collect_files
Values = dict[str, object]
UNFINISHED = tuple(one.value for one in (RowState.PENDING, RowState.WAITING, RowState.SENDING, RowState.SUSPENDED))
_ENDED = tuple(one.value for one in RowState if one.value not in UNFINISHED)
_CHECKING = b.c.state == sa.literal_column(
    "'checking'"
)  # literals, so that both databases see that a partial index fits
_WAITING = r.c.state == sa.literal_column("'waiting'")


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
    lease_token: str | None
    takeovers: int
    state: str
    reason: str | None
    rows_read: int
    next_row: int
    percent: int
    faults_sealed: bytes | None
    received_at: datetime
    checked_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class RowRow:
    batch_id: str
    row: int
    state: str
    endpoint_id: str
    system_id: str
    came_at: datetime
    due_at: datetime | None
    identifier_index: str | None
    code: str | None
    faults: str | None
    record_sealed: bytes


@dataclass(frozen=True, slots=True)
class StandingRow:
    """How a row stands, without what it holds: a page of rows reads no documents."""

    row: int
    state: str
    code: str | None
    faults: str | None
    identifier_sealed: bytes | None
    assigned: bool


@dataclass(frozen=True, slots=True)
class CollectedRow:
    identifier_index: str
    type_code: str
    bucket: str
    digest: str
    standing: str
    system_id: str | None
    batch_id: str | None
    row: int | None
    identifier_sealed: bytes


_BATCH = [b.c[field.name] for field in fields(BatchRow)]
_ROW = [r.c[field.name] for field in fields(RowRow)]
_STANDING = [r.c[field.name] for field in fields(StandingRow)]
_COLLECTED = [c.c[field.name] for field in fields(CollectedRow)]


def batch_by_message(conn: Connection, system_id: str, message_id: str) -> BatchRow | None:
    query = sa.select(*_BATCH).where(b.c.system_id == system_id, b.c.message_id == message_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else BatchRow(**row._mapping)


def batch(conn: Connection, batch_id: str, *, lock: bool = False) -> BatchRow | None:
    query = sa.select(*_BATCH).where(b.c.id == batch_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else BatchRow(**row._mapping)


def add_batch(conn: Connection, values: Values) -> bool:
    """False if another node has taken the same message meanwhile: it is there to be read then."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(b).values(values)
    added = insert.on_conflict_do_nothing(index_elements=["system_id", "message_id"]).returning(b.c.id)
    return conn.execute(added).first() is not None


def update_batch(conn: Connection, batch_id: str, values: Values) -> None:
    conn.execute(sa.update(b).where(b.c.id == batch_id).values(values))


# --- files ------------------------------------------------------------------------------------------------------------------


def add_part(conn: Connection, batch_id: str, number: int, sealed: bytes, now: datetime) -> None:
    """Bears being run twice."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(f)
    values = {"batch_id": batch_id, "part": number, "at": now, "part_sealed": sealed}
    conn.execute(insert.values(values).on_conflict_do_nothing())


def part(conn: Connection, batch_id: str, number: int) -> bytes | None:
    query = sa.select(f.c.part_sealed).where(f.c.batch_id == batch_id, f.c.part == number)
    return conn.execute(query).scalar_one_or_none()


def drop_parts(conn: Connection, limit: int, *, of: str | None, before: datetime) -> int:
    """Parts ``of`` a batch, or of any that came ``before``, where the batch is checked or was never taken; gives how many. Few at
    a time: each is large."""
    needed = sa.exists().where(b.c.id == f.c.batch_id, _CHECKING)
    which = f.c.batch_id == of if of is not None else f.c.at < before
    query = sa.select(f.c.batch_id, f.c.part).where(which, ~needed).limit(limit)
    found = conn.execute(query).all()
    for row in found:
        conn.execute(sa.delete(f).where(f.c.batch_id == row.batch_id, f.c.part == row.part))
    return len(found)


def claim_batch(conn: Connection, node: str, token: str, now: datetime, until: datetime) -> BatchRow | None:
    """The oldest batch whose file nobody is checking, leased; as it was before."""
    free = sa.or_(b.c.lease_until.is_(None), b.c.lease_until <= now)
    query = sa.select(*_BATCH).where(_CHECKING, free).order_by(b.c.received_at, b.c.id).limit(1)
    row = conn.execute(query.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    ran_out = sa.case((b.c.lease_until.is_(None), b.c.takeovers), else_=b.c.takeovers + 1)  # not given back: it ran out
    values = {"node": node[:64], "lease_token": token, "lease_until": until, "takeovers": ran_out}
    conn.execute(sa.update(b).where(b.c.id == row.id).values(values))
    return BatchRow(**row._mapping)


def extend_lease(conn: Connection, batch_id: str, token: str, until: datetime | None) -> bool:
    """Whether it still held. None gives it back."""
    held = (b.c.id == batch_id, b.c.lease_token == token, _CHECKING)
    return conn.execute(sa.update(b).where(*held).values(lease_until=until)).rowcount == 1


# --- rows -------------------------------------------------------------------------------------------------------------------


def add_rows(conn: Connection, rows: Sequence[Values]) -> None:
    if rows:
        conn.execute(sa.insert(r), list(rows))


def known_in_batch(conn: Connection, batch_id: str, indexes: Sequence[str]) -> dict[str, int]:
    """Which of these certificates stand in the batch already, and in which row."""
    query = sa.select(r.c.identifier_index, r.c.row).where(r.c.batch_id == batch_id, r.c.identifier_index.in_(indexes))
    return {str(row.identifier_index): row.row for row in conn.execute(query.order_by(r.c.row.desc()))}


def counts(conn: Connection, batch_id: str) -> Mapping[RowState, int]:
    query = sa.select(r.c.state, sa.func.count()).where(r.c.batch_id == batch_id).group_by(r.c.state)
    return {RowState(state): count for state, count in conn.execute(query)}


def standings(conn: Connection, batch_id: str, after: int, limit: int, *, told: bool = False) -> list[StandingRow]:
    """Rows of a batch after a row; with ``told`` only those that have faults or were refused."""
    query = sa.select(*_STANDING).where(r.c.batch_id == batch_id, r.c.row > after).order_by(r.c.row).limit(limit)
    if told:
        query = query.where(sa.or_(r.c.faults.is_not(None), r.c.state == RowState.REFUSED.value))
    return [StandingRow(**row._mapping) for row in conn.execute(query)]


def row(conn: Connection, batch_id: str, number: int) -> RowRow | None:
    found = conn.execute(sa.select(*_ROW).where(r.c.batch_id == batch_id, r.c.row == number)).one_or_none()
    return None if found is None else RowRow(**found._mapping)


def endpoints_with_waiting(conn: Connection) -> list[str]:
    query = sa.select(r.c.endpoint_id).where(_WAITING).distinct()
    return list(conn.execute(query).scalars())


def open_deliveries(conn: Connection, endpoint_id: str) -> int:
    d = t.deliveries.c
    query = sa.select(sa.func.count()).where(
        d.endpoint_id == endpoint_id, d.kind == "collect", d.state.in_(("queued", "attempting"))
    )
    return conn.execute(query).scalar_one()


def take_waiting(conn: Connection, endpoint_id: str, limit: int) -> list[RowRow]:
    """Waiting rows in the order in which they came, locked. One whose certificate has an earlier row that has not ended must
    wait, and so must all that a system handed in after a file that is still being checked: a change or a revocation never
    overtakes the issue, whichever nodes took them.

    First candidates of each system, from the index and no further than its oldest unread file, so that rows behind that cost
    nothing; the statement that locks them judges once more, all by one state of the database.
    """
    first_unread = (
        sa.select(b.c.system_id, sa.func.min(b.c.received_at).label("at")).where(_CHECKING).group_by(b.c.system_id)
    )
    until = {str(row.system_id): row.at for row in conn.execute(first_unread)}
    found = [key for one in _systems_waiting(conn, endpoint_id)
             for key in _candidates(conn, endpoint_id, one, until.get(one), limit)]  # fmt: skip
    chosen: dict[str, list[int]] = {}
    for _, batch_id, number in sorted(found)[:limit]:
        chosen.setdefault(batch_id, []).append(number)
    if not chosen:
        return []
    keys = sa.or_(*(sa.and_(r.c.batch_id == one, r.c.row.in_(numbers)) for one, numbers in chosen.items()))
    unread = sa.select(b.c.id).where(_CHECKING, b.c.system_id == r.c.system_id, b.c.received_at < r.c.came_at)
    query = (
        sa.select(*_ROW)
        .where(keys, _WAITING, _no_earlier(), unread.correlate(r).limit(1).scalar_subquery().is_(None))
        .order_by(r.c.came_at, r.c.batch_id, r.c.row)
        .with_for_update(skip_locked=True)
    )
    return [RowRow(**row._mapping) for row in conn.execute(query)]


def _systems_waiting(conn: Connection, endpoint_id: str) -> Iterator[str]:
    """From one to the next by the index, however many rows each has."""
    last = ""
    while True:
        query = sa.select(r.c.system_id).where(_WAITING, r.c.endpoint_id == endpoint_id, r.c.system_id > last)
        following = conn.execute(query.order_by(r.c.system_id).limit(1)).scalar_one_or_none()
        if following is None:
            return
        last = following
        yield last


def _candidates(
    conn: Connection, endpoint_id: str, system_id: str, until: datetime | None, limit: int
) -> list[tuple[datetime, str, int]]:
    """The oldest waiting rows of a system that may go: (came_at, batch, row)."""
    query = sa.select(r.c.came_at, r.c.batch_id, r.c.row).where(
        _WAITING, r.c.endpoint_id == endpoint_id, r.c.system_id == system_id, _no_earlier()
    )
    if until is not None:
        query = query.where(r.c.came_at <= until)
    rows = conn.execute(query.order_by(r.c.came_at, r.c.batch_id, r.c.row).limit(limit))
    return [(row.came_at, row.batch_id, row.row) for row in rows]


def _no_earlier() -> sa.ColumnElement[bool]:
    """No earlier row of the certificate has not ended. Not written as EXISTS: without statistics PostgreSQL joins that with all
    waiting rows; this is looked up in the index, row by row. Nor as states that are unfinished, which it would look up too."""
    e = r.alias("earlier")
    came_before = sa.tuple_(e.c.came_at, e.c.batch_id, e.c.row) < sa.tuple_(r.c.came_at, r.c.batch_id, r.c.row)
    same = (e.c.identifier_index == r.c.identifier_index, e.c.endpoint_id == r.c.endpoint_id)
    earlier = sa.select(e.c.batch_id).where(*same, came_before, e.c.state.not_in(_ENDED)).limit(1)
    return earlier.correlate(r).scalar_subquery().is_(None)


def pending_due(conn: Connection, now: datetime, limit: int) -> list[RowRow]:
    pending = r.c.state == sa.literal_column("'pending'")
    query = sa.select(*_ROW).where(pending, r.c.due_at <= now).order_by(r.c.due_at).limit(limit)
    return [RowRow(**row._mapping) for row in conn.execute(query)]


def judged_again(conn: Connection, row: RowRow, values: Values) -> bool:
    """False if another node was faster."""
    same = (r.c.batch_id == row.batch_id, r.c.row == row.row, r.c.state == row.state, r.c.due_at == row.due_at)
    return conn.execute(sa.update(r).where(*same).values(values)).rowcount == 1


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


def finish_batches(conn: Connection, ids: Sequence[str], now: datetime) -> list[BatchRow]:
    """Batches of these with nothing left to do. They are locked first: of two nodes that each end rows of one batch, the later
    sees what the earlier wrote, so that one of them finishes it."""
    query = sa.select(*_BATCH).where(b.c.id.in_(ids), b.c.state == BatchState.DELIVERING.value).order_by(b.c.id)
    found = [BatchRow(**row._mapping) for row in conn.execute(query.with_for_update())]
    unfinished = sa.select(r.c.batch_id).where(r.c.batch_id.in_([one.id for one in found]), r.c.state.in_(UNFINISHED))
    left = set(conn.execute(unfinished.distinct()).scalars())
    done = [one for one in found if one.id not in left]
    if done:
        values = {"state": BatchState.DONE.value, "finished_at": now}
        conn.execute(sa.update(b).where(b.c.id.in_([one.id for one in done])).values(values))
    return done


# --- purge ------------------------------------------------------------------------------------------------------------------


def ended_before(conn: Connection, before: datetime, limit: int) -> list[str]:
    query = sa.select(b.c.id).where(b.c.finished_at < before).order_by(b.c.finished_at).limit(limit)
    return list(conn.execute(query).scalars())


def purge_rows(conn: Connection, batch_id: str, limit: int) -> int:
    """Some rows of a batch that has ended, with the deliveries that carried them; gives how many. None are left: the batch too."""
    chosen = sa.select(r.c.row, r.c.delivery_key).where(r.c.batch_id == batch_id).order_by(r.c.row).limit(limit)
    found = conn.execute(chosen).all()
    if not found:
        conn.execute(sa.delete(b).where(b.c.id == batch_id))
        return 0
    d, a = t.deliveries, t.attempts
    keys = {row.delivery_key for row in found if row.delivery_key is not None}
    ended = sa.select(d.c.id).where(d.c.idempotency_key.in_(keys), d.c.state.in_(("delivered", "refused")))
    ids = list(conn.execute(ended).scalars())
    conn.execute(sa.delete(a).where(a.c.delivery_id.in_(ids)))
    conn.execute(sa.delete(d).where(d.c.id.in_(ids)))
    conn.execute(sa.delete(r).where(r.c.batch_id == batch_id, r.c.row <= found[-1].row))
    return len(found)


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
        r.c.endpoint_id == endpoint_id, r.c.identifier_index.in_(indexes), r.c.state.in_(UNFINISHED)
    )
    return {str(found) for found in conn.execute(query).scalars()}
