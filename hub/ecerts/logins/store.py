"""The SQL of logins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t


@dataclass(frozen=True, slots=True)
class LoginRow:
    id: str
    nonce_hash: str
    system_id: str
    endpoint_id: str
    expires_at: datetime
    used_at: datetime | None


_LOGIN = [t.logins.c[name] for name in LoginRow.__dataclass_fields__]


def add(conn: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        conn.execute(sa.insert(t.logins), [dict(row) for row in rows])


def by_nonce(conn: Connection, nonce_hash: str) -> LoginRow | None:
    row = conn.execute(sa.select(*_LOGIN).where(t.logins.c.nonce_hash == nonce_hash)).one_or_none()
    return None if row is None else LoginRow(**row._mapping)


def login(conn: Connection, login_id: str) -> LoginRow | None:
    row = conn.execute(sa.select(*_LOGIN).where(t.logins.c.id == login_id)).one_or_none()
    return None if row is None else LoginRow(**row._mapping)


def take(conn: Connection, login_id: str, now: datetime, *, used_for: str, level: str) -> bool:
    """Whether this call used it: of any number at once, on whichever node, at most one does."""
    n = t.logins.c
    unused = (n.id == login_id, n.used_at.is_(None), n.expires_at > now)
    values = {"used_at": now, "used_for": used_for, "level": level}
    return conn.execute(sa.update(t.logins).where(*unused).values(values)).rowcount == 1


def purge(conn: Connection, now: datetime) -> int:
    return conn.execute(sa.delete(t.logins).where(t.logins.c.purge_at < now)).rowcount
