"""Who tries codes that do not exist: counted for each caller over all nodes, throttled beyond a limit, and told once.

Only codes that nobody has count, the hub's and the library's alike: who shows a right code that is late or out of scope guesses
nothing, and a slip of the finger is caught by the check digit before. A throttled caller's right codes are refused as well, else
guessing would only have to go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import structlog

from hub.db import AuditEntry, Tx
from hub.ecerts.authorizations import store
from hub.ecerts.evidence.rules import CodeLimits
from schemas.problems import AUTHORIZATION_THROTTLED, HubProblem

PARTS = 6  # of a window: the count forgets a sixth at a time
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
        if self._wrong[system_id] == self._limits.wrong:
            detail = {"codes": str(self._limits.wrong), "window": str(self._limits.wrong_window_s)}
            self._tx.audit.append(AuditEntry("node", "authorization.guessing", system_id, "alert", detail))
            self._tx.after_commit.append(lambda: log.error("one caller tries codes that nobody has", system=system_id))


def bucket_at(tx: Tx, limits: CodeLimits) -> int:
    return int(tx.now.timestamp() // (timedelta(seconds=limits.wrong_window_s) / PARTS).total_seconds())
