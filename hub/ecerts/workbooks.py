"""The first sheet of an Excel workbook that somebody sent: bounded before it is opened, and read with signs of life.

Import this where a workbook is read: openpyxl takes half a second that a hub which reads none need not spend. It reads all texts of
a workbook before the first row, in a time that grows faster than their number, so they are read here.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final, cast
from xml.etree.ElementTree import ParseError, XMLParser

from openpyxl.packaging.manifest import Manifest
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

MAX_STRINGS: Final = 2_000_000
MAX_STRINGS_BYTES: Final = 96 << 20  # unpacked
MAX_RATIO: Final = 100  # of texts, each of which a workbook holds once: beyond it the part was made to be large
MAX_WHOLE: Final = 4 << 20  # of a part that is read whole: styles, names, relations
MAX_QUIET: Final = 16 << 20  # of a sheet without a row that ends, one row or what stands behind the last
_READ: Final = 1 << 16
_BROKEN: Final = (
    zipfile.BadZipFile, InvalidFileException, ParseError, OSError, KeyError, ValueError, IndexError, OverflowError,
    AttributeError, TypeError, SyntaxError, EOFError, zlib.error, RuntimeError, NotImplementedError, MemoryError,
)  # fmt: skip  # openpyxl's and zipfile's words for parts that do not fit together, are encrypted, or packed in unknown ways


class NotAWorkbook(Exception):
    """``reason``: not-an-excel-file, too-large-unpacked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _BROKEN:
        raise NotAWorkbook("not-an-excel-file") from None


class _Parts(zipfile.ZipFile):
    """What is read whole is bounded; what is read in steps gives a sign of life with each."""

    def __init__(self, file: IO[bytes], alive: Callable[[], None]) -> None:
        super().__init__(file)
        self.alive = alive
        self.quiet = 0  # bytes since something came of them
        self.most = 0  # of those, once rows are read

    def open(self, name: Any, *arguments: Any, **named: Any) -> IO[bytes]:
        return cast(IO[bytes], _Watched(super().open(name, *arguments, **named), self.getinfo(_name(name)), self))


def _name(part: str | zipfile.ZipInfo) -> str:
    return part if isinstance(part, str) else part.filename


class _Watched:
    def __init__(self, part: IO[bytes], info: zipfile.ZipInfo, parts: _Parts) -> None:
        self._part, self._info, self._parts = part, info, parts

    def read(self, size: int | None = -1) -> bytes:
        if (size is None or size < 0) and self._info.file_size > MAX_WHOLE:
            raise NotAWorkbook("too-large-unpacked")
        self._parts.alive()
        data = self._part.read(-1 if size is None else size)
        self._parts.quiet += len(data)
        if self._parts.most and self._parts.quiet > self._parts.most:
            raise NotAWorkbook("too-large-unpacked")
        return data

    def close(self) -> None:
        self._part.close()

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Strings:
    """Hears the parser, and keeps what each entry says without its phonetic reading."""

    _ENTRY, _TEXT, _PHONETIC = (f"{{{SHEET_MAIN_NS}}}{name}" for name in ("si", "t", "rPh"))

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._heard, self._phonetic = False, 0

    def doctype(self, *_: object) -> None:
        raise NotAWorkbook("not-an-excel-file")  # a workbook has none; one could make much of little

    def start(self, tag: str, _attributes: object) -> None:
        if tag == self._TEXT:
            self._heard = not self._phonetic
        elif tag == self._PHONETIC:
            self._phonetic += 1

    def data(self, text: str) -> None:
        if self._heard:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        if tag == self._TEXT:
            self._heard = False
        elif tag == self._PHONETIC:
            self._phonetic -= 1
        elif tag == self._ENTRY:
            if len(self.found) >= MAX_STRINGS:
                raise NotAWorkbook("too-large-unpacked")
            self.found.append("".join(self._parts).replace("x005F_", ""))
            self._parts.clear()

    def close(self) -> None:
        return None


class _Reader(ExcelReader):
    archive: _Parts
    package: Manifest

    def __init__(self, file: IO[bytes], parts: _Parts) -> None:
        super().__init__(file, read_only=True, data_only=False, keep_links=False)
        self.archive = parts

    def read_strings(self) -> None:
        part = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is None:
            return
        info = self.archive.getinfo(part.PartName[1:])
        if info.file_size > MAX_STRINGS_BYTES or info.file_size > max(1 << 20, MAX_RATIO * info.compress_size):
            raise NotAWorkbook("too-large-unpacked")
        strings = _Strings()
        parser = XMLParser(target=strings)  # noqa: S314  without a document type, or refused
        with self.archive.open(info.filename) as source:
            while data := source.read(_READ):
                parser.feed(data)
        parser.close()
        self.shared_strings = strings.found


class FirstSheet:
    """``lines``: how many the file says that there are."""

    def __init__(self, book: Any, parts: _Parts) -> None:
        self._sheet, self._parts = book.worksheets[0], parts
        self.lines: int = self._sheet.max_row or 0

    def source(self) -> IO[bytes]:
        return cast(IO[bytes], self._sheet._get_source())

    def rows(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Each row's number, from 1, and its values. NotAWorkbook as soon as it is none."""
        self._sheet.reset_dimensions()  # what the file says of its own size is not to be relied on
        self._parts.quiet, self._parts.most = 0, MAX_QUIET
        with _translated():
            for number, cells in enumerate(self._sheet.iter_rows(values_only=True), 1):
                self._parts.quiet = 0
                yield number, cells


@contextmanager
def first_sheet(file: IO[bytes], largest: int, alive: Callable[[], None] = lambda: None) -> Iterator[FirstSheet]:
    """``largest``: bytes of all parts, unpacked; ``alive`` is called with each step of reading. Raises NotAWorkbook."""
    with _translated():
        parts = _Parts(file, alive)
    try:
        with _translated():
            if sum(part.file_size for part in parts.infolist()) > largest:
                raise NotAWorkbook("too-large-unpacked")
            reader = _Reader(file, parts)
            reader.read()
            sheet = FirstSheet(reader.wb, parts)
        yield sheet
    finally:
        parts.close()
