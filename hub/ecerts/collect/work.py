"""The worker: checks batch files step by step, and feeds waiting rows to deliveries, so many at a time.

Each step is one commit that says how far the file is checked; a restart goes on from there. A batch of 100,000 rows never has
more than :data:`OPEN_DELIVERIES` deliveries in the queue, nor more than :data:`STEP_ROWS` rows in memory.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from adapters.contract import CollectAction, CollectedEcert, Collection, CollectReceipt, bucket_of
from hub.db import AuditEntry, DatabaseBusy, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Finished, Kind, NewDelivery, State
from hub.ecerts.collect import files, store
from hub.ecerts.collect.model import BatchState, RowState
from hub.ecerts.collect.records import Record
from hub.ecerts.collect.rows import Made, record_context
from hub.ecerts.collect.service import Collections
from hub.ids import new_id
from hub.vault import Vault
from schemas.base import Canonical

STEP_ROWS: Final = 200  # rows of one commit
STEP_BYTES: Final = 16 << 20  # and what their files come to
CHUNK_ROWS: Final = 100  # certificates of one delivery
CHUNK_BYTES: Final = 2 << 20
OPEN_DELIVERIES: Final = 8  # of one library, queued or under way
TICK_S: Final = 1.0

log = structlog.get_logger(__name__)


class CollectWorker:
    """One thread of each process; any node feeds, the node that took a file checks it."""

    def __init__(self, collections: Collections) -> None:
        self._c = collections
        self._db, self._vault = collections.db, collections.vault
        self._stop, self._due = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)
        collections.wake = self._due.set

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._due.wait(TICK_S)
            self._due.clear()
            try:
                self.work()
            except DatabaseBusy:
                continue
            except Exception as error:  # noqa: BLE001  the next tick must still come; the text may quote values
                log.error("collecting failed", error=type(error).__name__)  # noqa: TRY400

    def work(self) -> None:
        """Check what is to be checked, feeding meanwhile."""
        self.feed()
        with self._db.read() as conn:
            batches = store.batches_to_check(conn, self._c.node)
        for batch in batches:
            if self._stop.is_set():
                return
            self._check(batch)
            self.feed()

    # --- checking a file ------------------------------------------------------------------------------------------------

    def _check(self, batch: store.BatchRow) -> None:
        path = self._c.path(batch.id)
        try:
            with files.kept(self._vault, path) as clear:
                table = files.Table(clear, batch.form, path.parent)
                rows = itertools.dropwhile(lambda row: row.number < batch.next_row, table.rows())
                for step in self._steps(batch, table, rows):
                    if self._stop.is_set():
                        return  # a later start goes on from the last step
                    self._write_step(batch, step)
                    self.feed()
        except files.FileUnreadable as error:
            self._end(batch, error.reason)
        else:
            self._end(batch, None)
        path.unlink(missing_ok=True)

    def _steps(
        self, batch: store.BatchRow, table: files.Table, rows: Iterator[files.RawRow]
    ) -> Iterator[list[tuple[files.RawRow, Made]]]:
        step: list[tuple[files.RawRow, Made]] = []
        size = 0
        for row in rows:
            name, content, rule = row.cells.get("file"), None, None
            if name and batch.form != "zip":
                rule = "file-without-zip"
            elif name and (content := table.document(name)) is None:
                rule = "file-missing"
            step.append((row, self._c.maker.make(batch.id, batch.endpoint_id, row, content, rule)))
            size += len(content or b"")
            if len(step) >= STEP_ROWS or size >= STEP_BYTES:
                yield step
                step, size = [], 0
        if step:
            yield step

    def _write_step(self, batch: store.BatchRow, step: Sequence[tuple[files.RawRow, Made]]) -> None:
        def write(tx: Tx) -> None:
            current = store.batch(tx.conn, batch.id, lock=True)
            if current is None or current.state != BatchState.CHECKING.value or step[0][0].number < current.next_row:
                return  # written before: by the run whose commit was in doubt
            seen = store.known_in_batch(tx.conn, batch.id, [made.index for _, made in step if made.index is not None])
            rows = []
            for raw, first in step:
                made = first
                if made.index is not None and made.index in seen:
                    made = self._c.maker.doubled(batch.id, batch.endpoint_id, raw, made)
                elif made.index is not None:
                    seen.add(made.index)
                rows.append(made.values)
            store.add_rows(tx.conn, rows)
            last = step[-1][0].number
            store.update_batch(tx.conn, batch.id, {"rows_read": current.rows_read + len(rows), "next_row": last + 1})
            detail = {"rows": str(len(rows)), "to": str(last)}
            tx.audit.append(AuditEntry("node", "collect.check", batch.id, "checked", detail))

        self._db.write(write)

    def _end(self, batch: store.BatchRow, reason: str | None) -> None:
        """What was read before the file broke goes on; the batch says where it ended."""

        def write(tx: Tx) -> None:
            current = store.batch(tx.conn, batch.id, lock=True)
            if current is None or current.state != BatchState.CHECKING.value:
                return
            unread = reason is not None and current.rows_read == 0
            state = BatchState.UNREADABLE if unread else BatchState.DELIVERING
            finished = tx.now if unread else None
            values: store.Values = {
                "state": state.value,
                "reason": reason,
                "checked_at": tx.now,
                "finished_at": finished,
            }
            store.update_batch(tx.conn, batch.id, values)
            store.finish_batches(tx.conn, [batch.id], tx.now)
            tx.audit.append(AuditEntry("node", "collect.checked", batch.id, reason or "checked"))

        self._db.write(write)

    # --- feeding deliveries ---------------------------------------------------------------------------------------------

    def feed(self) -> None:
        """Deliveries of up to CHUNK_ROWS waiting rows, while fewer than OPEN_DELIVERIES are open."""
        with self._db.read() as conn:
            endpoints = store.endpoints_with_waiting(conn)
        for endpoint_id in endpoints:
            feed = functools.partial(feed_one, vault=self._vault, endpoint_id=endpoint_id)
            while self._db.write(feed):
                if self._stop.is_set():
                    return


def feed_one(tx: Tx, vault: Vault, endpoint_id: str) -> bool:
    """One more delivery, if there is room and something waits."""
    if store.open_deliveries(tx.conn, endpoint_id) >= OPEN_DELIVERIES:
        return False
    chunk: list[store.RowRow] = []
    ecerts: list[CollectedEcert] = []
    taken: set[str | None] = set()
    size = 0
    for row in store.take_waiting(tx.conn, endpoint_id, CHUNK_ROWS):
        ecert = _record(vault, row).ecert
        size += len(row.record_sealed)
        if chunk and size > CHUNK_BYTES:
            break
        if ecert is None or row.identifier_index in taken:
            continue
        taken.add(row.identifier_index)
        chunk.append(row)
        ecerts.append(ecert)
    if not chunk:
        return False
    key = new_id("cdl")
    store.mark_sending(tx.conn, chunk, key)
    body = Collection(idempotency_key=key, ecerts=tuple(ecerts))
    deliveries.enqueue(tx, vault, [NewDelivery(endpoint_id, key, Kind.COLLECT, key, key, body)])
    tx.audit.append(
        AuditEntry("node", "collect.send", key, "queued", {"rows": str(len(chunk)), "endpoint": endpoint_id})
    )
    return True


def _record(vault: Vault, row: store.RowRow) -> Record:
    return Record.model_validate_json(vault.open(row.record_sealed, record_context(row.batch_id, row.row)))


class CollectOutcomes:
    """Hears how deliveries of kind ``collect`` ended."""

    def __init__(self, collections: Collections) -> None:
        self._c = collections

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        return answer if isinstance(answer, CollectReceipt) else None

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        for one in finished:
            rows = store.rows_of_delivery(tx.conn, one.case_id)
            self._record(tx, one, rows)
            done = store.finish_batches(tx.conn, sorted({row.batch_id for row in rows}), tx.now)
            tx.audit.extend(AuditEntry("node", "collect.done", batch_id, "done") for batch_id in done)
        tx.after_commit.append(self._c.wake)

    def _record(self, tx: Tx, one: Finished, rows: Sequence[store.RowRow]) -> None:
        if one.state is State.SUSPENDED:
            store.finish_rows(tx.conn, [(row, RowState.SUSPENDED, one.code[:100]) for row in rows])
            return
        if one.state is State.REFUSED:
            store.finish_rows(tx.conn, [(row, RowState.REFUSED, one.code[:100]) for row in rows])
            return
        receipt = one.result if isinstance(one.result, CollectReceipt) else CollectReceipt()
        refused = {refusal.identifier: refusal.code for refusal in receipt.refused}
        states: list[tuple[store.RowRow, RowState, str | None]] = []
        held: list[store.Values] = []
        for row in rows:
            ecert = _record(self._c.vault, row).ecert
            identifier = str(ecert.metadata.identifier) if ecert is not None else ""
            if ecert is None or identifier in refused:
                states.append((row, RowState.REFUSED, refused.get(identifier, "unreadable")[:100]))
                continue
            states.append((row, RowState.DELIVERED, None))
            held.append(self._held(tx, one.endpoint_id, row, ecert))
        store.finish_rows(tx.conn, states)
        store.put_collected(tx.conn, held)
        detail = {"rows": str(len(rows)), "refused": str(len(rows) - len(held))}
        tx.audit.append(AuditEntry("node", "collect.delivered", one.case_id, "delivered", detail))

    def _held(self, tx: Tx, endpoint_id: str, row: store.RowRow, ecert: CollectedEcert) -> store.Values:
        identifier = str(ecert.metadata.identifier)
        return {
            "endpoint_id": endpoint_id,
            "identifier_index": row.identifier_index,
            "type_code": ecert.metadata.type_code,
            "bucket": bucket_of(identifier),
            "digest": ecert.digest,
            "standing": "revoked" if ecert.action is CollectAction.REVOKE else "valid",
            "batch_id": row.batch_id,
            "row": row.row,
            "delivered_at": tx.now,
            "identifier_sealed": self._c.vault.seal(identifier.encode(), f"collected:{row.identifier_index}"),
        }
