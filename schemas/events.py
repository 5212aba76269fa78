"""What the hub tells its subscribers: the types of events, and which of them a subscription means (docs/protocol/events.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

TYPE_PREFIX: Final = "cn.sd.edu.exchange."  # before each type at the wire, as CloudEvents asks (reverse DNS)


class EventType(StrEnum):
    """docs/protocol/events.md says what each means and what its data holds."""

    ACCEPTED = "case.accepted"
    EVIDENCE_REFUSED = "evidence.refused"
    EVIDENCE_REVOKED = "case.evidence-revoked"
    STEP_OPENED = "step.opened"
    STEP_DECIDED = "step.decided"
    COMPLETED = "case.completed"
    REFUSED = "case.refused"
    WITHDRAWN = "case.withdrawn"
    NEAR_LIMIT = "case.near-limit"
    PAST_LIMIT = "case.past-limit"
    STEP_PAST_LIMIT = "step.past-limit"
    LIMIT_RECOMPUTED = "case.limit-recomputed"
    NEEDS_OPERATOR = "case.needs-operator"
    # of the evidence service and of collecting: to the system alone whom they concern
    ANSWER_READY = "evidence.answered"
    ANSWER_REVOKED = "evidence.revoked"
    COLLECTION_ENDED = "collection.ended"


def kept_pattern(text: str) -> str | None:
    """A type, or a prefix that ends in ``.*``, as a subscription keeps it: without TYPE_PREFIX. None if it means no event."""
    pattern = text.removeprefix(TYPE_PREFIX)
    return pattern if any(is_meant(pattern, one.value) for one in EventType) else None


def is_meant(pattern: str, event_type: str) -> bool:
    """Whether a subscription of this pattern is for events of this type."""
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type
