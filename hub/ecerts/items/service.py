"""The catalogue of this hub: read from the database and kept for some seconds; changed by whole imports only."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from hub.db import AuditEntry, Database, Tx
from hub.ecerts.catalogue import Catalogue, shanghai_day
from hub.ecerts.entries import ANY_ITEM, KINDS, RECORDS, Entry, HandlingRule, Implementation, Item, Source
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.items import store
from hub.ecerts.items.records import ReadTable, heading, read_entries, to_rows
from hub.ecerts.items.table_file import CellFault, read_table, write_table

KEEP_S: Final = 2.0  # an import is seen by every node after this long


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with faults: would not do. Nothing is written if there is one fault."""

    added: int = 0
    replaced: int = 0  # versions that were not in effect yet
    unchanged: int = 0
    placeholders: int = 0
    faults: tuple[CellFault, ...] = ()


@dataclass(slots=True)
class _Changes:
    rows: list[store.EntryRow] = field(default_factory=list)
    added: int = 0
    replaced: int = 0
    unchanged: int = 0


class ImportRefused(Exception):
    """Raised inside the transaction, so that nothing of a faulty table is written."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__(f"{len(report.faults)} fault(s)")
        self.report = report


class ItemCatalogue:
    """Shared by every thread of the process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._stamp: tuple[int, datetime | None] | None = None
        self._catalogue = Catalogue(())

    def current(self) -> Catalogue:
        """The catalogue as of KEEP_S ago at most."""
        if time.monotonic() - self._read_at >= KEEP_S:
            with self._lock:
                if time.monotonic() - self._read_at >= KEEP_S:
                    self._refresh()
        return self._catalogue

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")

    def _refresh(self) -> None:
        with self._db.read() as conn:
            stamp = store.stamp(conn)
            if stamp != self._stamp:
                self._catalogue = Catalogue(_entry(row) for row in store.load(conn))
                self._stamp = stamp
        self._read_at = time.monotonic()

    def import_file(self, path: Path, *, actor: str, dry_run: bool = False) -> ImportReport:
        """Read ``path`` (.csv, .xlsx) and write what is new, if nothing at all is wrong.

        Rows that can be read are checked together though others cannot. Raises TableError if it is no table; other faults are
        reported.
        """
        read = read_entries(read_table(path))

        def write(tx: Tx) -> ImportReport:
            report = _apply(tx, read, actor)
            if report.faults or dry_run:
                raise ImportRefused(report)
            return report

        try:
            report = self._db.write(write)
        except ImportRefused as refused:
            return refused.report
        self.forget()
        return report

    def import_example(self, *, actor: str) -> ImportReport:
        """The catalogue that ships: the items that the demonstration and the documentation name."""
        with as_file(files("hub.ecerts") / "data" / "items.csv") as path:
            return self.import_file(path, actor=actor)

    def export_file(self, path: Path) -> int:
        """Every version of every entry, as a table that can be imported again; gives how many entries."""
        self.forget()
        entries = list(self.current().entries())
        order = list(KINDS)
        entries.sort(key=lambda entry: order.index(entry.kind))
        write_table(path, heading(), to_rows(entries))
        return len(entries)


def _apply(tx: Tx, read: ReadTable, actor: str) -> ImportReport:
    stored = {(row.kind, row.key, row.version): row for row in store.load(tx.conn)}
    changes = _Changes()
    merged: dict[tuple[str, str, int], Entry] = {place: _entry(row) for place, row in stored.items()}
    today, services = shanghai_day(tx.now).isoformat(), store.services(tx.conn)
    for entry in read.entries:
        place = (entry.kind, entry.key, entry.version)
        row = _row(entry, tx.now, actor)
        before = stored.get(place)
        if before is not None and before.digest == row.digest:
            changes.unchanged += 1
            continue
        if before is not None and before.effective_from <= today:
            zh, en = (
                "该版本已生效, 内容不能更改, 请使用新的版本号",
                "this version is in effect: use a new version number",
            )
            read.fault(read.rows[place], "version", zh, en)
            continue
        if isinstance(entry, Item):
            _check_purposes(read, entry)
        elif isinstance(entry, Source):
            _check_source(read, entry, services)
        changes.added += before is None
        changes.replaced += before is not None
        changes.rows.append(row)
        merged[place] = entry
    _check_whole(read, Catalogue(merged.values()))
    if not read.faults and changes.rows:
        store.put(tx.conn, changes.rows)
        detail = {"added": str(changes.added), "replaced": str(changes.replaced)}
        tx.audit.append(AuditEntry(actor, "items.import", "catalogue", "imported", detail))
    placeholders = sum(entry.placeholder for entry in read.entries)
    return ImportReport(changes.added, changes.replaced, changes.unchanged, placeholders, tuple(read.faults))


def _check_whole(read: ReadTable, catalogue: Catalogue) -> None:
    """What one row cannot show: versions in order, codes that lead to an item, limits within the item's."""
    for entry in read.entries:
        row = read.rows[entry.kind, entry.key, entry.version]
        earlier = [other for other in catalogue.versions(entry.kind, entry.key) if other.version < entry.version]
        later = [other for other in catalogue.versions(entry.kind, entry.key) if other.version > entry.version]
        if any(other.effective_from >= entry.effective_from for other in earlier) or any(
            other.effective_from <= entry.effective_from for other in later
        ):
            zh, en = "生效日期应随版本号递增", "versions must take effect in their order"
            read.fault(row, "effective_from", zh, en)
        code = entry.basic_code if isinstance(entry, Implementation | HandlingRule) else ANY_ITEM
        items = [item for item in catalogue.versions(Item.kind, code) if isinstance(item, Item)]
        if code != ANY_ITEM and not items and code not in read.unread:
            column = "code" if isinstance(entry, Implementation) else "basic_code"
            read.fault(row, column, "基本编码没有对应的事项", "no item has this basic code")
        if isinstance(entry, Implementation):
            _check_limit(read, row, entry, items)


def _check_purposes(read: ReadTable, item: Item) -> None:
    """Words of the evidence rules. Only an item that was stored before purposes were written may go without them."""
    row, known = read.rows[item.kind, item.key, item.version], load_rules().purpose
    if item.purposes is None:
        read.fault(row, "purposes", f"新版本须写明用途; 可用: {', '.join(known)}",
                   f"a new version names its purposes; known are {', '.join(known)}")  # fmt: skip
    elif unknown := [one for one in item.purposes if one not in known]:
        read.fault(row, "purposes", f"不认识的用途 {', '.join(unknown)}; 可用: {', '.join(known)}",
                   f"unknown purpose {', '.join(unknown)}; known are {', '.join(known)}")  # fmt: skip


def _check_source(read: ReadTable, source: Source, services: Mapping[str, str]) -> None:
    """``services``: of each endpoint. What a source of another service answers is not what is asked here."""
    row, kind = read.rows[source.kind, source.key, source.version], source.ecert_type
    asked = RECORDS.get(kind, "ecert-library")
    if source.service != asked:
        zh = f"{kind} 由 {asked} 服务提供, 不是 {source.service}"
        read.fault(row, "service", zh, f"{kind} comes from the service {asked}, not {source.service}")
    if source.endpoint is None:
        return
    found = services.get(source.endpoint)
    if found is None:
        zh = "没有此端点: 用 hub endpoints list 查看, 或留空由服务该区域的端点提供"
        en = "there is no such endpoint: see hub endpoints list, or leave it empty for the one that serves the region"
        read.fault(row, "endpoint", zh, en)
    elif found != source.service:
        zh = f"此端点提供的是 {found} 服务, 不是 {source.service}"
        read.fault(row, "endpoint", zh, f"this endpoint serves {found}, not {source.service}")


def _check_limit(read: ReadTable, row: int, entry: Implementation, items: Iterable[Item]) -> None:
    """A promised limit is the item's or shorter, by the definition that is in effect when the implementation begins."""
    begun = [item for item in items if item.effective_from <= entry.effective_from]
    item = begun[-1] if begun else None
    if item is not None and item.limit_unit is entry.limit_unit and entry.limit > item.limit:
        zh, en = "承诺时限长于事项的法定时限", "the promised limit is longer than the item's"
        read.fault(row, "limit", zh, en)


def _row(entry: Entry, now: datetime, actor: str) -> store.EntryRow:
    definition = json.dumps(entry.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(definition.encode()).hexdigest()
    day = entry.effective_from.isoformat()
    return store.EntryRow(entry.kind, entry.key, entry.version, day, digest, definition, now, actor)


def _entry(row: store.EntryRow) -> Entry:
    return KINDS[row.kind].model_validate_json(row.definition)
