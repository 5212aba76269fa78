"""The synthetic population: unique, valid, the same every time, and never a real division."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.population import RARE_NAMES, STUDENTS, family, find_family, schools, transfer
from schemas.ecerts import EnrolmentStatus
from schemas.numbers import check_resident_id, check_school_code
from schemas.regions import REGIONS
from schemas.transfers import TransferRequest

INDEXES = (*range(40), 498, 499, 500, 4990, STUDENTS - 1)


def test_everybody_has_a_number_of_their_own_and_is_found_by_it() -> None:
    seen: set[str] = set()
    for region in ("370102", "370202", "371702"):
        for index in INDEXES:
            one = family(region, index)
            for number in (one.student.id_number, one.guardian.id_number):
                assert check_resident_id(number).number not in seen
                seen.add(number)
                assert find_family(number) == one


def test_no_number_lies_in_a_division_that_exists() -> None:
    cities = {code[:4] for code in REGIONS.by_code}
    assert all(family(region.code, 3).student.id_number[:4] not in cities for region in REGIONS)


@pytest.mark.parametrize("number", ["", "370102201501010019", "379801", "37980220150132001X", "x" * 18])
def test_strangers_are_nobody(number: str) -> None:
    assert find_family(number) is None


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    assert family("370102", 5, seed=3) == family("370102", 5, seed=3)
    assert family("370102", 5, seed=3) != family("370102", 5, seed=4)
    with pytest.raises(ValueError, match="0 to 9999"):
        family("370102", STUDENTS)


def test_the_hard_cases_are_there() -> None:
    people = [family("370102", index) for index in range(200)]
    assert set(RARE_NAMES) <= {one.student.name for one in people}
    assert {one.status for one in people} == set(EnrolmentStatus) - {EnrolmentStatus.LEFT}
    assert any(one.student.id_number.endswith("X") for one in people)


@pytest.mark.parametrize("receiving", ["370202", "370102"])
def test_a_transfer_of_anybody_is_valid_and_goes_to_a_school_with_that_grade(receiving: str) -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    for index in range(20):
        request = transfer(f"m-{index}", "370102", index, receiving, submitted_at=now)
        assert TransferRequest.model_validate_json(request.model_dump_json()) == request
        check_school_code(request.receiving.school_code)
        assert request.receiving.school_code[:2] == request.releasing.school_code[:2]
        assert request.receiving.region == receiving


def test_every_region_has_schools_of_its_own() -> None:
    codes = [school.code for region in REGIONS for school in schools(region.code)]
    assert len(set(codes)) == len(codes)
