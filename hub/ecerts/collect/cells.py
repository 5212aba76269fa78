"""A row's cells, treated alike however they came: as a line of a table, or as the values of one certificate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.ecerts.collect.cures import MAX_CELL
from hub.ecerts.collect.faults import fault
from hub.ecerts.collect.model import COLUMNS, RowFault
from schemas.fields import INVISIBLE

_ERRORS: Final = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"})
# what a spreadsheet makes of a long number
_SCIENTIFIC: Final = re.compile(r"\d(\.\d+)?[Ee]\+?\d{2}", re.ASCII)
# A name with one of these is another name, and looks the same (as in schemas/fields.py); a line break is one too.
_HIDDEN: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{INVISIBLE}]")


@dataclass(frozen=True, slots=True)
class RawRow:
    """``told``: unknown columns were told once, at the heading."""

    number: int  # as a spreadsheet shows it
    cells: Mapping[str, str]
    faults: tuple[RowFault, ...] = ()
    told: bool = False


def raw_row(
    number: int, cells: Iterable[tuple[str, str]], given: Sequence[RowFault] = (), *, told: bool = False
) -> RawRow:
    """White space at the ends of a cell goes, and an empty cell is none. ``given``: what the table's form shows of its cells."""
    faults, named, kept = list(given), {one.column for one in given}, {}
    for column, came in cells:
        text = came.strip()
        rule = _rule(column, text)
        if rule is not None and column not in named:
            faults.append(fault(number, column, rule))
        if text and rule != "too-long":
            kept[column] = text
    return RawRow(number, kept, tuple(faults), told)


def spoilt(text: str) -> str | None:
    """The rule by which a spreadsheet has made something else of a text."""
    if text.startswith("="):
        return "formula"
    if text in _ERRORS:
        return "cell-error"
    return "digits-lost" if _SCIENTIFIC.fullmatch(text) else None


def _rule(column: str, text: str) -> str | None:
    if len(text) > MAX_CELL:
        return "too-long"
    if column in COLUMNS and _HIDDEN.search(text):  # other facts (KZ_) may have several lines
        return "hidden-character"
    return spoilt(text)
