"""The chain: each row's mac is a keyed hash over the mac before it and the row, so nobody without the key can mend it.

What the chain alone cannot show is a tail that was cut off together with its head: *anchors* do. Now and then the head is
written to a file beside the database (``audit-anchors.log``); keep it where the database's administrator cannot write.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy.engine import Connection

from hub.audit import store
from hub.audit.store import Head, Row
from hub.db import AuditEntry, AuditMark

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditChain:
    """Appends entries as the last act of a transaction; the key is ``Vault.audit_key``."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def append(self, conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> AuditMark | None:
        """Continue the chain. The head stays locked until the commit, so this must come last in the transaction."""
        if not entries:
            return None
        head = store.lock_head(conn)
        seq, mac = head.seq, head.mac
        rows: list[Row] = []
        for entry in entries:
            seq += 1
            detail = json.dumps(entry.detail, ensure_ascii=False, sort_keys=True)
            actor, action, outcome = entry.actor[:100], entry.action[:64], entry.outcome[:64]
            row_mac = self.row_mac(now, actor, action, entry.object[:100], outcome, detail)
            mac = self.link(mac, seq, row_mac)
            rows.append(Row(seq, now, actor, action, entry.object[:100], outcome, detail, row_mac, mac))
        store.append(conn, rows, Head(seq, mac))
        return AuditMark(seq, mac)

    def row_mac(self, at: datetime, *columns: str) -> str:
        """HMAC-SHA256 over what a row says, each column with its length, so that no two rows read alike."""
        digest = hmac.new(self._key, str((at - _EPOCH) // timedelta(microseconds=1)).encode(), hashlib.sha256)
        for column in columns:
            data = column.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.hexdigest()

    def link(self, before: str, seq: int, row_mac: str) -> str:
        """HMAC-SHA256 over the mac of the row before, this row's number and its row_mac: its place in the chain."""
        return hmac.new(self._key, f"{before}|{seq}|{row_mac}".encode(), hashlib.sha256).hexdigest()

    def says_what_was_written(self, row: Row) -> bool:
        found = self.row_mac(row.at, row.actor, row.action, row.object, row.outcome, row.detail)
        return hmac.compare_digest(found, row.row_mac)


class FaultKind(StrEnum):
    """What was done to the log."""

    ALTERED = "altered"  # a row says something else than was written
    MISSING = "missing"  # numbers are left out: rows were removed
    MOVED = "moved"  # rows do not follow each other as they were written: swapped, inserted, or their macs altered
    CUT_OFF = "cut-off"  # the log ends before its head or an anchor
    HEAD = "head"  # the head does not fit the last row
    ANCHOR = "anchor"  # a row differs from what was anchored


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    seq: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """``faults`` is empty if the log is whole."""

    rows: int
    head: Head
    anchors: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    at: str
    seq: int
    mac: str


def verify_chain(conn: Connection, key: bytes, anchors: Iterable[Anchor] = ()) -> ChainReport:
    """Walk the whole log. Each row is judged by itself and by its link to the row before, as both stand there now.

    A stretch of broken links is one fault: from its first row to the last whose link does not hold.
    """
    chain = AuditChain(key)
    faults: list[Fault] = []
    anchored = {anchor.seq: anchor.mac for anchor in anchors}
    seq, mac, count = 0, "", 0
    broken_from: int | None = None
    for row in store.rows(conn):
        count += 1
        if not chain.says_what_was_written(row):
            faults.append(Fault(FaultKind.ALTERED, row.seq))
        if row.seq != seq + 1:  # the mac before is gone, so the link cannot be judged
            faults.append(Fault(FaultKind.MISSING, seq + 1, f"rows {seq + 1} to {row.seq - 1} are missing"))
        linked = row.seq != seq + 1 or hmac.compare_digest(chain.link(mac, row.seq, row.row_mac), row.mac)
        if not linked and broken_from is None:
            broken_from = row.seq
        elif linked and broken_from is not None:
            faults.append(Fault(FaultKind.MOVED, broken_from, f"rows {broken_from} to {seq} do not follow as written"))
            broken_from = None
        if row.seq in anchored and anchored[row.seq] != row.mac:
            faults.append(Fault(FaultKind.ANCHOR, row.seq, "differs from its anchor"))
        seq, mac = row.seq, row.mac
    if broken_from is not None:
        faults.append(Fault(FaultKind.MOVED, broken_from, f"rows {broken_from} to {seq} do not follow as written"))
    head = store.read_head(conn)
    if head.seq > seq:
        faults.append(Fault(FaultKind.CUT_OFF, seq + 1, f"the head says {head.seq}"))
    elif (head.seq, head.mac) != (seq, mac):
        faults.append(Fault(FaultKind.HEAD, head.seq, f"the last row is {seq}"))
    last_anchor = max(anchored, default=0)
    if last_anchor > seq:
        faults.append(Fault(FaultKind.CUT_OFF, seq + 1, f"an anchor says {last_anchor}"))
    return ChainReport(count, head, len(anchored), tuple(faults))


# --- anchors ------------------------------------------------------------------------------------------------------------


def write_anchor(conn: Connection, path: Path) -> Anchor | None:
    """Append the head to the file if it has moved since; give what was written."""
    head = store.read_head(conn)
    known = read_anchors(path)
    if head.seq == 0 or (known and known[-1].seq >= head.seq):
        return None
    anchor = Anchor(datetime.now(UTC).isoformat(timespec="seconds"), head.seq, head.mac)
    with path.open("a", encoding="ascii") as file:
        file.write(f"{anchor.at} {anchor.seq} {anchor.mac}\n")
    return anchor


def read_anchors(path: Path) -> list[Anchor]:
    """Every anchor of the file; a line that was cut short by a crash is left out."""
    if not path.exists():
        return []
    anchors = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        parts = line.split(" ")
        if len(parts) == 3 and parts[1].isdigit() and len(parts[2]) == 64:
            anchors.append(Anchor(parts[0], int(parts[1]), parts[2]))
    return anchors
