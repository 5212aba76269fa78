"""Files as issuing systems really send them: what is wrong is told by row and column, with what to do, in both languages."""

from __future__ import annotations

import ast
import codecs
import io
import json
import re
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.worksheet.formula import ArrayFormula

from certs.report import SubIndication
from hub.ecerts.collect import cures, faults, records
from hub.ecerts.collect.cells import RawRow
from hub.ecerts.collect.model import CollectionRequest, RowFault
from hub.ecerts.collect.records import Judged
from hub.ecerts.collect.rows import faults_from
from hub.ecerts.collect.table import FileUnreadable, Table
from schemas import rules
from schemas.parsing import parse_json
from schemas.problems import HubProblem

NAMES = ("type", "number", "holderName", "holderCodeType", "holderCode", "issuerName", "issuerCode", "issuedOn")
GOOD = (
    "教师资格证书",
    "20183702100000001",
    "示例教师",
    "111",
    "37010219900101001X",
    "历下区教育局",
    "370102",
    "2018-06-05",
)
HEAD = ",".join(NAMES)
LINE = ",".join(GOOD)


def read(content: bytes, form: str, folder: Path) -> tuple[list[RawRow], Table]:
    table = Table(io.BytesIO(content), form, folder)
    return list(table.rows()), table


def unreadable(content: bytes, form: str, folder: Path) -> FileUnreadable:
    table = Table(io.BytesIO(content), form, folder)
    with pytest.raises(FileUnreadable) as caught:
        list(table.rows())
    assert all(map(told_in_both_languages, caught.value.faults))
    return caught.value


def told_in_both_languages(fault: RowFault) -> bool:
    """What is wrong and what to do: each in Chinese, each in English, and a cure that is not the reason again."""
    zh, en = (fault.reason_zh, fault.cure_zh or ""), (fault.reason_en, fault.cure_en or "")
    return (
        all(re.search("[一-鿿]", text) for text in zh)
        and all(re.search("[a-z]{2}", text) and not re.search("[一-鿿]", text) for text in en)
        and zh[0] != zh[1]
        and en[0] != en[1]
    )


def judge(row: int, raw: Mapping[str, str], given: Sequence[RowFault] = (), *, told: bool = False) -> Judged:
    return records.judge(row, raw, given, today=date(2026, 9, 1), told=told)


def places(made: Iterable[RowFault]) -> list[tuple[int, str, str]]:
    return [(one.row, one.column, one.rule) for one in made]


def workbook(rows: Iterable[Iterable[object]], *merged: str) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for one in merged:
        sheet.merge_cells(one)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def packed(members: dict[str, bytes], *, names: str | None = None) -> bytes:
    """``names``: the encoding of names, written as Windows does: without saying so."""

    class Info(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:
            return (self.filename.encode(names or "utf-8"), self.flag_bits | (0 if names else 0x800))

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            info = Info(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return target.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_encodings_of_a_csv(encoding: str, tmp_path: Path) -> None:
    rows, table = read(f"{HEAD}\r\n{LINE}\r\n".encode(encoding), "csv", tmp_path)
    assert [row.cells["holderName"] for row in rows] == ["示例教师"]
    assert table.faults == []
    assert judge(2, rows[0].cells).faults == ()


def test_chinese_headings_and_blank_lines(tmp_path: Path) -> None:
    head = "证照类型,证照编号,持证主体,持证主体代码类型,持证主体代码,证照颁发机构,证照颁发机构代码,证照颁发日期"
    rows, _ = read(f"{head}\n\n{LINE}\n,,,\n".encode(), "csv", tmp_path)
    assert [(row.number, row.cells["type"]) for row in rows] == [(3, "教师资格证书")]


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        (b"", "empty", [(0, "", "empty")]),
        (b"\n", "empty", [(0, "", "empty")]),
        (HEAD.replace("number", "nummer").encode(), "headings", [(1, "number", "heading-missing")]),
        (HEAD.replace("issuedOn", "number").encode(), "headings", [(1, "number", "heading-doubled")]),
        (HEAD.replace("holderName", "").encode(), "headings",
         [(1, "C", "heading-empty"), (1, "holderName", "heading-missing")]),
        (LINE.encode(), "headings", [(1, name, "heading-missing") for name in NAMES[:7]]),
        (HEAD.replace(",", ";").encode(), "separator", [(1, "A", "separator")]),
        (HEAD.replace(",", "\t").encode(), "separator", [(1, "A", "separator")]),
        (codecs.BOM_UTF16_LE + HEAD.encode("utf-16-le"), "encoding", [(1, "", "encoding")]),
        (f"{HEAD}\n{LINE}\n".encode() + b"\xff\xff", "encoding", [(1, "", "encoding")]),
        (f'{HEAD}\n{LINE}\n"a'.encode(), "not-a-table", [(3, "", "not-a-table")]),
        (HEAD.encode(), "no-rows", [(0, "", "no-rows")]),
        (f"{HEAD}\n\n{',' * 7}\n ,　\n".encode(), "no-rows", [(0, "", "no-rows")]),
    ],
)  # fmt: skip
def test_a_csv_that_is_none(content: bytes, reason: str, told: list[tuple[int, str, str]], tmp_path: Path) -> None:
    error = unreadable(content, "csv", tmp_path)
    assert (error.reason, places(error.faults)) == (reason, told)
    assert not any(
        "示例教师" in str(fault) for fault in error.faults
    )  # a first row that is no heading is not told again


def test_cells_of_a_csv(tmp_path: Path) -> None:
    rows, table = read(
        f"{HEAD},备注\n{LINE.replace('37010219900101001X', '3.70102E+17')}\n"
        f"{LINE.replace('20183702100000001', '=20183702100000001')}\n{LINE},,x\n{LINE.replace('示例', '示' * 3000)}\n".encode(),
        "csv", tmp_path,
    )  # fmt: skip
    assert [places(row.faults) for row in rows] == [
        [(2, "holderCode", "digits-lost")], [(3, "number", "formula")], [(4, "", "more-cells-than-headings")],
        [(5, "holderName", "too-long")],
    ]  # fmt: skip
    assert places(table.faults) == [(1, "备注", "column-unknown")]  # once, not in every row
    judged = judge(5, rows[3].cells, rows[3].faults, told=True)
    assert places(judged.faults) == [(5, "holderName", "too-long")]  # and not that it is missing, too
    assert places(judge(3, rows[1].cells, rows[1].faults, told=True).faults) == [
        (3, "number", "formula")
    ]  # nor of its shape


def test_cells_of_a_workbook(tmp_path: Path) -> None:
    formula, errors, number = list(GOOD), list(GOOD), list[object](GOOD)
    formula[1], errors[2], number[4] = "=A1&B1", "#N/A", 370102199001010010
    array: list[object] = list(GOOD)
    array[1] = ArrayFormula("B5:B5", "=A1")
    rows, _ = read(workbook([NAMES, GOOD, formula, errors, number, array]), "xlsx", tmp_path)
    assert [places(row.faults) for row in rows] == [
        [], [(3, "number", "formula")], [(4, "holderName", "cell-error")], [(5, "holderCode", "digits-lost")],
        [(6, "number", "formula")],
    ]  # fmt: skip


@pytest.mark.parametrize("blank", [[], [[]], [[""], [" "]]])
def test_a_workbook_of_headings_only(blank: list[list[str]], tmp_path: Path) -> None:
    content = workbook([NAMES, *blank])
    assert unreadable(content, "xlsx", tmp_path).reason == "no-rows"
    assert unreadable(packed({"rows.xlsx": content, "a.ofd": b""}), "zip", tmp_path).reason == "no-rows"


def test_merged_cells_are_told_where_they_hide_a_value(tmp_path: Path) -> None:
    content = workbook([NAMES, GOOD, GOOD, GOOD], "F2:F4", "G3:H3")
    rows, _ = read(content, "xlsx", tmp_path)
    assert [places(row.faults) for row in rows] == [
        [], [(3, "issuerName", "merged-cells"), (3, "issuedOn", "merged-cells")], [(4, "issuerName", "merged-cells")],
    ]  # fmt: skip
    title = unreadable(workbook([["归集表"], NAMES, GOOD], "A1:H1"), "xlsx", tmp_path)
    assert (1, "type", "heading-missing") in places(title.faults)


def test_a_workbook_that_claims_a_row_without_end(tmp_path: Path) -> None:
    content = workbook([NAMES, GOOD])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    members["xl/worksheets/sheet1.xml"] = sheet.replace(b'r="2"', b'r="99999999999"')
    assert unreadable(packed(members), "xlsx", tmp_path).reason in ("too-many-rows", "not-an-excel-file")


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", packed({"a": b"b"})])
def test_no_workbook(content: bytes, tmp_path: Path) -> None:
    assert unreadable(content, "xlsx", tmp_path).reason == "not-an-excel-file"


TABLE = f"{HEAD},file\n{LINE},ofd/张三.ofd\n".encode()


@pytest.mark.parametrize("names", [None, "gbk"])
def test_documents_of_a_zip(names: str | None, tmp_path: Path) -> None:
    """Names as Windows writes them in China are found; backslashes too; what no row names is told."""
    members = {"rows.csv": TABLE, "ofd/张三.ofd": b"ofd", "ofd/李四.ofd": b"x", "__MACOSX/._a": b"", ".DS_Store": b""}
    table = Table(io.BytesIO(packed(members, names=names)), "zip", tmp_path)
    (row,) = [one for one in table.rows() if table.document(one.cells["file"]) == (b"ofd", None)]
    assert table.document(row.cells["file"].replace("/", "\\")) == (b"ofd", None)
    assert table.document("gone.ofd") == (None, "file-missing")
    assert places(table.faults) == [(0, "file", "file-unused")]
    assert "李四" in table.faults[0].reason_zh


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"rows.csv": TABLE, "../a.ofd": b""}, "unsafe-name"),
        ({"rows.csv": TABLE, "/etc/passwd": b""}, "unsafe-name"),
        ({"rows.csv": TABLE, "C:\\a.ofd": b""}, "unsafe-name"),
        ({"rows.csv": TABLE, "a\\..\\..\\b.ofd": b""}, "unsafe-name"),
        ({"in/rows.csv": TABLE}, "zip-needs-one-table"),
        ({"a.csv": TABLE, "b.xlsx": b""}, "zip-needs-one-table"),
    ],
)
def test_a_zip_that_is_refused(members: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    assert unreadable(packed(members), "zip", tmp_path).reason == reason
    assert list(tmp_path.iterdir()) == []  # nothing was ever unpacked to a name


def test_bombs(tmp_path: Path) -> None:
    zeros = bytes(15 << 20)
    table = Table(io.BytesIO(packed({"rows.csv": TABLE, "ofd/张三.ofd": zeros, "big.ofd": zeros * 2})), "zip", tmp_path)
    assert len(list(table.rows())) == 1
    assert table.document("ofd/张三.ofd") == (None, "file-too-large")  # 15 MB from 15 KB
    assert table.document("big.ofd") == (None, "file-too-large")
    damaged = bytearray(packed({"rows.csv": TABLE, "a.ofd": bytes(range(256)) * 50}))
    at = damaged.index(b"a.ofd") + 20
    damaged[at : at + 40] = bytes(40)
    table = Table(io.BytesIO(bytes(damaged)), "zip", tmp_path)
    assert len(list(table.rows())) == 1
    assert table.document("a.ofd") == (None, "file-damaged")


def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = bytearray(packed({"rows.csv": TABLE}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    assert unreadable(bytes(content), "zip", tmp_path).reason == "zip-encrypted"


def test_too_many_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hub.ecerts.collect.table.MAX_ROWS", 2)
    error = unreadable(f"{HEAD}\n{LINE}\n{LINE}\n{LINE}\n".encode(), "csv", tmp_path)
    assert places(error.faults) == [(4, "", "too-many-rows")]


def test_every_word_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "protocol" / "collect.md").read_text(encoding="utf-8")
    verdicts = {word for word in cures.CELL if word.startswith("file-")} - {
        "file-missing", "file-too-large", "file-damaged", "file-without-zip"}  # fmt: skip
    for word in {*cures.FILE, *cures.HEADING, *cures.CELL, *cures.LIBRARY} - verdicts:
        assert f"`{word}`" in text, word


WORDS = {*cures.FILE, *cures.HEADING, *cures.CELL}
VERDICTS = {
    f"file-{indeterminate}{word.value.lower().replace('_', '-')}"
    for word in SubIndication
    for indeterminate in ("", "indeterminate-")
} | {
    f"file-{what}-{how}"
    for what in ("holder", "holder-code", "type", "number", "issuer")
    for how in ("missing", "mismatch")
}


@pytest.mark.parametrize("rule", sorted(WORDS | VERDICTS))
def test_every_fault_has_a_cure_in_both_languages(rule: str) -> None:
    assert told_in_both_languages(faults.fault(2, "number", rule))


def refusals() -> set[str]:
    """What the adapters of libraries may call a refusal."""
    folder = Path(__file__).parents[3] / "adapters"
    files = folder.glob("ecert_*/statuses.toml")
    tables = [tomllib.loads(file.read_text(encoding="utf-8"))["status"] for file in files]
    return {row["word"] for table in tables for row in table.values() if row["outcome"] == "refused"}


@pytest.mark.parametrize("word", sorted(refusals() | cures.LIBRARY.keys()))
def test_every_refusal_of_a_library_has_a_cure_in_both_languages(word: str) -> None:
    made = faults.refused(7, word)
    assert (made.row, made.rule, made.blocking) == (7, f"library-{word}", True)
    assert told_in_both_languages(made)


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=str)
def test_what_breaks_the_rule_of_its_field_brings_the_rules_cure(rule: rules.Rule) -> None:
    made = faults.broken(2, "number", rule, blocking=False)
    assert (made.rule, made.reason_zh, made.cure_zh, made.reason_en, made.cure_en) == (
        rule.code, rule.zh, rule.cure_zh, rule.en, rule.cure_en)  # fmt: skip


def test_a_fault_says_the_heading_that_people_know(tmp_path: Path) -> None:
    """Whoever keeps the table under Chinese headings has never seen ``holderName``."""
    made = judge(2, dict(zip(NAMES, GOOD, strict=True)) | {"holderName": "", "issuedOn": "2018-6-5"}).faults
    assert [(one.column, one.column_zh) for one in made] == [("holderName", "持证主体"), ("issuedOn", "证照颁发日期")]
    error = unreadable("证照类型,证照编号,备注,\n".encode(), "csv", tmp_path)
    told = {(one.column, one.column_zh) for one in error.faults}
    assert told >= {("holderName", "持证主体"), ("issuerCode", "证照颁发机构代码")}
    _, table = read(f"{HEAD},备注\n{LINE}\n".encode(), "csv", tmp_path)
    assert [(one.column, one.column_zh) for one in table.faults] == [("备注", None)]


def test_a_fault_kept_before_its_heading_was_told_is_read() -> None:
    kept = json.dumps(
        [{"column": "number", "rule": "missing", "blocking": True, "reasonZh": "未填写", "reasonEn": "is empty"}]
    )
    (fault,) = faults_from(7, kept)
    assert (fault.row, fault.column, fault.column_zh) == (7, "number", None)


def test_no_fault_of_collecting_is_made_without_a_cure() -> None:
    """Faults are made in one place, from words that have their texts there; a word that has none is refused at once."""
    folder = Path(cures.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert [path.name for path, text in sources.items() if re.search(r"(?<!class )RowFault\(", text)] == ["faults.py"]
    place = {"fault": 2, "cells.fault": 1, "FileUnreadable": 0, "Opinion": 0}  # of the word among the arguments
    calls = [node for text in sources.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    arguments = [call.args[at] for call in calls if (at := place.get(ast.unparse(call.func), 9)) < len(call.args)]
    named = {argument.value for argument in arguments if isinstance(argument, ast.Constant)}
    assert len(named) > 20
    assert named <= WORDS
    with pytest.raises(KeyError):
        faults.fault(2, "number", "no-such-word")


@pytest.mark.parametrize("text", ["2018-6-5", "2018-02-30", "2018-W01-1", "20180605", "2018-06-05 "])
def test_a_date_that_is_none_is_told_and_kept(text: str) -> None:
    made = judge(2, {**dict(zip(NAMES, GOOD, strict=True)), "issuedOn": text})
    assert places(made.faults) == [(2, "issuedOn", "date-format")]
    assert made.metadata is not None
    assert made.metadata.issued_on == text


@pytest.mark.parametrize(
    ("change", "path", "rule", "cure"),
    [
        ({"values": {f"KZ_{at}": "x" for at in range(65)}}, "/values", "too-long", "缩短内容: 至多 64 项"),
        *(
            ({"file": text}, "/file", "wrong-format", "对照字段说明更正格式: base64 编码")
            for text in ("a", "***", "UEsD*BA==", "UEsDBA")
        ),
        ({"action": "x"}, "/action", "not-in-list", "使用规范列出的取值: 'issue', 'change' 或 'revoke'"),
    ],
)
def test_a_message_with_one_certificate_is_told_what_to_mend(
    change: dict[str, object], path: str, rule: str, cure: str
) -> None:
    message = {"messageId": "m-1", "region": "370102", "values": {}, **change}
    with pytest.raises(HubProblem) as caught:
        parse_json(CollectionRequest, json.dumps(message).encode())
    assert [(one.path, one.rule, one.cure_zh) for one in caught.value.faults] == [(path, rule, cure)]


@pytest.mark.parametrize("text", ["UEsDBA==", "UEsD\r\nBA=="])
def test_a_file_is_base64_with_or_without_line_breaks(text: str) -> None:
    message = {"messageId": "m-1", "region": "370102", "values": {}, "file": text}
    assert parse_json(CollectionRequest, json.dumps(message).encode()).file == b"PK\x03\x04"


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        ({"validFrom": "2020-01-01", "validUntil": "2019-12-31"}, [(2, "validUntil", "validity-reversed")]),
        ({"validFrom": "2020-01-01", "validUntil": "2020-01-01"}, []),
        ({"validFrom": "2020-01-01", "validUntil": "长期"}, []),
        ({"validUntil": "2019-12-31"}, []),
        ({"issuedOn": "2026-09-01"}, []),
        ({"issuedOn": "2026-09-02"}, [(2, "issuedOn", "issued-in-future")]),
        ({"validFrom": "2020-1-1", "validUntil": "2019-12-31"}, [(2, "validFrom", "date-format")]),
        ({"validFrom": "2020-01-01", "validUntil": "2019-13-45"}, [(2, "validUntil", "date-format")]),
    ],
)
def test_days_that_do_not_fit_together_are_told_and_kept(
    dates: dict[str, str], told: list[tuple[int, str, str]]
) -> None:
    made = judge(2, {**dict(zip(NAMES, GOOD, strict=True)), **dates})
    assert places(made.faults) == told
    assert not any(one.blocking for one in made.faults)
    assert all(map(told_in_both_languages, made.faults))
    assert made.metadata is not None
    assert {**made.metadata.model_dump(by_alias=True), **dates} == made.metadata.model_dump(by_alias=True)


def test_every_cell_that_is_wrong_is_told_with_its_cure() -> None:
    """One row with everything wrong in it that a cell can have."""
    wrong = {"action": "x", "type": "x", "identifier": "1.2.3", "holderCodeType": "x", "issuerCode": "?", "issuedOn": "2018-6-5",
             "colour": "red"}  # fmt: skip
    made = judge(2, wrong).faults
    assert {one.rule for one in made} == {
        "action-unknown", "type-not-collected", "identifier-format", "holder-type-unknown", "issuer-code-format",
        "date-format", "column-unknown", "missing"}  # fmt: skip
    assert all(map(told_in_both_languages, made))


_SOUND = {
    "csv": f"{HEAD}\n{LINE}\n".encode(),
    "xlsx": workbook([NAMES, GOOD, GOOD], "F2:F3"),
    "zip": packed({"rows.csv": TABLE, "ofd/张三.ofd": b"ofd"}),
}


@pytest.mark.parametrize("form", sorted(_SOUND))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_are_a_fault_of_ours(form: str, tmp_path: Path, data: st.DataObject) -> None:
    """A sound file with some bytes changed, cut off or repeated is read, or refused as unreadable; nothing else comes out."""
    content = bytearray(_SOUND[form])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    table = Table(io.BytesIO(bytes(content)), form, tmp_path)
    reason = ""
    try:
        for row in table.rows():
            judge(row.number, row.cells, row.faults, told=True)
            table.document(row.cells.get("file", ""))
    except FileUnreadable as error:
        reason = error.reason
    assert reason in ("", *cures.FILE)
