"""Fixtures of the tests of collecting: a library, started once for a module, and a world before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import CollectAction
from hub.db import Database
from hub.ecerts.collect.model import CollectionRequest
from hub.intake.operations import digest_of
from schemas.problems import (
    HubProblem,
)
from tests.integration import collect_world
from tests.integration.collect_world import REGION, Library, World, caller, values


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with collect_world.running_library(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.fixture
def world(database: Database, tmp_path: Path, library: Library) -> Iterator[World]:
    with collect_world.opened(database, tmp_path, library) as made:
        yield made


def one(world: World, message_id: str = "m-1", action: CollectAction = CollectAction.ISSUE, **changes: str):  # type: ignore[no-untyped-def]
    request = CollectionRequest(message_id=message_id, region=REGION, action=action, values=values(1, **changes))
    return world.collections.take_one(caller(), request, digest=digest_of(request))


def refused(problem: pytest.ExceptionInfo[HubProblem]) -> str:
    return problem.value.kind.code
