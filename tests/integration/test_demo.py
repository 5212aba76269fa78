"""The demo's scenes about people, on its own stage: a hub, a library and an identity service as processes; and rows that can fail.

The 40 transfers are ``make demo``'s: they take longer, and their parts have tests of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from adapters import simulator_process
from adapters.simulator_process import SimulatorFailed
from hub.access import registration
from hub.access.callers import KEEP_S, Service
from hub.cli import app
from hub.commands import demo as command
from hub.commands.demo import for_developers
from hub.db import Tx
from hub.demo import counter_scene, evidence_scene
from hub.demo.scenario import LIXIA
from hub.demo.stage import Stage, stage
from hub.opening import open_database, open_vault
from tests.integration.test_connect_guide import MAKE_KEY, NEEDS_CURL, NEEDS_OPENSSL, REGISTER, first_request

AT_MOST_S = 12.0  # on a machine that others use as well; a quiet one takes less than 3 s


@pytest.fixture(scope="module")
def built() -> Iterator[Stage]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with stage() as made:
        evidence_scene.prepare(made)
        time.sleep(KEEP_S)  # what was prepared is seen by then
        yield made
        folder = made.cast.folder
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process was left"
    assert not folder.exists()


def test_evidence_with_no_paper(built: Stage) -> None:
    row = evidence_scene.play(built)
    assert row.as_expected, row


def test_a_counter_and_the_holders_own_rights(built: Stage) -> None:
    begun = time.monotonic()
    rows = counter_scene.play(built)
    assert time.monotonic() - begun < AT_MOST_S
    for row in rows:
        assert row.as_expected, row
    assert "PASSED" in rows[0].known_by
    assert "redeemed-already" in rows[0].happened
    assert "denied" in rows[1].happened
    assert "subject-code" in rows[2].happened


@NEEDS_CURL
@NEEDS_OPENSSL
def test_a_developer_brings_a_system_of_their_own(built: Stage, tmp_path: Path) -> None:
    """The guide, section 0 a and what follows: the demo prints the guide's own commands, and where they find its hub."""
    found, make_key, *register = for_developers(built)
    assert make_key == " && ".join(MAKE_KEY.strip().splitlines())
    assert register == REGISTER.strip().splitlines()
    _, case = first_request(tmp_path, found)
    assert case["state"] == "completed", case


def test_a_row_says_no_when_something_is_wrong(built: Stage) -> None:
    """The counter has lost its right: nothing is redeemed, and the rows do not shine."""
    db = open_database(built.settings, open_vault(built.settings))

    def revoke(tx: Tx) -> None:
        registration.revoke_right(tx, "test", "hall", Service.AUTHORIZATION_REDEEM.value, LIXIA)

    db.write(revoke)
    db.close()
    time.sleep(KEEP_S)
    assert [row.as_expected for row in counter_scene.play(built)][:2] == [False, False]


# --- what does not start --------------------------------------------------------------------------------------------------


def test_a_simulator_that_starts_too_late_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    monkeypatch.setattr(simulator_process, "START_S", 0.05)
    ran = CliRunner().invoke(app, ["demo"])
    assert ran.exit_code == 1
    (told,) = ran.stderr.strip().splitlines()
    assert "模拟系统" in told
    assert "did not listen within 0.05 s" in told
    assert "请稍后再运行" in told
    assert "run it again" in told
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before, "a process was left"


def test_a_simulator_that_is_lost_in_mid_play_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost:
        def __enter__(self) -> Stage:
            raise SimulatorFailed("/_faults: URLError, its control port does not answer")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(command, "stage", Lost)
    ran = CliRunner().invoke(app, ["demo"])
    assert ran.exit_code == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "its control port does not answer" in ran.stderr
