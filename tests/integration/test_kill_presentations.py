"""A counter killed with -9 at each commit of a begin and of the use of a code of the library: on both databases.

Afterwards it is clear how it stands, the library was told the code once at most, and one message at most has the evidence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.audit.chain import verify_chain
from hub.db import Tx
from hub.ecerts.presentations.model import State
from schemas.problems import HubProblem
from tests.conftest import AUDIT_KEY
from tests.integration import killing
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World
from tests.integration.presenting import Counter, card_of
from tests.integration.presenting_child import begin_request

__all__ = ["simulators", "world"]  # fixtures
CHILD = "tests.integration.presenting_child"
_numbers = itertools.count(1)


@pytest.fixture
def counter(world: World) -> Iterator[Counter]:
    made = Counter(world)
    yield made
    with world.db.read() as conn:
        assert verify_chain(conn, AUDIT_KEY).faults == ()
    made.close()


def killed(counter: Counter, when: killing.When, word: str, *arguments: str) -> None:
    url = counter.world.db.url.render_as_string(hide_password=False)
    process = killing.start(
        CHILD, [url, str(counter.world.peers.folder), *arguments], environment=killing.killed_at(when, 1, word)
    )
    printed = process.communicate(timeout=60)
    assert killing.was_killed(process), printed
    assert printed == ""  # nobody was told anything


def time_passes(counter: Counter) -> None:
    """The dead process's claims have run out."""

    def act(tx: Tx) -> None:
        for table in (t.presentations, t.evidence_requests):
            tx.conn.execute(sa.update(table).values(owned_until=tx.now))

    counter.world.db.write(act)


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "asked"])
@pytest.mark.parametrize(
    ("when", "word", "asked", "state"),
    [
        ("before", "accepted", 0, State.PENDING),  # nothing was there: the same message begins it
        ("after", "accepted", 0, State.OUTCOME_UNKNOWN),  # the library had not been asked, but nobody can know that
        ("before", "pending", 1, State.OUTCOME_UNKNOWN),  # it had been, and what it answered died with us
        ("after", "pending", 1, State.PENDING),  # only our own answer was lost
    ],
)
def test_killed_while_it_begins(
    counter: Counter, when: killing.When, word: str, asked: int, state: State, swept: bool
) -> None:
    """``swept``: the hub's own chore came first, or the caller's same message did."""
    message, index = f"kill-{next(_numbers)}", next(_numbers) % 39 + 1
    code, before = counter.code(index), counter.begun_at_library()
    killed(counter, when, f"presentation.begin:{word}", "begin", message, str(index), code)
    assert counter.begun_at_library() - before == asked
    time_passes(counter)
    if swept:
        settled = counter.presentations.keep_house()
        assert settled == (1 if state is State.OUTCOME_UNKNOWN else 0)
    found = counter.begin(begin_request(counter, message, index, code))
    assert found.state is state
    assert counter.begun_at_library() - before == max(asked, 1 if state is State.PENDING else asked)
    assert len(counter.world.rows(t.presentations)) == 1
    if state is State.PENDING:
        counter.until(found.presentation_id, State.AUTHORIZED)
        assert counter.ask(found.presentation_id, index, caseReference=f"case-{index}").complete
    else:
        with pytest.raises(HubProblem):
            counter.ask(found.presentation_id, index)
        assert counter.status(found.presentation_id).state is State.OUTCOME_UNKNOWN


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", ["accepted", "authorized"])
def test_killed_while_a_shown_certificate_is_looked_up(counter: Counter, when: killing.When, word: str) -> None:
    """Looking it up has no effect: the same message always gets there."""
    message, index = f"kill-{next(_numbers)}", next(_numbers) % 39 + 1
    code = f"CERT:{card_of(counter.world, index)}#{next(_numbers)}"
    killed(counter, when, f"presentation.begin:{word}", "begin", message, str(index), code)
    time_passes(counter)
    found = counter.begin(begin_request(counter, message, index, code))
    assert found.state is State.AUTHORIZED
    assert len(counter.world.rows(t.presentations)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", ["evidence.request:accepted", "evidence.answer:complete"])
def test_killed_while_it_is_used(counter: Counter, when: killing.When, word: str) -> None:
    message, index = f"use-{next(_numbers)}", next(_numbers) % 39 + 1
    agreed = counter.agreed(index)
    killed(counter, when, word, "ask", message, str(index), agreed.presentation_id)
    time_passes(counter)
    used = counter.status(agreed.presentation_id).state is State.USED
    assert used == ((word, when) != ("evidence.request:accepted", "before"))
    if used:
        with pytest.raises(HubProblem):
            counter.ask(agreed.presentation_id, index, messageId="another")
    answer = counter.ask(agreed.presentation_id, index, messageId=message, deadlineS=3)
    assert (answer.state, answer.complete) == ("answered", True)
    with pytest.raises(HubProblem):
        counter.ask(agreed.presentation_id, index, messageId="another")
    assert len(counter.world.rows(t.evidence_requests)) == 1
    assert len(counter.world.audited("presentation.use")) == 1
    held = [use.ecert_type for use in counter.world.rows(t.data_uses) if use.outcome == "held"]
    assert sorted(held) == sorted(set(held))


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_holders_answer_is_written(counter: Counter, when: killing.When) -> None:
    """Asked again, the library says the same."""
    index = next(_numbers) % 39 + 1
    begun = counter.begin(counter.request(index))
    counter.until(begun.presentation_id, State.AUTHORIZED)
    counter.world.db.write(
        lambda tx: tx.conn.execute(sa.update(t.presentations).values(state="pending", use_until=None, checked_at=None))
    )
    killed(counter, when, "presentation.status:authorized", "status", "-", str(index), begun.presentation_id)
    assert counter.status(begun.presentation_id).state is State.AUTHORIZED
    assert counter.ask(begun.presentation_id, index).complete
