"""Replay protection: each signature is good for one message, on whichever node it arrives.

The nonce is committed before the message is worked on, so that a copy is refused even while the first is being handled, and after a
crash. If the hub dies between the two, nothing was acknowledged and the caller signs again. Many nonces share one commit with
whatever else the writer has, so that this costs one more round of the group commit and no flush of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from hub.access import store
from hub.access.identity import Nonce
from hub.db import Database, Tx

PURGE_EVERY = timedelta(minutes=1)


class ReplayGuard:
    """Remembers nonces until the signature is too old to be taken anyway."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._purged_at: datetime | None = None

    def remember(self, nonce: Nonce) -> Future[bool]:
        """True once committed if the nonce is new, False if it was seen before. Raises DatabaseBusy."""
        return self._db.submit(self._insert, nonce)

    def _insert(self, tx: Tx, nonces: Sequence[Nonce]) -> list[bool]:
        if self._purged_at is None or tx.now - self._purged_at >= PURGE_EVERY:
            store.forget_nonces(tx.conn, tx.now)
            self._purged_at = tx.now
        return store.remember_nonces(tx.conn, [(nonce.digest, nonce.expires_at) for nonce in nonces])
