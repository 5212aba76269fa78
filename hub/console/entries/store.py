"""The SQL of the lists: what the e-certificate rooms keep. No holder and no content is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from hub import tables as t
from hub.console.entries import telling
from hub.console.entries.model import PAGE, ROWS, Around, Details, Entry, EntryPage, Listing, Values
from hub.ecerts.collect import store as collect
from hub.ecerts.collect.service import report_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TableListing(Listing):
    """Newest first: by ``born``, or by the first column, whose ids sort in the order of birth."""

    table: sa.Table
    born: str | None = None
    tell: Callable[[Connection, list[RowMapping], Around], list[Values]] | None = None  # columns that the table has not
    told_from: tuple[str, ...] = ()  # what that reads beside the columns that are shown


TABLES: Final = (
    TableListing("evidence-requests",
                 ("id", "state", "answer", "asked_at", "system_id", "item_code", "region", "purpose", "message_id",
                  "answered_at"),
                 table=t.evidence_requests, tell=telling.evidence, told_from=("item_version",)),
    TableListing("collections",
                 ("id", "state", "received_at", "finished_at", "system_id", "region", "endpoint_id", "form", "rows_read",
                  "percent", "reason", "message_id"),
                 table=t.collect_batches),
    TableListing("authorizations",
                 ("id", "state", "issued_at", "issued_by", "expires_at", "attempts", "redeemed_at", "redeemed_by",
                  "use_until", "revoked_at"),
                 table=t.authorizations, tell=telling.authorization),
    TableListing("presentations",
                 ("id", "state", "begun_at", "expires_at", "used_at", "revoked_at", "system_id", "endpoint_id", "kind",
                  "reason", "message_id"),
                 table=t.presentations, tell=telling.presentation, told_from=("owned_until", "use_until")),
    TableListing("consents", ("id", "state", "given_at", "registered_by", "ends_at", "revoked_at"), table=t.consents,
                 tell=telling.consent),
    TableListing("notices",
                 ("id", "state", "title", "document", "region", "issued_on", "ran_out", "deemed_valid_until", "added_at"),
                 ("source", "added_by", "withdrawn_at"),
                 table=t.extension_notices, born="added_at", tell=telling.notice, told_from=("definition",)),
    TableListing("throttled", ("system_id", "subjects", "since", "until"), table=t.throttled_callers, born="since"),
    TableListing("guessing", ("system_id", "codes", "since", "until"), table=t.guessing_callers, born="since"),
)  # fmt: skip


def page(conn: Connection, listing: TableListing, around: Around, *, before: str | None) -> EntryPage:
    """At most PAGE entries, those that are older than the one called ``before``."""
    key = listing.table.c[listing.columns[0]]
    born = listing.table.c[listing.born or listing.columns[0]]
    query = _select(listing).order_by(born.desc(), key.desc()).limit(PAGE + 1)
    if before:
        at = sa.select(born).where(key == before).scalar_subquery() if listing.born else before
        query = query.where(sa.or_(born < at, sa.and_(born == at, key < before)))
    found = conn.execute(query).all()
    shown = _entries(conn, listing, around, found[:PAGE])
    return EntryPage(shown, shown[-1].id if len(found) > PAGE else None)


def find(conn: Connection, wanted: str, also: Collection[str], around: Around) -> list[Details]:
    """By its id, its message's id, or the key of a delivery that carried rows of a batch; served by indexes."""
    ids = {wanted, *also}
    rows = t.collect_rows
    ids |= set(
        conn.execute(sa.select(rows.c.batch_id).where(rows.c.delivery_key.in_(ids)).distinct().limit(PAGE)).scalars()
    )
    found: list[Details] = []
    for listing in TABLES:
        table = listing.table
        wheres: list[sa.ColumnElement[bool]] = [table.c[listing.columns[0]].in_(ids)]
        if "message_id" in table.c:  # unique for each system: the index begins with it
            wheres.append(table.c.system_id.in_(sa.select(t.systems.c.id)) & (table.c.message_id == wanted))
        queries = [_select(listing).where(where).limit(PAGE) for where in wheres]
        entries = {row[0]: row for query in queries for row in conn.execute(query)}
        shown = _entries(conn, listing, around, list(entries.values()))
        found += [Details(entry, _tables(conn, listing, entry.id)) for entry in shown]
    return found


def _tables(conn: Connection, listing: Listing, entry_id: str) -> list[list[Values]]:
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
    tables = [[dict(row._mapping) for row in conn.execute(query)]]
    return [*tables, _wrong_rows(conn, entry_id)] if listing.name == "collections" else tables


def _wrong_rows(conn: Connection, batch_id: str) -> list[Values]:
    """What is wrong with the first rows that have faults or were refused, as their system reads it; never what stands in a cell."""
    reports = [report_of(row) for row in collect.standings(conn, batch_id, 0, ROWS, told=True)]
    return [
        {
            "row": report.row,
            "state": report.state.value,
            "heading": fault.column_zh or fault.column,
            "told": {
                "zh": f"{fault.reason_zh}: {fault.cure_zh}" if fault.cure_zh else fault.reason_zh,
                "en": f"{fault.reason_en}: {fault.cure_en}" if fault.cure_en else fault.reason_en,
            },
        }
        for report in reports
        for fault in report.faults
    ]


def _select(listing: TableListing) -> sa.Select[tuple[object, ...]]:
    wanted = (*listing.columns, *listing.more, *listing.told_from)
    return sa.select(*(listing.table.c[name] for name in wanted if name in listing.table.c))


def _entries(
    conn: Connection, listing: TableListing, around: Around, rows: Sequence[sa.Row[tuple[object, ...]]]
) -> list[Entry]:
    read = [row._mapping for row in rows]
    told = listing.tell(conn, read, around) if listing.tell is not None and read else [{}] * len(read)
    shown = (*listing.columns, *listing.more)
    return [
        Entry(listing.name, str(row[0]), {name: said[name] if name in said else of[name] for name in shown})
        for row, of, said in zip(rows, read, told, strict=True)
    ]
