"""The SQL of extension notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection

from hub import tables as t


@dataclass(frozen=True, slots=True)
class NoticeRow:
    id: str
    definition: str  # JSON
    added_at: datetime
    added_by: str
    withdrawn_at: datetime | None


def notices(conn: Connection) -> list[NoticeRow]:
    """All, the withdrawn ones too."""
    n = t.extension_notices
    query = sa.select(*(n.c[name] for name in NoticeRow.__dataclass_fields__)).order_by(n.c.id)
    return [NoticeRow(**row._mapping) for row in conn.execute(query)]


def add_notice(conn: Connection, notice_id: str, definition: str, at: datetime, actor: str) -> bool:
    """Whether it was added; False if the number is taken."""
    insert = sqlite_insert if conn.dialect.name == "sqlite" else postgresql_insert
    n = t.extension_notices
    values = {"id": notice_id, "definition": definition, "added_at": at, "added_by": actor}
    statement = insert(n).values(values).on_conflict_do_nothing().returning(n.c.id)
    return conn.execute(statement).one_or_none() is not None


def withdraw_notice(conn: Connection, notice_id: str, at: datetime) -> bool:
    n = t.extension_notices
    in_force = (n.c.id == notice_id, n.c.withdrawn_at.is_(None))
    return conn.execute(sa.update(n).where(*in_force).values(withdrawn_at=at)).rowcount == 1
