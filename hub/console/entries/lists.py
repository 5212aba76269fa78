"""Every list of the console, by its name, and how an entry of any of them is found."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy.engine import Connection

from hub.console.entries import items, store
from hub.console.entries.model import Around, Details, EntryPage, Listing

LISTINGS: Final[dict[str, Listing]] = {one.name: one for one in (*store.TABLES, items.ITEMS)}


def page(conn: Connection, listing: Listing, around: Around, *, before: str) -> EntryPage:
    """``before``: the entry after which the page begins; empty for the first page."""
    if isinstance(listing, store.TableListing):
        return store.page(conn, listing, around, before=before)
    return items.page(around, after=before)


def find(conn: Connection, wanted: str, also: Collection[str], around: Around) -> list[Details]:
    """By each id that an entry has; ``also`` are ids that the wanted one leads to."""
    return [*store.find(conn, wanted, also, around), *items.find(around, wanted)]
