"""The identity service that people log in at, started once for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.login_world import Identity, identity_service


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    with identity_service(tmp_path_factory.mktemp("identity")) as running:
        yield running
