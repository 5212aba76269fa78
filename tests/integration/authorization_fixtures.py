"""A database with the systems of a counter, and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from hub.access import registration
from hub.audit.chain import AuditChain
from hub.db import Database
from tests.conftest import AUDIT_KEY


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(database_url: str, clock: Clock) -> Iterator[Database]:
    opened = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append, clock=clock)
    for system in ("portal", "hall", "other"):
        opened.write(lambda tx, system=system: registration.add_system(tx, "test", system, system))  # type: ignore[misc]
    yield opened
    opened.close()
