"""Reading a peer's JSON: whatever the bytes, an object or ValueError; whatever the object, a text or ValueError.

The texts of these errors name fields, never values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

JsonObject = Mapping[str, object]
M = TypeVar("M", bound=BaseModel)
W = TypeVar("W", bound=str)


class Unfit(ValueError):
    """A wire value that the product's interface does not have."""


def read_object(body: bytes) -> JsonObject:
    """The JSON object in ``body`` (UTF-8)."""
    try:
        value: object = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Unfit(f"no JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise Unfit("the answer is no JSON object")
    return value


def write_object(value: JsonObject) -> bytes:
    """Compact UTF-8; rare characters as themselves, since some readers take escaped surrogates for two characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def text(record: JsonObject, name: str) -> str:
    """A text that must be there."""
    value = record.get(name)
    if not isinstance(value, str):
        raise Unfit(f"{name}: a text is expected")
    return value


def maybe_text(record: JsonObject, name: str) -> str | None:
    """A text that may be missing or null."""
    return None if record.get(name) is None else text(record, name)


def part(record: JsonObject, name: str) -> JsonObject:
    """An object inside the object."""
    value = record.get(name)
    if not isinstance(value, dict):
        raise Unfit(f"{name}: an object is expected")
    return value


def parts(record: JsonObject, name: str) -> tuple[JsonObject, ...]:
    """A list of objects; an absent one is empty."""
    value = record.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unfit(f"{name}: a list of objects is expected")
    return tuple(value)


def decode(codes: Mapping[W, str], record: JsonObject, name: str) -> W:
    """The canonical word of a vendor's code; ``codes`` is canonical → vendor."""
    code = text(record, name)
    for word, known in codes.items():
        if known == code:
            return word
    raise Unfit(f"{name}: unknown code")


def checked(model: type[M], values: Mapping[str, object]) -> M:
    """The canonical model of these values, or Unfit that names the fields."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, one["loc"])) for one in error.errors(include_input=False)}))
        raise Unfit(f"does not fit {model.__name__}: {fields}") from None
