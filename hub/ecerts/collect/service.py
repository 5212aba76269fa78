"""What issuing systems ask for: hand in one certificate or a file of many, see how it stands and what is wrong with which cell.

Taken is what was committed: the file lies sealed in the database before its batch is written, and both before the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from hub.access import replay
from hub.access.callers import Caller, Service
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.collect import files, store
from hub.ecerts.collect import model as m
from hub.ecerts.collect.cells import RawRow, raw_row
from hub.ecerts.collect.ending import tell_end
from hub.ecerts.collect.faults import refused
from hub.ecerts.collect.rows import Place, RowMaker, faults_from, identifier_context
from hub.ecerts.evidence.planning import Routes
from hub.ids import new_id
from hub.vault import Vault
from schemas import rules
from schemas.parsing import fault, invalid
from schemas.problems import COLLECTION_UNKNOWN, MESSAGE_ID_CONFLICT, MESSAGE_REPLAYED, HubProblem

LIBRARY: Final = "ecert-library"  # the service of the endpoint that collects
_BESIDE: Final = ("action", "file")  # columns of a table, which in a message of one certificate are fields of their own


def batch_faults_context(batch_id: str) -> str:
    """What the faults of a batch's file are sealed under."""
    return f"collect_batches:{batch_id}"


class Collections:
    """Shared by every thread. ``folder``: where files without a name are spooled; ``wake`` tells the worker."""

    def __init__(self, db: Database, vault: Vault, directory: Routes, maker: RowMaker, folder: Path, node: str) -> None:
        self.db, self.vault, self.maker = db, vault, maker
        self.folder, self.node = folder, node
        self._directory = directory
        self.wake: Callable[[], None] = lambda: None

    # --- handing in -----------------------------------------------------------------------------------------------------

    def take_one(self, caller: Caller, request: m.CollectionRequest, *, digest: str) -> m.CollectionAccepted:
        """One certificate, checked at once. The same message again gets the same answer."""
        caller.require(Service.ECERT_COLLECT, request.region)
        raw = _raw(request)
        endpoint_id = self._directory.route(LIBRARY, request.region).endpoint_id
        batch_id = new_id("col")
        place = Place(batch_id, endpoint_id, caller.system_id, self.db.clock())
        made = self.maker.make(place, raw, request.file)
        values = self._batch(batch_id, caller, request.message_id, request.region, endpoint_id, "one", digest)
        faulty = made.state is m.RowState.FAULTY
        state = m.BatchState.DONE if faulty else m.BatchState.DELIVERING

        def write(tx: Tx) -> m.CollectionAccepted | None:
            if self._known(tx, caller, request.message_id, digest) is not None:
                return None
            values.update(received_at=tx.now, checked_at=tx.now, finished_at=tx.now if faulty else None)
            values.update(state=state.value, rows_read=1, next_row=2, percent=100)
            if not store.add_batch(tx.conn, values):
                self._same(tx, caller, request.message_id, digest)
                return None
            store.add_rows(tx.conn, [{**made.values, "came_at": tx.now}])
            tx.audit.append(_entry(caller, batch_id, made.state.value, request.region, "one", digest))
            if faulty and (batch := store.batch(tx.conn, batch_id)) is not None:
                tell_end(tx, self.vault, batch, state, None)
            return made.accepted(batch_id)

        accepted = self.db.write(write)
        if accepted is None:
            return self._again(caller, request.message_id)
        self.wake()
        return accepted

    def take_file(
        self, caller: Caller, message_id: str, region: str, form: str, file: IO[bytes], digest: str
    ) -> m.CollectionView:
        """A batch, to be checked row by row by the worker. The same message with the same file again gets its view."""
        caller.require(Service.ECERT_COLLECT, region)
        endpoint_id = self._directory.route(LIBRARY, region).endpoint_id
        with self.db.read() as conn:
            before = store.batch_by_message(conn, caller.system_id, message_id)
        batch_id = new_id("col")
        if before is None:
            files.keep(self.db, self.vault, file, batch_id)
        digest = files.digest_of(region, form, digest)
        values = self._batch(batch_id, caller, message_id, region, endpoint_id, form, digest)

        def write(tx: Tx) -> str:
            known = self._known(tx, caller, message_id, digest)
            if known is not None:
                return known.id
            values.update(received_at=tx.now, state=m.BatchState.CHECKING.value, rows_read=0, next_row=0, percent=0)
            if (
                not store.add_batch(tx.conn, values)
                and (other := self._same(tx, caller, message_id, digest)) is not None
            ):
                return other.id
            tx.audit.append(_entry(caller, batch_id, "taken", region, form, digest))
            return batch_id

        taken = self.db.write(write)  # parts of a file that was not taken are purged
        self.wake()
        return self.view(caller, taken)

    def _batch(
        self, batch_id: str, caller: Caller, message_id: str, region: str, endpoint_id: str, form: str, digest: str
    ) -> store.Values:
        return {"id": batch_id, "system_id": caller.system_id, "message_id": message_id, "digest": digest,
                "region": region, "endpoint_id": endpoint_id, "form": form, "node": self.node}  # fmt: skip

    def _known(self, tx: Tx, caller: Caller, message_id: str, digest: str) -> store.BatchRow | None:
        """The same message, taken before. HubProblem for a replayed signature and for other contents under its id."""
        if replay.used(tx, [caller.nonces])[0]:
            raise HubProblem(MESSAGE_REPLAYED)
        return self._same(tx, caller, message_id, digest)

    @staticmethod
    def _same(tx: Tx, caller: Caller, message_id: str, digest: str) -> store.BatchRow | None:
        known = store.batch_by_message(tx.conn, caller.system_id, message_id)
        if known is not None and known.digest != digest:
            raise HubProblem(MESSAGE_ID_CONFLICT)
        return known

    def _again(self, caller: Caller, message_id: str) -> m.CollectionAccepted:
        with self.db.read() as conn:
            known = store.batch_by_message(conn, caller.system_id, message_id)
            rows = store.standings(conn, known.id, 0, 1) if known is not None else []
        if known is None or not rows:
            raise HubProblem(COLLECTION_UNKNOWN)
        stands = self._standing(known.id, rows[0])
        return m.CollectionAccepted(id=known.id, state=stands.state, identifier=stands.identifier,
                                    assigned=stands.assigned, faults=faults_from(stands.row, rows[0].faults))  # fmt: skip

    # --- looking --------------------------------------------------------------------------------------------------------

    def view(self, caller: Caller, batch_id: str) -> m.CollectionView:
        """HubProblem(COLLECTION_UNKNOWN) for what is not the caller's."""
        caller.require_somewhere(Service.ECERT_COLLECT)
        with self.db.read() as conn:
            row = store.batch(conn, batch_id)
            counts = store.counts(conn, batch_id)
        if row is None or row.system_id != caller.system_id:
            raise HubProblem(COLLECTION_UNKNOWN)
        by_state = {state.value: counts.get(state, 0) for state in m.RowState}
        return m.CollectionView.model_validate(
            {"id": row.id, "message_id": row.message_id, "state": row.state, "reason": row.reason, "rows": row.rows_read,
             "percent": row.percent, "received_at": row.received_at, "checked_at": row.checked_at,
             "finished_at": row.finished_at, "faults": file_faults(self.vault, row), **by_state}
        )  # fmt: skip

    def reports(self, caller: Caller, batch_id: str, after: int, limit: int) -> tuple[list[m.RowReport], int | None]:
        """Rows with faults and refused ones, after a row; and after which row the next page begins."""
        self.view(caller, batch_id)
        with self.db.read() as conn:
            rows = store.standings(conn, batch_id, after, limit + 1, told=True)
        page = [report_of(row) for row in rows[:limit]]
        return page, page[-1].row if len(rows) > limit else None

    def rows(self, caller: Caller, batch_id: str, after: int, limit: int) -> tuple[list[m.RowStanding], int | None]:
        """Every row that was read, after a row; and after which row the next page begins."""
        self.view(caller, batch_id)
        with self.db.read() as conn:
            rows = store.standings(conn, batch_id, after, limit + 1)
        page = [self._standing(batch_id, row) for row in rows[:limit]]
        return page, page[-1].row if len(rows) > limit else None

    def _standing(self, batch_id: str, row: store.StandingRow) -> m.RowStanding:
        identifier = None
        if row.identifier_sealed is not None:
            identifier = self.vault.open(row.identifier_sealed, identifier_context(batch_id, row.row)).decode()
        return m.RowStanding(row=row.row, state=m.RowState(row.state), identifier=identifier, assigned=row.assigned,
                             code=row.code)  # fmt: skip


def _raw(request: m.CollectionRequest) -> RawRow:
    """HubProblem where ``values`` has what stands beside it: it would be dropped, or say the opposite."""
    beside = {name: column for name in request.values if (column := m.BY_HEADING.get(name.strip().lower())) in _BESIDE}
    if beside:
        raise invalid(
            [fault(f"/values/{name}", rules.UNKNOWN_FIELD, note=_note(column)) for name, column in beside.items()]
        )
    return raw_row(1, {**request.values, "action": request.action.value}.items())


def _note(column: str) -> tuple[str, str]:
    return f"请将 {column} 写在报文顶层, 与 values 并列", f"write {column} at the top of the message, beside values"


def file_faults(vault: Vault, batch: store.BatchRow) -> list[m.RowFault]:
    """What is wrong with the file itself, not with one of its rows."""
    if batch.faults_sealed is None:
        return []
    kept = json.loads(vault.open(batch.faults_sealed, batch_faults_context(batch.id)))
    return [m.RowFault.model_validate(one) for one in kept]


def report_of(row: store.StandingRow) -> m.RowReport:
    """What its system reads of a row that has faults or was refused; the console shows it too."""
    state = m.RowState(row.state)
    faults = faults_from(row.row, row.faults)
    if state is m.RowState.REFUSED and row.code is not None:
        faults = (*faults, refused(row.row, row.code))
    return m.RowReport(row=row.row, state=state, code=row.code, faults=faults)


def _entry(caller: Caller, batch_id: str, outcome: str, region: str, form: str, digest: str) -> AuditEntry:
    detail = {"region": region, "form": form, "digest": digest}
    return AuditEntry(f"system:{caller.system_id}", "collect.take", batch_id, outcome, detail)
