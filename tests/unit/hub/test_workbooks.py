"""Workbooks made to hold a reader up: bounded before they are opened, and never without a sign of life."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from hub.ecerts.collect.table import FileUnreadable, Table
from hub.ecerts.items.table_file import TableError, read_table
from tests.unit.hub.test_collect_files import GOOD, NAMES

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRINGS, SHEET = "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"


KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"


def shared_sheet() -> bytes:
    """As Excel writes it: cells name their texts by number."""
    lines = []
    for number, first in ((1, 0), (2, len(NAMES))):
        cells = "".join(f'<c r="{chr(65 + at)}{number}" t="s"><v>{first + at}</v></c>' for at in range(len(NAMES)))
        lines.append(f'<row r="{number}">{cells}</row>')
    return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'.encode()


def workbook(strings: bytes | None = None, sheet: bytes | None = None, styles: bytes | None = None) -> bytes:
    """A good one, with some parts replaced."""
    book = Workbook()
    assert book.active is not None
    for row in (NAMES, GOOD):
        book.active.append(list(row))
    made, target = io.BytesIO(), io.BytesIO()
    book.save(made)
    parts = {SHEET: sheet, "xl/styles.xml": styles}
    if strings is not None:
        parts |= {STRINGS: strings, SHEET: shared_sheet()}
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in dict.fromkeys([*source.namelist(), *(name for name, part in parts.items() if part)]):
            part = parts.get(name)
            content = part if part is not None else source.read(name)
            if name == "[Content_Types].xml" and strings is not None:
                told = f'<Override PartName="/{STRINGS}" ContentType="{KIND}"/></Types>'
                content = content.replace(b"</Types>", told.encode())
            copy.writestr(name, content)
    return target.getvalue()


def strings(count: int, entry: Callable[[int], str]) -> bytes:
    head = [*NAMES, *GOOD]
    texts = "".join(f"<si><t>{text}</t></si>" for text in head) + "".join(entry(n) for n in range(count))
    return f'<sst xmlns="{MAIN}">{texts}</sst>'.encode()


def many(count: int) -> bytes:
    """Texts that hardly get smaller, as those of a real table."""
    chance = random.Random(1)
    return strings(count, lambda n: f"<si><t>{chance.getrandbits(160):x}</t></si>")


def refused(content: bytes, folder: Path) -> str:
    with pytest.raises(FileUnreadable) as caught:
        list(Table(io.BytesIO(content), "xlsx", folder).rows())
    return caught.value.reason


def test_many_texts_are_read_in_steps_with_signs_of_life(tmp_path: Path) -> None:
    signs: list[float] = []
    began = time.monotonic()
    table = Table(io.BytesIO(workbook(strings=many(200_000))), "xlsx", tmp_path, lambda: signs.append(time.monotonic()))
    assert [row.cells["number"] for row in table.rows()] == [GOOD[1]]
    assert len(signs) > 100
    gaps = [after - before for before, after in zip([began, *signs], signs, strict=False)]
    assert max(gaps[1:]) < 1.0, max(gaps)


def test_whoever_lost_the_lease_stops_within_the_texts(tmp_path: Path) -> None:
    class Lost(Exception):
        pass

    signs = iter(range(50))

    def alive() -> None:
        if next(signs, None) is None:
            raise Lost

    with pytest.raises(Lost):
        list(Table(io.BytesIO(workbook(strings=many(100_000))), "xlsx", tmp_path, alive).rows())


def test_texts_beyond_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    same = strings(1, lambda n: f"<si><t>{'a' * 3_000_000}</t></si>")
    assert refused(workbook(strings=same), tmp_path) == "too-large-unpacked"  # by its ratio
    monkeypatch.setattr("hub.ecerts.workbooks.MAX_STRINGS", 1000)
    assert refused(workbook(strings=many(1000)), tmp_path) == "too-large-unpacked"
    monkeypatch.setattr("hub.ecerts.workbooks.MAX_STRINGS", 10**6)
    monkeypatch.setattr("hub.ecerts.workbooks.MAX_STRINGS_BYTES", 30_000)
    assert refused(workbook(strings=many(1000)), tmp_path) == "too-large-unpacked"


def test_parts_that_are_read_whole_and_a_row_without_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hub.ecerts.workbooks.MAX_WHOLE", 30_000)
    styles = f'<styleSheet xmlns="{MAIN}"><!--{"x" * 40_000}--></styleSheet>'.encode()
    assert refused(workbook(styles=styles), tmp_path) == "too-large-unpacked"
    monkeypatch.setattr("hub.ecerts.workbooks.MAX_QUIET", 200_000)
    row = "".join(f'<c r="A{n}"><v>1</v></c>' for n in range(30_000))
    endless = f'<worksheet xmlns="{MAIN}"><sheetData><row r="1">{row}</row></sheetData></worksheet>'.encode()
    assert refused(workbook(sheet=endless), tmp_path) == "too-large-unpacked"


def test_texts_in_pieces_and_phonetic_readings(tmp_path: Path) -> None:
    pieces = f"<si><r><t>{GOOD[2][:2]}</t></r><r><t>{GOOD[2][2:]}</t></r><rPh sb='0' eb='1'><t>reading</t></rPh></si>"
    made = strings(0, str).replace(f"<si><t>{GOOD[2]}</t></si>".encode(), pieces.encode())
    (row,) = Table(io.BytesIO(workbook(strings=made)), "xlsx", tmp_path).rows()
    assert row.cells["holderName"] == GOOD[2]


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE sst [<!ENTITY a "aaaaaaaaaa">]>' + strings(1, lambda n: "<si><t>&a;</t></si>")
    assert refused(workbook(strings=bomb), tmp_path) == "not-an-excel-file"


def encrypted(content: bytes) -> bytes:
    made = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := made.find(mark, at + 1)) >= 0:
            made[at + offset] |= 1
    return bytes(made)


def packed_in_an_unknown_way(content: bytes) -> bytes:
    made = bytearray(content)
    at = -1
    while (at := made.find(b"PK\x01\x02", at + 1)) >= 0:
        made[at + 10] = 99
    return bytes(made)


def damaged(content: bytes) -> bytes:
    """The sheet's own data: a stream that is none."""
    made = bytearray(content)
    at = made.index(SHEET.encode()) + len(SHEET)
    made[at : at + 60] = b"\xff" * 60
    return bytes(made)


@pytest.mark.parametrize("spoil", [encrypted, packed_in_an_unknown_way, damaged])
def test_what_the_libraries_raise_does_not_escape(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "items.xlsx"
    path.write_bytes(spoil(workbook()))
    with pytest.raises(TableError):
        list(read_table(path))
    assert refused(path.read_bytes(), tmp_path) == "not-an-excel-file"
