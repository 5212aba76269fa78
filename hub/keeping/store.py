"""The SQL of what is dropped in time: each function does at most ``limit`` and gives how many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.ids import first_id

ENDED = ("delivered", "refused")


def empty_bodies(conn: Connection, before: datetime, limit: int) -> int:
    """What ended deliveries carried, but for those of cases that are open: a party may still be asked about its step, or be sent
    it again. An index has just those that still carry something."""
    d = t.deliveries
    carried = sa.text("length(body_sealed) > 0 AND finished_at IS NOT NULL")
    ended = (d.c.finished_at < before, d.c.state.in_(ENDED), ~_of_open_case(d.c.case_id))
    old = sa.select(d.c.id).where(carried, *ended).limit(limit)
    return conn.execute(sa.update(d).where(d.c.id.in_(old)).values(body_sealed=b"")).rowcount


def drop_attempts(conn: Connection, before: datetime, limit: int) -> int:
    """Of deliveries that were made before and have ended."""
    a, d = t.attempts, t.deliveries
    old = (
        sa.select(a.c.delivery_id)
        .join(d, d.c.id == a.c.delivery_id)
        .where(a.c.delivery_id < first_id("dlv", before), d.c.state.in_(ENDED))
        .distinct()
        .order_by(a.c.delivery_id)
        .limit(limit)
    )
    ids = list(conn.execute(old).scalars())
    conn.execute(sa.delete(a).where(a.c.delivery_id.in_(ids)))
    return len(ids)


def drop_events(conn: Connection, before: datetime, limit: int) -> int:
    """But for those of cases that are open."""
    e = t.events
    old = sa.select(e.c.id).where(e.c.id < first_id("evt", before), ~_of_open_case(e.c.case_id))
    old = old.order_by(e.c.id).limit(limit)
    return conn.execute(sa.delete(e).where(e.c.id.in_(old))).rowcount


def drop_uses(conn: Connection, before: datetime, limit: int) -> int:
    u = t.data_uses
    old = sa.select(u.c.id).where(u.c.id < first_id("use", before)).order_by(u.c.id).limit(limit)
    return conn.execute(sa.delete(u).where(u.c.id.in_(old))).rowcount


def drop_requests(conn: Connection, before: datetime, limit: int) -> int:
    """Requests for evidence whose answers were dropped before, with their documents' reports, deliveries and events."""
    r, d = t.evidence_requests, t.deliveries
    under_way = sa.exists().where(d.c.case_id == r.c.id, d.c.state == sa.literal_column("'attempting'"))
    old = sa.select(r.c.id).where(r.c.purge_at < before, r.c.request_sealed.is_(None), ~under_way)
    ids = list(conn.execute(old.order_by(r.c.purge_at).limit(limit)).scalars())
    if ids:
        _drop_deliveries(conn, ids)
        conn.execute(sa.delete(t.events).where(t.events.c.case_id.in_(ids)))
        conn.execute(sa.delete(t.evidence_documents).where(t.evidence_documents.c.request_id.in_(ids)))
        conn.execute(sa.delete(r).where(r.c.id.in_(ids)))
    return len(ids)


def _of_open_case(case_id: sa.Column[str]) -> sa.ColumnElement[bool]:
    c = t.cases.c
    return sa.exists().where(c.id == case_id, c.closed_at.is_(None))


def _drop_deliveries(conn: Connection, case_ids: Sequence[str]) -> None:
    d, a = t.deliveries, t.attempts
    conn.execute(sa.delete(a).where(a.c.delivery_id.in_(sa.select(d.c.id).where(d.c.case_id.in_(case_ids)))))
    conn.execute(sa.delete(d).where(d.c.case_id.in_(case_ids)))
