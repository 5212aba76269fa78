"""Rows of the catalogue's table ↔ entries. One table for everything: the first column says what a row is (see COLUMNS)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hub.ecerts.entries import KINDS, CatalogueError, Entry, HandlingRule, Implementation, Item, Requirement, Source
from hub.ecerts.expressions import at_odds, two_conditions
from hub.ecerts.items.table_file import CellFault, Row, TableError
from schemas.parsing import faults_of

MAX_FAULTS: Final = 500

COLUMNS: Final = {  # key -> Chinese heading; a heading may be either, or "中文 key" as exports write it
    "record": "记录",
    "basic_code": "基本编码",
    "version": "版本",
    "effective_from": "生效日期",
    "effective_until": "失效日期",
    "title_zh": "名称",
    "title_en": "英文名称",
    "level": "行使层级",
    "limit": "办结时限",
    "limit_unit": "时限单位",
    "requires_consent": "需本人同意",
    "legal_basis": "依据",
    "purposes": "用途",
    "law_covers": "无需授权的材料",
    "requirement": "要求",
    "evidence": "可接受材料",
    "required": "必需",
    "code": "实施编码",
    "region": "区域",
    "organ": "实施机关",
    "channels": "办理渠道",
    "rule": "规则",
    "rule_kind": "规则类型",
    "area": "片区",
    "ecert_type": "材料类型",
    "service": "来源服务",
    "endpoint": "来源系统",
    "fields": "字段",
    "placeholder": "占位编码",
}
_COMMON: Final = ("version", "effective_from", "effective_until", "placeholder")
_USED: Final = {
    "item": (*_COMMON, "basic_code", "title_zh", "title_en", "level", "limit", "limit_unit", "requires_consent", "legal_basis",
             "purposes", "law_covers"),
    "requirement": ("basic_code", "version", "requirement", "title_zh", "title_en", "evidence", "required"),
    "implementation": (*_COMMON, "code", "region", "organ", "channels", "limit", "limit_unit"),
    "rule": (*_COMMON, "rule", "rule_kind", "basic_code", "region", "area", "legal_basis"),
    "source": (*_COMMON, "ecert_type", "region", "service", "endpoint", "fields"),
}  # fmt: skip
_RECORDS_ZH: Final = {"事项": "item", "要求": "requirement", "实施": "implementation", "规则": "rule", "来源": "source"}
_YES_NO: Final = {"是": "true", "否": "false", "yes": "true", "no": "false"}
_LISTS: Final = frozenset({"channels", "fields", "purposes", "law_covers"})
ANY_PURPOSE: Final = "*"  # as exports write an item of before purposes were written
_BOOLEANS: Final = frozenset({"requires_consent", "required", "placeholder"})

_CURES: Final = {  # what is meant, where the schema only says that the form is wrong
    "basic_code": (
        "应为 12 位数字: 在 Excel 中将单元格设为文本, 再填编码",
        "12 digits: make the cell text in Excel first",
    ),
    **dict.fromkeys(_BOOLEANS, ("填 yes 或 no (是或否)", "write yes or no")),
}

M = TypeVar("M")
Place = tuple[str, str, int]  # kind, key, version


@dataclass(slots=True)
class ReadTable:
    """What a table says: its entries, where each of them stood, and every fault that was found."""

    entries: list[Entry] = field(default_factory=list)
    rows: dict[Place, int] = field(default_factory=dict)
    faults: list[CellFault] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)  # basic codes of items that stand in the table and could not be read

    def fault(self, row: int, column: str, zh: str, en: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(CellFault(row, column, zh, en))


@dataclass(slots=True)
class _Draft:
    """An item waiting for the requirements below it."""

    row: int
    values: dict[str, object]
    requirements: list[Requirement] = field(default_factory=list)
    whole: bool = True  # false: a requirement below it has a fault, which is told there


def read_entries(rows: Iterable[Row]) -> ReadTable:
    """Every entry of the table, and every fault by row and column. Raises TableError if there is no usable heading."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        raise TableError("表格是空的", "the table is empty")
    read = ReadTable()
    heading = _heading(first)
    drafts: dict[tuple[str, str], _Draft] = {}
    for row in remaining:
        _read_row(read, heading, row, drafts)
    for draft in drafts.values():
        _finish_item(read, draft)
    return read


def _heading(row: Row) -> list[str]:
    by_label = {label: key for key, label in COLUMNS.items()}
    keys = []
    for number, cell in enumerate(row.cells, 1):
        words = cell.split()
        key = next((by_label.get(word, word) for word in reversed(words) if by_label.get(word, word) in COLUMNS), "")
        if words and not key:
            place = f"第 {row.number} 行第 {number} 列", f"row {row.number}, column {number}"
            known = " ".join(f"{zh}|{one}" for one, zh in COLUMNS.items())
            raise TableError(
                f"{place[0]}: 不认识的列名“{cell[:40]}”; 可用: {known}",
                f'{place[1]}: unknown heading "{cell[:40]}"; known are {known}',
            )
        keys.append(key)
    named = [key for key in keys if key]
    if "record" not in named or len(set(named)) != len(named):
        raise TableError(
            f"第 {row.number} 行应为列名, 含“记录”列, 且不重复",
            f"row {row.number} must be the heading: 'record', none doubled",
        )
    return keys


def _read_row(read: ReadTable, heading: Sequence[str], row: Row, drafts: dict[tuple[str, str], _Draft]) -> None:
    cells = _cells_of(read, heading, row)
    if cells is None:
        return
    record = cells.pop("record", "")
    record = _RECORDS_ZH.get(record, record)
    if record not in _USED:
        known = ", ".join(f"{zh} {key}" for zh, key in _RECORDS_ZH.items())
        read.fault(row.number, "record", f"应为其一: {known}", f"must be one of {known}")
        return
    strange = sorted(cells.keys() - set(_USED[record]))
    for key in strange:
        read.fault(row.number, key, f"{record} 记录不使用此列", f"a record of {record} does not use this column")
    if strange:
        if record == "item":
            read.unread.add(cells.get("basic_code", ""))
        return
    values: dict[str, object] = {key: _value(key, text) for key, text in cells.items()}
    version = cells.get("version", "1")
    place = (cells.get("basic_code", ""), version.lstrip("0"))
    if record == "item" and place in drafts:
        read.fault(row.number, "basic_code", "同一事项同一版本重复", "this version of the item stands twice")
    elif record == "item":
        named = values.get("purposes", ())  # an item that names none is asked for with none
        drafts[place] = _Draft(row.number, values | {"purposes": None if named == (ANY_PURPOSE,) else named})
    elif record == "requirement":
        _read_requirement(read, row.number, values, drafts.get(place))
    else:
        model = KINDS[record]
        entry = _valid(read, row.number, lambda: model.model_validate(values))
        if entry is not None:
            _keep(read, row.number, entry)


def _cells_of(read: ReadTable, heading: Sequence[str], row: Row) -> dict[str, str] | None:
    """By column; None if a cell could not be read without loss."""
    cells: dict[str, str] = {}
    for position, text in enumerate(row.cells):
        key = heading[position] if position < len(heading) else ""
        if text and key:
            cells[key] = text
        elif text:
            read.fault(row.number, "", "列名之外还有内容", "there is text outside the columns")
    for position, zh, en in row.faults:
        read.fault(row.number, heading[position] if position < len(heading) else "", zh, en)
    return None if row.faults else cells


def _read_requirement(read: ReadTable, row: int, values: dict[str, object], draft: _Draft | None) -> None:
    if not re.fullmatch("[0-9]{12}", str(values.get("basic_code", ""))):
        read.fault(row, "basic_code", *_CURES["basic_code"])
        return
    if draft is None:
        zh, en = "上方没有此事项此版本的 item 记录", "no item of this code and version stands above"
        read.fault(row, "basic_code", zh, en)
        return
    content = {key: value for key, value in values.items() if key not in ("basic_code", "version", "requirement")}
    content["name"] = values.get("requirement", "")
    requirement = _valid(read, row, lambda: Requirement.model_validate(content))
    if requirement is None:
        draft.whole = False
        return
    if any(requirement.name == other.name for other in draft.requirements):
        draft.whole = False
        read.fault(row, "requirement", "同一事项的要求重名", "two requirements of the item have one name")
        return
    if documents := at_odds([*(other.evidence for other in draft.requirements), requirement.evidence]):
        draft.whole = False
        read.fault(row, "evidence", *two_conditions(documents))
        return
    draft.requirements.append(requirement)


def _finish_item(read: ReadTable, draft: _Draft) -> None:
    values = {**draft.values, "requirements": tuple(draft.requirements)}
    if not draft.whole:
        values["law_covers"] = None  # which may name what the faulty requirement asks for
    item = _valid(read, draft.row, lambda: Item.model_validate(values))
    if item is not None and draft.whole and not item.requirements:
        zh = "事项没有任何要求: 在其下方逐行列出 requirement 记录"
        read.fault(
            draft.row, "requirement", zh, "the item asks for nothing: list its requirements in the rows below it"
        )
    elif item is not None and draft.whole:
        _keep(read, draft.row, item)
        return
    read.unread.add(str(draft.values.get("basic_code", "")))


def _keep(read: ReadTable, row: int, entry: Entry) -> None:
    place = (entry.kind, entry.key, entry.version)
    if place in read.rows:
        zh, en = f"与第 {read.rows[place]} 行重复", f"the same entry and version as row {read.rows[place]}"
        read.fault(row, "", zh, en)
        return
    read.rows[place] = row
    read.entries.append(entry)


def _value(key: str, text: str) -> object:
    if key in _LISTS:
        return tuple(re.sub("[,，、]", " ", text).split())
    if key in _BOOLEANS:
        return _YES_NO.get(text.lower(), text)
    return text


def _valid(read: ReadTable, row: int, make: Callable[[], M]) -> M | None:
    try:
        return make()
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            column, zh, en = _told(detail)
            read.fault(row, column, zh, en)
        return None


def _told(detail: ErrorDetails) -> tuple[str, str, str]:
    names = [str(part) for part in detail["loc"] if isinstance(part, str)]
    column = _column(names[0]) if names else ""
    own = detail.get("ctx", {}).get("error")
    if isinstance(own, CatalogueError):
        return column, own.zh, own.en
    if column in _CURES and detail["type"] != "missing":
        return column, *_CURES[column]
    found = faults_of([detail])[0]
    return column, f"{found.reason_zh}: {found.cure_zh}", f"{found.reason_en}: {found.cure_en}"


def _column(wire_name: str) -> str:
    """Models speak camelCase at the wire; the table has their Python names."""
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in wire_name)
    return {"name": "requirement"}.get(name, name)


# --- writing ---------------------------------------------------------------------------------------------------------------


def heading() -> list[str]:
    return [f"{label} {key}" for key, label in COLUMNS.items()]


def to_rows(entries: Iterable[Entry]) -> Iterator[list[str]]:
    """The rows of the table, an item's requirements below it; reading them gives the same entries."""
    for entry in entries:
        match entry:
            case Item():
                values = entry.model_dump(by_alias=False, exclude={"requirements"})
                yield _cells("item", {"purposes": ANY_PURPOSE} | values)
                for requirement in entry.requirements:
                    values = requirement.model_dump(by_alias=False)
                    values["requirement"] = values.pop("name")
                    place = {"basic_code": entry.basic_code, "version": entry.version}
                    yield _cells("requirement", place | values)
            case Implementation() | HandlingRule() | Source():
                yield _cells(entry.kind, entry.model_dump(by_alias=False))


def _cells(record: str, values: dict[str, object]) -> list[str]:
    values = {"record": record, **values}
    return [_written(values.get(key)) for key in COLUMNS]


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return " ".join(_written(part) for part in value)
    return str(value)
