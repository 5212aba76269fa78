"""Operators on both databases with a clock of our own; the throttle; the hub's own keys; chores that fail."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from hub import tables as t
from hub.access.operators import IDLE_LIFE, LINK_LIFE, SESSION_LIFE, OperatorError, Operators, Role
from hub.access.operators.throttle import EVERY_S, TRIES, UNKNOWN_BUCKETS, Throttle, TooManyTries
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.housekeeping import Chore, Housekeeping
from hub.own_keys import OwnKeys

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 9, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operators(database_url: str, clock: Clock) -> Iterator[Operators]:
    db = Database(database_url, chain_audit=AuditChain(b"k" * 32).append, clock=clock)
    yield Operators(db)
    db.close()


def everything(operators: Operators) -> str:
    """Every column of every row, as text."""
    with operators._db.read() as conn:
        tables = (t.operators, t.login_links, t.operator_sessions, t.audit)
        return "\n".join(str(row) for table in tables for row in conn.execute(sa.select(table)))


def test_the_first_start_gives_one_link_for_each_role_and_only_once(operators: Operators) -> None:
    links = operators.first_links()
    assert set(links) == set(Role)
    assert operators.first_links() == {}
    assert {row.role for row in operators.list()} == set(Role)
    assert all(row.password_hash is None for row in operators.list())


def test_no_token_and_no_password_is_kept_in_clear(operators: Operators) -> None:
    link = operators.first_links()[Role.SYSTEM]
    session = operators.sign_in_by_link(link)
    assert session is not None
    operators.set_password(session.operator, PASSWORD, token=session.token)
    kept = everything(operators)
    for secret in (link, session.token, PASSWORD):
        assert secret not in kept


def test_a_link_ends_after_its_time(operators: Operators, clock: Clock) -> None:
    links = operators.first_links()
    clock.pass_(LINK_LIFE)
    assert operators.sign_in_by_link(links[Role.SYSTEM]) is None
    assert operators.sign_in_by_link(operators.link("system-administrator", by="t")) is not None


def test_nobody_signs_in_by_an_empty_or_missing_password(operators: Operators) -> None:
    operators.first_links()
    assert operators.sign_in_by_password("system-administrator", "") is None
    assert operators.sign_in_by_password("nobody", "") is None


def test_a_session_ends_when_its_operator_is_away(operators: Operators, clock: Clock) -> None:
    signed_in = operators.sign_in_by_link(operators.first_links()[Role.SYSTEM])
    assert signed_in is not None
    clock.pass_(IDLE_LIFE - timedelta(minutes=2))
    assert operators.session(signed_in.token) is not None  # a page: it lives on
    clock.pass_(IDLE_LIFE - timedelta(minutes=2))
    assert operators.session(signed_in.token, active=False) is not None  # the page's own refresh
    clock.pass_(timedelta(minutes=3))
    assert operators.session(signed_in.token) is None


def test_a_session_ends_after_a_working_day_whatever_its_operator_does(operators: Operators, clock: Clock) -> None:
    signed_in = operators.sign_in_by_link(operators.first_links()[Role.SYSTEM])
    assert signed_in is not None
    passed = timedelta(0)
    while passed < SESSION_LIFE:
        assert operators.session(signed_in.token) is not None, passed
        clock.pass_(timedelta(minutes=15))
        passed += timedelta(minutes=15)
    assert operators.session(signed_in.token) is None


def test_a_disabled_operator_is_out_at_once(operators: Operators) -> None:
    signed_in = operators.sign_in_by_link(operators.first_links()[Role.SYSTEM])
    assert signed_in is not None
    operators.set_password(signed_in.operator, PASSWORD, token=signed_in.token)
    operators.disable("system-administrator", by="t")
    assert operators.session(signed_in.token) is None
    assert operators.sign_in_by_password("system-administrator", PASSWORD) is None
    with pytest.raises(OperatorError):
        operators.link("system-administrator", by="t")


def test_a_flood_of_guessed_links_does_not_fill_the_audit_log(operators: Operators) -> None:
    link = operators.first_links()[Role.SYSTEM]
    for n in range(TRIES * 3):
        assert operators.sign_in_by_link(f"guess-{n}") is None
    assert everything(operators).count("'refused'") == TRIES + 1
    assert operators.sign_in_by_link(link) is not None  # and locks nobody out


# --- the throttle -------------------------------------------------------------------------------------------------------


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tries_come_back_with_time_and_with_the_right_password() -> None:
    seconds = Seconds()
    throttle = Throttle(seconds)
    waits: list[int] = []

    def tries() -> int:
        count = 0
        while True:
            try:
                throttle.begin("a", known=True)
            except TooManyTries as many:
                waits.append(many.wait_s)
                return count
            count += 1

    assert tries() == TRIES
    assert tries() == 0
    seconds.now += EVERY_S
    assert tries() == 1
    throttle.forgive("a")
    assert tries() == TRIES
    seconds.now += EVERY_S * TRIES * 10
    assert tries() == TRIES
    throttle.begin("b", known=True)
    assert all(1 <= wait <= EVERY_S + 1 for wait in waits)


def test_guesses_over_all_names_are_bounded() -> None:
    throttle = Throttle(Seconds())
    passed = 0
    for n in range(UNKNOWN_BUCKETS * TRIES * 4):
        try:
            throttle.begin(f"name-{n}", known=False)
        except TooManyTries:
            continue
        passed += 1
    assert passed == UNKNOWN_BUCKETS * TRIES
    throttle.begin("somebody who is known", known=True)


# --- the hub's own keys, and housekeeping -------------------------------------------------------------------------------


def test_own_keys_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    keys = OwnKeys.ensure(tmp_path)
    before = [file.read_bytes() for file in (keys.http, keys.http_public, keys.wsse, keys.wsse_certificate)]
    assert OwnKeys.ensure(tmp_path) == keys
    assert [file.read_bytes() for file in (keys.http, keys.http_public, keys.wsse, keys.wsse_certificate)] == before
    for private in (keys.http, keys.wsse):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    http = load_pem_private_key(keys.http.read_bytes(), None)
    assert http.public_key() == load_pem_public_key(keys.http_public.read_bytes())
    wsse = load_pem_private_key(keys.wsse.read_bytes(), None)
    assert wsse.public_key() == x509.load_pem_x509_certificate(keys.wsse_certificate.read_bytes()).public_key()


def test_a_crash_between_the_two_files_of_a_key_leaves_no_half_key(tmp_path: Path) -> None:
    keys = OwnKeys.ensure(tmp_path)
    keys.http.unlink()  # the public part had been written, the private one had not
    OwnKeys.ensure(tmp_path)
    http = load_pem_private_key(keys.http.read_bytes(), None)
    assert http.public_key() == load_pem_public_key(keys.http_public.read_bytes())


def test_a_chore_that_fails_comes_again_and_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Housekeeping, "TICK_S", 0.01)
    done: list[str] = []

    def fail() -> None:
        done.append("fails")
        raise RuntimeError("110105194912310021")

    keeping = Housekeeping([Chore("fails", 0.01, fail), Chore("works", 0.01, lambda: done.append("works"))])
    keeping.start()
    end = time.monotonic() + 5
    while done.count("works") < 3 and time.monotonic() < end:
        time.sleep(0.01)
    keeping.stop()
    assert done.count("fails") >= 3
    assert done.count("works") >= 3
