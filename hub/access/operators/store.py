"""The SQL of operators, their one-time links and their sessions. Tokens are kept as hashes only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t


@dataclass(frozen=True, slots=True)
class OperatorRow:
    id: str
    name: str
    role: str
    password_hash: str | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    operator: OperatorRow
    csrf: str
    created_at: datetime
    expires_at: datetime


_OPERATOR = [t.operators.c[name] for name in OperatorRow.__dataclass_fields__]


def count_operators(conn: Connection) -> int:
    return conn.execute(sa.select(sa.func.count()).select_from(t.operators)).scalar_one()


def list_operators(conn: Connection) -> list[OperatorRow]:
    return [OperatorRow(**row._mapping) for row in conn.execute(sa.select(*_OPERATOR).order_by(t.operators.c.name))]


def find_operator(conn: Connection, name: str) -> OperatorRow | None:
    row = conn.execute(sa.select(*_OPERATOR).where(t.operators.c.name == name)).one_or_none()
    return OperatorRow(**row._mapping) if row else None


def insert_operator(conn: Connection, row: OperatorRow) -> None:
    conn.execute(sa.insert(t.operators).values({name: getattr(row, name) for name in OperatorRow.__dataclass_fields__}))


def set_password(conn: Connection, operator_id: str, password_hash: str) -> None:
    conn.execute(sa.update(t.operators).where(t.operators.c.id == operator_id).values(password_hash=password_hash))


def disable(conn: Connection, operator_id: str, now: datetime) -> None:
    conn.execute(sa.update(t.operators).where(t.operators.c.id == operator_id).values(disabled_at=now))
    conn.execute(sa.delete(t.operator_sessions).where(t.operator_sessions.c.operator_id == operator_id))
    conn.execute(sa.delete(t.login_links).where(t.login_links.c.operator_id == operator_id))


def insert_link(conn: Connection, token_hash: str, operator_id: str, expires_at: datetime) -> None:
    conn.execute(sa.insert(t.login_links).values(token_hash=token_hash, operator_id=operator_id, expires_at=expires_at))


def use_link(conn: Connection, token_hash: str, now: datetime) -> OperatorRow | None:
    """Mark the link used and give its operator; None if it is unknown, used or over. Atomic: one caller wins."""
    link = t.login_links
    used = conn.execute(
        sa.update(link)
        .where(link.c.token_hash == token_hash, link.c.used_at.is_(None), link.c.expires_at > now)
        .values(used_at=now)
    )
    if used.rowcount != 1:
        return None
    query = (
        sa.select(*_OPERATOR)
        .join(link, link.c.operator_id == t.operators.c.id)
        .where(link.c.token_hash == token_hash, t.operators.c.disabled_at.is_(None))
    )
    row = conn.execute(query).one_or_none()
    return OperatorRow(**row._mapping) if row else None


def insert_session(
    conn: Connection, token_hash: str, operator_id: str, csrf: str, now: datetime, expires_at: datetime
) -> None:
    conn.execute(sa.delete(t.operator_sessions).where(t.operator_sessions.c.expires_at <= now))
    conn.execute(
        sa.insert(t.operator_sessions).values(
            token_hash=token_hash, operator_id=operator_id, csrf=csrf, created_at=now, expires_at=expires_at
        )
    )


def find_session(conn: Connection, token_hash: str, now: datetime) -> SessionRow | None:
    s = t.operator_sessions
    query = (
        sa.select(*_OPERATOR, s.c.csrf, s.c.created_at.label("begun_at"), s.c.expires_at)
        .join(s, s.c.operator_id == t.operators.c.id)
        .where(s.c.token_hash == token_hash, s.c.expires_at > now, t.operators.c.disabled_at.is_(None))
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    operator = OperatorRow(**{name: row._mapping[name] for name in OperatorRow.__dataclass_fields__})
    return SessionRow(operator, row.csrf, row.begun_at, row.expires_at)


def delete_session(conn: Connection, token_hash: str) -> None:
    conn.execute(sa.delete(t.operator_sessions).where(t.operator_sessions.c.token_hash == token_hash))


def extend_session(conn: Connection, token_hash: str, until: datetime) -> None:
    s = t.operator_sessions
    conn.execute(sa.update(s).where(s.c.token_hash == token_hash).values(expires_at=until))


def end_others(conn: Connection, operator_id: str, kept: str, now: datetime) -> None:
    """Every other session of the operator, and every link that was not used yet."""
    s, link = t.operator_sessions, t.login_links
    conn.execute(sa.delete(s).where(s.c.operator_id == operator_id, s.c.token_hash != kept))
    unused = sa.and_(link.c.operator_id == operator_id, link.c.used_at.is_(None))
    conn.execute(sa.update(link).where(unused).values(used_at=now))
