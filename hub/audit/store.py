"""The SQL of the audit log. Rows are only ever inserted; triggers of the migration refuse anything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import Prepared, insert_many

HEAD = 1
PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    detail: str  # JSON object
    row_mac: str  # over what the row says
    mac: str  # over the mac of the row before, seq and row_mac


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of the chain; seq 0 and an empty mac before the first."""

    seq: int
    mac: str


h = t.audit_head
_LOCK_HEAD = Prepared(sa.select(h.c.seq, h.c.mac).where(h.c.id == HEAD).with_for_update())
_MOVE_HEAD = Prepared(
    sa.update(h).where(h.c.id == HEAD).values(seq=sa.bindparam("to", type_=h.c.seq.type), mac=sa.bindparam("mac"))
)


def lock_head(conn: Connection) -> Head:
    """The head, locked until the commit: one writer at a time continues the chain."""
    row = _LOCK_HEAD.row(conn)
    if row is None:
        conn.execute(sa.insert(h).values(id=HEAD, seq=0, mac=""))
        return Head(0, "")
    return Head(*row)


def read_head(conn: Connection) -> Head:
    row = conn.execute(sa.select(t.audit_head.c.seq, t.audit_head.c.mac).where(t.audit_head.c.id == HEAD)).one_or_none()
    return Head(row.seq, row.mac) if row else Head(0, "")


def append(conn: Connection, rows: Sequence[Row], head: Head) -> None:
    insert_many(conn, t.audit, rows)
    _MOVE_HEAD.run(conn, to=head.seq, mac=head.mac)


def rows(conn: Connection, *, after: int = 0) -> Iterator[Row]:
    """In order, read in pages, so that a log of any length fits."""
    columns = [t.audit.c[name] for name in Row.__dataclass_fields__]
    while True:
        query = sa.select(*columns).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(PAGE)
        page = [Row(**row._mapping) for row in conn.execute(query)]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].seq


def search(conn: Connection, object_id: str, *, limit: int = 200) -> list[Row]:
    columns = [t.audit.c[name] for name in Row.__dataclass_fields__]
    query = sa.select(*columns).where(t.audit.c.object == object_id).order_by(t.audit.c.seq).limit(limit)
    return [Row(**row._mapping) for row in conn.execute(query)]
