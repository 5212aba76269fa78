"""Reading a batch file: a CSV, a workbook, or a zip of one such table and its documents. Row by row, never whole in memory.

What is wrong with the file itself is told at the row and column where it is; the texts are in ``cures.py``.
"""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from hub.ecerts.collect.archive import Archive
from hub.ecerts.collect.cells import RawRow, raw_row, spoilt
from hub.ecerts.collect.cures import MAX_COLUMNS, MAX_ROWS
from hub.ecerts.collect.faults import fault
from hub.ecerts.collect.model import BY_HEADING, COLUMNS, EXTRA_PREFIX, REQUIRED, RowFault
from hub.ecerts.collect.unreadable import FileUnreadable
from hub.ecerts.collect.workbook import Line, letter, workbook_lines

__all__ = ["FileUnreadable", "Table"]
_READ: Final = 1 << 20


class Table:
    """The rows of a batch file, and the documents beside them in a zip. ``faults``: of the file, as far as it was read."""

    def __init__(self, file: IO[bytes], form: str, folder: Path, alive: Callable[[], None] = lambda: None) -> None:
        """``alive`` is called while rows are looked for: a workbook may take long before its first."""
        self._alive = alive
        self._file, self._form, self._folder = file, form, folder
        self._archive: Archive | None = None
        self._size, self._read = 0, 0  # in bytes of a CSV, or in rows of a workbook
        self.faults: list[RowFault] = []

    @property
    def percent(self) -> int:
        return min(99, self._read * 100 // self._size) if self._size else 0

    def rows(self) -> Iterator[RawRow]:
        """In the order of the file; FileUnreadable as soon as it is no table."""
        table, form = self._file, self._form
        if form == "zip":
            self._archive = Archive(self._file)
            table, form = self._archive.table(self._folder)
        lines = self._csv(table) if form == "csv" else self._workbook(table)
        yield from self._with_headings(lines)
        if self._archive is not None and (unused := self._archive.unused()):
            names = ", ".join(unused[:20]) + (f" … ({len(unused)})" if len(unused) > 20 else "")
            self.faults.append(fault(0, "file", "file-unused", blocking=False, more=names[:1000]))

    def document(self, name: str) -> tuple[bytes | None, str | None]:
        """The OFD of this name in the zip, or the rule by which the row is faulty."""
        return (None, "file-without-zip") if self._archive is None else self._archive.document(name)

    # --- headings -------------------------------------------------------------------------------------------------------

    def _with_headings(self, lines: Iterator[Line]) -> Iterator[RawRow]:
        first = next(lines, None)
        if first is None or not any(first.cells):
            raise FileUnreadable("empty")
        names = self._headings(first)
        count = 0
        for line in lines:
            faults = [
                fault(line.number, names[at], rule) for at, rule in sorted(line.faults.items()) if at < len(names)
            ]
            if any(line.cells[len(names) :]):
                faults.append(fault(line.number, "", "more-cells-than-headings"))
            row = raw_row(line.number, zip(names, line.cells, strict=False), faults, told=True)
            if not row.cells and not row.faults:
                continue
            if count >= MAX_ROWS:
                raise FileUnreadable("too-many-rows", [fault(line.number, "", "too-many-rows")])
            count += 1
            yield row
        if count == 0:
            raise FileUnreadable("no-rows")

    def _headings(self, line: Line) -> list[str]:
        """By our names. Texts of an unknown heading are told only where the others show that this is a heading."""
        texts = list(line.cells)
        while texts and not texts[-1]:
            texts.pop()
        if len(texts) == 1 and any(mark in texts[0] for mark in ";\t|；、"):
            raise FileUnreadable("separator", [fault(1, "A", "separator")])
        names = [BY_HEADING.get(text.lower(), text) for text in texts]
        told = {at: rule for at, text in enumerate(texts) if (rule := spoilt(text)) is not None} | dict(line.faults)
        wrong = [fault(1, letter(at), rule) for at, rule in sorted(told.items()) if at < len(names)]
        for at, name in enumerate(names):
            if not name and at not in told:
                wrong.append(fault(1, letter(at), "heading-empty"))
            elif name and name in names[:at]:
                wrong.append(fault(1, name if name in COLUMNS else letter(at), "heading-doubled"))
        wrong += [fault(1, name, "heading-missing") for name in REQUIRED if name not in names]
        if len(names) > MAX_COLUMNS:
            wrong.append(fault(1, letter(MAX_COLUMNS), "too-many-columns"))
        if wrong:
            raise FileUnreadable("headings", wrong)
        unknown = [name for name in names if name not in COLUMNS and not name.startswith(EXTRA_PREFIX)]
        self.faults.extend(fault(1, name, "column-unknown", blocking=False) for name in unknown)
        return names

    # --- lines ----------------------------------------------------------------------------------------------------------

    def _csv(self, file: IO[bytes]) -> Iterator[Line]:
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)
        text = io.TextIOWrapper(file, encoding=_encoding(file), newline="")
        csv.field_size_limit(1 << 16)
        number = 0
        try:
            for number, cells in enumerate(csv.reader(text, strict=True), 1):
                self._read = file.tell()
                yield Line(number, [cell.strip() for cell in cells])
        except UnicodeDecodeError:
            raise FileUnreadable("encoding", [fault(number + 1, "", "encoding")]) from None
        except csv.Error:
            raise FileUnreadable("not-a-table", [fault(number + 1, "", "not-a-table")]) from None

    def _workbook(self, file: IO[bytes]) -> Iterator[Line]:
        try:
            for line in workbook_lines(file, self._alive):
                self._size, self._read = line.of, line.number
                yield line
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise FileUnreadable("not-an-excel-file") from None


def _encoding(file: IO[bytes]) -> str:
    """UTF-8, else GB18030 (what Excel saves on a Chinese system): read through once, part by part."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    head = file.read(4)
    file.seek(0)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise FileUnreadable("encoding", [fault(1, "", "encoding")])
    try:
        while part := file.read(_READ):
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    finally:
        file.seek(0)
    return "utf-8-sig"
