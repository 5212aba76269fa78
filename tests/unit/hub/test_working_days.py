"""The working-day clock, against the State Council's notices (国办发明电) as they were published."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.working_days import SHANGHAI, is_working_day, limit_after


def days(first: str, last: str) -> list[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


# (year, days off as ranges, make-up working days): the notices for 2024, 2025 and 2026
NOTICES = [
    (
        2024,
        [
            ("2024-01-01", "2024-01-01"), ("2024-02-10", "2024-02-17"), ("2024-04-04", "2024-04-06"),
            ("2024-05-01", "2024-05-05"), ("2024-06-10", "2024-06-10"), ("2024-09-15", "2024-09-17"),
            ("2024-10-01", "2024-10-07"),
        ],
        ["2024-02-04", "2024-02-18", "2024-04-07", "2024-04-28", "2024-05-11", "2024-09-14", "2024-09-29", "2024-10-12"],
    ),
    (
        2025,
        [
            ("2025-01-01", "2025-01-01"), ("2025-01-28", "2025-02-04"), ("2025-04-04", "2025-04-06"),
            ("2025-05-01", "2025-05-05"), ("2025-05-31", "2025-06-02"), ("2025-10-01", "2025-10-08"),
        ],
        ["2025-01-26", "2025-02-08", "2025-04-27", "2025-09-28", "2025-10-11"],
    ),
    (
        2026,
        [
            ("2026-01-01", "2026-01-03"), ("2026-02-15", "2026-02-23"), ("2026-04-04", "2026-04-06"),
            ("2026-05-01", "2026-05-05"), ("2026-06-19", "2026-06-21"), ("2026-09-25", "2026-09-27"),
            ("2026-10-01", "2026-10-07"),
        ],
        ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("year", "off", "make_up"), NOTICES, ids=[str(row[0]) for row in NOTICES])
def test_every_day_of_a_published_year(year: int, off: list[tuple[str, str]], make_up: list[str]) -> None:
    free = {day for first, last in off for day in days(first, last)}
    works = {date.fromisoformat(day) for day in make_up}
    for day in days(f"{year}-01-01", f"{year}-12-31"):
        expected = day in works or (day not in free and day.weekday() < 5)
        assert is_working_day(day) == (expected, False), day


@pytest.mark.parametrize(
    ("start", "working_days", "last_day"),
    [
        ("2026-02-13T10:00+08:00", 1, "2026-02-14"),  # a make-up Saturday is a working day
        ("2026-02-14T10:00+08:00", 1, "2026-02-24"),  # nine days of Spring Festival
        ("2026-09-30T17:00+08:00", 3, "2026-10-10"),  # 8, 9 and the make-up Saturday
        ("2026-03-02T23:59+08:00", 15, "2026-03-23"),
        ("2026-03-02T16:30+00:00", 15, "2026-03-24"),  # already 3 March in Shanghai
    ],
)
def test_the_limit_ends_with_its_last_working_day(start: str, working_days: int, last_day: str) -> None:
    limit = limit_after(datetime.fromisoformat(start), working_days)
    assert limit.at == datetime.fromisoformat(last_day).replace(tzinfo=SHANGHAI) + timedelta(days=1)
    assert not limit.provisional


def test_a_limit_past_the_published_calendar_is_provisional() -> None:
    limit = limit_after(datetime(2091, 12, 28, tzinfo=UTC), 10)
    assert limit.provisional
    assert limit.at > datetime(2092, 1, 8, tzinfo=UTC)


def test_a_limit_has_at_least_one_day() -> None:
    with pytest.raises(ValueError, match="at least one"):
        limit_after(datetime(2026, 3, 2, tzinfo=UTC), 0)


INSTANTS = st.datetimes(datetime(2023, 1, 1), datetime(2026, 10, 1), timezones=st.just(UTC))


@settings(deadline=None)  # on a busy machine the first example may wait
@given(start=INSTANTS, count=st.integers(1, 40))
def test_exactly_so_many_working_days_lie_between(start: datetime, count: int) -> None:
    limit = limit_after(start, count)
    first = start.astimezone(SHANGHAI).date() + timedelta(days=1)
    last = limit.at.astimezone(SHANGHAI).date() - timedelta(days=1)
    between = days(first.isoformat(), last.isoformat())
    assert sum(is_working_day(day)[0] for day in between) == count
    assert is_working_day(last)[0]


@settings(deadline=None)  # on a busy machine the first example may wait
@given(start=INSTANTS, later=st.timedeltas(timedelta(), timedelta(days=30)), count=st.integers(1, 40))
def test_starting_later_never_ends_earlier(start: datetime, later: timedelta, count: int) -> None:
    assert limit_after(start + later, count).at >= limit_after(start, count).at
    assert limit_after(start, count + 1).at > limit_after(start, count).at
