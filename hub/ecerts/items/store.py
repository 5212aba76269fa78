"""The SQL of the item catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t


@dataclass(frozen=True, slots=True)
class EntryRow:
    kind: str
    key: str
    version: int
    effective_from: str  # ISO day
    digest: str
    definition: str  # JSON
    imported_at: datetime
    imported_by: str


_COLUMNS = [t.catalogue.c[name] for name in EntryRow.__dataclass_fields__]


def load(conn: Connection) -> list[EntryRow]:
    c = t.catalogue.c
    query = sa.select(*_COLUMNS).order_by(c.kind, c.key, c.version)
    return [EntryRow(**row._mapping) for row in conn.execute(query)]


def stamp(conn: Connection) -> tuple[int, datetime | None]:
    """Changes whenever the catalogue does: how many entries, and when the last one came."""
    count, last = conn.execute(sa.select(sa.func.count(), sa.func.max(t.catalogue.c.imported_at))).one()
    return count, last


def put(conn: Connection, rows: Sequence[EntryRow]) -> None:
    """Insert, or replace the version of the same kind and key."""
    c = t.catalogue.c
    for start in range(0, len(rows), 500):
        part = rows[start : start + 500]
        places = [(row.kind, row.key, row.version) for row in part]
        conn.execute(sa.delete(t.catalogue).where(sa.tuple_(c.kind, c.key, c.version).in_(places)))
        conn.execute(
            sa.insert(t.catalogue), [{n: getattr(row, n) for n in EntryRow.__dataclass_fields__} for row in part]
        )


def services(conn: Connection) -> dict[str, str]:
    """Of every endpoint, the service that it offers."""
    e = t.endpoints.c
    return {row.id: row.service for row in conn.execute(sa.select(e.id, e.service))}
