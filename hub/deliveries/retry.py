"""When a delivery that could not be made is due again, and when an endpoint is open. Pure: the time is an argument.

The waits are tenacity's strategies; what they compute is stored with the delivery, so that no process has to remember it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, cast

from tenacity import RetryCallState, wait_exponential, wait_random_exponential
from tenacity.wait import wait_base

from hub.working_days import SHANGHAI

LONGEST_RETRY_AFTER: Final = timedelta(hours=1)  # a peer's word counts, but not for ever
HOURS_CHECKED_EVERY: Final = timedelta(minutes=10)  # service hours may be changed while an endpoint is closed


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Settings ``retry_*``. ``limit`` counts attempts, the first one included."""

    base_s: float = 2.0
    cap_s: float = 900.0
    limit: int = 12

    def wait(self, tries: int, retry_after_s: float | None = None) -> timedelta:
        """How long to wait after attempt number ``tries`` (from 1): between half of and the whole exponential step."""
        backoff = timedelta(seconds=_strategy(self)(_after(tries)))
        if retry_after_s is None or not retry_after_s > 0:  # not a number is no wish
            return backoff
        return max(backoff, retry_after(retry_after_s))

    def is_last(self, tries: int) -> bool:
        return tries >= self.limit


def retry_after(seconds: float) -> timedelta:
    """A peer's ``Retry-After``, bounded."""
    return min(timedelta(seconds=min(max(seconds, 0.0), 86_400.0)), LONGEST_RETRY_AFTER)


def _strategy(policy: RetryPolicy) -> wait_base:
    half, cap = policy.base_s / 2, policy.cap_s / 2
    return wait_exponential(multiplier=half, max=cap) + wait_random_exponential(multiplier=half, max=cap)


def _after(tries: int) -> RetryCallState:
    """tenacity's strategies read the number of the attempt and nothing else."""
    state = RetryCallState(cast("object", None), None, (), {})  # type: ignore[arg-type]
    state.attempt_number = max(1, tries)
    return state


# --- service hours ------------------------------------------------------------------------------------------------------


def opens_at(hours: str | None, now: datetime) -> datetime | None:
    """None if the endpoint is open now, else when to look again: its next opening, or HOURS_CHECKED_EVERY from now.

    ``hours`` is ``HH:MM-HH:MM`` in Asia/Shanghai, the end not included; an end before the start is on the next day.
    """
    if hours is None:
        return None
    start, end = (_time(text) for text in hours.split("-"))
    local = now.astimezone(SHANGHAI)
    clock = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    is_open = start <= clock < end if start <= end else clock >= start or clock < end
    if is_open or start == end:
        return None
    midnight = datetime.combine(local.date(), time(), SHANGHAI)
    opening = midnight + start if clock < start else midnight + timedelta(days=1) + start
    return min(opening.astimezone(now.tzinfo), now + HOURS_CHECKED_EVERY)


def _time(text: str) -> timedelta:
    hour, minute = text.split(":")
    return timedelta(hours=int(hour), minutes=int(minute))  # 24:00 is the end of the day
