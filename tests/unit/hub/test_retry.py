"""Backoff and service hours: pure functions, walked by hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.deliveries.retry import HOURS_CHECKED_EVERY, LONGEST_RETRY_AFTER, RetryPolicy, opens_at
from hub.working_days import SHANGHAI

policies = st.builds(
    RetryPolicy, base_s=st.floats(0.1, 10), cap_s=st.floats(20, 5000), limit=st.integers(1, 50)
)  # fmt: skip


@given(policies, st.integers(1, 200))
def test_a_wait_lies_between_half_and_the_whole_step(policy: RetryPolicy, tries: int) -> None:
    step = min(policy.base_s * 2.0 ** min(tries - 1, 60), policy.cap_s)
    assert step / 2 - 0.001 <= policy.wait(tries).total_seconds() <= step + 0.001


def test_waits_are_jittered() -> None:
    assert len({RetryPolicy().wait(6) for _ in range(20)}) > 15


@given(policies, st.integers(1, 20), st.floats(allow_nan=True, allow_infinity=True))
def test_retry_after_is_respected_within_bounds(policy: RetryPolicy, tries: int, seconds: float) -> None:
    wait = policy.wait(tries, seconds)
    assert timedelta(0) <= wait <= max(LONGEST_RETRY_AFTER, timedelta(seconds=policy.cap_s + 0.001))
    if seconds > 0:
        assert wait >= min(timedelta(seconds=min(seconds, 86_400)), LONGEST_RETRY_AFTER)


@given(policies)
def test_the_limit_counts_the_first_attempt(policy: RetryPolicy) -> None:
    assert policy.is_last(policy.limit)
    assert not policy.is_last(policy.limit - 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}:00").replace(tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "is_open"),
    [
        (None, "03:00", True),
        ("07:30-20:00", "07:29", False),
        ("07:30-20:00", "07:30", True),
        ("07:30-20:00", "19:59", True),
        ("07:30-20:00", "20:00", False),
        ("20:00-06:00", "23:59", True),
        ("20:00-06:00", "05:59", True),
        ("20:00-06:00", "06:00", False),
        ("00:00-24:00", "23:59", True),
    ],
)
def test_service_hours_are_shanghai_time(hours: str | None, now: str, is_open: bool) -> None:
    assert (opens_at(hours, at(now)) is None) is is_open


times = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59))


@given(times, times, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)))
def test_looking_again_ends_in_an_open_endpoint(start: str, end: str, now: datetime) -> None:
    hours = f"{start}-{end}"
    for _ in range(24 * 6 + 2):
        again = opens_at(hours, now)
        if again is None:
            return
        assert now < again <= now + HOURS_CHECKED_EVERY
        now = again
    raise AssertionError("never opens")
