"""The database: one code path for SQLite and PostgreSQL, and one writer that groups commits.

Hot writes are *batch operations*: functions that take a transaction and a list, so that whatever arrived while the last commit
was being flushed shares the next one. A batch is all or nothing; if it fails, each of its items is run again alone, so an
operation must have no effect outside the transaction. Effects outside (waking a worker, sending) go to ``tx.after_commit``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

I = TypeVar("I")  # noqa: E741  the item of a batch operation
R = TypeVar("R")

Clock = Callable[[], datetime]

QUEUE_LIMIT = 20_000  # waiting writes; beyond it the caller is told that the hub is busy
BATCH_LIMIT = 500  # items in one commit


def utc_now() -> datetime:
    return datetime.now(UTC)


class DatabaseBusy(Exception):
    """More writes wait than the queue takes, or the writer has stopped: nothing was written, try later."""


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
    """One transaction of the writer. ``now`` is the same for everything in it."""

    conn: Connection
    now: datetime
    audit: list[AuditEntry] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)


BatchOperation = Callable[[Tx, Sequence[I]], Sequence[R]]
ChainAudit = Callable[[Connection, datetime, Sequence[AuditEntry]], None]


@dataclass(slots=True)
class _Waiting(Generic[I, R]):
    operation: BatchOperation[I, R]
    item: I
    future: Future[R]


def _no_audit(conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> None:
    if entries:
        raise RuntimeError("this database was opened without an audit chain")


class Database:
    """Connections for reading, and the one writer thread of this process.

    ``chain_audit`` writes the audit entries of a batch as the last thing before its commit.
    """

    def __init__(self, url: str, *, chain_audit: ChainAudit = _no_audit, clock: Clock = utc_now) -> None:
        self.url: URL = make_url(url)
        self.engine: Engine = _make_engine(self.url)
        self.clock = clock
        self._chain_audit = chain_audit
        self._queue: queue.Queue[_Waiting[Any, Any] | None] = queue.Queue(QUEUE_LIMIT)
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    # --- reading --------------------------------------------------------------------------------------------------------

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one committed state; writes through it are rolled back."""
        with self.engine.connect() as conn:
            yield conn
            conn.rollback()

    # --- writing --------------------------------------------------------------------------------------------------------

    def submit(self, operation: BatchOperation[I, R], item: I) -> Future[R]:
        """Queue one item for the next batch; the future is done once it is committed. Raises DatabaseBusy."""
        future: Future[R] = Future()
        if self._closed:
            raise DatabaseBusy("the writer has stopped")
        if self._thread is None:
            self._start()
        try:
            self._queue.put_nowait(_Waiting(operation, item, future))
        except queue.Full:
            raise DatabaseBusy(f"{QUEUE_LIMIT} writes are waiting") from None
        return future

    def write(self, function: Callable[[Tx], R]) -> R:
        """Run one function in a transaction and wait for its commit; what it raises is raised here, rolled back."""
        return self.submit(_call_each, function).result()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="db-writer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            stop = False
            while len(batch) < BATCH_LIMIT:
                try:
                    waiting = self._queue.get_nowait()
                except queue.Empty:
                    break
                if waiting is None:
                    stop = True
                    break
                batch.append(waiting)
            self._commit(batch)
            if stop:
                return

    def _commit(self, batch: list[_Waiting[Any, Any]]) -> None:
        try:
            results, after_commit = self._execute(batch)
        except Exception as error:  # noqa: BLE001  whatever an operation raises belongs to its caller
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for waiting in batch:
                self._commit([waiting])
            return
        for hint in after_commit:
            hint()
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)

    def _execute(self, batch: list[_Waiting[Any, Any]]) -> tuple[list[Any], list[Callable[[], None]]]:
        groups: dict[BatchOperation[Any, Any], list[int]] = {}
        for index, waiting in enumerate(batch):
            groups.setdefault(waiting.operation, []).append(index)
        results: list[Any] = [None] * len(batch)
        with self.engine.connect() as conn, conn.begin():
            tx = Tx(conn, self.clock())
            for operation, indexes in groups.items():
                answers = operation(tx, [batch[index].item for index in indexes])
                for index, answer in zip(indexes, answers, strict=True):
                    results[index] = answer
            self._chain_audit(conn, tx.now, tx.audit)
        return results, tx.after_commit

    def close(self) -> None:
        """Commit what waits, then close every connection."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=30)
        self.engine.dispose()


def _call_each(tx: Tx, functions: Sequence[Callable[[Tx], R]]) -> list[R]:
    return [function(tx) for function in functions]


def _make_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=12, max_overflow=20, pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, poolclass=QueuePool, pool_size=12, max_overflow=20)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=15000",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        # a reader that later writes would fail with SQLITE_BUSY_SNAPSHOT; the writer says so from the start
        in_writer = threading.current_thread().name == "db-writer"
        conn.exec_driver_sql("BEGIN IMMEDIATE" if in_writer else "BEGIN")

    return engine


def is_constraint(error: SQLAlchemyError) -> bool:
    """Whether a unique or foreign-key constraint refused the write."""
    return isinstance(error, sa.exc.IntegrityError)
