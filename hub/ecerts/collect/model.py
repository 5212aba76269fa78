"""The words of collecting: what is handed in, how a row and a batch stand, what is wrong with a cell."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Base64Bytes, Field

from adapters.contract import CollectAction
from schemas.base import Canonical
from schemas.fields import MessageId, RegionCode


class BatchState(StrEnum):
    CHECKING = "checking"  # rows are read and checked
    DELIVERING = "delivering"  # rows go to the library; those of suspended deliveries wait for an operator
    DONE = "done"  # every row is delivered, refused or faulty
    UNREADABLE = "unreadable"  # the file is no such table; ``reason`` says why


class RowState(StrEnum):
    FAULTY = "faulty"  # kept as it came, and not passed on
    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    REFUSED = "refused"  # by the library
    SUSPENDED = "suspended"  # an operator decides


class RowFault(Canonical):
    """One cell. ``blocking``: the row is not passed on; else it is, with the raw value, and this is a warning."""

    row: int  # as a spreadsheet shows it, the heading is 1; 1 for a certificate handed in by itself
    column: str  # its heading; "" for the row
    rule: str
    blocking: bool
    reason_zh: str
    reason_en: str


class CollectionRequest(Canonical):
    """One certificate. ``values``: the columns of docs/protocol/collect.md, raw, as the issuer writes them."""

    message_id: MessageId
    region: RegionCode
    action: CollectAction = CollectAction.ISSUE
    values: dict[str, str] = Field(max_length=64)
    file: Base64Bytes | None = None  # the sealed OFD


class CollectionView(Canonical):
    """How a batch stands. Counts are of rows; ``faults`` are read page by page."""

    id: str
    message_id: str
    state: BatchState
    reason: str | None = None
    received_at: datetime
    checked_at: datetime | None = None
    finished_at: datetime | None = None
    rows: int  # read and checked so far
    faulty: int = 0
    waiting: int = 0
    sending: int = 0
    delivered: int = 0
    refused: int = 0
    suspended: int = 0


class CollectionAccepted(Canonical):
    """One certificate taken. ``identifier``: the issuer's own, or the one that the hub assigned; none if it could not be."""

    id: str
    state: RowState
    identifier: str | None = None
    assigned: bool = False
    faults: tuple[RowFault, ...] = ()


class RowReport(Canonical):
    """A row that has faults or was refused by the library."""

    row: int
    state: RowState
    code: str | None = None
    faults: tuple[RowFault, ...] = ()


class RowReportPage(Canonical):
    items: tuple[RowReport, ...]
    next_cursor: str | None = None


class DifferenceKind(StrEnum):
    MISSING = "missing"  # the library does not have it
    DIGEST = "digest"  # it has other contents
    STANDING = "standing"  # revoked on one side only
    SURPLUS = "surplus"  # it has one that we did not deliver: only told, never repaired


class Difference(Canonical):
    type_code: str
    identifier: str
    kind: DifferenceKind


class Reconciliation(Canonical):
    """Of one library: ``ours`` and ``theirs`` are counts."""

    endpoint_id: str
    ours: int
    theirs: int
    differences: tuple[Difference, ...] = ()
    repaired: int = 0
