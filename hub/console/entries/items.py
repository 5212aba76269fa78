"""The item catalogue as a list: each item, and below it how each organ handles it. By code, not by age.

The version in force is shown; of what has none, the one to come or the last one: its state says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from hub.console.entries.model import PAGE, Around, Details, Entry, EntryPage, Listing, Values
from hub.ecerts.catalogue import Catalogue, shanghai_day
from hub.ecerts.entries import Entry as CatalogueEntry
from hub.ecerts.entries import Implementation, Item

ITEMS: Final = Listing(
    "items",
    ("code", "state", "title", "level", "organ", "channels", "limit", "version", "effective_from"),
    ("record", "region", "effective_until", "following", "requires_consent", "legal_basis", "purposes", "law_covers",
     "placeholder"),
)  # fmt: skip
Titles = dict[str, str]  # by language


def titles(zh: str, en: str) -> Titles:
    return {"zh": zh, "en": en}


def title_of(catalogue: Catalogue, code: str, at: datetime) -> Titles | None:
    """Of the item in force that a code (12, 31 or 33 characters) belongs to."""
    item = catalogue.item(code, at)
    return None if item is None else titles(item.title_zh, item.title_en)


def page(around: Around, *, after: str) -> EntryPage:
    """At most PAGE entries, those after a code."""
    keys = {entry.key for entry in around.catalogue.entries() if isinstance(entry, Item | Implementation)}
    codes = sorted(keys, key=_place)
    begin = bisect_right(codes, _place(after), key=_place) if after else 0
    shown = [_entry(around, code) for code in codes[begin : begin + PAGE]]
    return EntryPage(shown, shown[-1].id if len(codes) > begin + PAGE else None)


def find(around: Around, code: str) -> list[Details]:
    """By its code; a code that no organ has published leads to its item."""
    known = (around.catalogue.versions(_kind(one), one) and one for one in (code, _basic(code)))
    found = next((one for one in known if one), None)
    if found is None:
        return []
    return [Details(_entry(around, found), [_requirements(around, found)])]


def _kind(code: str) -> str:
    return Item.kind if len(code) == 12 else Implementation.kind


def _basic(code: str) -> str:
    return code if len(code) == 12 else code[19:31]


def _place(code: str) -> tuple[str, str]:
    """An item, then its implementations, each with its handling items."""
    return _basic(code), "" if len(code) == 12 else code


def _entry(around: Around, code: str) -> Entry:
    versions = around.catalogue.versions(_kind(code), code)
    shown, item = _version(versions, around), _item(around, code)
    today = shanghai_day(around.now)
    values: Values = {
        "code": code,
        "record": shown.kind,
        "state": _state(shown, today),
        "version": shown.version,
        "effective_from": shown.effective_from.isoformat(),
        "effective_until": shown.effective_until.isoformat() if shown.effective_until else None,
        "following": next((one.effective_from.isoformat() for one in versions if one.version > shown.version), None),
        "placeholder": shown.placeholder,
    }
    if isinstance(shown, Item | Implementation):
        values["limit"] = (shown.limit, shown.limit_unit.value)
    if isinstance(shown, Implementation):
        values |= {"organ": shown.organ, "region": shown.region, "channels": [one.value for one in shown.channels]}
    if item is not None:
        values |= {"title": titles(item.title_zh, item.title_en), "level": item.level.value}
        values |= {"requires_consent": item.requires_consent, "legal_basis": item.legal_basis}
        values |= {"purposes": item.purposes, "law_covers": item.law_covers}
    return Entry(ITEMS.name, code, {column: values.get(column) for column in (*ITEMS.columns, *ITEMS.more)})


def _version(versions: Sequence[CatalogueEntry], around: Around) -> CatalogueEntry:
    today = shanghai_day(around.now)
    begun = [one for one in versions if one.effective_from <= today]
    return begun[-1] if begun else versions[0]


def _state(shown: CatalogueEntry, today: date) -> str:
    if shown.effective_from > today:
        return "ahead"
    return "ended" if shown.effective_until is not None and shown.effective_until < today else "in-force"


def _item(around: Around, code: str) -> Item | None:
    """The standard definition that a code belongs to."""
    versions = around.catalogue.versions(Item.kind, _basic(code))
    found = _version(versions, around) if versions else None
    return found if isinstance(found, Item) else None


def _requirements(around: Around, code: str) -> list[Values]:
    item = _item(around, code)
    if item is None:
        return []
    return [
        {
            "requirement": titles(one.title_zh, one.title_en),
            "evidence": [
                [f"{document}{item.conditions.get(document) or ''}" for document in sorted(part)]
                for part in one.alternatives
            ],
            "required": one.required,
        }
        for one in item.requirements
    ]
