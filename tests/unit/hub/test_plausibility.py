"""Transfers that cannot be true, and those that only look odd."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adapters.population import family, transfer
from hub.intake.plausibility import CLOCKS, implausible
from schemas.regions import REGIONS
from schemas.rules import RULES, Step
from schemas.transfers import Consent, Placement, TransferRequest

NOW = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def request(**changes: Any) -> TransferRequest:
    return transfer("m-1", "370102", 0, "370202", submitted_at=NOW).model_copy(update=changes)


def consent(at: datetime) -> dict[str, Consent]:
    return {"consent": Consent(given_at=at, reference="c")}


def place(code: str, grade: int, region: str = "370202") -> Placement:
    return Placement(region=region, school_code=code, school_name="某校", grade=grade)


BORN = datetime(2016, 9, 1, tzinfo=UTC) - timedelta(hours=8)  # the student's birthday begins in Shandong
FAULTY: dict[str, tuple[TransferRequest, list[str]]] = {
    "submitted-in-future": (request(submitted_at=NOW + CLOCKS + SECOND), ["/submittedAt"]),
    "consent-in-future": (request(**consent(NOW + CLOCKS + SECOND)), ["/consent/givenAt"]),
    "consent-after-submission": (
        request(submitted_at=NOW - timedelta(days=2), **consent(NOW - timedelta(days=1))),
        ["/consent/givenAt"],
    ),
    "consent-before-birth": (request(**consent(BORN - SECOND)), ["/consent/givenAt"]),
    "grade-not-in-stage": (
        request(releasing=place("2137000001", 10), receiving=place("3137000001", 12)),
        ["/releasing/grade", "/receiving/grade"],
    ),
    "school-region-mismatch": (
        request(releasing=place("2111000001", 4), receiving=place("2137000001", 4, "110101")),
        ["/releasing/schoolCode", "/receiving/schoolCode"],
    ),
}


def test_every_rule_of_intake_is_tried() -> None:
    assert {code for code, rule in RULES.items() if rule.step is Step.INTAKE} == FAULTY.keys()


@pytest.mark.parametrize("code", FAULTY)
def test_what_cannot_be_true_is_told_with_its_field(code: str) -> None:
    asked, paths = FAULTY[code]
    assert [(one.path, one.rule) for one in implausible(asked, NOW)] == [(path, code) for path in paths]


def test_all_of_it_is_told_at_once() -> None:
    late = NOW + timedelta(days=365)
    asked = request(submitted_at=late, receiving=place("2111000001", 11), **consent(late))
    assert [one.rule for one in implausible(asked, NOW)] == [
        "submitted-in-future",
        "consent-in-future",
        "grade-not-in-stage",
        "school-region-mismatch",
    ]


@pytest.mark.parametrize(
    "odd",
    [
        request(),
        request(submitted_at=NOW + CLOCKS, **consent(NOW + CLOCKS)),  # clocks differ
        request(submitted_at=NOW - CLOCKS, **consent(NOW)),
        request(submitted_at=NOW - timedelta(days=900), **consent(NOW - timedelta(days=901))),  # late, not reversed
        request(**consent(BORN)),  # on the day of birth
        request(receiving=place("2137000001", 6), releasing=place("3137000001", 6)),  # five and four years
        request(receiving=place("3137000001", 1)),  # a nine-year school
        request(receiving=place("3437000001", 3)),  # a school of all twelve grades
        request(receiving=place("2137000001", 7)),  # attached junior classes
        request(receiving=place("3637000001", 5)),  # a school of sport
        request(receiving=place("5137000001", 12)),
    ],
)
def test_what_is_only_odd_is_let_through(odd: TransferRequest) -> None:
    assert implausible(odd, NOW) == ()


def test_an_unusual_age_is_no_fault() -> None:
    student = request().student.model_copy(update={"birth_date": date(1990, 1, 1)})
    assert implausible(request(student=student, receiving=place("2137000001", 1)), NOW) == ()


@pytest.mark.parametrize("region", [one.code for one in REGIONS if one.parent == "370100"])
def test_the_synthetic_population_is_plausible(region: str) -> None:
    for index in range(0, 40):
        assert family(region, index).school.region == region
        assert implausible(transfer("m-1", region, index, "370202", submitted_at=NOW), NOW) == ()
