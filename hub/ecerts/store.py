"""The SQL of extension notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import insert_new


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
    values = {"id": notice_id, "definition": definition, "added_at": at, "added_by": actor}
    return bool(insert_new(conn, t.extension_notices, [values]))


def withdraw_notice(conn: Connection, notice_id: str, at: datetime) -> bool:
    n = t.extension_notices
    in_force = (n.c.id == notice_id, n.c.withdrawn_at.is_(None))
    return conn.execute(sa.update(n).where(*in_force).values(withdrawn_at=at)).rowcount == 1
