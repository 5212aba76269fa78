"""Certificate types: the word that flows and the item catalogue use, and the type code at the wire."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from schemas.numbers import TYPE_CODE
from schemas.told import Told
from schemas.toml_file import read_toml


class EcertTypesError(Told):
    """The installation's own file of types is not right; the texts say where."""


@dataclass(frozen=True, slots=True)
class EcertType:
    """``placeholder`` marks a code that could not be confirmed and must be replaced before going live.

    ``collect``: issuing systems hand certificates of this type in for the provincial library. ``number_rule``: how its numbers are
    checked (``teacher`` or ``private-school``), none for any number.
    """

    key: str
    code: str
    title_zh: str
    title_en: str
    placeholder: bool = False
    collect: bool = False
    number_rule: str | None = None


def ecert_types() -> Mapping[str, EcertType]:
    """By key: the types that ship, with what :func:`use_types` was given."""
    return _types


def use_types(path: Path | None) -> None:
    """From now on, the types that ship with those of this TOML file over them: a key that ships is changed where the file says
    so, a new key is a new type. None: as they ship. Called once at the start of a process, before anything asks for a type.
    """
    global _types  # noqa: PLW0603
    _types = _shipped() if path is None else _with(_shipped(), path)


def _shipped() -> dict[str, EcertType]:
    table = tomllib.loads((files("schemas") / "data" / "ecert_types.toml").read_text(encoding="utf-8"))
    return {key: EcertType(key, **row) for key, row in table.items()}


def _with(types: dict[str, EcertType], path: Path) -> dict[str, EcertType]:
    for key, row in read_toml(path, EcertTypesError).items():
        types[key] = _type(f"{path} [{key}]", types.get(key), key, row)
    codes = [kind.code for kind in types.values()]
    if doubled := {code for code in codes if codes.count(code) > 1}:
        raise EcertTypesError(
            f"{path}: 多个类型使用同一代码 {', '.join(sorted(doubled))}",
            f"{path}: several types have the code {', '.join(sorted(doubled))}",
        )
    return types


def _type(where: str, before: EcertType | None, key: str, row: Any) -> EcertType:
    kinds: dict[str, type] = {
        field.name: bool if field.name in ("placeholder", "collect") else str for field in fields(EcertType)
    }
    if not isinstance(row, dict):
        raise EcertTypesError(f"{where}: 应为 TOML 表", f"{where}: must be a table")
    for name, value in row.items():
        if name == "key" or not isinstance(value, kinds.get(name, type(None))):
            raise EcertTypesError(
                f"{where}: {name} 不认识, 或类型不符", f"{where}: {name} is unknown or of the wrong kind"
            )
    if not TYPE_CODE.matches(row.get("code", before.code if before else "")):
        raise EcertTypesError(
            f"{where}: code 应为定义机构的统一社会信用代码 (18 位) 加 3 位数字",
            f"{where}: code must be the definer's credit code (18) and 3 digits",
        )
    if row.get("number_rule") not in (None, "teacher", "private-school"):
        raise EcertTypesError(
            f"{where}: number_rule 应为 teacher 或 private-school", f"{where}: number_rule is teacher or private-school"
        )
    if before is not None:
        return replace(before, **row)
    if missing := {"title_zh", "title_en"} - row.keys():
        names = ", ".join(sorted(missing))
        raise EcertTypesError(f"{where}: 缺少 {names}", f"{where}: {names} is missing")
    return EcertType(key, **row)


_types: Mapping[str, EcertType] = _shipped()
