"""The region table against the published counts, and what a right to a region covers."""

from __future__ import annotations

from collections import Counter
from dataclasses import FrozenInstanceError

import pytest

from schemas.code_tables import HOLDER_CODE_TYPES, PROVINCES, RESIDENCE_PERMITS, SCHOOL_TYPES
from schemas.fields import IdType
from schemas.numbers import SCHOOL_CODE
from schemas.regions import REGIONS, RegionLevel
from schemas.rules import FieldError

# Counties of each city, GB/T 2260 as of today.
COUNTIES = {
    "济南": 12, "青岛": 10, "淄博": 8, "枣庄": 6, "东营": 5, "烟台": 11, "潍坊": 12, "济宁": 11,
    "泰安": 6, "威海": 4, "日照": 4, "临沂": 12, "德州": 11, "聊城": 8, "滨州": 7, "菏泽": 9,
}  # fmt: skip


def test_counts_by_level() -> None:
    assert Counter(region.level for region in REGIONS) == {"province": 1, "city": 16, "county": 136, "zone": 15}


@pytest.mark.parametrize(("city", "count"), COUNTIES.items())
def test_counties_of_each_city(city: str, count: int) -> None:
    code = next(r.code for r in REGIONS if r.level is RegionLevel.CITY and r.name == f"{city}市")
    assert sum(r.parent == code and r.level is RegionLevel.COUNTY for r in REGIONS) == count


def test_codes_agree_with_their_parents() -> None:
    for region in REGIONS:
        if region.level in (RegionLevel.COUNTY, RegionLevel.ZONE):
            assert region.parent == region.code[:4] + "00"
        elif region.level is RegionLevel.CITY:
            assert region.parent == "370000"
    assert len({region.name for region in REGIONS if region.level is RegionLevel.CITY}) == 16
    assert len(REGIONS) == len({region.code for region in REGIONS})


def test_lookups() -> None:
    assert REGIONS.get("370102").name == "历下区"
    for code, city in (("370102", "370100"), ("370176", "370100"), ("370100", "370100")):
        found = REGIONS.city_of(code)
        assert found is not None
        assert found.code == city
    assert REGIONS.city_of("370000") is None
    with pytest.raises(FieldError, match="region-unknown"):
        REGIONS.get("371203")


@pytest.mark.parametrize(
    ("right", "region", "covered"),
    [
        ("370000", "370000", True), ("370000", "370100", True), ("370000", "371772", True),
        ("370100", "370100", True), ("370100", "370102", True), ("370100", "370176", True),
        ("370100", "370202", False), ("370100", "370000", False), ("370102", "370102", True),
        ("370102", "370100", False), ("370102", "370103", False), ("370000", "371203", False),
        ("371203", "371203", False), ("", "370102", False),
    ],
)  # fmt: skip
def test_what_a_right_covers(right: str, region: str, covered: bool) -> None:
    assert REGIONS.covers(right, region) is covered


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        REGIONS.get("370102").name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        REGIONS.by_code["1"] = REGIONS.get("370102")  # type: ignore[index]


def test_code_tables_agree_with_the_types_that_use_them() -> None:
    assert {member.value for member in IdType} <= HOLDER_CODE_TYPES.keys()
    assert set(SCHOOL_CODE.pattern[1 : SCHOOL_CODE.pattern.index(")")].split("|")) == SCHOOL_TYPES.keys()
    assert len(PROVINCES) == 34
    assert RESIDENCE_PERMITS.keys() == {"81", "82", "83"}
