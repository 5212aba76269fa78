"""From a raw row to what is passed on: every cell judged by its rule, raw values kept, an identifier assigned where there is none.

A fault is *blocking* where the library could not file the certificate: no type, no number, no holder, a file whose seal does not
hold. Everything else (a date such as 2021-1-5, a holder code with a wrong check digit) goes on as it came, and is told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from adapters.contract import CollectAction, CollectedEcert
from hub.ecerts.collect.faults import broken, fault
from hub.ecerts.collect.model import COLUMNS, EXTRA_PREFIX, REQUIRED, RowFault
from schemas.base import Canonical
from schemas.code_tables import HOLDER_CODE_TYPES
from schemas.ecert_types import EcertType, ecert_types
from schemas.ecerts import EcertMetadata
from schemas.fields import iso_day
from schemas.numbers import (
    EcertIdentifier,
    check_credit_code,
    check_id_number,
    check_region_code,
    check_school_licence,
    check_teacher_number,
)
from schemas.rules import FieldError, Rule

_FIELDS: Final = {
    "number": "number", "holderName": "holder_name", "holderCodeType": "holder_code_type", "holderCode": "holder_code",
    "issuerName": "issuer_name", "issuerCode": "issuer_code", "issuedOn": "issued_on", "validFrom": "valid_from",
    "validUntil": "valid_until",
}  # fmt: skip
_ACTIONS: Final = {"": CollectAction.ISSUE, "签发": CollectAction.ISSUE, "变更": CollectAction.CHANGE,
                   "注销": CollectAction.REVOKE, "吊销": CollectAction.REVOKE}  # fmt: skip
_SERIAL: Final = re.compile(r"[0-9A-Z]{1,32}", re.ASCII)
_LONG_TERM: Final = ("长期", "永久")
_NUMBER_RULES: Final[Mapping[str, Callable[[str], str]]] = {  # words of schemas/data/ecert_types.toml
    "teacher": check_teacher_number,
    "private-school": check_school_licence,
}


class Record(Canonical):
    """What a row keeps, sealed: the raw cells, and what was made of them if it can be passed on."""

    raw: dict[str, str]
    ecert: CollectedEcert | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A row after its cells were judged; ``metadata`` is None where a fault is blocking."""

    row: int
    raw: Mapping[str, str]
    action: CollectAction
    kind: EcertType | None
    metadata: EcertMetadata | None
    assigned: bool
    faults: tuple[RowFault, ...]


class _Cells:
    """The cells of a row, and the faults found in them. Of a cell that the file itself has spoilt no warning is told as well."""

    def __init__(self, row: int, cells: Mapping[str, str], given: Sequence[RowFault]) -> None:
        self.row, self.cells = row, cells
        self.faults = list(given)
        self._spoilt = {one.column for one in given if one.blocking}

    def get(self, column: str) -> str:
        return self.cells.get(column, "")

    def fault(self, column: str, rule: str, *, blocking: bool) -> None:
        if blocking or column not in self._spoilt:
            self.faults.append(fault(self.row, column, rule, blocking=blocking))

    def broken(self, column: str, rule: Rule, *, blocking: bool = False) -> None:
        if blocking or column not in self._spoilt:
            self.faults.append(broken(self.row, column, rule, blocking=blocking))


def judge(
    row: int, raw: Mapping[str, str], given: Sequence[RowFault] = (), *, today: date, told: bool = False
) -> Judged:
    """``raw`` by column; ``given`` are faults of the file's own form, which are told instead of those of an empty cell.

    ``today``: a day in Asia/Shanghai. ``told``: unknown columns were told at the heading.
    """
    cells = _Cells(row, raw, given)
    named = {one.column for one in given}
    action, kind = _action(cells), _kind(cells) if cells.get("type") or "type" not in named else None
    for column in REQUIRED[1:]:
        if not cells.get(column) and column not in named:
            cells.fault(column, "missing", blocking=True)
    for column in raw:
        if not told and column not in COLUMNS and not column.startswith(EXTRA_PREFIX):
            cells.fault(column, "column-unknown", blocking=False)
    _holder(cells)
    _issuer(cells)
    _dates(cells, today)
    if kind is not None and (check := _NUMBER_RULES.get(kind.number_rule or "")) and cells.get("number"):
        _try(cells, "number", lambda: check(cells.get("number")))
    identifier, assigned = _identifier(cells, kind)
    metadata = None
    if kind is not None and identifier is not None and not any(one.blocking for one in cells.faults):
        values = {name: raw[column] for column, name in _FIELDS.items() if raw.get(column)}
        extra = {name: value for name, value in raw.items() if name.startswith(EXTRA_PREFIX) and value}
        metadata = EcertMetadata.model_validate(
            {**values, "identifier": identifier, "type_code": kind.code, "type_name": kind.title_zh, "extra": extra}
        )
    return Judged(row, raw, action, kind, metadata, assigned, tuple(cells.faults))


def digest_of_record(metadata: EcertMetadata, content: bytes | None) -> str:
    """What both sides reconcile by: SHA-256 over the metadata's canonical JSON and the file's own digest."""
    values = metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    file = hashlib.sha256(content).hexdigest() if content is not None else ""
    return hashlib.sha256(f"{text}\n{file}".encode()).hexdigest()


def _action(cells: _Cells) -> CollectAction:
    text = cells.get("action")
    if text in _ACTIONS:
        return _ACTIONS[text]
    if text in set(CollectAction):
        return CollectAction(text)
    cells.fault("action", "action-unknown", blocking=True)
    return CollectAction.ISSUE


def _kind(cells: _Cells) -> EcertType | None:
    """By key, type code or Chinese title."""
    text = cells.get("type")
    for kind in ecert_types().values():
        if kind.collect and text in (kind.key, kind.code, kind.title_zh):
            return kind
    cells.fault("type", "type-not-collected", blocking=True)
    return None


def _holder(cells: _Cells) -> None:
    code, code_type = cells.get("holderCode"), cells.get("holderCodeType")
    if code_type and code_type not in HOLDER_CODE_TYPES:
        cells.fault("holderCodeType", "holder-type-unknown", blocking=True)
    elif code_type == "001" and code:
        _try(cells, "holderCode", lambda: check_credit_code(code))
    elif code_type and code:
        _try(cells, "holderCode", lambda: check_id_number(code_type, code))


def _issuer(cells: _Cells) -> None:
    """A credit code or, at some issuers, a region code; blocking where it cannot stand in an identifier."""
    code = cells.get("issuerCode")
    if not code:
        return
    if len(code) not in range(6, 19) or not _SERIAL.fullmatch(code):
        cells.fault("issuerCode", "issuer-code-format", blocking=True)
    elif len(code) == 6:
        _try(cells, "issuerCode", lambda: check_region_code(code))
    else:
        _try(cells, "issuerCode", lambda: check_credit_code(code))


def _dates(cells: _Cells, today: date) -> None:
    days: dict[str, date] = {}
    for column in ("issuedOn", "validFrom", "validUntil"):
        text = cells.get(column)
        if not text or (column == "validUntil" and text in _LONG_TERM):
            continue
        try:
            days[column] = iso_day(text)
        except FieldError:
            cells.fault(column, "date-format", blocking=False)
    if days.get("issuedOn", today) > today:
        cells.fault("issuedOn", "issued-in-future", blocking=False)
    if days.get("validFrom", date.min) > days.get("validUntil", date.max):
        cells.fault("validUntil", "validity-reversed", blocking=False)


def _identifier(cells: _Cells, kind: EcertType | None) -> tuple[str | None, bool]:
    """The issuer's own, or one that is assigned: the same again for the same type, issuer and number."""
    text = cells.get("identifier")
    if text:
        try:
            parsed = EcertIdentifier.parse(text)
        except FieldError as error:
            cells.broken("identifier", error.rule, blocking=True)
            return None, False
        if (warning := parsed.warning) is not None:
            cells.broken("identifier", warning)
        if kind is not None and parsed.type_code != kind.code:
            cells.fault("identifier", "type-mismatch", blocking=True)
        return text, False
    number = cells.get("number")
    if kind is None or not number or any(one.blocking for one in cells.faults):
        return None, False
    own = number if _SERIAL.fullmatch(number) else hashlib.sha256(number.encode()).hexdigest()[:32].upper()
    return str(EcertIdentifier.assign(kind.code, cells.get("issuerCode"), own)), True


def _try(cells: _Cells, column: str, check: Callable[[], str]) -> None:
    try:
        check()
    except FieldError as error:
        cells.broken(column, error.rule)
