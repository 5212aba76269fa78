"""Repairing differences: what the library lacks or has otherwise is handed in once more by the hub itself, as a batch of its own.

The batches that systems handed in stay as they ended. What is sent is the certificate's last delivered row as it is now, not as it
was when the difference was found; a revoked certificate that the library lacks is issued and then revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.contract import CollectAction, bucket_of
from hub.db import AuditEntry, Tx
from hub.ecerts.collect import store
from hub.ecerts.collect.ending import REPAIR
from hub.ecerts.collect.model import BatchState, DifferenceKind, RowState
from hub.ecerts.collect.reconciling import store as found
from hub.ecerts.collect.records import Record
from hub.ecerts.collect.rows import open_record, record_context, seal_identifier
from hub.ids import new_id
from hub.vault import Vault

REVOKED: Final = "revoked"


@dataclass(frozen=True, slots=True)
class Step:
    """See :class:`hub.ecerts.collect.model.Repair`; ``last`` is where the next step begins."""

    last: str
    sent: int = 0
    adopted: int = 0
    gone: int = 0
    left: int = 0


def repair(tx: Tx, vault: Vault, endpoint_id: str, after: str, limit: int, *, adopt: bool, actor: str) -> Step | None:
    """One commit; None when nothing is left after ``after``."""
    rows = found.differences(tx.conn, endpoint_id, after, limit, lock=True)
    if not rows:
        return None
    records: dict[str, list[tuple[str, Record]]] = {}  # by system: what is sent
    moving = store.under_way(tx.conn, endpoint_id, [row.identifier_index for row in rows])
    sent = adopted = gone = left = 0
    for row in rows:
        if row.identifier_index in moving:
            found.drop_difference(tx.conn, row)  # changed or repaired meanwhile: the next reconciliation tells
        elif row.kind == DifferenceKind.SURPLUS.value:
            adopted, left = (adopted + 1, left) if adopt else (adopted, left + 1)
            if adopt:
                _adopt(tx, vault, row)
                found.drop_difference(tx.conn, row)
        elif (again := _again(tx, vault, row)) is None:
            gone += 1
        else:
            system_id, made = again
            records.setdefault(system_id, []).extend((row.identifier_index, record) for record in made)
            found.drop_difference(tx.conn, row)
            sent += 1
    for system_id, theirs in records.items():
        _hand_in(tx, vault, endpoint_id, system_id, theirs)
    detail = {"count": str(sent), "adopted": str(adopted), "gone": str(gone), "left": str(left)}
    tx.audit.append(AuditEntry(actor, "collect.repair", endpoint_id, "sent-again", detail))
    return Step(rows[-1].identifier_index, sent, adopted, gone, left)


def _again(tx: Tx, vault: Vault, row: found.DifferenceRow) -> tuple[str, list[Record]] | None:
    """The system and the records that make the library agree; None if the row was purged."""
    held = found.held(tx.conn, row.endpoint_id, row.identifier_index)
    if held is None or held.batch_id is None or held.row is None:
        return None
    source = store.row(tx.conn, held.batch_id, held.row)
    if source is None:
        return None
    record = open_record(vault, source.batch_id, source.row, source.record_sealed)
    if record.ecert is None:
        return None
    made = [record]
    if held.standing == REVOKED and row.kind == DifferenceKind.MISSING.value:
        issued = record.ecert.model_copy(update={"action": CollectAction.ISSUE})
        made.insert(0, record.model_copy(update={"ecert": issued}))
    return source.system_id, made


def _hand_in(tx: Tx, vault: Vault, endpoint_id: str, system_id: str, records: list[tuple[str, Record]]) -> None:
    batch_id = new_id("col")
    store.add_batch(
        tx.conn,
        {"id": batch_id, "system_id": system_id, "message_id": batch_id, "digest": "", "region": "", "endpoint_id": endpoint_id,
         "form": REPAIR, "node": "", "state": BatchState.DELIVERING.value, "rows_read": len(records),
         "next_row": len(records) + 1, "percent": 100, "received_at": tx.now, "checked_at": tx.now},
    )  # fmt: skip
    store.add_rows(
        tx.conn,
        [
            {"batch_id": batch_id, "row": number, "state": RowState.WAITING.value, "endpoint_id": endpoint_id,
             "system_id": system_id, "came_at": tx.now, "due_at": None, "identifier_index": index, "faults": None,
             "record_sealed": vault.seal(record.model_dump_json().encode(), record_context(batch_id, number)),
             "identifier_sealed": seal_identifier(vault, batch_id, number, record.ecert.metadata if record.ecert else None),
             "assigned": not record.raw.get("identifier")}
            for number, (index, record) in enumerate(records, 1)
        ],
    )  # fmt: skip


def _adopt(tx: Tx, vault: Vault, row: found.DifferenceRow) -> None:
    """From here on the library is to hold it as it does now. Nobody handed it in here: it cannot be sent again."""
    identifier = vault.open(row.identifier_sealed, f"collected:{row.identifier_index}").decode()
    store.put_collected(
        tx.conn,
        [
            {"endpoint_id": row.endpoint_id, "identifier_index": row.identifier_index, "type_code": row.type_code,
             "bucket": bucket_of(identifier), "digest": row.digest, "standing": row.standing, "system_id": None,
             "batch_id": None, "row": None, "delivered_at": tx.now, "identifier_sealed": row.identifier_sealed}
        ],
    )  # fmt: skip
