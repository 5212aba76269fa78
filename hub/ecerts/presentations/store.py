"""The SQL of presentations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import insert_new

Values = dict[str, object]
p = t.presentations


@dataclass(frozen=True, slots=True)
class PresentationRow:
    id: str
    system_id: str
    message_id: str
    message_hash: str
    kind: str
    endpoint_id: str
    holder_index: str
    scope: str  # JSON
    case_reference: str
    state: str
    reason: str | None
    owner: str
    owned_until: datetime
    expires_at: datetime
    use_s: int
    checked_at: datetime | None
    use_until: datetime | None
    used_at: datetime | None
    used_as: str | None
    revoked_at: datetime | None
    holder_sealed: bytes
    reference_sealed: bytes | None


_COLUMNS = [p.c[field.name] for field in fields(PresentationRow)]


def add(conn: Connection, values: Values) -> bool:
    """False if the message, or the code, was there already."""
    return bool(insert_new(conn, p, [values]))


def presentation(conn: Connection, presentation_id: str, *, lock: bool = False) -> PresentationRow | None:
    query = sa.select(*_COLUMNS).where(p.c.id == presentation_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else PresentationRow(**row._mapping)


def by_message(conn: Connection, system_id: str, message_id: str) -> PresentationRow | None:
    query = sa.select(*_COLUMNS).where(p.c.system_id == system_id, p.c.message_id == message_id).with_for_update()
    row = conn.execute(query).one_or_none()
    return None if row is None else PresentationRow(**row._mapping)


def code_is_taken(conn: Connection, code_hash: str) -> bool:
    return conn.execute(sa.select(p.c.id).where(p.c.code_hash == code_hash)).first() is not None


def waiting_for(conn: Connection, holder_index: str, now: datetime) -> tuple[int, datetime | None]:
    """How many codes of a holder are being agreed to, and when the first of them ends."""
    waits = (p.c.holder_index == holder_index, p.c.state.in_(["beginning", "pending"]), p.c.expires_at > now,
             p.c.revoked_at.is_(None))  # fmt: skip
    row = conn.execute(sa.select(sa.func.count(), sa.func.min(p.c.expires_at)).where(*waits)).one()
    return row[0], row[1]


def change(conn: Connection, presentation_id: str, state: str, owner: str, values: Values) -> bool:
    """Only from this state and for this run: whoever else changed it first, that stands."""
    mine = (p.c.id == presentation_id, p.c.state == state, p.c.owner == owner)
    return conn.execute(sa.update(p).where(*mine).values(values)).rowcount == 1


def use(conn: Connection, presentation_id: str, message_id: str, now: datetime) -> bool:
    """Whether this message has it: whatever else goes wrong, no second one ever does."""
    free = (
        p.c.id == presentation_id,
        p.c.state == "authorized",
        p.c.revoked_at.is_(None),
        p.c.use_until > now,
        sa.or_(p.c.used_at.is_(None), p.c.used_as == message_id),
    )
    return conn.execute(sa.update(p).where(*free).values(used_at=now, used_as=message_id)).rowcount == 1


def revoke(conn: Connection, presentation_id: str, now: datetime) -> None:
    conn.execute(sa.update(p).where(p.c.id == presentation_id, p.c.revoked_at.is_(None)).values(revoked_at=now))


def left_behind(conn: Connection, now: datetime, *, limit: int = 100) -> list[PresentationRow]:
    """Those whose process died while it asked the library, locked."""
    query = (
        sa.select(*_COLUMNS)
        .where(p.c.state == sa.literal_column("'beginning'"), p.c.owned_until < now)
        .order_by(p.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [PresentationRow(**row._mapping) for row in conn.execute(query)]


def purge(conn: Connection, now: datetime) -> int:
    return conn.execute(sa.delete(p).where(p.c.purge_at < now)).rowcount
