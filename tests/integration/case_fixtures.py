"""The world of cases on both databases, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.audit.chain import AuditChain
from hub.db import Database
from tests.conftest import AUDIT_KEY
from tests.integration.case_world import BEGIN, World


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    holder: list[World] = []
    db = Database(
        database_url, chain_audit=AuditChain(AUDIT_KEY).append, clock=lambda: holder[0].now if holder else BEGIN
    )
    holder.append(World(db))
    yield holder[0]
    db.close()
