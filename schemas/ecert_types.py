"""Certificate types: the word that flows and the item catalogue use, and the type code at the wire."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class EcertType:
    """``placeholder`` marks a code that could not be confirmed and must be replaced before going live.

    ``collect``: issuing systems hand certificates of this type in for the provincial library.
    """

    key: str
    code: str
    title_zh: str
    title_en: str
    placeholder: bool
    collect: bool = False


@cache
def ecert_types() -> Mapping[str, EcertType]:
    """The types that ship, by key."""
    table = tomllib.loads((files("schemas") / "data" / "ecert_types.toml").read_text(encoding="utf-8"))
    return {key: EcertType(key, **row) for key, row in table.items()}
