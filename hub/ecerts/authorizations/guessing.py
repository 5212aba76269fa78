"""Who tries codes that do not exist: counted for each caller over all nodes, throttled beyond a limit, and told once.

Only codes that nobody has count, the hub's and the library's alike: who shows a right code that is late or out of scope guesses
nothing, and a slip of the finger is caught by the check digit before. A throttled caller's right codes are refused as well, else
guessing would only have to go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from hub.db import AuditEntry, Tx
from hub.ecerts.authorizations import store
from hub.ecerts.evidence.rules import CodeLimits
from schemas.problems import AUTHORIZATION_THROTTLED, HubProblem

PARTS = 6  # of a window: the count forgets a sixth at a time
# after the caller was let in again: whoever comes in the morning sees what was in the night
GUESSING_KEPT = timedelta(days=1)
log = structlog.get_logger(__name__)


class Guessing:
    """What is known of some callers in one transaction."""

    def __init__(self, tx: Tx, limits: CodeLimits, systems: Iterable[str]) -> None:
        self._tx = tx
        self._limits = limits
        self._bucket = bucket_at(tx, limits)
        self._wrong = store.wrong_codes_since(tx.conn, set(systems), self._bucket - PARTS + 1)

    def refusal(self, system_id: str) -> HubProblem | None:
        """Whether codes of this caller are not looked at now."""
        if self._wrong.get(system_id, 0) < self._limits.wrong:
            return None
        wait = max(1, self._limits.wrong_window_s // PARTS)
        return HubProblem(AUTHORIZATION_THROTTLED, "wrong-codes", retry_after_s=wait)

    def count(self, system_id: str) -> None:
        """One more code that nobody has; the one that reaches the limit is told to those who watch."""
        self._wrong[system_id] = self._wrong.get(system_id, 0) + 1
        store.add_wrong_code(self._tx.conn, system_id, self._bucket)
        window = timedelta(seconds=self._limits.wrong_window_s)
        goes_on = store.one_more_guess(self._tx.conn, system_id, self._tx.now - window)
        if self._wrong[system_id] == self._limits.wrong:
            until = self._until(system_id)
            if goes_on:
                store.prolong_guessing(self._tx.conn, system_id, until)
            else:
                seen = {"codes": self._limits.wrong, "since": self._tx.now, "until": until}
                store.note_guessing(self._tx.conn, system_id, seen)
            detail = {"codes": str(self._limits.wrong), "window": str(self._limits.wrong_window_s)}
            self._tx.audit.append(AuditEntry("node", "authorization.guessing", system_id, "alert", detail))
            self._tx.after_commit.append(lambda: log.error("one caller tries codes that nobody has", system=system_id))

    def _until(self, system_id: str) -> datetime:
        """When the first of the codes that are counted is forgotten, and with it the limit is no longer reached."""
        oldest = store.oldest_wrong_code(self._tx.conn, system_id, self._bucket - PARTS + 1)
        return datetime.fromtimestamp((oldest + PARTS) * self._limits.wrong_window_s / PARTS, UTC)


def bucket_at(tx: Tx, limits: CodeLimits) -> int:
    return int(tx.now.timestamp() // (timedelta(seconds=limits.wrong_window_s) / PARTS).total_seconds())
