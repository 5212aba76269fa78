"""A TOML file that an administrator has written: what is wrong in it is told in both languages, with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.parsing import validation_faults
from schemas.told import Told


def read_toml(path: Path, refused: type[Told]) -> dict[str, Any]:
    """What TOML holds, whatever it is: whoever asked validates it. Raises ``refused`` if the file cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refused(f"{path} 无法读取: {error.strerror}", f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refused(f"{path} 不是 UTF-8 编码的 TOML: {error}", f"{path} is no TOML in UTF-8: {error}") from None


def faults_told(error: ValidationError) -> tuple[str, str]:
    """Every fault of a model, with its place as the file writes it; the values are not quoted."""
    faults = [(fault.path.strip("/").replace("/", "."), fault) for fault in validation_faults(error)]
    return (
        "; ".join(f"{place}: {fault.reason_zh}, {fault.cure_zh}" for place, fault in faults),
        "; ".join(f"{place}: {fault.reason_en}: {fault.cure_en}" for place, fault in faults),
    )
