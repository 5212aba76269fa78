"""Fixtures of the tests of evidence and presentations: the simulators, started once for a module, and a world before them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.db import Database
from tests.integration.evidence_world import Peers, World, peers
from tests.integration.presenting import Counter


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with peers(tmp_path_factory.mktemp("peers")) as started:
        yield started


@pytest.fixture
def world(database: Database, simulators: Peers) -> Iterator[World]:
    simulators.library.fail("none")
    made = World(database, simulators).set_up()
    yield made
    made.close()


@pytest.fixture
def counter(world: World) -> Iterator[Counter]:
    made = Counter(world)
    yield made
    made.close()
