"""The first sheet of an Excel workbook, line by line, with what a spreadsheet does to cells told by place."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import IO, Final

from hub.ecerts.collect.archive import MAX_TABLE
from hub.ecerts.collect.cures import MAX_COLUMNS
from hub.ecerts.collect.unreadable import FileUnreadable

MAX_LINES: Final = 1_048_576  # of a sheet
_MAX_MERGED: Final = 1_000_000  # rows that merged cells cover
_EXACT: Final = 10**15  # a longer number has lost digits
_MERGED: Final = re.compile(rb'mergeCell\s[^>]{0,200}?ref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_PLAIN = (str, int, float, datetime, date, time, timedelta)


@dataclass(frozen=True, slots=True)
class Line:
    """``faults``: the rule by column, from 0. ``of``: about how many lines there are, if that can be told."""

    number: int
    cells: Sequence[str]
    faults: Mapping[int, str] = field(default_factory=dict)
    of: int = 0


def letter(at: int) -> str:
    """The column's name in a spreadsheet, from 0: A … Z, AA …"""
    name = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        name = chr(65 + rest) + name
    return name


def workbook_lines(file: IO[bytes], alive: Callable[[], None]) -> Iterator[Line]:
    """FileUnreadable for what is no workbook, unpacks to too much, or does not fit together; ``alive`` with each step."""
    from hub.ecerts.workbooks import NotAWorkbook, first_sheet  # costs half a second

    try:
        with first_sheet(file, MAX_TABLE, alive) as sheet:
            of = min(sheet.lines, MAX_LINES)
            merged = _merged(sheet.source())
            for number, cells in sheet.rows():
                if number > MAX_LINES:
                    raise FileUnreadable("too-many-rows")
                covered = merged.get(number, ())
                faults = {at: "merged-cells" for one in covered for at in range(one[0], min(one[1], MAX_COLUMNS))}
                for at, cell in enumerate(cells[:MAX_COLUMNS]):
                    if (rule := _rule(cell)) is not None:
                        faults[at] = rule
                yield Line(number, [_text(cell) for cell in cells[: MAX_COLUMNS + 1]], faults, of)
    except NotAWorkbook as error:
        raise FileUnreadable(error.reason) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):  # while its merged cells are looked for
        raise FileUnreadable("not-an-excel-file") from None


def _merged(sheet: IO[bytes]) -> dict[int, list[tuple[int, int]]]:
    """By row, the columns (from, to) that lie under another cell: they stand behind the rows, so the part is read twice."""
    found: dict[int, list[tuple[int, int]]] = {}
    tail, count = b"", 0
    with sheet:
        while part := sheet.read(1 << 20):
            text = tail + part
            end = 0
            for match in _MERGED.finditer(text):
                end = match.end()
                first, last = _column(match[1]), _column(match[3])
                for row in range(int(match[2]), min(int(match[4]), MAX_LINES) + 1):
                    if (count := count + 1) > _MAX_MERGED:
                        return found  # what lies further is told as empty cells
                    begin = first + 1 if row == int(match[2]) else first  # the first cell has the value
                    if begin <= last:
                        found.setdefault(row, []).append((begin, last + 1))
            tail = text[max(end, len(text) - 300) :]
    return found


def _column(name: bytes) -> int:
    """From 0."""
    at = 0
    for one in name:
        at = at * 26 + one - 64
    return at - 1


def _rule(cell: object) -> str | None:
    """Of what its text does not show."""
    if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) >= _EXACT:
        return "digits-lost"
    return "formula" if cell is not None and not isinstance(cell, _PLAIN) else None


def _text(cell: object) -> str:
    if cell is None or not isinstance(cell, _PLAIN):
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return str(int(cell))
    text = str(cell).strip()
    return text.removesuffix(" 00:00:00")  # a day, as Excel keeps it
