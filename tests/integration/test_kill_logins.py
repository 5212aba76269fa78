"""A process killed right before or right after the commit that uses a login: on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.db import Database
from hub.ecerts.logins.model import LoginProof
from schemas.problems import HubProblem
from tests.integration import killing
from tests.integration.killing import When
from tests.integration.login_fixtures import identity
from tests.integration.login_world import Identity, World

__all__ = ["identity"]  # fixtures
CHILD = "tests.integration.login_world"


@pytest.fixture
def world(database: Database, identity: Identity) -> Iterator[World]:
    made = World(database).set_up(identity)
    yield made
    made.close()


def killed(when: When, word: str, url: str, act: str, proof: LoginProof) -> None:
    arguments = (url, act, proof.nonce, proof.assertion)
    process = killing.start(CHILD, arguments, environment=killing.killed_at(when, 1, word))
    process.communicate(timeout=100)
    assert killing.was_killed(process)


def count(world: World, table: sa.Table) -> int:
    with world.db.read() as conn:
        return conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_code_whose_answer_was_lost(world: World, identity: Identity, database_url: str, when: When) -> None:
    """Code and use of the login are committed together: never a code without it, never a login lost without a code."""
    proof = world.proof(identity)
    killed(when, "authorization.issue:issued", database_url, "issue", proof)
    assert count(world, t.authorizations) == (0 if when == "before" else 1)
    if when == "before":
        world.issue(proof)
    else:
        with pytest.raises(HubProblem, match="login-used"):
            world.issue(proof)
    assert count(world, t.authorizations) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_consent_whose_answer_was_lost(world: World, identity: Identity, database_url: str, when: When) -> None:
    proof = world.proof(identity)
    killed(when, "consent.register:registered", database_url, "consent", proof)
    first = world.register_consent(proof)
    assert world.register_consent(proof) == first, "the same consent with the same login gets its answer"
    assert count(world, t.consents) == 1
    with pytest.raises(HubProblem, match="login-used"):
        world.issue(proof)
