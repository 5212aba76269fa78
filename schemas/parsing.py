"""JSON bytes to a canonical model, and pydantic's errors to our faults. Whatever the bytes, only HubProblem leaves here.

Beyond what pydantic refuses: a name that stands twice in one object (two readers would see two messages), NaN and Infinity,
numbers or dates of the wrong JSON type, and Python's own field names in place of the wire's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas import problems, rules
from schemas.problems import FieldFault, HubProblem
from schemas.rules import SHAPES, FieldError, Rule, by_anchored

M = TypeVar("M", bound=BaseModel)

MAX_FAULTS: Final = 50  # more would help nobody
_PLACE: Final = re.compile(r"at line (\d+) column (\d+)")
_NAME: Final = re.compile(
    r"(?!\w{0,40}[0-9]{6})[A-Za-z_][A-Za-z0-9_]{0,39}"
)  # with six digits it may be a number of somebody
_CONSTANT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')
_RULE_BY_TYPE: Final = {
    "missing": rules.MISSING,
    "too_short": rules.MISSING,  # of a list
    "string_too_short": rules.WRONG_FORMAT,
    "extra_forbidden": rules.UNKNOWN_FIELD,
    "string_pattern_mismatch": rules.WRONG_FORMAT,
    "string_too_long": rules.TOO_LONG,
    "too_long": rules.TOO_LONG,  # of a list or an object; of a text (a "Value") that is constrained twice
    "enum": rules.NOT_IN_LIST,
    "literal_error": rules.NOT_IN_LIST,
    "greater_than_equal": rules.OUT_OF_RANGE,
    "less_than_equal": rules.OUT_OF_RANGE,
}


_TYPES: Final = {  # what the model's engine calls the type that it expects, in words
    "string": ("文本", "text"),
    "int": ("整数", "an integer"),
    "bool": ("true 或 false", "true or false"),
    "tuple": ("列表", "a list"),
    "model": ("对象", "an object"),
    "dict": ("对象", "an object"),
}


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """Bounds of one JSON document."""

    max_bytes: int = 1024 * 1024
    max_depth: int = 16  # our deepest request has 3


DEFAULT_JSON_LIMITS: Final = JsonLimits()


def parse_json(model: type[M], data: bytes, *, limits: JsonLimits = DEFAULT_JSON_LIMITS) -> M:
    """``data`` as a ``model``; raises HubProblem: message-too-large, message-unreadable or message-invalid with faults."""
    if len(data) > limits.max_bytes:
        raise HubProblem(
            problems.MESSAGE_TOO_LARGE,
            said=(f"{len(data)} 字节, 至多 {limits.max_bytes} 字节", f"{len(data)} bytes, at most {limits.max_bytes}"),
        )
    text = _decode(data)
    _check_structure(text, limits)
    try:
        return model.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        details = _details(error)
        for detail in details:
            if detail["type"] == "json_invalid":  # what json.loads lets pass: lone surrogates
                raise _refused_by_pydantic(str(detail["ctx"]["error"])) from None
        raise invalid(faults_of(details)) from None


def invalid(faults: Sequence[FieldFault]) -> HubProblem:
    """The refusal of a message that can be read but breaks the schema."""
    said = (f"{len(faults)} 处差错", f"{len(faults)} fault(s)")
    return HubProblem(problems.MESSAGE_INVALID, said=said, faults=faults[:MAX_FAULTS])


def validation_faults(error: ValidationError) -> tuple[FieldFault, ...]:
    """The faults of a model's refusal, by JSON pointer."""
    return faults_of(_details(error))


def faults_of(details: Sequence[ErrorDetails]) -> tuple[FieldFault, ...]:
    told = [detail for detail in details if not _follows(detail, details)]
    return tuple(_fault(detail) for detail in told[:MAX_FAULTS])


def _follows(short: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """A list that is too short only because its entries were refused: that is told of the entries."""
    place = short["loc"]
    inside = (one for one in details if len(one["loc"]) > len(place) and one["loc"][: len(place)] == place)
    return short["type"] == "too_short" and any(inside)


def fault(path: str, rule: Rule, *, shape_pattern: str | None = None, note: tuple[str, str] = ("", "")) -> FieldFault:
    """A fault of ``rule`` at ``path``; a known pattern is told in words, and ``note`` (zh, en) is added to the cure."""
    shape = SHAPES.get(shape_pattern) if shape_pattern else None
    cure_zh = f"应为: {shape.zh}" if shape else rule.cure_zh
    cure_en = f"expected: {shape.en}" if shape else rule.cure_en
    if note[0]:
        cure_zh, cure_en = f"{cure_zh}: {note[0]}", f"{cure_en}: {note[1]}"
    return FieldFault(path, rule.zh, rule.en, cure_zh=cure_zh, cure_en=cure_en, rule=rule.code)


def safe_name(name: object) -> str:
    """A field name as the sender wrote it, if it can be nothing but a name; an unknown one could hold anything."""
    text = str(name)
    return text if _NAME.fullmatch(text) else "?"


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)


def _fault(detail: ErrorDetails) -> FieldFault:
    parts = [str(part) if isinstance(part, int) else safe_name(part) for part in detail["loc"]]
    context: dict[str, Any] = detail.get("ctx", {})
    own = context.get("error")
    if isinstance(own, FieldError):
        if own.field:
            parts.extend(own.field.split("/"))
        return fault(_pointer(parts), own.rule, note=own.note)
    rule = _RULE_BY_TYPE.get(detail["type"], rules.WRONG_TYPE)
    shape = by_anchored(str(context.get("pattern")))
    note = _note(rule, detail["type"], context)
    return fault(_pointer(parts), rule, shape_pattern=shape.pattern if shape else None, note=note)


def _note(rule: Rule, kind: str, context: dict[str, Any]) -> tuple[str, str]:
    """What the schema expects, where it is short: the schema's words, never the sender's."""
    if kind == "too_short":
        return (f"至少 {context['min_length']} 项", f"at least {context['min_length']} entries")
    if kind == "string_too_short":
        return (f"至少 {context['min_length']} 个字符", f"at least {context['min_length']} characters")
    if kind == "too_long" and context["field_type"] != "Value":
        return (f"至多 {context['max_length']} 项", f"at most {context['max_length']} entries")
    if rule is rules.TOO_LONG:
        return (f"至多 {context['max_length']} 个字符", f"at most {context['max_length']} characters")
    if rule is rules.NOT_IN_LIST:
        expected = str(context["expected"])
        return (expected.replace("' or '", "' 或 '"), expected)
    if rule is rules.OUT_OF_RANGE:
        bound = context.get("ge", context.get("le"))
        return (f"界限 {bound}", f"the bound is {bound}")
    if rule is rules.WRONG_TYPE and (type_ := _TYPES.get(kind.partition("_")[0])) is not None:
        return (f"此处为{type_[0]}", f"here {type_[1]}")
    return ("", "")


def _pointer(parts: Sequence[str]) -> str:
    return "".join(f"/{part}" for part in parts)


# --- the text itself ------------------------------------------------------------------------------------------------------


class _Doubled(Exception):
    """Raised inside json's hook, which knows no place; caught below."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class _Constant(Exception):
    """NaN or an Infinity, which Python's json takes."""


def _decode(data: bytes) -> str:
    try:
        if not json.detect_encoding(data).startswith("utf-8"):
            raise _unreadable(rules.ENCODING, 1, 1)
        return data.decode("utf-8-sig")  # RFC 8259, 8.1: a byte order mark may be ignored
    except UnicodeDecodeError as error:
        lines = error.object[: error.start].decode().split("\n")
        raise _unreadable(rules.ENCODING, len(lines), len(lines[-1]) + 1) from None


def _unreadable(rule: Rule, line: int, column: int, *, note: tuple[str, str] = ("", "")) -> HubProblem:
    said = (f"第 {line} 行第 {column} 列{rule.zh}", f"{rule.en} at line {line} column {column}")
    where = replace(fault("", rule, note=note), line=line, column=column)
    return HubProblem(problems.MESSAGE_UNREADABLE, said=said, faults=[where])


def _refused_by_pydantic(text: str) -> HubProblem:
    """``text`` is jiter's own and quotes nothing: what is wrong and its place."""
    place = _PLACE.search(text)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    if "hex escape" in text:
        note = ("\\u 转义的代理项须成对", "surrogates in \\u escapes go in pairs")
        return _unreadable(rules.ENCODING, line, column, note=note)
    return _unreadable(rules.JSON_MALFORMED, line, column)


def _check_structure(text: str, limits: JsonLimits) -> None:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=len, parse_float=len)
    except json.JSONDecodeError as error:
        raise _unreadable(rules.JSON_MALFORMED, error.lineno, error.colno) from None
    except RecursionError:
        raise _too_deep(limits) from None
    except _Doubled as error:
        raise invalid([fault(f"/{safe_name(error.name)}", rules.DUPLICATE_FIELD)]) from None
    except _Constant:
        raise invalid([_constant(text)]) from None
    if _depth_exceeds(value, limits.max_depth):
        raise _too_deep(limits)


def _constant(text: str) -> FieldFault:
    """The first one outside a string: up to it the text is JSON."""
    start = next(found.start() for found in _CONSTANT.finditer(text) if found[1])
    note = ("NaN、Infinity 不是 JSON 的数", "NaN and Infinity are no numbers of JSON")
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return replace(fault("", rules.WRONG_TYPE, note=note), line=line, column=column)


def _too_deep(limits: JsonLimits) -> HubProblem:
    said = (f"嵌套超过 {limits.max_depth} 层", f"nested deeper than {limits.max_depth} levels")
    return HubProblem(problems.MESSAGE_TOO_LARGE, said=said)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Doubled(name)
            seen.add(name)
    return value


def _no_constant(_: str) -> NoReturn:
    raise _Constant


def _depth_exceeds(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)
