"""What a list is, what stands in it, and what an entry is judged by. Ids, states, times and titles only: no holder, no content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hub.ecerts.catalogue import Catalogue

PAGE: Final = 100
ROWS: Final = 100  # of a batch, with what is wrong
Values = dict[str, object]  # by column; how each is shown is the template's (macros.html)


@dataclass(frozen=True, slots=True)
class Listing:
    """``columns`` of the list, the first being what an entry is found by; ``more`` where one entry is shown."""

    name: str
    columns: tuple[str, ...]
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    listing: str
    id: str
    values: Values


@dataclass(frozen=True, slots=True)
class EntryPage:
    entries: list[Entry]
    older: str | None  # the id before which the next page begins


@dataclass(frozen=True, slots=True)
class Details:
    """An entry with what belongs to it, table by table: documents of a request; rows of a batch by state, and what is wrong with
    some; requirements of an item."""

    entry: Entry
    tables: list[list[Values]]


@dataclass(frozen=True, slots=True)
class Around:
    """As of when states are told, and the catalogue that requests are measured against."""

    now: datetime
    catalogue: Catalogue
