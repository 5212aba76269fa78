"""Shandong's regions: 16 cities, 136 counties and 15 functional zones with an education bureau (GB/T 2260 codes).

The table is ``schemas/data/regions.csv``; the codes of zones are those of the statistical division codes, not of GB/T 2260.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from schemas.rules import REGION_UNKNOWN, FieldError

PROVINCE: Final = "370000"


class RegionLevel(StrEnum):
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    ZONE = "zone"


@dataclass(frozen=True, slots=True)
class Region:
    """One row. ``parent`` is the code of the region above it: a county's and a zone's city, a city's province."""

    code: str
    name: str
    level: RegionLevel
    parent: str | None


@dataclass(frozen=True, slots=True)
class Regions:
    """The table. Iterating gives the regions in the order of their codes as published."""

    by_code: Mapping[str, Region]

    def __iter__(self) -> Iterator[Region]:
        return iter(self.by_code.values())

    def __len__(self) -> int:
        return len(self.by_code)

    def __contains__(self, code: object) -> bool:
        return code in self.by_code

    def get(self, code: str) -> Region:
        """The region of ``code``; raises :class:`FieldError` (region-unknown) if the table does not have it."""
        region = self.by_code.get(code)
        if region is None:
            raise FieldError(REGION_UNKNOWN)
        return region

    def city_of(self, code: str) -> Region | None:
        """The city that ``code`` lies in; a city's own is itself, the province has none."""
        region = self.get(code)
        if region.level is RegionLevel.CITY or region.parent is None:
            return region if region.level is RegionLevel.CITY else None
        return self.get(region.parent)

    def covers(self, right_region: str, region: str) -> bool:
        """Whether a right to ``right_region`` holds in ``region``: the province's everywhere, a city's in its own parts.

        A code that the table does not have covers nothing and is covered by nothing.
        """
        if right_region not in self.by_code or region not in self.by_code:
            return False
        above: str | None = region
        while above is not None:
            if above == right_region:
                return True
            above = self.by_code[above].parent
        return False


def _load() -> Regions:
    text = (files("schemas") / "data" / "regions.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    regions = [Region(r["code"], r["name"], RegionLevel(r["level"]), r["parent"] or None) for r in rows]
    return Regions(MappingProxyType({region.code: region for region in regions}))


REGIONS: Final = _load()
