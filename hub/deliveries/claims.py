"""Claiming: which deliveries this node attempts next. SQL of one transaction; see docs/decisions/0005-claiming.md.

1. Lock endpoints that are open, have something due (or an ended lease), and have a free place. On PostgreSQL locked ones are
   skipped: another node is claiming there. SQLite has one writer, so there is nothing to lock.
2. Only now, on the newer state that the lock guarantees, count what is under way at each and take what fits: ended leases first
   (outcome unknown), then what is due, round robin over the endpoints until the free slots are used up.
3. Lease, attempt row and the audit entry of the intent are in the same commit. Nothing is sent before it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub import tables as t
from hub.db import AuditEntry, Tx
from hub.deliveries.breaker import Breaker, on_claim, room
from hub.deliveries.model import Claimed, Kind, State, Target, Word
from hub.deliveries.retry import opens_at
from hub.prepared import insert_many

d, e, a, c = t.deliveries, t.endpoints, t.attempts, t.endpoint_calls

# literals, not parameters: only so can both databases see that a partial index fits
_QUEUED = d.c.state == sa.literal_column("'queued'")
_ATTEMPTING = d.c.state == sa.literal_column("'attempting'")
_NOW = sa.bindparam("now", type_=t.UtcTime)
_EACH = sa.bindparam("each", type_=sa.Integer)

_TARGET = [e.c[name] for name in Target.__dataclass_fields__]
_DELIVERY = [
    d.c[name]
    for name in ("id", "endpoint_id", "case_id", "kind", "subject", "state", "attempts", "forgiven", "in_doubt", "expires_at",
                 "body_sealed")
]  # fmt: skip
SomeRow = Row[Any]


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """``free`` slots of ``node``. ``ids`` claims these and no others, whatever their endpoint's state (to expire them)."""

    node: str
    free: int
    lease: timedelta
    ids: tuple[str, ...] = ()
    began: float = field(
        default_factory=time.monotonic
    )  # before the transaction: the lease is never longer than it says


def claim(tx: Tx, requests: Sequence[ClaimRequest]) -> list[list[Claimed]]:
    """One batch operation of the writer."""
    return [_claim_ids(tx, request) if request.ids else _claim(tx, request) for request in requests]


def _claim(tx: Tx, request: ClaimRequest) -> list[Claimed]:
    endpoints = _open_now(tx, _lock_endpoints(tx.conn, tx.now, request.free))
    if not endpoints:
        return []
    live, calls = _live_leases(tx.conn, endpoints, tx.now), _calls(tx.conn, endpoints, tx.now)
    places = {}
    for id_, row in endpoints.items():
        size = room(Breaker(row.breaker), row.failures, row.max_concurrency)
        places[id_] = size - live.get(id_, 0) - calls.get(id_, _NO_CALLS).places(size)
    each = min(request.free, max(places.values()))
    if each <= 0:
        return []
    waiting: dict[str, list[SomeRow]] = {id_: [] for id_ in endpoints}
    parameters = {"now": tx.now, "each": each, "ids": list(endpoints)}
    for query in _WAITING[tx.conn.dialect.name]:
        for row in tx.conn.execute(query, parameters):
            if len(waiting[row.endpoint_id]) < places[row.endpoint_id]:
                waiting[row.endpoint_id].append(row)
    chosen = [row for row in chain.from_iterable(zip_longest(*waiting.values())) if row is not None][: request.free]
    probing = {row.endpoint_id for row in chosen if endpoints[row.endpoint_id].breaker == Breaker.OPEN.value}
    if probing:
        values = {"breaker": on_claim(Breaker.OPEN).value}
        tx.conn.execute(sa.update(e).where(e.c.id.in_(probing)).values(values))
    return _lease(tx, request, chosen, endpoints)


def _claim_ids(tx: Tx, request: ClaimRequest) -> list[Claimed]:
    query = sa.select(*_DELIVERY).where(d.c.id.in_(request.ids), _QUEUED).order_by(d.c.id)
    rows = tx.conn.execute(query.with_for_update(skip_locked=True)).all()
    found = tx.conn.execute(sa.select(*_ENDPOINT).where(e.c.id.in_({row.endpoint_id for row in rows})))
    return _lease(tx, request, rows, {row.id: row for row in found})


# --- 1. endpoints -------------------------------------------------------------------------------------------------------

_ENDPOINT = [*_TARGET, e.c.max_concurrency, e.c.service_hours, e.c.breaker, e.c.failures]
_PLACES = sa.case(
    (sa.and_(e.c.breaker == Breaker.CLOSED.value, e.c.failures == 0), e.c.max_concurrency), else_=sa.literal(1)
)  # breaker.room, in SQL
_LIVE = (
    sa.select(sa.func.count())
    .select_from(d)
    .where(d.c.endpoint_id == e.c.id, _ATTEMPTING, d.c.lease_until > _NOW)
    .scalar_subquery()
)
_CALLS = (
    sa.select(sa.func.coalesce(sa.func.sum(c.c.calls), 0))
    .where(c.c.endpoint_id == e.c.id, c.c.until > _NOW)
    .scalar_subquery()
)
_CANDIDATES = (
    sa.select(*_ENDPOINT)
    .where(
        e.c.paused_at.is_(None),
        e.c.open_at <= _NOW,
        sa.or_(
            sa.exists().where(d.c.endpoint_id == e.c.id, _QUEUED, d.c.due_at <= _NOW),
            sa.exists().where(d.c.endpoint_id == e.c.id, _ATTEMPTING, d.c.lease_until <= _NOW),
        ),
        _PLACES > _LIVE + _CALLS,
    )
    .order_by(sa.func.random())
    .limit(_EACH)
    .with_for_update(key_share=True, skip_locked=True)
)


def _lock_endpoints(conn: Connection, now: datetime, free: int) -> dict[str, SomeRow]:
    return {row.id: row for row in conn.execute(_CANDIDATES, {"now": now, "each": free})}


def _open_now(tx: Tx, endpoints: dict[str, SomeRow]) -> dict[str, SomeRow]:
    """Without those outside their service hours; these are not looked at again before they may be open."""
    openings = {id_: opens_at(row.service_hours, tx.now) for id_, row in endpoints.items()}
    closed = [{"b_id": id_, "b_open_at": at} for id_, at in openings.items() if at is not None]
    if closed:
        tx.conn.execute(
            sa.update(e).where(e.c.id == sa.bindparam("b_id")).values(open_at=sa.bindparam("b_open_at")), closed
        )
    return {id_: row for id_, row in endpoints.items() if openings[id_] is None}


# --- 2. deliveries ------------------------------------------------------------------------------------------------------


def _live_leases(conn: Connection, ids: Iterable[str], now: datetime) -> dict[str, int]:
    query = (
        sa.select(d.c.endpoint_id, sa.func.count().label("n"))
        .where(d.c.endpoint_id.in_(list(ids)), _ATTEMPTING, d.c.lease_until > now)
        .group_by(d.c.endpoint_id)
    )
    return {row.endpoint_id: row.n for row in conn.execute(query)}


@dataclass(frozen=True, slots=True)
class _Calls:
    """What calls that are no deliveries hold and would like to hold (see :mod:`.places`)."""

    held: int = 0
    wanted: int = 0

    def places(self, size: int) -> int:
        """So many are left to them: what they hold, and what they wait for, but for one."""
        return max(self.held, min(self.wanted, size - 1))


_NO_CALLS = _Calls()


def _calls(conn: Connection, ids: Iterable[str], now: datetime) -> dict[str, _Calls]:
    query = (
        sa.select(c.c.endpoint_id, sa.func.sum(c.c.calls).label("held"), sa.func.sum(c.c.wanted).label("wanted"))
        .where(c.c.endpoint_id.in_(list(ids)), c.c.until > now)
        .group_by(c.c.endpoint_id)
    )
    return {row.endpoint_id: _Calls(int(row.held), int(row.wanted)) for row in conn.execute(query)}


_x = d.alias("x")
_CHOICE = [_x.c[column.name] for column in _DELIVERY]
_FIRST_DUE = (
    sa.select(*_CHOICE)
    .where(_x.c.endpoint_id == e.c.id, _x.c.state == sa.literal_column("'queued'"), _x.c.due_at <= _NOW)
    .order_by(_x.c.due_at, _x.c.id)
    .limit(_EACH)
)
_FIRST_ENDED = (
    sa.select(*_CHOICE)
    .where(_x.c.endpoint_id == e.c.id, _x.c.state == sa.literal_column("'attempting'"), _x.c.lease_until <= _NOW)
    .order_by(_x.c.lease_until, _x.c.id)
    .limit(_EACH)
)
_LOCKED = e.c.id.in_(sa.bindparam("ids", expanding=True))


def _lateral(first: sa.Select[tuple[object, ...]]) -> sa.Select[tuple[object, ...]]:
    """The first of each endpoint, locked; those that are being finished or cancelled at this moment are skipped."""
    each = first.with_for_update(skip_locked=True).lateral("f")
    return sa.select(*each.c).select_from(e.join(each, sa.true())).where(_LOCKED)


def _correlated(first: sa.Select[tuple[object, ...]]) -> sa.Select[tuple[object, ...]]:
    """The same for SQLite, which has no LATERAL."""
    ids = first.with_only_columns(_x.c.id).correlate(e)
    return sa.select(*_DELIVERY).select_from(e.join(d, d.c.id.in_(ids))).where(_LOCKED).order_by(d.c.due_at, d.c.id)


# both read from their partial index, and no more than asked for, however long the backlog is
_WAITING = {
    "postgresql": (_lateral(_FIRST_ENDED), _lateral(_FIRST_DUE)),
    "sqlite": (_correlated(_FIRST_ENDED), _correlated(_FIRST_DUE)),
}

# --- 3. the lease -------------------------------------------------------------------------------------------------------

_TAKE = (
    sa.update(d)
    .where(d.c.id == sa.bindparam("b_id"))
    .values(
        state=State.ATTEMPTING.value,
        lease_until=sa.bindparam("b_until"),
        lease_token=sa.bindparam("b_token"),
        attempts=sa.bindparam("b_attempts"),
        in_doubt=sa.bindparam("b_in_doubt"),
    )
)
_LOSE = (
    sa.update(a)
    .where(a.c.delivery_id == sa.bindparam("b_id"), a.c.number == sa.bindparam("b_number"), a.c.outcome.is_(None))
    .values(outcome=Word.LEASE_LOST.value, finished_at=sa.bindparam("b_at"))
)


def _lease(tx: Tx, request: ClaimRequest, rows: Sequence[SomeRow], endpoints: dict[str, SomeRow]) -> list[Claimed]:
    if not rows:
        return []
    claimed = [_claimed(tx, request, row, endpoints[row.endpoint_id]) for row in rows]
    lost = [{"b_id": row.id, "b_number": row.attempts, "b_at": tx.now} for row in rows if _ended(row)]
    if lost:
        tx.conn.execute(_LOSE, lost)
        tx.audit.extend(
            AuditEntry(
                f"node:{request.node}",
                "delivery.take-over",
                str(one["b_id"]),
                Word.LEASE_LOST.value,
                {"attempt": str(one["b_number"])},
            )
            for one in lost
        )
    tx.conn.execute(
        _TAKE,
        [
            {
                "b_id": one.id,
                "b_until": one.lease_until,
                "b_token": one.token,
                "b_attempts": one.attempt,
                "b_in_doubt": one.in_doubt,
            }
            for one in claimed
        ],
    )
    insert_many(
        tx.conn,
        a,
        [
            {
                "delivery_id": one.id,
                "number": one.attempt,
                "endpoint_id": one.target.id,
                "node": request.node[:64],
                "started_at": tx.now,
            }
            for one in claimed
        ],
    )
    tx.audit.extend(
        AuditEntry(
            f"node:{request.node}",
            "delivery.attempt",
            one.id,
            "begun",
            {"endpoint": one.target.id, "kind": one.kind.value, "attempt": str(one.attempt)},
        )
        for one in claimed
    )
    return claimed


def _ended(row: SomeRow) -> bool:
    return bool(row.state == State.ATTEMPTING.value)


def _claimed(tx: Tx, request: ClaimRequest, row: SomeRow, endpoint: SomeRow) -> Claimed:
    attempt = row.attempts + 1
    return Claimed(
        id=row.id,
        target=Target(**{name: endpoint._mapping[name] for name in Target.__dataclass_fields__}),
        case_id=row.case_id,
        kind=Kind(row.kind),
        subject=row.subject,
        attempt=attempt,
        tries=attempt - row.forgiven,
        replayed=row.forgiven > 0 and attempt == row.forgiven + 1,
        in_doubt=row.in_doubt or _ended(row),
        expires_at=row.expires_at,
        token=secrets.token_hex(16),
        lease_until=tx.now + request.lease,
        lease_ends=request.began + request.lease.total_seconds(),
        body_sealed=row.body_sealed,
    )
