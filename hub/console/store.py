"""The SQL of the console's pages: reading only. Acts go through the rooms that own them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t

PAGE = 200
AUDIT_PAGE = 100
AUDIT_SCAN = 50_000  # rows that one page of the audit log looks at, so that a filter that fits nothing costs little


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    id: str
    endpoint_id: str
    case_id: str
    kind: str
    subject: str
    state: str
    attempts: int
    last_error: str | None
    due_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """What an id leads to: cases (several where systems chose the same message id), deliveries, audit entries."""

    case_ids: list[str]
    deliveries: list[DeliveryRow]
    audit: list[AuditRow]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Newest first. ``searched`` are the first and last number looked at; ``older`` where to go on, None at the beginning."""

    rows: list[AuditRow]
    searched: tuple[int, int]
    older: int | None


_DELIVERY = [t.deliveries.c[name] for name in DeliveryRow.__dataclass_fields__]
_AUDIT = [t.audit.c[name] for name in AuditRow.__dataclass_fields__]
_SUSPENDED = t.deliveries.c.state == sa.literal_column("'suspended'")  # a literal, so that the partial index serves it


def system_names(conn: Connection) -> dict[str, str]:
    """By id, as they were registered."""
    return {row.id: row.name for row in conn.execute(sa.select(t.systems.c.id, t.systems.c.name))}


def endpoint_places(conn: Connection) -> dict[str, tuple[str, str]]:
    """By id, the region and the service."""
    e = t.endpoints.c
    return {row.id: (row.region, row.service) for row in conn.execute(sa.select(e.id, e.region, e.service))}


def suspended(conn: Connection) -> list[DeliveryRow]:
    """Oldest first, at most PAGE."""
    query = sa.select(*_DELIVERY).where(_SUSPENDED).order_by(t.deliveries.c.id).limit(PAGE)
    return [DeliveryRow(**row._mapping) for row in conn.execute(query)]


def suspended_total(conn: Connection) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(t.deliveries).where(_SUSPENDED)).scalar_one())


def suspended_of(conn: Connection, endpoint_id: str, *, limit: int) -> list[str]:
    """Ids, oldest first."""
    d = t.deliveries
    query = sa.select(d.c.id).where(_SUSPENDED, d.c.endpoint_id == endpoint_id).order_by(d.c.id).limit(limit)
    return list(conn.execute(query).scalars())


def find(conn: Connection, wanted: str) -> Found:
    """By case, delivery, message, event, endpoint, system, operator or problem id; each lookup is served by an index."""
    d, m, e = t.deliveries, t.messages, t.events
    cases = [
        sa.select(t.cases.c.id).where(t.cases.c.id == wanted),
        sa.select(d.c.case_id).where(d.c.id == wanted),
        sa.select(d.c.case_id).where(d.c.idempotency_key == wanted),
        sa.select(m.c.case_id).where(m.c.message_id == wanted),
        sa.select(e.c.case_id).where(e.c.id == wanted),
    ]
    case_ids = sorted({row for query in cases for row in conn.execute(query.limit(PAGE)).scalars()})
    if len(case_ids) == 1:
        of = d.c.case_id == case_ids[0]
    else:
        live = sa.or_(*(d.c.state == sa.literal_column(f"'{s}'") for s in ("queued", "attempting", "suspended")))
        of = sa.and_(d.c.endpoint_id == wanted, live)
    query = sa.select(*_DELIVERY).where(of).order_by(d.c.id).limit(PAGE)
    deliveries = [DeliveryRow(**row._mapping) for row in conn.execute(query)]
    objects = {wanted, *case_ids[:1]} | {row.id for row in deliveries if case_ids}
    newest = sa.select(*_AUDIT).where(t.audit.c.object.in_(objects)).order_by(t.audit.c.seq.desc()).limit(PAGE)
    entries = [AuditRow(**row._mapping) for row in conn.execute(newest)]
    return Found(case_ids, deliveries, entries[::-1])


def audit_page(conn: Connection, *, before: int | None, actor: str, action: str, object_id: str) -> AuditPage:
    """Entries before a number (default: the newest). Filters are exact (object) or the beginning (actor, action)."""
    a = t.audit
    head = conn.execute(sa.select(sa.func.max(a.c.seq))).scalar_one() or 0
    last = min(head, (before or head + 1) - 1)
    first = 1 if object_id else max(1, last - AUDIT_SCAN + 1)  # the object has an index
    query = sa.select(*_AUDIT).where(a.c.seq.between(first, last))
    if object_id:
        query = query.where(a.c.object == object_id)
    if actor:
        query = query.where(a.c.actor.startswith(actor, autoescape=True))
    if action:
        query = query.where(a.c.action.startswith(action, autoescape=True))
    rows = [AuditRow(**row._mapping) for row in conn.execute(query.order_by(a.c.seq.desc()).limit(AUDIT_PAGE))]
    reached = rows[-1].seq if len(rows) == AUDIT_PAGE else first
    return AuditPage(rows, (reached, last), reached if reached > 1 else None)
