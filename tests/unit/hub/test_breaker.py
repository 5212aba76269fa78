"""The breaker, against every sequence of signs that hypothesis thinks of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.deliveries.breaker import Breaker, BreakerPolicy, Effect, Health, Sign, after, on_claim, room

NOW = datetime(2026, 3, 2, tzinfo=UTC)
POLICY = BreakerPolicy(failures=3, open_s=30)
WELL = Health(Breaker.CLOSED, 0, NOW - timedelta(days=1), None, None, None, None, None, None, None)
OK, BAD = Sign(Effect.WELL), Sign(Effect.FAILED, "timeout")

signs = st.builds(Sign, st.sampled_from(Effect), st.just("code"), st.builds(timedelta, seconds=st.integers(0, 600)))


def fold(health: Health, *more: Sign) -> Health:
    for sign in more:
        health = after(health, sign, POLICY, NOW)
    return health


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    assert fold(WELL, BAD, BAD).breaker is Breaker.CLOSED
    assert fold(WELL, BAD, BAD, OK, BAD, BAD).breaker is Breaker.CLOSED
    opened = fold(WELL, BAD, BAD, BAD)
    assert (opened.breaker, opened.open_at) == (Breaker.OPEN, NOW + timedelta(seconds=30))


def test_the_probe_closes_or_opens_it() -> None:
    opened = fold(WELL, BAD, BAD, BAD)
    half = Health(
        **{**{n: getattr(opened, n) for n in Health.__dataclass_fields__}, "breaker": on_claim(opened.breaker)}
    )
    assert half.breaker is Breaker.HALF_OPEN
    assert fold(half, OK).breaker is Breaker.CLOSED
    assert fold(half, BAD).breaker is Breaker.OPEN


def test_late_failures_do_not_push_the_probe_away() -> None:
    opened = fold(WELL, BAD, BAD, BAD)
    assert after(opened, BAD, POLICY, NOW + timedelta(seconds=20)).open_at == opened.open_at


@given(st.lists(signs, max_size=30))
def test_what_always_holds(sequence: list[Sign]) -> None:
    health = WELL
    for sign in sequence:
        before, health = health, after(health, sign, POLICY, NOW)
        assert health.open_at >= before.open_at
        assert (health.breaker is Breaker.OPEN) <= (health.failures >= POLICY.failures)
        if sign.effect is Effect.WELL:
            assert (health.breaker, health.failures, health.ill_since) == (Breaker.CLOSED, 0, None)
        if sign.effect is Effect.FAILED:
            assert health.ill_since is not None
            assert health.failures == before.failures + 1
        if sign.effect is Effect.MISCONFIGURED or before.paused_at:
            assert health.paused_at is not None  # only a person resumes it
        if sign.effect is Effect.NONE:
            assert health == before
        assert room(health.breaker, health.failures, 8) == (
            8 if health.breaker is Breaker.CLOSED and health.failures == 0 else 1
        )


def test_misconfigured_is_what_the_last_error_says() -> None:
    wrong = fold(WELL, BAD, Sign(Effect.MISCONFIGURED, "http-401"))
    assert (wrong.misconfigured_at, wrong.paused_at) == (NOW, NOW)
    later = after(wrong, Sign(Effect.MISCONFIGURED, "http-401"), POLICY, NOW + timedelta(hours=1))
    assert later.misconfigured_at == NOW, "since when it is so"
    for other in (OK, BAD, Sign(Effect.WAIT, "http-429")):
        assert fold(wrong, other).misconfigured_at is None
