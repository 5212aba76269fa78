"""What a transaction of the writer is for those who write in it: what it holds, and the errors by which it is refused."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.engine import is_transient, not_writable

I = TypeVar("I")  # noqa: E741  the item of a batch operation
R = TypeVar("R")
log = structlog.get_logger(__name__)


class DatabaseBusy(Exception):
    """The write is not acknowledged: too many wait, the database is away, or the hub stops. Try later, with the same id."""


class DatabaseNotWritable(DatabaseBusy):
    """The disk is full or fails, or the file is read-only: told at once, as nothing but room helps. Nothing of it is there."""


class CommitInDoubt(DatabaseBusy):
    """The connection was lost while committing and did not come back: written or not, nobody can say yet."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What the audit log keeps of one act. ``detail`` holds ids, codes and digests, never personal data."""

    actor: str
    action: str
    object: str
    outcome: str
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tx:
    """One transaction of the writer. ``now`` is the same for everything in it; on PostgreSQL it is the database's time."""

    conn: Connection
    now: datetime
    audit: list[AuditEntry] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    touched: bool = False  # something was written for no other reason than to see whether it can be
    wake_workers: bool = False  # set when a delivery became due: workers of every node are told once it is committed

    def apart(self, act: Callable[[], object], action: str, object_id: str) -> bool:
        """Do one thing of several that must not stop the others; false if it failed: it is undone, logged and audited.

        A database that cannot now is nobody's own fault: that is raised.
        """
        audit, hints, wake = len(self.audit), len(self.after_commit), self.wake_workers
        try:
            with self.conn.begin_nested():
                act()
        except Exception as error:
            if isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and is_transient(error)):
                raise
            del self.audit[audit:], self.after_commit[hints:]
            self.wake_workers = wake
            where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
            log.critical("bug", action=action, object=object_id, error=type(error).__name__, where=where)
            self.audit.append(AuditEntry("node", action, object_id, "failed", {"error": type(error).__name__}))
            return False
        return True


BatchOperation = Callable[[Tx, Sequence[I]], Sequence[R]]


@dataclass(frozen=True, slots=True)
class AuditMark:
    """The last audit row of a commit. Its mac is unique, so finding it again proves that the commit took place."""

    seq: int
    mac: str


ChainAudit = Callable[[Connection, datetime, Sequence[AuditEntry]], AuditMark | None]


@dataclass(frozen=True, slots=True)
class Raised:
    """In place of an answer: what one function of a batch raised; its own savepoint was rolled back, the others stand."""

    error: Exception


def call_each(tx: Tx, functions: Sequence[Callable[[Tx], R]]) -> list[Any]:
    """Each in its own savepoint: what one raises (as Raised in its place) does not undo the others."""
    answers: list[R | Raised] = []
    for function in functions:
        audited, hinted, woken = len(tx.audit), len(tx.after_commit), tx.wake_workers
        try:
            with tx.conn.begin_nested():
                answers.append(function(tx))
        except Exception as error:
            if isinstance(error, DBAPIError) and (is_transient(error) or not_writable(error) is not None):
                raise
            del tx.audit[audited:], tx.after_commit[hinted:]
            tx.wake_workers = woken
            answers.append(Raised(error))
    return answers
