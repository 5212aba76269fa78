"""A chore, safe on every node at once: what was kept long enough is dropped, a bounded number of rows in each commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.engine import Connection

from hub.db import AuditEntry, Database, Tx
from hub.keeping import store

AT_ONCE: Final = 200  # of one commit
Step = Callable[[Connection, datetime, int], int]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long each is kept. ``bodies``: after the end of a delivery; ``requests``: after their answers were dropped."""

    bodies: timedelta
    attempts: timedelta
    events: timedelta
    requests: timedelta
    uses: timedelta


def purge(db: Database, keeping: Keeping, actor: str) -> dict[str, int]:
    """Gives how many of each."""
    now = db.clock()
    steps: dict[str, tuple[Step, timedelta]] = {
        "requests": (store.drop_requests, keeping.requests),
        "bodies": (store.empty_bodies, keeping.bodies),
        "attempts": (store.drop_attempts, keeping.attempts),
        "events": (store.drop_events, keeping.events),
        "uses": (store.drop_uses, keeping.uses),
    }
    dropped = {name: _all(db, step, now - kept) for name, (step, kept) in steps.items()}
    if any(dropped.values()):
        detail = {name: str(count) for name, count in dropped.items()}
        db.write(lambda tx: tx.audit.append(AuditEntry(actor, "keeping.purge", "database", "purged", detail)))
    return dropped


def _all(db: Database, step: Step, before: datetime) -> int:
    def once(tx: Tx) -> int:
        return step(tx.conn, before, AT_ONCE)

    count = 0
    while dropped := db.write(once):
        count += dropped
    return count
