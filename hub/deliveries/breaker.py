"""The breaker of an endpoint: a pure function from what is stored and what happened to what will be stored.

closed → open: BREAKER_FAILURES failures in a row. open → half-open: its time came and one delivery was claimed as the probe.
half-open → closed: the probe got an answer. half-open → open: it did not. The row of the endpoint holds it, so all nodes share it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Breaker(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Effect(StrEnum):
    """What one attempt says of its endpoint."""

    WELL = "well"  # it answered: yes, no, or a decision
    FAILED = "failed"  # no answer, or an answer that says that it is down
    WAIT = "wait"  # it answered: not now (Retry-After)
    MISCONFIGURED = "misconfigured"  # somebody must mend something: pause
    NONE = "none"  # the endpoint was not asked


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Settings ``breaker_*``."""

    failures: int = 5
    open_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """The columns of an endpoint that attempts change."""

    breaker: Breaker
    failures: int  # in a row
    open_at: datetime  # nothing is claimed before
    ill_since: datetime | None
    paused_at: datetime | None
    paused_reason: str | None
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    misconfigured_at: datetime | None  # none if the last error is another, or there was an answer since


@dataclass(frozen=True, slots=True)
class Sign:
    """One attempt as its endpoint's health sees it. ``code`` is the error's; ``wait`` what Retry-After asked for."""

    effect: Effect
    code: str = ""
    wait: timedelta = timedelta(0)


def after(health: Health, sign: Sign, policy: BreakerPolicy, now: datetime) -> Health:
    """The health after one more attempt."""
    match sign.effect:
        case Effect.NONE:
            return health
        case Effect.WELL:
            return replace(
                health, breaker=Breaker.CLOSED, failures=0, ill_since=None, last_ok_at=now, misconfigured_at=None
            )
        case Effect.WAIT:  # it is up and says when: an orderly pause, no failure
            return replace(
                health,
                breaker=Breaker.CLOSED,
                open_at=max(health.open_at, now + sign.wait),
                last_error_at=now,
                last_error=sign.code[:200],
                misconfigured_at=None,
            )
        case Effect.MISCONFIGURED:
            return replace(
                health,
                paused_at=health.paused_at or now,
                paused_reason=health.paused_reason if health.paused_at else sign.code[:200],
                ill_since=health.ill_since or now,
                last_error_at=now,
                last_error=sign.code[:200],
                misconfigured_at=health.misconfigured_at or now,
            )
        case Effect.FAILED:
            failures = health.failures + 1
            opens = health.breaker is Breaker.HALF_OPEN or failures >= policy.failures
            # late failures of calls that began before it opened do not push the probe further away
            pause = timedelta(0) if health.breaker is Breaker.OPEN else timedelta(seconds=policy.open_s)
            open_at = max(health.open_at, now + pause)
            return replace(
                health,
                breaker=Breaker.OPEN if opens else health.breaker,
                failures=failures,
                open_at=open_at if opens else health.open_at,
                ill_since=health.ill_since or now,
                last_error_at=now,
                last_error=sign.code[:200],
                misconfigured_at=None,
            )


def on_claim(breaker: Breaker) -> Breaker:
    """A claim from an open breaker whose time came is its probe."""
    return Breaker.HALF_OPEN if breaker is Breaker.OPEN else breaker


def room(breaker: Breaker, failures: int, max_concurrency: int) -> int:
    """How many calls may be under way at once: an endpoint that has just failed is tried one call at a time until it answers."""
    return max_concurrency if breaker is Breaker.CLOSED and failures == 0 else 1
