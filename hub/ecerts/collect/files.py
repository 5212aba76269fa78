"""Batch files: spooled while they come, kept sealed in the state folder, read row by row. Never whole in memory.

What comes is spooled to a file without a name (it is gone with the process), so that its signature can be verified over all of it.
What is kept is a row of sealed frames: ``length(4) | sealed`` in the context of the batch and the frame's number.
"""

from __future__ import annotations

import codecs
import csv
import io
import mmap
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast
from xml.etree.ElementTree import ParseError

from hub.ecerts.collect.model import RowFault
from hub.ecerts.collect.records import BY_HEADING
from hub.vault import Vault, VaultError

FRAME: Final = 1 << 20
MAX_ROWS: Final = 200_000
MAX_COLUMNS: Final = 64
MAX_CELL: Final = 2_000
MAX_OFD: Final = 16 << 20
MAX_TABLE: Final = 512 << 20  # of a table inside a zip or of an Excel file's parts, unpacked
_EXACT: Final = 10**15  # a longer number has lost digits in Excel


class FileUnreadable(Exception):
    """The file is no such table; ``reason`` is a stable word of docs/protocol/collect.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RawRow:
    number: int  # as a spreadsheet shows it
    cells: Mapping[str, str]
    faults: tuple[RowFault, ...]


@contextmanager
def spool(folder: Path) -> Iterator[IO[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file


@contextmanager
def as_bytes(file: IO[bytes]) -> Iterator[bytes]:
    """The whole file as something that can be digested without being read into memory."""
    file.flush()
    if file.seek(0, io.SEEK_END) == 0:
        yield b""
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield cast(bytes, mapped)


def keep(vault: Vault, source: IO[bytes], path: Path) -> None:
    """Sealed, and on the disk when this returns."""
    source.seek(0)
    number = 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        while frame := source.read(FRAME):
            sealed = vault.seal(frame, f"collect:{path.name}:{number}")
            target.write(len(sealed).to_bytes(4, "big") + sealed)
            number += 1
        target.flush()
        os.fsync(target.fileno())


@contextmanager
def kept(vault: Vault, path: Path) -> Iterator[IO[bytes]]:
    """The file again, in clear, without a name. FileUnreadable if it is gone or does not open."""
    with spool(path.parent) as clear:
        try:
            with path.open("rb") as sealed:
                number = 0
                while length := sealed.read(4):
                    clear.write(vault.open(sealed.read(int.from_bytes(length, "big")), f"collect:{path.name}:{number}"))
                    number += 1
        except (OSError, VaultError):
            raise FileUnreadable("file-lost") from None
        clear.seek(0)
        yield clear


class Table:
    """The rows of a batch file, and the documents beside them in a zip."""

    def __init__(self, file: IO[bytes], form: str, folder: Path) -> None:
        self._file, self._form, self._folder = file, form, folder
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}

    def rows(self) -> Iterator[RawRow]:
        """In the order of the file; FileUnreadable as soon as it is no table."""
        if self._form == "zip":
            table, form = self._in_zip()
        else:
            table, form = self._file, self._form
        lines = _csv(table) if form == "csv" else _excel(table)
        try:
            yield from _with_headings(lines)
        except (csv.Error, zipfile.BadZipFile, zlib.error, EOFError):
            raise FileUnreadable("not-a-table") from None

    def document(self, name: str) -> bytes | None:
        """The OFD of this name in the zip; None if there is none, or it is larger than MAX_OFD or damaged."""
        info = self._members.get(name)
        if self._archive is None or info is None or info.file_size > MAX_OFD:
            return None
        try:
            with self._archive.open(info) as member:
                content = member.read(MAX_OFD + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
            return None
        return content if len(content) <= MAX_OFD else None

    def _in_zip(self) -> tuple[IO[bytes], str]:
        try:
            self._archive = zipfile.ZipFile(self._file)
            members = self._archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise FileUnreadable("not-a-zip") from None
        if len(members) > 2 * MAX_ROWS:
            raise FileUnreadable("too-many-files")
        for info in members:
            if info.filename in self._members:
                raise FileUnreadable("doubled-file")
            self._members[info.filename] = info
        tables = [name for name in self._members if name.lower().endswith((".csv", ".xlsx")) and "/" not in name]
        if len(tables) != 1:
            raise FileUnreadable("zip-needs-one-table")
        info = self._members[tables[0]]
        if info.file_size > MAX_TABLE:
            raise FileUnreadable("too-large-unpacked")
        clear = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  closed with the reader; has no name
        size = 0
        try:
            with self._archive.open(info) as member:
                while part := member.read(FRAME):
                    size += len(part)
                    if size > MAX_TABLE:
                        raise FileUnreadable("too-large-unpacked")
                    clear.write(part)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
            raise FileUnreadable("not-a-zip") from None
        clear.seek(0)
        return clear, "csv" if tables[0].lower().endswith(".csv") else "xlsx"


def _with_headings(lines: Iterator[tuple[int, list[str], list[int]]]) -> Iterator[RawRow]:
    first = next(lines, None)
    if first is None:
        raise FileUnreadable("empty")
    names = [BY_HEADING.get(text.lower(), text) for text in first[1]]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names or len(set(names)) != len(names) or len(names) > MAX_COLUMNS or "type" not in names:
        raise FileUnreadable("headings")
    for count, (number, cells, lossy) in enumerate(lines):
        if count >= MAX_ROWS:
            raise FileUnreadable("too-many-rows")
        faults = [_fault(number, names[at], "digits-lost") for at in lossy if at < len(names)]
        if any(cells[len(names) :]):
            faults.append(_fault(number, "", "more-cells-than-headings"))
        values = {}
        for name, text in zip(names, cells, strict=False):
            if len(text) > MAX_CELL:
                faults.append(_fault(number, name, "too-long"))
            elif text:
                values[name] = text
        if values or faults:
            yield RawRow(number, values, tuple(faults))


_FORM_FAULTS: Final = {
    "digits-lost": ("数字过长已失真, 请将单元格设为文本", "a number this long has lost digits: make the cell text"),
    "more-cells-than-headings": ("单元格多于表头", "more cells than headings"),
    "too-long": (f"超过 {MAX_CELL} 个字符", f"longer than {MAX_CELL} characters"),
}


def _fault(row: int, column: str, rule: str) -> RowFault:
    zh, en = _FORM_FAULTS[rule]
    return RowFault(row=row, column=column[:40], rule=rule, blocking=True, reason_zh=zh, reason_en=en)


def _csv(file: IO[bytes]) -> Iterator[tuple[int, list[str], list[int]]]:
    encoding = _encoding(file)
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    csv.field_size_limit(1 << 16)
    line = 1
    try:
        reader = csv.reader(text, strict=True)
        for cells in reader:
            yield line, [cell.strip() for cell in cells], []
            line += 1
    except UnicodeDecodeError:
        raise FileUnreadable("encoding") from None


def _encoding(file: IO[bytes]) -> str:
    """UTF-8, else GB18030 (what Excel saves on a Chinese system): read through once, part by part."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while part := file.read(FRAME):
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        file.seek(0)
        return "gb18030"
    file.seek(0)
    return "utf-8-sig"


def _excel(file: IO[bytes]) -> Iterator[tuple[int, list[str], list[int]]]:
    from openpyxl import load_workbook  # half a second that a hub which reads no workbook need not spend
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > MAX_TABLE:
                raise FileUnreadable("too-large-unpacked")
        book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the file says of its own size is not to be relied on
            for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                texts = [_text(cell) for cell in cells[: MAX_COLUMNS + 1]]
                yield number, texts, [at for at, cell in enumerate(cells[:MAX_COLUMNS]) if _lossy(cell)]
        finally:
            book.close()
    except (zipfile.BadZipFile, InvalidFileException, ParseError, OSError, KeyError, ValueError, IndexError,
            AttributeError, TypeError, SyntaxError, EOFError, zlib.error):  # fmt: skip
        raise FileUnreadable("not-an-excel-file") from None  # openpyxl's words for parts that do not fit together


def _lossy(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) >= _EXACT


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return str(int(cell))
    text = str(cell).strip()
    return text.removesuffix(" 00:00:00")  # a day, as Excel keeps it
