"""The words of collecting: what is handed in, how a row and a batch stand, what is wrong with a cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from adapters.contract import CollectAction
from schemas.base import Canonical
from schemas.fields import FileContent, MessageId, RegionCode

# column in the file and in ``values`` -> what people may write above it instead
COLUMNS: Final[Mapping[str, str]] = {
    "action": "操作",
    "type": "证照类型",
    "identifier": "证照标识",
    "number": "证照编号",
    "holderName": "持证主体",
    "holderCodeType": "持证主体代码类型",
    "holderCode": "持证主体代码",
    "issuerName": "证照颁发机构",
    "issuerCode": "证照颁发机构代码",
    "issuedOn": "证照颁发日期",
    "validFrom": "证照有效期起始日期",
    "validUntil": "证照有效期截止日期",
    "file": "文件",
}
REQUIRED: Final = ("type", "number", "holderName", "holderCodeType", "holderCode", "issuerName", "issuerCode")
BY_HEADING: Final = {name.lower(): name for name in COLUMNS} | {zh: name for name, zh in COLUMNS.items()}
EXTRA_PREFIX: Final = "KZ_"


class BatchState(StrEnum):
    CHECKING = "checking"  # rows are read and checked
    DELIVERING = "delivering"  # rows go to the library; pending ones and those of suspended deliveries wait
    DONE = "done"  # every row is delivered, refused or faulty
    UNREADABLE = "unreadable"  # the file is no such table; ``reason`` says why


class RowState(StrEnum):
    FAULTY = "faulty"  # kept as it came, and not passed on
    PENDING = "pending"  # its document cannot be verified yet (a later revocation list): looked at again by itself
    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    REFUSED = "refused"  # by the library
    SUSPENDED = "suspended"  # an operator decides


class RowFault(Canonical):
    """One cell. ``blocking``: the row is not passed on; else it is, with the raw value, and this is a warning."""

    row: int  # as a spreadsheet shows it, the heading is 1; 1 for a certificate handed in by itself, 0 for the file
    column: str  # "" for the row or the file
    column_zh: str | None = None  # its Chinese heading; none of a column that is not ours, or kept before it was told
    rule: str
    blocking: bool
    reason_zh: str
    reason_en: str
    cure_zh: str | None = None  # none: kept before reason and cure were told apart
    cure_en: str | None = None


class CollectionRequest(Canonical):
    """One certificate. ``values``: the columns of docs/protocol/collect.md, raw, as the issuer writes them."""

    message_id: MessageId
    region: RegionCode
    action: CollectAction = CollectAction.ISSUE
    values: dict[str, str] = Field(max_length=64)
    file: FileContent | None = None  # the sealed OFD


class CollectionView(Canonical):
    """How a batch stands. Counts are of rows, whose faults are read page by page; ``faults`` are the file's own."""

    id: str
    message_id: str
    state: BatchState
    reason: str | None = None
    received_at: datetime
    checked_at: datetime | None = None
    finished_at: datetime | None = None
    percent: int  # of the file, checked
    rows: int  # read and checked so far
    faulty: int = 0
    pending: int = 0
    waiting: int = 0
    sending: int = 0
    delivered: int = 0
    refused: int = 0
    suspended: int = 0
    faults: tuple[RowFault, ...] = ()


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


class RowStanding(Canonical):
    """How a row stands. ``identifier``: as of one certificate; ``code``: why it was refused or suspended."""

    row: int
    state: RowState
    identifier: str | None = None
    assigned: bool = False
    code: str | None = None


class RowStandingPage(Canonical):
    items: tuple[RowStanding, ...]
    next_cursor: str | None = None


class DifferenceKind(StrEnum):
    MISSING = "missing"  # missing there: the library does not have it
    SURPLUS = "surplus"  # missing here: it has one that we did not deliver
    DIGEST = "digest"  # differs: it has other contents
    STANDING = "standing"  # differs: revoked on one side only


class DifferenceCure(StrEnum):
    """What makes both sides agree; a repair by button or command does the first, and the second if it is told to."""

    SEND_AGAIN = "send-again"
    ADOPT = "adopt"  # only the library has it: ours from now on, unless its system revokes it there
    HAND_IN_AGAIN = "hand-in-again"  # not kept here (purged, or adopted before): only its system can send it


class Difference(Canonical):
    """``collection`` and ``row``: where it was handed in by ``system``; none of a surplus, or once the batch was purged.

    ``repair``: the hub's own batch that sent it last, if it was repaired before.
    """

    type_code: str
    identifier: str
    kind: DifferenceKind
    cure: DifferenceCure
    system: str | None = None
    collection: str | None = None
    row: int | None = None
    repair: str | None = None


class Reconciliation(Canonical):
    """Of one library: ``ours`` and ``theirs`` are counts. ``error``: why it could not be asked; the rest then says nothing."""

    endpoint_id: str
    ours: int = 0
    theirs: int = 0
    differences: tuple[Difference, ...] = ()
    error: str | None = None


class Repair(Canonical):
    """``gone``: the batch was purged, its system has to hand the certificate in again. ``left``: surplus that was not adopted."""

    sent: int = 0
    adopted: int = 0
    gone: int = 0
    left: int = 0
