"""What the e-certificate rooms keep, as the console lists it. Columns of ids, states and times only: no holder, no content."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t

PAGE: Final = 100
Value = str | int | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A table and the columns that are shown, the first being what an entry is found by; newest first by it."""

    name: str
    table: sa.Table
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    listing: str
    id: str
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class EntryPage:
    entries: list[Entry]
    older: str | None  # the id before which the next page begins


@dataclass(frozen=True, slots=True)
class Details:
    """An entry with what belongs to it: documents of a request, rows of a batch by state."""

    entry: Entry
    parts: list[dict[str, Value]]


LISTINGS: Final = {
    listing.name: listing
    for listing in (
        Listing("evidence-requests", t.evidence_requests,
                ("id", "state", "asked_at", "system_id", "item_code", "region", "purpose", "message_id", "answered_at")),
        Listing("collections", t.collect_batches,
                ("id", "state", "received_at", "finished_at", "system_id", "region", "endpoint_id", "form", "rows_read",
                 "percent", "reason", "message_id")),
        Listing("authorizations", t.authorizations,
                ("id", "issued_at", "issued_by", "expires_at", "attempts", "redeemed_at", "redeemed_by", "use_until",
                 "revoked_at")),
        Listing("presentations", t.presentations,
                ("id", "state", "begun_at", "expires_at", "used_at", "revoked_at", "system_id", "endpoint_id", "kind", "reason",
                 "message_id")),
        Listing("consents", t.consents, ("id", "given_at", "registered_by", "ends_at", "revoked_at")),
        Listing("notices", t.extension_notices, ("id", "added_at", "added_by", "withdrawn_at")),
        Listing("throttled", t.throttled_callers, ("system_id", "subjects", "since", "until")),
    )
}  # fmt: skip


def page(conn: Connection, listing: Listing, *, before: str | None) -> EntryPage:
    """At most PAGE entries; ids of ours sort in the order of birth."""
    key = listing.table.c[listing.columns[0]]
    query = _select(listing).order_by(key.desc()).limit(PAGE + 1)
    if before:
        query = query.where(key < before)
    found = [_entry(listing, row) for row in conn.execute(query)]
    return EntryPage(found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None)


def find(conn: Connection, wanted: str, also: Collection[str]) -> list[Details]:
    """By its id, its message's id, or the key of a delivery that carried rows of a batch; served by indexes."""
    ids = {wanted, *also}
    rows = t.collect_rows
    ids |= set(
        conn.execute(sa.select(rows.c.batch_id).where(rows.c.delivery_key.in_(ids)).distinct().limit(PAGE)).scalars()
    )
    found: list[Details] = []
    for listing in LISTINGS.values():
        table = listing.table
        wheres: list[sa.ColumnElement[bool]] = [table.c[listing.columns[0]].in_(ids)]
        if "message_id" in table.c:  # unique for each system: the index begins with it
            wheres.append(table.c.system_id.in_(sa.select(t.systems.c.id)) & (table.c.message_id == wanted))
        queries = [_select(listing).where(where).limit(PAGE) for where in wheres]
        entries = {row[0]: _entry(listing, row) for query in queries for row in conn.execute(query)}
        found += [Details(entry, _parts(conn, listing, entry.id)) for entry in entries.values()]
    return found


def _parts(conn: Connection, listing: Listing, entry_id: str) -> list[dict[str, Value]]:
    d, r = t.evidence_documents, t.collect_rows
    match listing.name:
        case "evidence-requests":
            shown = [
                d.c[name]
                for name in ("document", "standing", "reason", "endpoint_id", "notice", "followed_up", "checked_at")
            ]
            query = sa.select(*shown).where(d.c.request_id == entry_id).order_by(d.c.document)
        case "collections":
            number = sa.func.count().label("rows")
            query = sa.select(r.c.state, number).where(r.c.batch_id == entry_id).group_by(r.c.state).order_by(r.c.state)
        case _:
            return []
    return [dict(row._mapping) for row in conn.execute(query)]


def _select(listing: Listing) -> sa.Select[tuple[Value, ...]]:
    return sa.select(*(listing.table.c[name] for name in listing.columns))


def _entry(listing: Listing, row: sa.Row[tuple[Value, ...]]) -> Entry:
    return Entry(listing.name, str(row[0]), dict(row._mapping))
