"""Reseal: each value that rests under another key or cipher than the current one is opened and sealed again, batch by batch.

Where the work stands is written nowhere but in the values themselves: a run that was killed is taken up by the next one, and two
runs at once do no harm. A value is replaced only if it is still the one that was read, so a running hub may go on writing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, ItemsView, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from hub.db import AuditEntry, Database, Tx
from hub.resealing import store
from hub.resealing.store import COLUMNS, SealedColumn, SealedValue
from hub.vault import Vault, VaultError

BATCH: Final = 100  # rows in one commit
_LONGEST_PAUSE_S: Final = 0.2  # between commits: the running hub's writes come first


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one run did. ``unreadable`` were left as they are: their key is not in the ring, or they were altered."""

    resealed: int
    unreadable: dict[str, int]  # by table.column


@dataclass(frozen=True, slots=True)
class Resting:
    """How many values rest where under which key."""

    columns: dict[str, dict[bytes, int]]  # by table.column and header

    def under(self, key_id: str) -> int:
        """Everything under one key, whatever cipher."""
        return sum(count for found in self._headers() for header, count in found if header[1:].hex() == key_id)

    def otherwise(self, header: bytes) -> int:
        """What a reseal has to do: values that do not begin with the current header."""
        return sum(count for found in self._headers() for other, count in found if other != header)

    def _headers(self) -> Iterator[ItemsView[bytes, int]]:
        return (found.items() for found in self.columns.values())


def resting(db: Database) -> Resting:
    with db.read() as conn:
        return Resting({column.name: store.counts(conn, column) for column in COLUMNS})


def reseal(db: Database, vault: Vault, actor: str, told: Callable[[str, int], None], batch: int = BATCH) -> Resealed:
    """Until nothing is found that rests otherwise. ``told(table.column, values so far)`` after each commit."""
    current = vault.ring.current
    _audit(db, AuditEntry(actor, "vault.reseal", current, "intended"))
    done, unreadable = 0, Counter[str]()
    for column in COLUMNS:
        for resealed, unread in _column(db, vault, column, batch):
            done += resealed
            unreadable[column.name] += unread
            told(column.name, done)
    outcome = {"resealed": str(done), "unreadable": str(unreadable.total())}
    _audit(db, AuditEntry(actor, "vault.reseal", current, "done", outcome))
    return Resealed(done, dict(+unreadable))


def _column(db: Database, vault: Vault, column: SealedColumn, batch: int) -> Iterator[tuple[int, int]]:
    """Resealed and unreadable values of each batch."""
    after: tuple[object, ...] = ()
    while True:
        with db.read() as conn:
            found = store.resting_otherwise(conn, column, vault.header, after, batch)
        if not found:
            return
        after = found[-1].key
        again: list[tuple[SealedValue, bytes]] = []
        for value in found:
            context = column.context(value.key)
            with suppress(VaultError):  # counted below
                again.append((value, vault.seal(vault.open(value.sealed, context), context)))
        began = time.monotonic()
        replaced = db.write(partial(_replace, column, again))
        time.sleep(min(_LONGEST_PAUSE_S, time.monotonic() - began))
        yield replaced, len(found) - len(again)


def _replace(column: SealedColumn, again: list[tuple[SealedValue, bytes]], tx: Tx) -> int:
    return sum(store.replace(tx.conn, column, old, sealed) for old, sealed in again)


def _audit(db: Database, entry: AuditEntry) -> None:
    db.write(lambda tx: tx.audit.append(entry))
