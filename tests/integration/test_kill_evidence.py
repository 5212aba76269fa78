"""The fetch path, killed with -9 at each of its commits. Afterwards the same message gets a whole answer, and all happened once."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.audit.chain import verify_chain
from hub.db import Tx
from hub.ecerts.evidence.views import Answered
from tests.conftest import AUDIT_KEY
from tests.integration import killing
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

__all__ = ["simulators", "world"]  # fixtures
CHILD = "tests.integration.evidence_child"
_numbers = itertools.count(1)


def child(world: World, act: str, name: str, index: int, kill: dict[str, str] | None = None) -> tuple[list[str], bool]:
    """What it printed, and whether it was killed."""
    url = world.db.url.render_as_string(hide_password=False)
    process = killing.start(CHILD, [url, str(world.peers.folder), act, name, str(index)], environment=kill or {})
    printed = process.communicate(timeout=60)
    killed = killing.was_killed(process)
    assert killed or process.returncode == 0
    return printed.split(), killed


def time_passes(world: World) -> None:
    """The dead process's claim on its request and its places at endpoints have run out, and a breaker's rest is over."""

    def act(tx: Tx) -> None:
        tx.conn.execute(sa.update(t.evidence_requests).values(owned_until=tx.now))
        tx.conn.execute(sa.update(t.endpoint_calls).values(until=tx.now))
        tx.conn.execute(sa.update(t.endpoints).values(open_at=tx.now))

    world.db.write(act)


def judge(world: World, name: str, index: int) -> None:
    """The same message again: complete, from one request, each document handed out and noted once, the log whole."""
    answer = world.ask(world.request(index, messageId=name, deadlineS=2, answer="documents"))
    assert (answer.state, answer.complete) == ("answered", True)
    (row,) = world.rows(t.evidence_requests)
    assert row.answer_digest == Answered.of(answer).digest
    held = Counter(use.ecert_type for use in world.rows(t.data_uses) if use.outcome == "held")
    assert held == {document.document: 1 for document in answer.documents or ()}
    assert {row.state for row in world.rows(t.deliveries)} <= {"delivered"}
    with world.db.read() as conn:
        assert verify_chain(conn, AUDIT_KEY).faults == ()


def prepared(world: World) -> tuple[str, int]:
    number = next(_numbers)
    index = number % 39 + 1
    world.consent(index)
    return f"kill-{number}", index


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", ["evidence.request:accepted", "evidence.answer:complete"])
@pytest.mark.parametrize("then", ["again", "never"])
def test_killed_while_it_asks(world: World, word: str, when: killing.When, then: str) -> None:
    """``then``: the caller sends the message again; or it never does, and the hub finds what was left behind."""
    name, index = prepared(world)
    printed, killed = child(world, "ask", name, index, killing.killed_at(when, 1, word))
    assert killed
    assert printed == []  # nobody was told anything
    time_passes(world)
    rows = world.rows(t.evidence_requests)
    assert len(rows) == (0 if (word, when) == ("evidence.request:accepted", "before") else 1)
    if then == "never" and rows:
        printed, _ = child(world, "follow", rows[0].id, 0)
        assert printed == ["done"]
    judge(world, name, index)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", ["evidence.answer:partial", "delivery.attempt:begun", "evidence.follow-up:held"])
def test_killed_while_it_follows_up(world: World, word: str, when: killing.When) -> None:
    name, index = prepared(world)
    world.peers.library.fail("down")
    kill = killing.killed_at(when, 1, word)
    _, killed = child(world, "ask", name, index, kill if word == "evidence.answer:partial" else None)
    assert killed == (word == "evidence.answer:partial")
    world.peers.library.fail("none")
    time_passes(world)
    (row,) = world.rows(t.evidence_requests)
    if not killed:
        _, killed = child(world, "follow", row.id, 0, kill)
        assert killed, [one.action + ":" + one.outcome for one in world.rows(t.audit)]
    printed, _ = child(world, "follow", row.id, 0)
    assert printed == ["done"]
    judge(world, name, index)
    assert Counter(event.type for event in world.rows(t.events)) == {"evidence.answered": 1}
