"""The database: one code path for SQLite and PostgreSQL, and one writer that groups commits.

Hot writes are *batch operations*: functions that take a transaction and a list, so that whatever arrived while the last commit
was being flushed shares the next one. A batch is all or nothing; if an operation fails, the batch is halved and run again until
the item that made it fail stands alone, so an operation must have no effect outside the transaction. Effects outside (waking a
worker, sending) go to ``tx.after_commit``. See docs/decisions/0003-one-writer-group-commit.md.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import URL, Connection, Engine, RootTransaction, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from hub import tables
from hub.engine import BEGAN_AT, WRITER, is_constraint, is_transient, listen, make_engine, not_writable
from hub.transactions import (
    AuditEntry,
    AuditMark,
    BatchOperation,
    ChainAudit,
    CommitInDoubt,
    DatabaseBusy,
    DatabaseNotWritable,
    I,
    R,
    Raised,
    Tx,
    call_each,
)

__all__ = ["AuditEntry", "AuditMark", "BatchOperation", "ChainAudit", "Clock", "CommitInDoubt", "Database", "DatabaseBusy",
           "DatabaseNotWritable", "Tx", "is_constraint", "utc_now"]  # fmt: skip

Clock = Callable[[], datetime]

QUEUE_LIMIT = 20_000  # waiting writes; beyond it the caller is told that the hub is busy
BATCH_LIMIT = 500  # items in one commit
RETRY_FOR_S = 30.0  # how long a batch outlasts a deadlock, a failover, a locked file
CHANNEL = "hub_due"  # NOTIFY: some delivery became due

log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


def _no_audit(conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> AuditMark | None:
    if entries:
        raise RuntimeError("this database was opened without an audit chain")
    return None


@dataclass(slots=True)
class _Waiting(Generic[I, R]):
    operation: BatchOperation[I, R]
    item: I
    future: Future[R]


@dataclass(frozen=True, slots=True)
class _Written:
    results: list[Any]
    after_commit: list[Callable[[], None]]
    wake: bool
    mark: AuditMark | None


class _Doubt(Exception):
    """The database did not say whether this commit took place."""

    def __init__(self, written: _Written) -> None:
        super().__init__("commit in doubt")
        self.written = written


class Database:
    """Connections for reading, and the one writer thread of this process.

    ``chain_audit`` writes the audit entries of a batch, as the last thing before its commit, and gives the last row. ``clock``
    replaces the time in tests.
    """

    def __init__(self, url: str, *, chain_audit: ChainAudit = _no_audit, clock: Clock | None = None) -> None:
        self.url: URL = make_url(url)
        self.engine: Engine = make_engine(self.url)
        self.clock = clock or utc_now
        self._own_clock = clock is not None or self.is_sqlite
        self._chain_audit = chain_audit
        self._queue: queue.SimpleQueue[_Waiting[Any, Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the three below
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wakers: list[Callable[[], None]] = []
        self._stop_listening = threading.Event()
        self._connection: Connection | None = None  # the writer's own
        # why the last write failed, in the database's word; None once one succeeded
        self.not_writable: str | None = None

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
        """Queue one item for the next batch; the future is done once it is committed. Raises DatabaseBusy.

        A future that is cancelled before its batch begins is not written; after that it cannot be cancelled.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._closed:
                raise DatabaseBusy("the writer has stopped")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="db-writer", daemon=True)
                self._thread.start()
            if self._queue.qsize() >= QUEUE_LIMIT:
                raise DatabaseBusy(f"{QUEUE_LIMIT} writes are waiting")
            self._queue.put(_Waiting(operation, item, future))
        return future

    def write(self, function: Callable[[Tx], R]) -> R:
        """Run one function in a transaction and wait for its commit; what it raises is raised here, rolled back."""
        operation: BatchOperation[Callable[[Tx], R], R] = call_each  # what raised never comes out as a result
        return self.submit(operation, function).result()

    def check_writable(self) -> bool:
        """Whether something can be written: tried, with the smallest write that there is, where the last one failed."""
        if self.not_writable is not None:
            with suppress(DatabaseBusy):
                self.write(_touch)
        return self.not_writable is None

    def on_due(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when a delivery became due, on whichever node. A hint: it may be lost or doubled."""
        with self._lock:
            first = not self._wakers
            self._wakers.append(wake)
        if first and not self.is_sqlite:
            arguments = (self.engine, CHANNEL, self._wake, self._stop_listening)
            threading.Thread(target=listen, args=arguments, name="db-listener", daemon=True).start()

    def _wake(self) -> None:
        for wake in list(self._wakers):
            wake()

    def close(self) -> None:
        """Commit what waits, then close every connection."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._stop_listening.set()
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout=RETRY_FOR_S + 5)
        self.engine.dispose()

    # --- the writer thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next_batch():
            # whoever waits may have gone; from here on nobody can, so that what is written is also answered
            running = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
            try:
                self._settle(running)
            except Exception as error:  # noqa: BLE001  a log that cannot be written, for one: the writer goes on
                for waiting in running:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)
        self._disconnect()

    def _next_batch(self) -> list[_Waiting[Any, Any]]:
        """All that waits, up to BATCH_LIMIT; empty when the hub stops."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)  # for the next call
                break
            batch.append(waiting)
        return batch

    def _settle(self, batch: list[_Waiting[Any, Any]]) -> None:
        """Write the batch and answer everybody in it."""
        if not batch:
            return
        try:
            written = self._write_surely(batch)
        except (DatabaseBusy, OperationalError) as error:  # the database's fault: no item is better than another
            for waiting in batch:
                waiting.future.set_exception(error)
        except Exception as error:  # noqa: BLE001  whatever an operation raises belongs to its caller
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                middle = len(batch) // 2
                self._settle(batch[:middle])
                self._settle(batch[middle:])
        else:
            hints = [*written.after_commit, self._wake] if written.wake else written.after_commit
            try:
                _give(hints)
            finally:  # it is committed: whatever befalls a hint, that is the answer
                for waiting, result in zip(batch, written.results, strict=True):
                    if isinstance(result, Raised):
                        waiting.future.set_exception(result.error)
                    else:
                        waiting.future.set_result(result)

    def _write_surely(self, batch: list[_Waiting[Any, Any]]) -> _Written:
        """Run the batch until it is committed, through deadlocks and failovers, for RETRY_FOR_S at most.

        If the connection broke while committing, the audit row that the commit would have written tells whether it did. A batch
        without any audit entry is then run again: such operations must bear being run twice.
        """
        give_up = time.monotonic() + RETRY_FOR_S
        pause = 0.01
        doubt: _Written | None = None
        while True:
            try:
                if doubt is not None and self._took_place(doubt):
                    return doubt
                doubt = None
                return self._execute(batch)
            except _Doubt as lost:
                doubt = lost.written
                fault: BaseException | None = lost.__cause__
            except DBAPIError as error:
                if (word := not_writable(error)) is not None:
                    self._heed(word)  # connections are kept: on a full disk no new one opens
                    raise (DatabaseNotWritable if doubt is None else CommitInDoubt)(word) from None
                self._disconnect()
                if not is_transient(error):
                    raise
                fault = error.orig
            if time.monotonic() > give_up:
                if doubt is not None:
                    raise CommitInDoubt(type(fault).__name__)
                raise DatabaseBusy(type(fault).__name__)
            log.warning("database: trying again", error=type(fault).__name__, in_doubt=doubt is not None)
            time.sleep(pause)
            pause = min(1.0, pause * 2)

    def _execute(self, batch: list[_Waiting[Any, Any]]) -> _Written:
        groups: dict[BatchOperation[Any, Any], list[int]] = {}
        for index, waiting in enumerate(batch):
            groups.setdefault(waiting.operation, []).append(index)
        results: list[Any] = [None] * len(batch)
        conn = self._connect()
        transaction = conn.begin()
        try:
            tx = Tx(conn, self._time(conn))
            for operation, indexes in groups.items():
                answers = operation(tx, [batch[index].item for index in indexes])
                for index, answer in zip(indexes, answers, strict=True):
                    results[index] = answer
            if tx.wake_workers and not self.is_sqlite:
                conn.exec_driver_sql(f"NOTIFY {CHANNEL}")
            mark = self._chain_audit(conn, tx.now, tx.audit)
        except BaseException:
            self._roll_back(transaction)
            raise
        written = _Written(results, tx.after_commit, tx.wake_workers, mark)
        try:
            self._commit(transaction, written.mark)
        except DBAPIError as error:
            if not_writable(error) is not None:  # it said no: there is no doubt
                self._roll_back(transaction)  # SQLite holds it open
                raise
            self._disconnect()
            raise _Doubt(written) from error.orig
        if mark is not None or tx.touched:  # a commit that wrote nothing proves nothing
            # after the commit, and only noted here: it is committed, whatever befalls a log
            written.after_commit.insert(0, partial(self._heed, None))
        return written

    def _heed(self, word: str | None) -> None:
        """Told when it changes, not with every message that is turned away."""
        before, self.not_writable = self.not_writable, word
        if word is not None and before is None:
            log.error("database not writable", error=word)
        if word is None and before is not None:
            log.warning("database writable again")

    def _commit(self, transaction: RootTransaction, mark: AuditMark | None) -> None:
        """The write boundary: before it nothing is there, after it everything is. (The kill tests end the process here.)"""
        transaction.commit()

    def _took_place(self, written: _Written) -> bool:
        if written.mark is None:
            return False
        conn = self._connect()
        transaction = conn.begin()
        try:
            h = tables.audit_head  # waits: while the commit is still under way on the server, it holds this row
            conn.execute(sa.select(h.c.seq).where(h.c.id == 1).with_for_update())
            a = tables.audit
            found = conn.execute(sa.select(a.c.mac).where(a.c.seq == written.mark.seq)).scalar_one_or_none()
            return found == written.mark.mac
        finally:
            self._roll_back(transaction)

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self.engine.connect().execution_options(**WRITER)
        return self._connection

    def _disconnect(self) -> None:
        """Forget the writer's connection, and those of the pool: after a failover they lead to the wrong host."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()
            self.engine.dispose()

    def _roll_back(self, transaction: RootTransaction) -> None:
        try:
            transaction.rollback()
        except DBAPIError:  # the connection is gone, and the transaction with it
            self._disconnect()

    def _time(self, conn: Connection) -> datetime:
        if self._own_clock:
            return self.clock()
        now: datetime = conn.info[BEGAN_AT]
        return now.astimezone(UTC)


def _give(hints: Sequence[Callable[[], None]]) -> None:
    for hint in hints:
        try:
            hint()
        except Exception as error:  # noqa: BLE001  a hint may be lost; the writer must not be
            log.error("bug", where="after_commit", error=type(error).__name__)  # noqa: TRY400


def _touch(tx: Tx) -> None:
    """A row that comes and goes: a row set to what it is would not be written at all."""
    h = tables.audit_head
    tx.conn.execute(sa.insert(h).values(id=0, seq=0, mac=""))
    tx.conn.execute(sa.delete(h).where(h.c.id == 0))
    tx.touched = True
