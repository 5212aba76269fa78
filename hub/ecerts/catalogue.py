"""The item catalogue (事项目录) asked: which version holds on a day, who handles an item where, which source issues what.

Its entries are in ``entries.py``. Pure data and rules: no clock, no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from hub.ecerts.entries import ANY_ITEM, Entry, HandlingRule, Implementation, Item, Level, RuleKind, Source
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS, RegionLevel


class HandlingReason(StrEnum):
    BY_LEVEL = "by-level"
    DELEGATED = "delegated"
    NEGATIVE_LIST = "negative-list"  # would be delegated, but stands on the negative list


class NoHandlerReason(StrEnum):
    REGION_TOO_COARSE = "region-too-coarse"  # a county's item: say which county
    NO_IMPLEMENTATION = "no-implementation"  # the organ has not published how it handles the item


@dataclass(frozen=True, slots=True)
class Handling:
    """The organ that handles an item here, and why it. ``rule`` if a delegation or a negative list decided."""

    implementation: Implementation
    reason: HandlingReason
    rule: HandlingRule | None = None


@dataclass(frozen=True, slots=True)
class NoHandler:
    """Nobody, and why. ``rule``: a delegation to a region that has published no implementation."""

    reason: NoHandlerReason
    rule: HandlingRule | None = None


_RANK: Final = {RegionLevel.PROVINCE: 0, RegionLevel.CITY: 1, RegionLevel.COUNTY: 2, RegionLevel.ZONE: 2}
_LEVEL_RANK: Final = {Level.PROVINCE: 0, Level.CITY: 1, Level.COUNTY: 2}
_CODE = re.compile(r"[0-9]{12}|[0-9A-Z]{18}[0-9]{13}([0-9]{2})?")


def shanghai_day(at: datetime) -> date:
    """The day in Shandong at ``at`` (aware)."""
    return at.astimezone(SHANGHAI).date()


class Catalogue:
    """Every version of every entry, indexed. Immutable: a change makes a new one."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._versions: dict[tuple[str, str], list[Entry]] = {}
        for entry in sorted(entries, key=lambda entry: (entry.kind, entry.key, entry.version)):
            self._versions.setdefault((entry.kind, entry.key), []).append(entry)
        self._item_codes = [key for kind, key in self._versions if kind == Item.kind]
        self._by_place: dict[
            tuple[str, str], list[str]
        ] = {}  # (basic code, region) -> implementation codes, shortest first
        self._rules: dict[str, list[str]] = {}  # region -> rule keys
        for entry in self.entries():
            if isinstance(entry, Implementation):
                self._add(self._by_place.setdefault((entry.basic_code, entry.region), []), entry.key)
            elif isinstance(entry, HandlingRule):
                self._add(self._rules.setdefault(entry.region, []), entry.key)
        for codes in self._by_place.values():
            codes.sort(key=lambda code: (len(code), code))
        self._source_on = lru_cache(maxsize=4096)(self._find_source)  # asked for every document of every request

    @staticmethod
    def _add(keys: list[str], key: str) -> None:
        if key not in keys:
            keys.append(key)

    def entries(self) -> Iterator[Entry]:
        """All versions, by kind, key and version."""
        for versions in self._versions.values():
            yield from versions

    def versions(self, kind: str, key: str) -> Sequence[Entry]:
        return self._versions.get((kind, key), ())

    def _current(self, kind: str, key: str, day: date) -> Entry | None:
        begun = [entry for entry in self.versions(kind, key) if entry.effective_from <= day]
        newest = begun[-1] if begun else None
        if newest is None or (newest.effective_until is not None and newest.effective_until < day):
            return None
        return newest

    def item(self, code: str, at: datetime) -> Item | None:
        """The standard definition in effect, by basic code (12), implementation code (31) or handling item (33)."""
        if not _CODE.fullmatch(code):
            return None
        found = self._current(Item.kind, code if len(code) == 12 else code[19:31], shanghai_day(at))
        return found if isinstance(found, Item) else None

    def item_versions(self, code: str, at: datetime) -> list[Item]:
        """Every definition that had begun at ``at``, the newest first, whether it has ended or not."""
        if not _CODE.fullmatch(code):
            return []
        day, versions = shanghai_day(at), self.versions(Item.kind, code if len(code) == 12 else code[19:31])
        return [one for one in reversed(versions) if isinstance(one, Item) and one.effective_from <= day]

    def items(self, at: datetime) -> list[Item]:
        """Those in effect, by basic code."""
        day = shanghai_day(at)
        found = (self._current(Item.kind, key, day) for key in self._item_codes)
        return [item for item in found if isinstance(item, Item)]

    def implementation(self, code: str, at: datetime) -> Implementation | None:
        found = self._current(Implementation.kind, code, shanghai_day(at))
        return found if isinstance(found, Implementation) else None

    def implementations(self, basic_code: str, region: str, at: datetime) -> list[Implementation]:
        """Of one item by the organ of exactly this region: code 31 first, then its handling items."""
        codes = self._by_place.get((basic_code, region), ())
        return [found for code in codes if (found := self.implementation(code, at)) is not None]

    def source(self, ecert_type: str, region: str, at: datetime) -> Source | None:
        """Who issues this evidence for a region: the region's own source, else its city's, else the province's."""
        return self._source_on(ecert_type, region, shanghai_day(at))

    def _find_source(self, ecert_type: str, region: str, day: date) -> Source | None:
        for code in _upward(region):
            found = self._current(Source.kind, f"{ecert_type}/{code}", day)
            if isinstance(found, Source):
                return found
        return None

    def areas(self, region: str) -> tuple[str, ...]:
        """The named areas (片区) that rules of the region or of those above it speak of, on whatever day."""
        keys = (key for place in _upward(region) for key in self._rules.get(place, ()))
        rules = (rule for key in keys for rule in self.versions(HandlingRule.kind, key))
        return tuple(sorted({rule.area for rule in rules if isinstance(rule, HandlingRule) and rule.area is not None}))

    def who_handles(
        self, item: Item, region: str, at: datetime, *, area: str | None = None, code: str = ""
    ) -> Handling | NoHandler:
        """Delegations first, the most local one wins; else the organ of the item's own level. ``region`` must be in REGIONS.

        ``area``: a named area (free-trade zone …) in which the applicant is. ``code``: the handling item asked for, if one was.
        """
        kept: HandlingRule | None = None
        unpublished: HandlingRule | None = None
        level = _LEVEL_RANK[item.level]
        for place in _upward(region):
            if _RANK[REGIONS.get(place).level] <= level:
                break  # delegation goes downward only
            for scope in (area, None) if area is not None else (None,):
                rule = self._rule(item, place, scope, at)
                if rule is not None and rule.rule_kind is RuleKind.NEGATIVE_LIST:
                    kept = kept or rule
                elif rule is not None:
                    if found := self._implementation_at(item, place, at, code):
                        return Handling(found, HandlingReason.DELEGATED, rule)
                    unpublished = unpublished or rule
        own = next((place for place in _upward(region) if _RANK[REGIONS.get(place).level] == level), None)
        if own is None:
            return NoHandler(NoHandlerReason.REGION_TOO_COARSE)
        found = self._implementation_at(item, own, at, code)
        if unpublished is not None or found is None:  # what was delegated is no longer the level's own
            return NoHandler(NoHandlerReason.NO_IMPLEMENTATION, unpublished)
        return Handling(found, HandlingReason.NEGATIVE_LIST if kept else HandlingReason.BY_LEVEL, kept)

    def _rule(self, item: Item, region: str, area: str | None, at: datetime) -> HandlingRule | None:
        """The negative list before the delegation, the item's own rule before the one for any item."""
        day = shanghai_day(at)
        rules = [self._current(HandlingRule.kind, key, day) for key in self._rules.get(region, ())]
        fitting = [
            rule
            for rule in rules
            if isinstance(rule, HandlingRule)
            and (rule.region, rule.area) == (region, area)
            and rule.basic_code in (item.basic_code, ANY_ITEM)
        ]
        return min(
            fitting,
            key=lambda rule: (rule.rule_kind is RuleKind.DELEGATED, rule.basic_code == ANY_ITEM, rule.key),
            default=None,
        )

    def _implementation_at(self, item: Item, region: str, at: datetime, code: str) -> Implementation | None:
        found = self.implementations(item.basic_code, region, at)
        wanted = code[31:] if len(code) == 33 else None
        if wanted is not None:
            return next((one for one in found if one.handling_item == wanted), None)
        return found[0] if found else None


def _upward(region: str) -> Iterator[str]:
    code: str | None = region
    while code is not None:
        yield code
        code = REGIONS.get(code).parent
