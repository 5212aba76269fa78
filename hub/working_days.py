"""Limits in working days by the State Council's calendar, make-up days (调休) included.

The day of acceptance does not count; a limit of N ends with the last moment of the N-th working day, Asia/Shanghai. Past the
last published year Monday to Friday are assumed and the limit is *provisional*: it is computed again when the calendar is updated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Limit:
    """``at`` is the first moment past the limit, UTC; ``provisional`` if it crosses a year that is not published."""

    at: datetime
    provisional: bool


def is_working_day(day: date) -> tuple[bool, bool]:
    """(whether people work on this day, whether that is only assumed)."""
    try:
        return bool(chinese_calendar.is_workday(day)), False
    except NotImplementedError:  # chinese_calendar's word for an unpublished year
        return day.weekday() < 5, True


def limit_after(start: datetime, working_days: int) -> Limit:
    """The limit ``working_days`` (at least 1) after ``start`` (aware)."""
    if working_days < 1:
        raise ValueError("a limit has at least one working day")
    return _limit_after(start.astimezone(SHANGHAI).date(), working_days)


@lru_cache(maxsize=4096)
def _limit_after(day: date, working_days: int) -> Limit:
    provisional = False
    while working_days:
        day += timedelta(days=1)
        works, assumed = is_working_day(day)
        provisional |= assumed
        working_days -= works
    end = datetime.combine(day + timedelta(days=1), time(), SHANGHAI)
    return Limit(end.astimezone(UTC), provisional)
