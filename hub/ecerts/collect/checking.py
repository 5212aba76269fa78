"""Checking a batch file under a lease, step by step; and documents that could not be verified before, once more.

Each step is one commit that says how far the file is checked and holds the lease for longer: whoever takes the file over, after a
restart or because a node was lost, goes on from there, and the one that was too slow finds its lease gone and writes nothing.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import structlog

from hub.db import AuditEntry, Tx
from hub.ecerts.collect import files, store
from hub.ecerts.collect.cells import RawRow
from hub.ecerts.collect.ending import end_batches, tell_end
from hub.ecerts.collect.faults import fault
from hub.ecerts.collect.model import BatchState, RowFault, RowState
from hub.ecerts.collect.purging import drop_file
from hub.ecerts.collect.rows import AWAITED, Made, Opinion, Place, faults_from, faults_text, look_again, open_record
from hub.ecerts.collect.service import Collections, batch_faults_context
from hub.ecerts.collect.table import FileUnreadable, Table

STEP_ROWS: Final = 200  # rows of one commit
STEP_BYTES: Final = 16 << 20  # and what their files come to
STEP_S: Final = 2.0  # and how long they took
PENDING_AT_ONCE: Final = 20
MAX_TAKEOVERS: Final = 3  # in a row, with no step between: then it is the file's fault

GIVEN_UP: Final = "check-given-up"

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Another node has taken the file over."""


class Checker:
    """``feed`` is called after each step; ``stopping`` says that the process ends: the lease is given back then."""

    def __init__(
        self,
        collections: Collections,
        *,
        lease: timedelta,
        give_up: timedelta,
        feed: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._c = collections
        self._db, self._vault = collections.db, collections.vault
        self._lease, self._give_up = lease, give_up
        self._feed, self._stopping = feed, stopping
        self._extended = 0.0

    def check_next(self) -> bool:
        """The oldest file that nobody is checking; False if there is none."""
        token = secrets.token_hex(16)

        def claim(tx: Tx) -> store.BatchRow | None:
            batch = store.claim_batch(tx.conn, self._c.node, token, tx.now, tx.now + self._lease)
            if batch is not None:
                word = "begun" if batch.lease_token is None else "taken-over"
                tx.audit.append(AuditEntry(f"node:{self._c.node}", "collect.claim", batch.id, word))
            return batch

        batch = self._db.write(claim)
        if batch is None:
            return False
        self._extended = time.monotonic()
        try:
            if batch.takeovers >= MAX_TAKEOVERS:
                log.error("collecting: a file was given up", batch=batch.id, takeovers=batch.takeovers)
                self._end(batch, token, GIVEN_UP, FileUnreadable(GIVEN_UP).faults)
                drop_file(self._db, batch.id)
            else:
                self._check(batch, token)
        except LeaseLost:
            log.warning("collecting: a file was taken over by another node", batch=batch.id)
        return True

    def _check(self, batch: store.BatchRow, token: str) -> None:
        reason: str | None = None
        faults: Sequence[RowFault] = ()
        try:
            alive = lambda: self._hold(batch.id, token)  # noqa: E731
            with files.kept(self._db, self._vault, batch, self._c.folder, alive) as clear:
                table = Table(clear, batch.form, self._c.folder, alive)
                try:
                    for step in self._steps(batch, table, self._unread(batch, table, alive)):
                        self._write_step(batch, token, step, table.percent)
                        self._feed()
                        if self._stopping():
                            self._db.write(lambda tx: store.extend_lease(tx.conn, batch.id, token, None))
                            return
                finally:
                    faults = table.faults
        except FileUnreadable as error:
            reason, faults = error.reason, [*faults, *error.faults]
        self._end(batch, token, reason, faults)
        drop_file(self._db, batch.id)

    def _unread(self, batch: store.BatchRow, table: Table, alive: Callable[[], None]) -> Iterator[RawRow]:
        for row in itertools.dropwhile(lambda row: row.number < batch.next_row, table.rows()):
            alive()
            yield row

    def _hold(self, batch_id: str, token: str) -> None:
        """Extend the lease where a third of it has passed without a step."""
        if time.monotonic() - self._extended < self._lease.total_seconds() / 3:
            return
        if not self._db.write(lambda tx: store.extend_lease(tx.conn, batch_id, token, tx.now + self._lease)):
            raise LeaseLost
        self._extended = time.monotonic()

    def _steps(
        self, batch: store.BatchRow, table: Table, rows: Iterator[RawRow]
    ) -> Iterator[list[tuple[RawRow, Made]]]:
        place = Place(batch.id, batch.endpoint_id, batch.system_id, batch.received_at)
        step: list[tuple[RawRow, Made]] = []
        size, began = 0, time.monotonic()
        for row in rows:
            content, rule = table.document(row.cells["file"]) if row.cells.get("file") else (None, None)
            step.append((row, self._c.maker.make(place, row, content, rule)))
            size += len(content or b"")
            if len(step) >= STEP_ROWS or size >= STEP_BYTES or time.monotonic() - began >= STEP_S:
                yield step
                step, size, began = [], 0, time.monotonic()
        if step:
            yield step

    def _write_step(self, batch: store.BatchRow, token: str, step: Sequence[tuple[RawRow, Made]], percent: int) -> None:
        place = Place(batch.id, batch.endpoint_id, batch.system_id, batch.received_at)

        def write(tx: Tx) -> None:
            current = self._held(tx, batch.id, token)
            if step[0][0].number < current.next_row:
                return  # written before: by the run whose commit was in doubt
            seen = store.known_in_batch(tx.conn, batch.id, [made.index for _, made in step if made.index is not None])
            rows = []
            for raw, first in step:
                made = first
                if made.index is not None and made.index in seen:
                    made = self._c.maker.doubled(place, raw, made, seen[made.index])
                elif made.index is not None:
                    seen[made.index] = raw.number
                rows.append(made.values)
            store.add_rows(tx.conn, rows)
            last = step[-1][0].number
            store.update_batch(
                tx.conn, batch.id,
                {"rows_read": current.rows_read + len(rows), "next_row": last + 1, "percent": percent,
                 "lease_until": tx.now + self._lease, "takeovers": 0},
            )  # fmt: skip
            detail = {"rows": str(len(rows)), "to": str(last)}
            tx.audit.append(AuditEntry("node", "collect.check", batch.id, "checked", detail))

        self._db.write(write)
        self._extended = time.monotonic()

    def _end(self, batch: store.BatchRow, token: str, reason: str | None, faults: Sequence[RowFault]) -> None:
        """What was read before the file broke goes on; the batch says where it ended."""
        told = json.dumps([one.model_dump(mode="json") for one in faults[:100]], ensure_ascii=False)
        sealed = self._vault.seal(told.encode(), batch_faults_context(batch.id)) if faults else None

        def write(tx: Tx) -> None:
            current = self._held(tx, batch.id, token)
            unread = reason is not None and current.rows_read == 0
            state = BatchState.UNREADABLE if unread else BatchState.DELIVERING
            values: store.Values = {
                "state": state.value,
                "reason": reason,
                "faults_sealed": sealed,
                "percent": 100 if reason is None else current.percent,
                "checked_at": tx.now,
                "finished_at": tx.now if unread else None,
                "lease_until": None,
                "lease_token": None,
            }
            store.update_batch(tx.conn, batch.id, values)
            tx.audit.append(AuditEntry("node", "collect.checked", batch.id, reason or "checked"))
            if unread:
                tell_end(tx, self._vault, current, state, reason)
            else:
                end_batches(tx, self._vault, [batch.id])

        self._db.write(write)

    @staticmethod
    def _held(tx: Tx, batch_id: str, token: str) -> store.BatchRow:
        current = store.batch(tx.conn, batch_id, lock=True)
        if current is None or current.lease_token != token or current.state != BatchState.CHECKING.value:
            raise LeaseLost
        return current

    # --- documents once more ---------------------------------------------------------------------------------------------

    def check_pending(self) -> int:
        """Documents whose time has come; gives how many were looked at."""
        with self._db.read() as conn:
            rows = store.pending_due(conn, self._db.clock(), PENDING_AT_ONCE)
        for row in rows:
            try:
                opinion = self._opinion(row)
            except Exception as error:  # noqa: BLE001  one that cannot be judged must not stand before all others for ever
                log.critical("bug", where="pending", batch=row.batch_id, row=row.row, error=type(error).__name__)
                opinion = Opinion(AWAITED, awaited=True)
            self._db.write(lambda tx, row=row, opinion=opinion: self._judged(tx, row, opinion))  # type: ignore[misc]
        return len(rows)

    def _opinion(self, row: store.RowRow) -> Opinion:
        record = open_record(self._vault, row.batch_id, row.row, row.record_sealed)
        if record.ecert is None or record.ecert.content is None:
            return Opinion("file-missing")
        return self._c.maker.verify(record.ecert.metadata, record.ecert.content)

    def _judged(self, tx: Tx, row: store.RowRow, opinion: Opinion) -> None:
        if opinion.awaited and tx.now - row.came_at < self._give_up:
            store.judged_again(tx.conn, row, {"due_at": look_again(row.came_at, tx.now)})
            return
        faults = [one for one in faults_from(row.row, row.faults) if one.rule != AWAITED]
        state = RowState.WAITING
        if opinion.rule is not None:
            state = RowState.FAULTY
            faults.append(fault(row.row, "file", opinion.rule))
        values: store.Values = {"state": state.value, "due_at": None, "faults": faults_text(faults)}
        if not store.judged_again(tx.conn, row, values):
            return
        tx.audit.append(AuditEntry("node", "collect.verify", f"{row.batch_id}:{row.row}", state.value))
        end_batches(tx, self._vault, [row.batch_id])
        tx.after_commit.append(self._c.wake)
