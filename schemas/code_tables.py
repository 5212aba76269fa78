"""Code tables as immutable values, read once from ``schemas/data/code_tables.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final, cast


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """What one code means."""

    code: str
    zh: str
    en: str


CodeTable = Mapping[str, CodeEntry]


def _load() -> Mapping[str, CodeTable]:
    text = (files("schemas") / "data" / "code_tables.toml").read_text(encoding="utf-8")
    tables = cast(dict[str, dict[str, list[str]]], tomllib.loads(text))
    return MappingProxyType(
        {
            name: MappingProxyType({code: CodeEntry(code, zh, en) for code, (zh, en) in rows.items()})
            for name, rows in tables.items()
        }
    )


_TABLES: Final = _load()
PROVINCES: Final = _TABLES["province"]
RESIDENCE_PERMITS: Final = _TABLES["residence_permit"]
SCHOOL_TYPES: Final = _TABLES["school_type"]
HOLDER_CODE_TYPES: Final = _TABLES["holder_code_type"]
CREDIT_CODE_AUTHORITIES: Final = _TABLES["credit_code_authority"]
