"""How the catalogue writes what proves a requirement: documents, whose, together or instead of each other, on a condition.

``id-card + diploma@guardian[KZ_XL=本科|硕士研究生] | degree``. Pure: texts in, tuples and frozensets out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.ecert_types import ecert_types
from schemas.told import Told

RECORDS: Final = {  # evidence that is a record asked of a system, not an e-certificate: the endpoint service that knows it
    "enrolment-record": "registry",
    "identity-check": "identity",
}
MAX_ALTERNATIVES, MAX_DOCUMENTS = 12, 8  # of one requirement, and of one alternative
CONDITION_UNMET, CONDITION_MISSING = "condition-unmet", "condition-missing"  # reasons of a document that does not count
MAX_ACCEPTED: Final = 40  # values of one condition
_FIELDS: Final = re.compile(r"KZ_[A-Z0-9_]{1,40}|issuer_name|issuer_code")  # none that says who the holder is
_WORD: Final = re.compile(r"([^@\[\]]+)(?:@([^@\[\]]+))?(?:\[([^=\[\]]+)=([^\[\]]+)\])?")
_OUTSIDE: Final = r"(?![^\[\]]*\])"  # no closing bracket comes before an opening one


class CatalogueError(Told, ValueError):
    """An entry that cannot be; the texts are for whoever writes the catalogue."""


class Role(StrEnum):
    """Whose document it is."""

    APPLICANT = "applicant"
    GUARDIAN = "guardian"
    ORGANISATION = "organisation"

    __hash__ = str.__hash__  # an enumeration's own is ten times slower, and Evidence is the key of every plan


class Evidence(NamedTuple):
    """One document or record of one person or organisation. (A tuple, whose hash costs nothing: plans are made of it.)"""

    type: str  # a key of schemas/data/ecert_types.toml, or of RECORDS
    role: Role = Role.APPLICANT

    def __str__(self) -> str:
        return self.type if self.role is Role.APPLICANT else f"{self.type}@{self.role.value}"


class Condition(NamedTuple):
    """What a field sealed inside the document must say for it to count: one of these values, as NFKC writes them."""

    field: str
    accepted: tuple[str, ...]

    def __str__(self) -> str:
        return f"[{self.field}={'|'.join(self.accepted)}]"

    def unmet(self, inside: Mapping[str, str]) -> str | None:
        """By the fields sealed in a document: None, or why it does not count."""
        said = inside.get(self.field)
        if said is None:
            return CONDITION_MISSING
        met = unicodedata.normalize("NFKC", said).strip() in self.accepted
        return None if met else CONDITION_UNMET


Alternatives = tuple[frozenset[Evidence], ...]
Conditions = Mapping[Evidence, Condition | None]  # of each document of an expression


def parse_evidence(text: str) -> Alternatives:
    """``a + b | c@guardian[KZ_XL=d|e]``: a and b together, or the guardian's c (on a condition, see :func:`conditions_in`).

    Raises CatalogueError; full-width signs are read too.
    """
    return _parsed(text)[0]


def conditions_in(text: str) -> Conditions:
    """Each document of an expression, with its condition if it has one."""
    return _parsed(text)[1]


@lru_cache(maxsize=4096)
def conditions_of(expressions: tuple[str, ...]) -> dict[Evidence, Condition]:
    """Of the documents of an item, whose requirements these are, those that have one."""
    return {document: one for text in expressions for document, one in conditions_in(text).items() if one is not None}


def at_odds(expressions: Iterable[str]) -> list[Evidence]:
    """Documents that stand under one condition here and under another one, or none, there."""
    said: dict[Evidence, Condition | None] = {}
    pairs = [pair for text in expressions for pair in conditions_in(text).items()]
    return sorted({document for document, one in pairs if said.setdefault(document, one) != one})


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Alternatives, Conditions]:
    alternatives: list[frozenset[Evidence]] = []
    conditions: dict[Evidence, Condition | None] = {}
    for part in re.split(r"\|" + _OUTSIDE, unicodedata.normalize("NFKC", text).translate({0x3010: "[", 0x3011: "]"})):
        words = [_conditioned(word.strip()) for word in re.split(r"\+" + _OUTSIDE, part)]
        for document, condition in words:
            if conditions.setdefault(document, condition) != condition:
                raise CatalogueError(*two_conditions([document]))
        documents = frozenset(document for document, _ in words)
        if documents not in alternatives:
            alternatives.append(documents)
    if len(alternatives) > MAX_ALTERNATIVES or any(len(documents) > MAX_DOCUMENTS for documents in alternatives):
        raise CatalogueError(
            f"至多 {MAX_ALTERNATIVES} 种组合, 每种至多 {MAX_DOCUMENTS} 份材料",
            f"at most {MAX_ALTERNATIVES} alternatives of {MAX_DOCUMENTS} documents each",
        )
    return tuple(alternatives), conditions


def evidence_text(alternatives: Alternatives, conditions: Conditions | None = None) -> str:
    """The expression in its one canonical form."""
    found = conditions or {}
    return " | ".join(
        " + ".join(f"{document}{found.get(document) or ''}" for document in sorted(part)) for part in alternatives
    )


def _conditioned(word: str) -> tuple[Evidence, Condition | None]:
    """``diploma@guardian[KZ_XL=本科|硕士研究生]``."""
    parts = _WORD.fullmatch(word)
    if parts is None and ("[" in word or "]" in word):
        raise CatalogueError(
            f"“{word[:40]}”中的条件不完整: 写作 材料[字段=值|值], 如 diploma[KZ_XL=本科|硕士研究生]",
            f'the condition in "{word[:40]}" is not whole: write document[field=value|value]',
        )
    if parts is None or parts[3] is None:
        return evidence_of(word), None
    document = evidence_of(parts[1].strip() + (f"@{parts[2].strip()}" if parts[2] else ""))
    if document.type in RECORDS:
        raise CatalogueError(
            f"{document.type} 不是证照, 不能写条件", f"{document.type} is no certificate: it takes no condition"
        )
    field = parts[3].strip()
    if not _FIELDS.fullmatch(field):
        raise CatalogueError(
            f"条件不能用字段“{field[:40]}”; 可用: KZ_ 开头的证照字段, issuer_name, issuer_code",
            f'"{field[:40]}" is no field for a condition: KZ_... of the certificate, issuer_name, issuer_code',
        )
    values = [value.strip() for value in re.split("[|,、]", parts[4])]
    if not all(values) or len(values) > MAX_ACCEPTED:
        raise CatalogueError(
            f"{document} 的条件应列出 1 至 {MAX_ACCEPTED} 个可接受的值, 以 | 分隔",
            f"the condition of {document} lists 1 to {MAX_ACCEPTED} accepted values, with | between them",
        )
    return document, Condition(field, tuple(dict.fromkeys(values)))


def two_conditions(documents: Iterable[Evidence]) -> tuple[str, str]:
    words = ", ".join(map(str, documents))
    return (
        f"同一事项中 {words} 的条件不一致: 各处须写相同的条件",
        f"{words} stands under different conditions in one item: write the same one everywhere",
    )


def evidence_of(word: str) -> Evidence:
    """One document: ``id-card@guardian``."""
    name, _, role = word.partition("@")
    if name not in ecert_types() and name not in RECORDS:
        known = ", ".join(sorted([*ecert_types(), *RECORDS]))
        raise CatalogueError(
            f"不认识的材料类型“{name[:40]}”; 可用: {known}", f'unknown evidence type "{name[:40]}"; known are {known}'
        )
    if role and role not in set(Role):
        roles = ", ".join(Role)
        raise CatalogueError(
            f"不认识的持有人角色“{role[:40]}”; 可用: {roles}", f'unknown role "{role[:40]}"; known are {roles}'
        )
    return Evidence(name, Role(role) if role else Role.APPLICANT)


def canonical(text: str) -> str:
    """The expression as it is stored."""
    return evidence_text(*_parsed(text))
