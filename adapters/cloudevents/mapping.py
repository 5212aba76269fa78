"""CaseEvent ↔ CloudEvents 1.0 in structured JSON mode. Pure functions; what does not fit raises ValueError."""

from __future__ import annotations

from typing import Final

from adapters.contract import CaseEvent
from adapters.json_wire import JsonObject, Unfit, checked, part, text

SPEC_VERSION: Final = "1.0"
MEDIA_TYPE: Final = "application/cloudevents+json; charset=UTF-8"  # CloudEvents HTTP binding 1.0.2, 3.2.1


def event_to_wire(event: CaseEvent) -> JsonObject:
    """The event with its required and optional attributes (CloudEvents 1.0, 3.1); the idempotency key travels in its header."""
    return {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": event.data,
    }


def event_from_wire(record: JsonObject, idempotency_key: str) -> CaseEvent:
    """What :func:`event_to_wire` wrote."""
    if text(record, "specversion") != SPEC_VERSION:
        raise Unfit("specversion: 1.0 is expected")
    data = part(record, "data")
    return checked(
        CaseEvent,
        {
            "idempotency_key": idempotency_key,
            "id": text(record, "id"),
            "source": text(record, "source"),
            "type": text(record, "type"),
            "subject": text(record, "subject"),
            "time": text(record, "time"),
            "data": {name: text(data, name) for name in data},
        },
    )
