"""Fixtures of the contract suite: one simulator for each adapter, started once for the whole run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapters.contract import Adapter, Endpoint, Manifest
from adapters.harness import Harness, Setup
from adapters.registry import ADAPTERS, create, manifest
from adapters.simulator_process import SimulatorProcess


@dataclass(frozen=True)
class Subject:
    """One adapter under test, with its simulator running."""

    id: str
    manifest: Manifest
    harness: Harness
    setup: Setup
    simulator: SimulatorProcess

    def at(self, url: str) -> Adapter:
        """The adapter for an endpoint at another address."""
        return create(self.id, self.endpoint(url))

    def endpoint(self, url: str) -> Endpoint:
        return Endpoint("endpoint-1", "370102", url + self.setup.base_path, self.setup.settings, self.setup.secrets)


def harness_of(adapter_id: str) -> Harness:
    harness: Harness = importlib.import_module(f"adapters.{adapter_id}.harness").HARNESS
    return harness


@pytest.fixture(scope="session", params=sorted(ADAPTERS))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    adapter_id: str = request.param
    harness = harness_of(adapter_id)
    setup = harness.setup(tmp_path_factory.mktemp(adapter_id))
    with SimulatorProcess(setup.module, setup.arguments) as simulator:
        yield Subject(adapter_id, manifest(adapter_id), harness, setup, simulator)


@pytest.fixture
def subject(running: Subject) -> Iterator[Subject]:
    """The simulator with no fault in force."""
    yield running
    running.simulator.fail("none")


@pytest.fixture
def adapter(subject: Subject) -> Iterator[Adapter]:
    """The adapter for the simulator."""
    made = subject.at(subject.simulator.url)
    yield made
    made.close()
