"""What is dropped in time: files that are checked or were never taken, batches that ended long ago, with their rows and deliveries.

Our account of what the library holds stays: reconciliation needs its digests and identifiers, and nothing of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from hub.db import AuditEntry, Database, Tx
from hub.ecerts.collect import store

UNTAKEN: Final = timedelta(hours=1)  # parts of a file that no batch was written for are dropped after it
ROWS_AT_ONCE: Final = 1_000  # of one commit
PARTS_AT_ONCE: Final = 16
BATCHES_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Purged:
    parts: int
    rows: int
    batches: int


def purge(db: Database, keep: timedelta, actor: str) -> Purged:
    """A chore, safe on every node at once. ``keep``: how long after its end a batch stays."""
    parts = _all(db, partial(_parts, None))
    rows = batches = 0
    while True:
        with db.read() as conn:
            ended = store.ended_before(conn, db.clock() - keep, BATCHES_AT_ONCE)
        for batch_id in ended:
            rows += _all(db, partial(_rows, batch_id))
        batches += len(ended)
        if len(ended) < BATCHES_AT_ONCE:
            break
    if parts or batches:
        detail = {"rows": str(rows), "count": str(batches), "parts": str(parts)}
        entry = AuditEntry(actor, "collect.purge", "collections", "purged", detail)
        db.write(lambda tx: tx.audit.append(entry))
    return Purged(parts, rows, batches)


def drop_file(db: Database, batch_id: str) -> None:
    """Of a batch that is checked. What a kill leaves is dropped by :func:`purge`."""
    _all(db, partial(_parts, batch_id))


def _all(db: Database, step: partial[int]) -> int:
    count = 0
    while dropped := db.write(step):
        count += dropped
    return count


def _parts(batch_id: str | None, tx: Tx) -> int:
    return store.drop_parts(tx.conn, PARTS_AT_ONCE, of=batch_id, before=tx.now - UNTAKEN)


def _rows(batch_id: str, tx: Tx) -> int:
    return store.purge_rows(tx.conn, batch_id, ROWS_AT_ONCE)
