"""The item catalogue as a table: exported and imported alike, and every kind of fault told by row and column."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from hub.ecerts.entries import (
    Item,
)
from hub.ecerts.items.records import COLUMNS, ReadTable, heading, read_entries, to_rows
from hub.ecerts.items.table_file import TableError, read_table, write_table
from tests.unit.hub.test_item_catalogue import example


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_what_is_exported_is_imported_alike(tmp_path: Path, suffix: str) -> None:
    entries = example()
    path = tmp_path / f"items{suffix}"
    write_table(path, heading(), to_rows(entries))
    again = read_entries(read_table(path))
    assert again.faults == []
    assert again.entries == entries


def test_a_table_saved_by_a_chinese_excel_is_read(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes((files("hub.ecerts") / "data" / "items.csv").read_bytes().decode("utf-8-sig").encode("gb18030"))
    assert read_entries(read_table(path)).entries == example()


def table(rows: list[dict[str, str]], tmp_path: Path) -> ReadTable:
    path = tmp_path / "t.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return read_entries(read_table(path))


ITEM = {"record": "item", "basic_code": "370199000001", "version": "1", "effective_from": "2026-01-01", "title_zh": "甲",
        "title_en": "A", "level": "county", "limit": "5", "limit_unit": "working-day", "requires_consent": "是",
        "legal_basis": "依据"}  # fmt: skip
REQUIREMENT = {"record": "要求", "basic_code": "370199000001", "version": "1", "requirement": "identity", "title_zh": "身份",
               "title_en": "identity", "evidence": "id-card"}  # fmt: skip
FAULTS: list[tuple[list[dict[str, str]], list[tuple[int, str]]]] = [
    ([ITEM, REQUIREMENT], []),
    ([ITEM | {"level": "village"}], [(2, "level")]),
    ([ITEM | {"limit": "soon", "basic_code": "12"}], [(2, "basic_code"), (2, "limit")]),
    ([ITEM | {"effective_from": "2026-02-30"}], [(2, "effective_from")]),
    ([ITEM | {"effective_until": "2025-01-01"}], [(2, "")]),
    ([ITEM | {"requires_consent": "maybe"}], [(2, "requires_consent")]),
    ([ITEM | {"organ": "x"}], [(2, "organ")]),
    ([ITEM], [(2, "requirement")]),  # it asks for nothing
    ([ITEM | {"law_covers": "passport"}], [(2, "law_covers")]),
    ([ITEM | {"law_covers": "id-card"}, REQUIREMENT], [(2, "")]),  # it needs consent
    ([ITEM | {"law_covers": "degree", "requires_consent": "no"}, REQUIREMENT], [(2, "")]),
    ([ITEM | {"law_covers": "id-card", "requires_consent": "no"}, REQUIREMENT], []),
    ([{"record": "thing"}], [(2, "record")]),
    ([ITEM, REQUIREMENT, ITEM], [(4, "basic_code")]),
    ([REQUIREMENT], [(2, "basic_code")]),
    ([ITEM, REQUIREMENT, REQUIREMENT], [(4, "requirement")]),
    ([ITEM, REQUIREMENT | {"evidence": "passport"}], [(3, "evidence")]),
    ([ITEM, REQUIREMENT | {"requirement": ""}], [(3, "requirement")]),
    ([ITEM, REQUIREMENT | {"evidence": "diploma[KZ_XL=本科]"},
      REQUIREMENT | {"evidence": "diploma[KZ_XL=专科] | degree", "requirement": "other"}], [(4, "evidence")]),
    ([ITEM, REQUIREMENT | {"evidence": "diploma[KZ_XL=本科]"},
      REQUIREMENT | {"evidence": "diploma", "requirement": "other"}], [(4, "evidence")]),
    ([ITEM, REQUIREMENT | {"evidence": "diploma[KZ_XL=本科]"},
      REQUIREMENT | {"evidence": "id-card | diploma[KZ_XL=本科]", "requirement": "other"}], []),
    ([ITEM | {"title_zh": "=HYPERLINK()"}], [(2, "title_zh")]),
    ([ITEM | {"title_zh": "甲" * 3000}], [(2, "title_zh")]),
    ([{"record": "implementation", "code": "1" * 31, "effective_from": "2026-01-01", "region": "379999", "organ": "某局",
       "channels": "portal, fax", "limit": "5", "limit_unit": "working-day"}],
     [(2, "code"), (2, "region"), (2, "channels")]),
    ([{"record": "rule", "rule": "r", "rule_kind": "negative-list", "basic_code": "*", "region": "370200",
       "effective_from": "2026-01-01", "legal_basis": "依据"}], [(2, "")]),
    ([{"record": "source", "ecert_type": "id-card", "region": "370000", "service": "fax", "fields": "",
       "effective_from": "2026-01-01"}], [(2, "service"), (2, "fields")]),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), FAULTS)
def test_each_fault_is_told_by_row_and_column(
    rows: list[dict[str, str]], expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    read = table(rows, tmp_path)
    assert sorted((fault.row, fault.column) for fault in read.faults) == sorted(expected)
    assert all(fault.reason_zh and fault.reason_en for fault in read.faults)


@pytest.mark.parametrize(
    ("row", "column", "cure"),
    [
        (ITEM | {"basic_code": "3.70105E+11"}, "basic_code", "12 位数字"),
        (ITEM | {"basic_code": "37019900001"}, "basic_code", "设为文本"),
        (REQUIREMENT | {"basic_code": "3.70105E+11"}, "basic_code", "12 位数字"),
        (ITEM | {"requires_consent": "maybe"}, "requires_consent", "填 yes 或 no"),
    ],
)
def test_what_is_wrong_in_a_cell_is_told_with_its_cure(
    row: dict[str, str], column: str, cure: str, tmp_path: Path
) -> None:
    (fault,) = table([row], tmp_path).faults
    assert fault.column == column
    assert cure in fault.reason_zh


@pytest.mark.parametrize("column", ["effective_from", "effective_until"])
@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-1-5", "2026/01/05", "20260105", "46027", "0", "2026-W01-1", "即日起"]
)
def test_a_date_that_is_none_is_told_with_its_form(text: str, column: str, tmp_path: Path) -> None:
    (fault,) = table([ITEM | {column: text}], tmp_path).faults
    assert fault.place == f"第 2 行, {column} 列"
    assert fault.reason_zh == "不是有效日期: 写作 YYYY-MM-DD(1900 至 2099 年)"
    assert fault.reason_en == "not a date: write YYYY-MM-DD, years 1900 to 2099"


def test_dates_of_a_workbook_are_dates_and_the_number_behind_one_is_told(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    columns = list(dict.fromkeys([*ITEM, *REQUIREMENT]))
    sheet.append(columns)
    sheet.append([*(ITEM | {"effective_from": datetime(2026, 1, 5)}).values()])
    sheet.append([REQUIREMENT.get(column, "") for column in columns])
    sheet.append([*(ITEM | {"basic_code": "370199000002", "effective_from": 46027}).values()])
    book.save(tmp_path / "t.xlsx")
    read = read_entries(read_table(tmp_path / "t.xlsx"))
    assert [entry.effective_from for entry in read.entries] == [date(2026, 1, 5)]
    assert [(fault.row, fault.column, "YYYY-MM-DD" in fault.reason_zh) for fault in read.faults] == [
        (4, "effective_from", True)
    ]


def test_a_long_number_in_excel_is_refused_because_digits_are_lost(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["记录", "基本编码 basic_code", "版本"])
    sheet.append(["item", 3701050010013701050010, 1])
    book.save(tmp_path / "t.xlsx")
    read = read_entries(read_table(tmp_path / "t.xlsx"))
    assert [(fault.row, fault.column) for fault in read.faults] == [(2, "basic_code")]


def _bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as parts:
        for number in range(201):
            parts.writestr(f"xl/worksheets/sheet{number}.xml", bytes(1024 * 1024))
    return data.getvalue()


def _broken_zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as parts:
        parts.writestr("[Content_Types].xml", "<x")
    return data.getvalue()


UNREADABLE: list[tuple[str, bytes]] = [
    ("t.csv", b""),
    ("t.csv", b"\xff\xff\xff"),
    ("t.csv", b"a,b\n1,2\n"),
    ("t.csv", "记录,记录\n".encode()),
    ("t.csv", b'record\n"unclosed\n'),
    ("t.csv", b"record\n" + b"x\n" * 50_001),
    ("t.csv", b"record" + b"," * 70 + b"\n"),
    ("t.xlsx", b"PK\x03\x04 no"),
    ("t.xlsx", _broken_zip()),
    ("t.txt", b"record\n"),
]


@pytest.mark.parametrize(("name", "content"), UNREADABLE)
def test_a_file_that_is_no_table_is_refused_in_both_languages(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_entries(read_table(path))
    assert caught.value.zh
    assert caught.value.en


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(_bomb())
    with pytest.raises(TableError, match="unpacked"):
        list(read_table(tmp_path / "t.xlsx"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_table(tmp_path / "none.csv")
    assert "none.csv" in caught.value.zh


def test_an_unknown_heading_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("记录,层级\n", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_entries(read_table(tmp_path / "t.csv"))
    assert caught.value.zh.startswith("第 1 行第 2 列: 不认识的列名“层级”; 可用: ")
    assert "行使层级|level" in caught.value.zh


@given(st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=6))
def test_any_table_gives_entries_or_faults_and_never_an_escape(rows: list[list[str]]) -> None:
    def as_rows() -> Iterator[Any]:
        from hub.ecerts.items.table_file import Row

        yield Row(1, ("record", "basic_code", "version", "title_zh", "evidence", "fields"))
        for number, cells in enumerate(rows, 2):
            yield Row(number, tuple(["item", "要求", "rule", "source", "实施"][number % 5 : number % 5 + 1] + cells))

    read = read_entries(as_rows())
    assert len(read.entries) + len(read.faults) >= (1 if rows else 0)


def test_an_item_whose_row_names_no_purpose_is_asked_for_with_none(tmp_path: Path) -> None:
    (item,) = table([ITEM, REQUIREMENT], tmp_path).entries
    assert isinstance(item, Item)
    assert item.purposes == ()
    assert not item.may_be_asked_for("student-registry")
    (item,) = table([ITEM | {"purposes": "student-registry，school-licensing"}, REQUIREMENT], tmp_path).entries
    assert isinstance(item, Item)
    assert item.purposes == ("student-registry", "school-licensing")
