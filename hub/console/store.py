"""The SQL of the console's pages: reading only. Acts go through the rooms that own them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t

PAGE = 200


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
    """What an id leads to: a case, deliveries, audit entries; any of them may be missing."""

    case_id: str | None
    deliveries: list[DeliveryRow]
    audit: list[AuditRow]


_DELIVERY = [t.deliveries.c[name] for name in DeliveryRow.__dataclass_fields__]
_AUDIT = [t.audit.c[name] for name in AuditRow.__dataclass_fields__]


def suspended(conn: Connection) -> list[DeliveryRow]:
    """Oldest first, at most PAGE."""
    d = t.deliveries
    query = sa.select(*_DELIVERY).where(d.c.state == sa.literal_column("'suspended'")).order_by(d.c.id).limit(PAGE)
    return [DeliveryRow(**row._mapping) for row in conn.execute(query)]


def find(conn: Connection, wanted: str) -> Found:
    """By case, delivery, message, event, endpoint, system, operator or problem id."""
    d, m, e = t.deliveries, t.messages, t.events
    delivery_case = sa.select(d.c.case_id).where(sa.or_(d.c.id == wanted, d.c.idempotency_key == wanted))
    message_case = sa.select(m.c.case_id).where(m.c.message_id == wanted)
    event_case = sa.select(e.c.case_id).where(e.c.id == wanted)
    case = sa.select(t.cases.c.id).where(t.cases.c.id == wanted)
    case_id = conn.execute(sa.union(case, delivery_case, message_case, event_case).limit(1)).scalar_one_or_none()
    of = sa.or_(d.c.id == wanted, d.c.case_id == case_id, sa.and_(d.c.endpoint_id == wanted, d.c.finished_at.is_(None)))
    found = conn.execute(sa.select(*_DELIVERY).where(of).order_by(d.c.id).limit(PAGE))
    deliveries = [DeliveryRow(**row._mapping) for row in found]
    objects = {wanted, *([case_id] if case_id else [])} | {row.id for row in deliveries}
    entries = conn.execute(sa.select(*_AUDIT).where(t.audit.c.object.in_(objects)).order_by(t.audit.c.seq).limit(PAGE))
    return Found(case_id, deliveries, [AuditRow(**row._mapping) for row in entries])
