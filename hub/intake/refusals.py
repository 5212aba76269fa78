"""Refusals are told to the caller, logged, and written to the audit log, without any personal data.

Each refusal has its own audit entry and log line, found by its problem id, up to a rate: 1 a second (120 at once) for all unknown
callers together, 10 a second (600 at once) for each known system. What goes beyond is counted, and the counts are written once a
minute, one entry for each actor and code. Nobody fills the disk by being refused: unknown callers cost 86,400 rows a day.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from hub.db import AuditEntry, Database, DatabaseBusy, Tx
from hub.intake.limits import RateLimiter
from schemas.problems import HubProblem

ANONYMOUS = "anonymous"
ANONYMOUS_RATE, ANONYMOUS_BURST = 1.0, 120.0
KNOWN_RATE, KNOWN_BURST = 10.0, 600.0
SUMMARY_EVERY_S = 60.0

_ABOUT = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}\b")  # the id of a case, a batch …: what was acted on

log = structlog.get_logger("hub.intake")


class RefusalLog:
    """Used from the event loop and from threads."""

    def __init__(self, db: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._anonymous = RateLimiter(ANONYMOUS_RATE, ANONYMOUS_BURST, clock=clock)
        self._known = RateLimiter(KNOWN_RATE, KNOWN_BURST, clock=clock)
        self._lock = threading.Lock()
        self._suppressed: Counter[tuple[str, str]] = Counter()
        self._summary_due = clock() + SUMMARY_EVERY_S

    def record(
        self, problem: HubProblem, *, problem_id: str, operation: str, system_id: str | None, address: str
    ) -> None:
        """Write one refusal. Does not wait for the commit: a refusal has no effect that the log must precede."""
        actor = ANONYMOUS if system_id is None else f"system:{system_id}"
        code = problem.kind.code
        reason = reason_word(problem)
        limiter = self._anonymous if system_id is None else self._known
        if limiter.take(actor) > 0.0:
            with self._lock:
                self._suppressed[actor, code] += 1
        else:
            log.info("refused", problem=problem_id, operation=operation, actor=actor, code=code, reason=reason)
            detail = {"operation": operation, "reason": reason, "address": address}
            if about := _ABOUT.match(problem.detail):
                detail["about"] = about[0]
            self._write(AuditEntry(actor, "intake.refused", problem_id, code, detail))
        if self._clock() >= self._summary_due:
            self.summarise()

    def summarise(self) -> None:
        """Write the counts of what had no entry of its own. Called once a minute while there are refusals, and at the end."""
        with self._lock:
            self._summary_due = self._clock() + SUMMARY_EVERY_S
            counts, self._suppressed = self._suppressed, Counter()
        for (actor, code), count in counts.items():
            log.warning("refused-summary", actor=actor, code=code, count=count)
            self._write(AuditEntry(actor, "intake.refused-summary", "intake", code, {"count": str(count)}))

    def _write(self, entry: AuditEntry) -> None:
        try:
            self._db.submit(_append, entry)
        except DatabaseBusy:
            with self._lock:
                self._suppressed[entry.actor, entry.outcome] += int(entry.detail.get("count", "1"))


def _append(tx: Tx, entries: Sequence[AuditEntry]) -> list[None]:
    tx.audit.extend(entries)
    return [None] * len(entries)


def reason_word(problem: HubProblem) -> str:
    """The stable word at the start of a detail (``signature-stale: …``); empty where the detail is something else."""
    word = problem.detail
    return word if word and len(word) <= 40 and word.replace("-", "").isalpha() and word.isascii() else ""
