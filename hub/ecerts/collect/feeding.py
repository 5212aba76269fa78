"""Feeding waiting rows to deliveries, so many at a time, and hearing how these ended.

A batch of 100,000 rows never has more than :data:`OPEN_DELIVERIES` deliveries in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.contract import CollectAction, CollectedEcert, Collection, CollectReceipt, bucket_of
from hub.db import AuditEntry, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Finished, Kind, NewDelivery, State
from hub.ecerts.collect import store
from hub.ecerts.collect.ending import end_batches
from hub.ecerts.collect.model import RowState
from hub.ecerts.collect.revoked import Revoked
from hub.ecerts.collect.rows import open_record
from hub.ecerts.collect.service import Collections
from hub.ids import new_id
from hub.vault import Vault
from schemas.base import Canonical

CHUNK_ROWS: Final = 100  # certificates of one delivery
CHUNK_BYTES: Final = 2 << 20
OPEN_DELIVERIES: Final = 8  # of one library, queued or under way


def feed_one(tx: Tx, vault: Vault, endpoint_id: str) -> bool:
    """One more delivery of up to CHUNK_ROWS rows, if there is room and something waits."""
    if store.open_deliveries(tx.conn, endpoint_id) >= OPEN_DELIVERIES:
        return False
    chunk: list[store.RowRow] = []
    ecerts: list[CollectedEcert] = []
    taken: set[str | None] = set()
    size = 0
    for row in store.take_waiting(tx.conn, endpoint_id, CHUNK_ROWS):
        ecert = _ecert(vault, row)
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


def _ecert(vault: Vault, row: store.RowRow) -> CollectedEcert | None:
    return open_record(vault, row.batch_id, row.row, row.record_sealed).ecert


class CollectOutcomes:
    """Hears how deliveries of kind ``collect`` ended. ``revoked`` hears of revocations that the library has taken."""

    def __init__(self, collections: Collections, revoked: Revoked) -> None:
        self._c, self._revoked = collections, revoked

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        return answer if isinstance(answer, CollectReceipt) else None

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        touched: list[str] = []
        for one in finished:
            rows = store.rows_of_delivery(tx.conn, one.case_id)
            self._record(tx, one, rows)
            touched += [row.batch_id for row in rows]
        end_batches(tx, self._c.vault, touched)
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
        revoked: dict[str, list[str]] = {}  # by the system that handed it in
        for row in rows:
            ecert = _ecert(self._c.vault, row)
            identifier = str(ecert.metadata.identifier) if ecert is not None else ""
            if ecert is None or identifier in refused:
                states.append((row, RowState.REFUSED, refused.get(identifier, "unreadable")[:100]))
                continue
            states.append((row, RowState.DELIVERED, None))
            held.append(self._held(tx, one.endpoint_id, row, ecert))
            if ecert.action is CollectAction.REVOKE:
                revoked.setdefault(row.system_id, []).append(identifier)
        store.finish_rows(tx.conn, states)
        store.put_collected(tx.conn, held)
        if revoked:
            self._revoked(tx, revoked, one.case_id)
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
            "system_id": row.system_id,
            "batch_id": row.batch_id,
            "row": row.row,
            "delivered_at": tx.now,
            "identifier_sealed": self._c.vault.seal(identifier.encode(), f"collected:{row.identifier_index}"),
        }
