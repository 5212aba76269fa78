"""What happened to a case: one row of history, and one delivery to each subscriber, in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.contract import CaseEvent
from hub import tables as t
from hub.cases import store
from hub.db import Tx
from hub.deliveries.model import Kind, NewDelivery, event_key
from hub.ids import new_id
from schemas.events import TYPE_PREFIX, EventType, is_meant
from schemas.regions import REGIONS


@dataclass(frozen=True, slots=True)
class NewEvent:
    case: store.CaseRow
    type: EventType
    data: dict[str, str] = field(default_factory=dict)
    parties: frozenset[str] = frozenset()  # systems that are told like the source, though the case is not theirs


def write(tx: Tx, happened: Sequence[NewEvent], subscriptions: Sequence[store.Subscription]) -> list[NewDelivery]:
    """Insert the events; the deliveries that tell the subscribers are given back for the caller to enqueue."""
    rows: list[store.Values] = []
    deliveries: list[NewDelivery] = []
    for event in happened:
        event_id = new_id("evt")
        data = {
            "caseId": event.case.id,
            "messageId": event.case.message_id,
            "state": event.case.state.value,
        } | event.data
        rows.append(
            {"id": event_id, "case_id": event.case.id, "type": event.type.value, "at": tx.now,
             "data": json.dumps(data, ensure_ascii=False)}
        )  # fmt: skip
        told = {one.endpoint_id for one in subscriptions if wants(one, event)}  # once, however many subscriptions fit
        deliveries += [_tell(tx, event_id, event, data, endpoint_id) for endpoint_id in sorted(told)]
    store.insert(tx.conn, t.events, rows)
    return deliveries


def wants(subscription: store.Subscription, event: NewEvent) -> bool:
    """Whether this subscription is for this event."""
    if subscription.source_only and subscription.system_id not in {event.case.system_id, *event.parties}:
        return False
    if not any(
        REGIONS.covers(subscription.region, region)
        for region in (event.case.releasing_region, event.case.receiving_region)
    ):
        return False
    return is_meant(subscription.event_type, event.type)


def _tell(tx: Tx, event_id: str, event: NewEvent, data: dict[str, str], endpoint_id: str) -> NewDelivery:
    key = event_key(event_id, endpoint_id)
    body = CaseEvent(
        idempotency_key=key,
        id=event_id,
        type=TYPE_PREFIX + event.type.value,
        source="urn:exchange-hub",
        subject=event.case.id,
        time=tx.now,
        data=data,
    )
    return NewDelivery(endpoint_id, event.case.id, Kind.EVENT, event_id, key, body)
