"""CSV and Excel files as rows of texts, bounded; and rows written as either. What a cell means is told elsewhere (records.py)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from schemas.told import Told

MAX_BYTES = 20 * 1024 * 1024
MAX_UNPACKED = 200 * 1024 * 1024  # of the parts of an Excel file, before it is opened
MAX_ROWS = 50_000
MAX_COLUMNS = 64
MAX_CELL = 2_000  # characters
_EXACT = 10**15  # a longer number has lost digits in Excel


class TableError(Told):
    """The file cannot be read as a table at all."""


@dataclass(frozen=True, slots=True)
class CellFault:
    """What is wrong in one cell. ``row`` is 1-based, as the spreadsheet shows it; ``column`` is its heading, none for a row."""

    row: int
    column: str
    reason_zh: str
    reason_en: str

    @property
    def place(self) -> str:
        return f"第 {self.row} 行" + (f", {self.column} 列" if self.column else "")


@dataclass(frozen=True, slots=True)
class Row:
    """``cells`` are stripped texts; ``faults`` those of cells that could not be read as text without loss (column by position)."""

    number: int
    cells: tuple[str, ...]
    faults: tuple[tuple[int, str, str], ...] = ()


def read_table(path: Path) -> Iterator[Row]:
    """The rows that are not empty, the heading first. ``.csv`` (UTF-8 or GB18030) or ``.xlsx``; raises TableError."""
    try:
        size = path.stat().st_size
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise TableError(f"文件 {path} 无法打开, 请检查路径与权限", f"the file cannot be opened: {why}") from None
    if size > MAX_BYTES:
        raise TableError(f"文件超过 {MAX_BYTES >> 20} MB", f"the file is larger than {MAX_BYTES >> 20} MB")
    rows = {".csv": _csv_rows, ".xlsx": _excel_rows}.get(path.suffix.lower())
    if rows is None:
        raise TableError("只接受 .csv 或 .xlsx 文件", "the file must be .csv or .xlsx")
    return rows(path)


def _csv_rows(path: Path) -> Iterator[Row]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")  # what Excel saves on a Chinese system
        except UnicodeDecodeError:
            raise TableError("编码既不是 UTF-8 也不是 GB18030", "the text is neither UTF-8 nor GB18030") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for count, cells in enumerate(reader, 1):
            _bound(count, len(cells))
            if row := _row(reader.line_num if count > 1 else 1, cells):
                yield row
    except csv.Error:
        raise TableError(f"第 {reader.line_num} 行不是有效的 CSV", f"line {reader.line_num} is not valid CSV") from None


def _excel_rows(path: Path) -> Iterator[Row]:
    from hub.ecerts.workbooks import NotAWorkbook, first_sheet  # costs half a second

    try:
        with path.open("rb") as file, first_sheet(file, MAX_UNPACKED) as sheet:
            for number, cells in sheet.rows():
                _bound(number, len(cells))
                if row := _row(number, cells):
                    yield row
    except NotAWorkbook as error:
        if error.reason == "too-large-unpacked":
            raise TableError("Excel 文件展开后过大", "the Excel file is too large when unpacked") from None
        raise TableError("不是可读的 Excel 文件", "not a readable Excel file") from None


def _bound(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS:
        zh, en = f"至多 {MAX_ROWS} 行 {MAX_COLUMNS} 列", f"at most {MAX_ROWS} rows and {MAX_COLUMNS} columns"
        raise TableError(zh, en)


def _row(number: int, values: Sequence[object]) -> Row | None:
    cells: list[str] = []
    faults: list[tuple[int, str, str]] = []
    for position, value in enumerate(values):
        text = _text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= _EXACT:
            faults.append(
                (
                    position,
                    "数字过长已失真, 请将单元格设为文本",
                    "a number this long has lost digits: make the cell text",
                )
            )
        elif len(text) > MAX_CELL:
            faults.append((position, f"超过 {MAX_CELL} 个字符", f"longer than {MAX_CELL} characters"))
            text = ""
        elif text[:1] in ("=", "@", "\t"):
            faults.append((position, "不接受公式", "a formula is not accepted"))
        cells.append(text)
    if not any(cells):
        return None
    return Row(number, tuple(cells), tuple(faults))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value).strip()


def write_table(path: Path, heading: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """``.csv`` (UTF-8 with a mark, so that Excel reads it) or ``.xlsx``, every cell text. Raises TableError."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(heading)
            writer.writerows(rows)
    elif suffix == ".xlsx":
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell

        book = Workbook(write_only=True)
        sheet = book.create_sheet("items")
        sheet.append(list(heading))
        for row in rows:
            cells = []
            for text in row:
                cell = WriteOnlyCell(sheet, value=text)
                cell.number_format = "@"  # stays text when somebody edits it
                cells.append(cell)
            sheet.append(cells)
        book.save(path)
    else:
        raise TableError("只能写 .csv 或 .xlsx 文件", "the file must be .csv or .xlsx")
