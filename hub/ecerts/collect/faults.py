"""The one place where faults of collecting are made, of the texts in ``cures.py``: none is without a cure."""

from __future__ import annotations

from hub.ecerts.collect.cures import BY_LIBRARY, CELL, FILE, HEADING, INDETERMINATE, LIBRARY, REFUSED, Texts
from hub.ecerts.collect.model import COLUMNS, RowFault
from schemas.rules import Rule


def texts(rule: str) -> Texts:
    """KeyError for a word that is none of ours."""
    if (known := FILE.get(rule) or HEADING.get(rule) or CELL.get(rule)) is not None:
        return known
    if rule.startswith("file-indeterminate-"):
        return INDETERMINATE
    if rule.startswith("file-"):
        return REFUSED
    raise KeyError(rule)


def fault(row: int, column: str, rule: str, *, blocking: bool = True, more: str = "", more_en: str = "") -> RowFault:
    """``more`` is added to both reasons, or to the Chinese where ``more_en`` is given; neither may hold a cell's value."""
    zh, en = texts(rule)
    return _made(row, column, rule, Texts((zh[0] + more, zh[1]), (en[0] + (more_en or more), en[1])), blocking)


def broken(row: int, column: str, rule: Rule, *, blocking: bool) -> RowFault:
    """A cell that breaks the rule of its field."""
    return _made(row, column, rule.code, Texts((rule.zh, rule.cure_zh), (rule.en, rule.cure_en)), blocking)


def refused(row: int, code: str) -> RowFault:
    """Why a library did not take a row: ``library-`` and its word."""
    return _made(row, "", f"library-{code}", LIBRARY.get(code, BY_LIBRARY), blocking=True)


def _made(row: int, column: str, rule: str, told: Texts, blocking: bool) -> RowFault:
    (reason_zh, cure_zh), (reason_en, cure_en) = told
    return RowFault(row=row, column=column[:40], column_zh=COLUMNS.get(column), rule=rule, blocking=blocking,
                    reason_zh=reason_zh, reason_en=reason_en, cure_zh=cure_zh, cure_en=cure_en)  # fmt: skip
