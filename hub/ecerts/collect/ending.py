"""The end of a batch: written, and told to the system that handed it in, in the same commit. No personal data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.contract import CaseEvent
from hub.db import AuditEntry, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Kind, NewDelivery, event_key
from hub.ecerts.collect import store
from hub.ecerts.collect.model import BatchState, RowState
from hub.ecerts.evidence.store import add_event, events_subscribers
from hub.ids import new_id
from hub.vault import Vault
from schemas.events import TYPE_PREFIX, EventType

REPAIR: Final = "repair"  # the form of a batch that the hub made itself, to send again what differs


def end_batches(tx: Tx, vault: Vault, ids: Sequence[str]) -> None:
    """Those of these batches with nothing left to do."""
    for batch in store.finish_batches(tx.conn, sorted(set(ids)), tx.now):
        tell_end(tx, vault, batch, BatchState.DONE, batch.reason)


def tell_end(tx: Tx, vault: Vault, batch: store.BatchRow, state: BatchState, reason: str | None) -> None:
    """In the audit log with its counts, and as an event to the endpoints of its system that subscribed."""
    counts = counts_of(store.counts(tx.conn, batch.id))
    tx.audit.append(AuditEntry("node", "collect.done", batch.id, state.value, counts))
    if batch.form == REPAIR:
        return  # its system did not hand it in and does not know its id
    path = f"/v1/collections/batches/{batch.id}"
    data = {"collectionId": batch.id, "messageId": batch.message_id, "state": state.value, "reason": reason or "", **counts,
            "view": path, "faults": f"{path}/faults"}  # fmt: skip
    event_id = new_id("evt")
    values: store.Values = {
        "id": event_id,
        "case_id": batch.id,
        "type": EventType.COLLECTION_ENDED.value,
        "at": tx.now,
        "data": json.dumps(data),
    }
    add_event(tx.conn, values)
    told = []
    for endpoint_id in events_subscribers(tx.conn, batch.system_id, EventType.COLLECTION_ENDED):
        key = event_key(event_id, endpoint_id)
        body = CaseEvent(idempotency_key=key, id=event_id, type=TYPE_PREFIX + EventType.COLLECTION_ENDED, source="urn:exchange-hub",
                         subject=batch.id, time=tx.now, data=data)  # fmt: skip
        told.append(NewDelivery(endpoint_id, batch.id, Kind.EVENT, event_id, key, body))
    deliveries.enqueue(tx, vault, told)


def counts_of(counts: Mapping[RowState, int]) -> dict[str, str]:
    """``taken`` is every row; at the end it is delivered + refused + faulty."""
    ended = (RowState.DELIVERED, RowState.REFUSED, RowState.FAULTY)
    return {"taken": str(sum(counts.values())), **{state.value: str(counts.get(state, 0)) for state in ended}}
