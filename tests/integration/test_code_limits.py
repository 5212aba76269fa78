"""Wrong codes are counted by caller and throttle it; a holder has so many live codes at once and no more. On both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.codes import new_code
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.evidence.rules import CodeLimits
from hub.vault import Vault
from schemas.problems import HubProblem
from tests.integration.authorization_fixtures import Clock, clock, db
from tests.integration.redeem_child import HALL, HOLDER, KEY, PORTAL, SCOPE, WANTED, redeem

__all__ = ["clock", "db"]  # fixtures
LIMITS = CodeLimits(wrong=6, wrong_window_s=600, live=3, confirm_s=180)


@pytest.fixture
def service(db: Database) -> Authorizations:
    return Authorizations(db, Vault(KEY), LIMITS)


def issue(service: Authorizations, holder: m.Holder = HOLDER) -> m.AuthorizationIssued | HubProblem:
    request = m.AuthorizationRequest(holder=holder, holder_proof="login-1", scope=SCOPE)
    return service.issue(PORTAL, request).result()


def code_of(service: Authorizations) -> str:
    answer = issue(service)
    assert isinstance(answer, m.AuthorizationIssued)
    return answer.code


def problem(answer: object) -> tuple[str, str]:
    assert isinstance(answer, HubProblem), answer
    return answer.kind.code, answer.detail


def alerts(db: Database) -> list[str]:
    with db.read() as conn:
        query = sa.select(t.audit.c.object).where(t.audit.c.action == "authorization.guessing")
        return list(conn.execute(query).scalars())


def guessers(db: Database) -> list[sa.Row[tuple[str, int, datetime, datetime]]]:
    c = t.guessing_callers.c
    with db.read() as conn:
        return list(conn.execute(sa.select(c.system_id, c.codes, c.since, c.until)))


def test_who_guesses_is_throttled_told_once_and_let_in_again(
    service: Authorizations, db: Database, clock: Clock
) -> None:
    right = code_of(service)
    mine = redeem(service, code_of(service), "m-mine")
    for number in range(LIMITS.wrong):
        assert problem(redeem(service, new_code().text, f"w-{number}")) == ("authorization-code-refused", "unknown")
    for code in (new_code().text, right):  # a right code is no way to find out
        refused = redeem(service, code, "m-2")
        assert problem(refused) == ("authorization-throttled", "wrong-codes")
        assert isinstance(refused, HubProblem)
        assert refused.retry_after_s == 100
    assert redeem(service, new_code().text, "m-3") is not None
    assert alerts(db) == ["hall"]
    (told,) = guessers(db)
    assert (told.system_id, told.codes, told.since) == ("hall", LIMITS.wrong, clock.now)
    assert timedelta(seconds=500) < told.until - clock.now <= timedelta(seconds=600)
    assert isinstance(mine, m.AuthorizationRedeemed)
    assert isinstance(redeem(service, code_of(service), "o-1", caller=PORTAL), m.AuthorizationRedeemed), "others go on"
    clock.now += timedelta(seconds=700)
    assert isinstance(redeem(service, code_of(service), "m-9"), m.AuthorizationRedeemed)
    service.purge()
    clock.now += timedelta(seconds=1300)
    service.purge()
    with db.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(t.wrong_codes)).scalar_one() == 0
    assert guessers(db) == [told], "who comes in the morning sees it"
    clock.now += timedelta(days=1)
    service.purge()
    assert guessers(db) == []


def test_a_guesser_is_let_in_when_it_is_told_and_what_goes_on_is_one_story(
    service: Authorizations, db: Database, clock: Clock
) -> None:
    numbers = count()

    def guess(times: int) -> set[str]:
        return {
            problem(redeem(service, new_code().text, f"g-{clock.now:%d%H%M%S}-{next(numbers)}"))[1]
            for _ in range(times)
        }

    guess(LIMITS.wrong)
    (first,) = guessers(db)
    clock.now = first.until - timedelta(seconds=1)
    assert guess(1) == {"wrong-codes"}
    clock.now = first.until
    assert guess(1) == {"unknown"}
    assert [(one.codes, one.since) for one in guessers(db)] == [(LIMITS.wrong + 1, first.since)]
    guess(LIMITS.wrong)
    (second,) = guessers(db)
    assert (second.codes, second.since) == (2 * LIMITS.wrong, first.since)
    assert second.until > first.until
    clock.now = second.until + timedelta(seconds=LIMITS.wrong_window_s)
    guess(LIMITS.wrong)
    (other,) = guessers(db)
    assert (other.codes, other.since) == (LIMITS.wrong, clock.now), "another night, another story"


def test_an_answer_that_was_lost_is_had_again_even_then(service: Authorizations) -> None:
    code = code_of(service)
    first = redeem(service, code, "m-1")
    for number in range(LIMITS.wrong):
        redeem(service, new_code().text, f"w-{number}")
    assert redeem(service, code, "m-1") == first


def test_right_codes_that_do_not_hold_are_no_guesses(service: Authorizations, db: Database, clock: Clock) -> None:
    late, wide = code_of(service), code_of(service)
    clock.now += timedelta(seconds=181)
    for number in range(LIMITS.wrong):
        assert problem(redeem(service, late, f"l-{number}"))[1] in ("expired", "unknown")
    del wide
    other = WANTED.model_copy(update={"purpose": "other"})
    assert problem(redeem(service, code_of(service), "s-1", wanted=other))[1] == "scope-purpose"
    assert alerts(db) == []


def test_guesses_that_come_at_once_pass_the_limit_no_more_than_others(service: Authorizations, db: Database) -> None:
    barrier = threading.Barrier(30)

    def one(number: int) -> str:
        barrier.wait()
        return problem(redeem(service, new_code().text, f"c-{number}"))[1]

    with ThreadPoolExecutor(30) as pool:
        words = list(pool.map(one, range(30)))
    assert words.count("unknown") == LIMITS.wrong
    assert words.count("wrong-codes") == 30 - LIMITS.wrong
    assert alerts(db) == ["hall"]


def test_a_holder_has_so_many_live_codes(service: Authorizations, clock: Clock) -> None:
    first = code_of(service)
    clock.now += timedelta(seconds=60)
    for _ in range(LIMITS.live - 1):
        code_of(service)
    refused = issue(service)
    assert problem(refused) == ("authorization-throttled", "live-codes")
    assert isinstance(refused, HubProblem)
    assert refused.retry_after_s in (120, 121)  # when the first one ends
    other = HOLDER.model_copy(update={"code": "370102198501011217"})
    assert isinstance(issue(service, other), m.AuthorizationIssued), "one holder's limit is nobody else's"
    assert isinstance(redeem(service, first, "m-1"), m.AuthorizationRedeemed)
    assert isinstance(issue(service), m.AuthorizationIssued), "a redeemed code is not live"
    clock.now += timedelta(seconds=181)
    assert isinstance(issue(service), m.AuthorizationIssued)


def test_issues_that_come_at_once_pass_the_limit_no_more_than_others(service: Authorizations) -> None:
    barrier = threading.Barrier(20)

    def one(_: int) -> bool:
        barrier.wait()
        return isinstance(issue(service), m.AuthorizationIssued)

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(20))) == LIMITS.live


def test_refusals_are_audited_without_a_number(service: Authorizations, db: Database) -> None:
    for _ in range(LIMITS.live + 1):
        issue(service)
    redeem(service, new_code().text, "m-1", caller=HALL)
    with db.read() as conn:
        rows = conn.execute(sa.select(t.audit.c.action, t.audit.c.outcome, t.audit.c.detail)).all()
    words = [(row.action, row.outcome) for row in rows]
    assert ("authorization.issue", "live-codes") in words
    assert ("authorization.redeem", "unknown") in words
    assert all(HOLDER.code not in str(row.detail) for row in rows)
