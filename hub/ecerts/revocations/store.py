"""The SQL of revocation notices.

Whoever commits that a document is relied on takes the lock *shared*, before it locks any row, and asks :func:`revoked`; who commits
a notice takes it *exclusive* and asks who relies. So of two commits at once, on two nodes even, one sees the other, and no revoked
document is left standing as valid. (SQLite has one writer; there the order is given.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import Prepared, in_list, listed

n, v = t.revocation_notices, t.revoked_ecerts
_LOCK: Final = 0x7265766F6B65  # "revoke": one number among PostgreSQL's advisory locks
_SHARED: Final = Prepared(sa.select(sa.func.pg_advisory_xact_lock_shared(_LOCK)))
_EXCLUSIVE: Final = sa.select(sa.func.pg_advisory_xact_lock(_LOCK))
_PART: Final = 200  # values of one IN list
_REVOKED: Final = in_list(
    lambda indexes: sa.select(v.c.identifier_index, v.c.notice_id).where(v.c.identifier_index.in_(indexes))
)


@dataclass(frozen=True, slots=True)
class NoticeRow:
    id: str
    system_id: str | None
    message_id: str | None
    digest: str
    reason: str
    source: str
    revoked_at: datetime
    received_at: datetime
    answer: str


def lock_shared(conn: Connection) -> None:
    """Until this transaction ends no notice is committed; many may hold it."""
    if conn.dialect.name == "postgresql":
        _SHARED.rows(conn)


def lock_exclusive(conn: Connection) -> None:
    """Until this transaction ends nothing that relies on a document is committed."""
    if conn.dialect.name == "postgresql":
        conn.execute(_EXCLUSIVE)


def revoked(conn: Connection, indexes: Collection[str]) -> dict[str, str]:
    """Those of ``indexes`` (keyed hashes of identifiers) that a notice names, and which one."""
    wanted = sorted(indexes)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _PART):
        part = wanted[start : start + _PART]
        for index, notice_id in _REVOKED(len(part)).rows(conn, **listed(part)):
            found[index] = notice_id
    return found


def notice_of(conn: Connection, index: str) -> NoticeRow | None:
    """The notice by which a certificate is remembered."""
    columns = [n.c[field.name] for field in fields(NoticeRow)]
    row = conn.execute(
        sa.select(*columns).join(v, v.c.notice_id == n.c.id).where(v.c.identifier_index == index)
    ).one_or_none()
    return None if row is None else NoticeRow(**row._mapping)


def by_message(conn: Connection, system_id: str, message_id: str) -> NoticeRow | None:
    columns = [n.c[field.name] for field in fields(NoticeRow)]
    query = sa.select(*columns).where(n.c.system_id == system_id, n.c.message_id == message_id)
    row = conn.execute(query).one_or_none()
    return None if row is None else NoticeRow(**row._mapping)


def notices(conn: Connection, ids: Collection[str]) -> dict[str, NoticeRow]:
    """Those of these ids."""
    columns = [n.c[field.name] for field in fields(NoticeRow)]
    query = sa.select(*columns).where(n.c.id.in_(sorted(ids)))
    return {row.id: NoticeRow(**row._mapping) for row in conn.execute(query)}


def add_notice(conn: Connection, row: NoticeRow) -> None:
    conn.execute(sa.insert(n).values({field.name: getattr(row, field.name) for field in fields(NoticeRow)}))


def remember(conn: Connection, indexes: Sequence[str], notice_id: str, forget_at: datetime) -> None:
    """The newest notice of a certificate is the one that is remembered."""
    insert = sqlite.insert(v) if conn.dialect.name == "sqlite" else postgresql.insert(v)
    statement = insert.on_conflict_do_update(
        index_elements=[v.c.identifier_index],
        set_={"notice_id": insert.excluded.notice_id, "forget_at": insert.excluded.forget_at},
    )
    rows = [{"identifier_index": one, "notice_id": notice_id, "forget_at": forget_at} for one in sorted(indexes)]
    conn.execute(statement, rows)


def forget(conn: Connection, index: str) -> bool:
    """Whether it was remembered."""
    return conn.execute(sa.delete(v).where(v.c.identifier_index == index)).rowcount == 1


def purge(conn: Connection, now: datetime) -> int:
    """Certificates whose time has passed; notices stay, as the log of what was told. Gives how many."""
    return conn.execute(sa.delete(v).where(v.c.forget_at < now)).rowcount
