"""What the item catalogue (事项目录) holds: what an item asks for, who handles it where, which source issues which evidence.

Four kinds of entries, each versioned with effective days (Asia/Shanghai): the *item* is the standard definition, one for the
whole province (basic code, requirements, limit, consent or legal basis); an *implementation* is one organ's way of handling it
(codes of 31 or 33 characters, region, channels, promised limit); a *handling rule* delegates items to a region or keeps them from
it; a *source* says which service issues an evidence type for a region. Pure data and rules: no clock, no database.
"""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, ClassVar, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.fields import ItemCode, ShortText, Text, iso_day
from schemas.regions import REGIONS
from schemas.rules import REGION_UNKNOWN, FieldError
from schemas.told import Told

ANY_ITEM: Final = "*"
RECORDS: Final = {  # evidence that is a record asked of a system, not an e-certificate: the endpoint service that knows it
    "enrolment-record": "registry",
    "identity-check": "identity",
}
MAX_ALTERNATIVES, MAX_DOCUMENTS = 12, 8  # of one requirement, and of one alternative


class CatalogueError(Told, ValueError):
    """An entry that cannot be; the texts are for whoever writes the catalogue."""


class Level(StrEnum):
    """Whose authority an item is (行使层级)."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


class Channel(StrEnum):
    """Where an item is handled: the portal, the service hall's counter, the app."""

    PORTAL = "portal"
    HALL = "hall"
    APP = "app"


class LimitUnit(StrEnum):
    """Units of a promised limit, as case pushes count them (domain codes 1 to 5)."""

    WORKING_DAY = "working-day"
    CALENDAR_DAY = "calendar-day"
    HOUR = "hour"
    MINUTE = "minute"
    MONTH = "month"


class Role(StrEnum):
    """Whose document it is."""

    APPLICANT = "applicant"
    GUARDIAN = "guardian"
    ORGANISATION = "organisation"

    __hash__ = str.__hash__  # an enumeration's own is ten times slower, and Evidence is the key of every plan


# --- evidence expressions -------------------------------------------------------------------------------------------------


class Evidence(NamedTuple):
    """One document or record of one person or organisation. (A tuple, whose hash costs nothing: plans are made of it.)"""

    type: str  # a key of schemas/data/ecert_types.toml, or of RECORDS
    role: Role = Role.APPLICANT

    def __str__(self) -> str:
        return self.type if self.role is Role.APPLICANT else f"{self.type}@{self.role.value}"


Alternatives = tuple[frozenset[Evidence], ...]


@lru_cache(maxsize=4096)
def parse_evidence(text: str) -> Alternatives:
    """``a + b | c@guardian``: a and b together, or the guardian's c. Raises CatalogueError; full-width signs are read too."""
    alternatives: list[frozenset[Evidence]] = []
    for part in unicodedata.normalize("NFKC", text).split("|"):
        documents = frozenset(_evidence(word.strip()) for word in part.split("+"))
        if documents not in alternatives:
            alternatives.append(documents)
    if len(alternatives) > MAX_ALTERNATIVES or any(len(documents) > MAX_DOCUMENTS for documents in alternatives):
        raise CatalogueError(
            f"至多 {MAX_ALTERNATIVES} 种组合, 每种至多 {MAX_DOCUMENTS} 份材料",
            f"at most {MAX_ALTERNATIVES} alternatives of {MAX_DOCUMENTS} documents each",
        )
    return tuple(alternatives)


def evidence_text(alternatives: Alternatives) -> str:
    """The expression in its one canonical form."""
    return " | ".join(" + ".join(str(document) for document in sorted(part)) for part in alternatives)


def _evidence(word: str) -> Evidence:
    name, _, role = word.partition("@")
    if name not in ecert_types() and name not in RECORDS:
        known = ", ".join(sorted([*ecert_types(), *RECORDS]))
        raise CatalogueError(f"不认识的材料类型; 可用: {known}", f"unknown evidence type; known are {known}")
    if role and role not in set(Role):
        roles = ", ".join(Role)
        raise CatalogueError(f"不认识的持有人角色; 可用: {roles}", f"unknown role; known are {roles}")
    return Evidence(name, Role(role) if role else Role.APPLICANT)


def _document(word: str) -> str:
    return str(_evidence(word))


def _expression(text: str) -> str:
    return evidence_text(parse_evidence(text))


def _evidence_type(text: str) -> str:
    return _evidence(text.partition("@")[0]).type


def _region(code: str) -> str:
    if code not in REGIONS:
        raise FieldError(REGION_UNKNOWN)
    return code


def _day(value: object) -> object:
    """Text only as YYYY-MM-DD: pydantic would take digits for seconds since 1970, and say of other texts only their type."""
    return iso_day(value) if isinstance(value, str) else value


BasicCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Region = Annotated[str, AfterValidator(_region)]
DocumentWord = Annotated[str, AfterValidator(_document)]  # one document, as evidence expressions write it
Limit = Annotated[int, Field(ge=1, le=3650)]

# --- entries --------------------------------------------------------------------------------------------------------------


class Versioned(Canonical):
    """What every entry has. A version takes effect on a day and holds until its own end or until the next version does."""

    kind: ClassVar[str]
    version: Annotated[int, Field(ge=1, le=9999)] = 1
    effective_from: Day
    effective_until: Day | None = None  # the last day
    placeholder: bool = False  # a code that could not be confirmed: to be replaced before going live

    @property
    @abstractmethod
    def key(self) -> str:
        """What the versions of one entry have in common."""

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Versioned:
        if self.effective_until is not None and self.effective_until < self.effective_from:
            raise CatalogueError("失效日期早于生效日期", "it ends before it takes effect")
        return self


class Requirement(Canonical):
    """What must be proved, and what proves it: any one of the alternatives, each of them whole."""

    name: Name
    title_zh: ShortText
    title_en: ShortText
    evidence: Annotated[str, AfterValidator(_expression)]
    required: bool = True  # false: the item goes on without it

    @property
    def alternatives(self) -> Alternatives:
        return parse_evidence(self.evidence)


def _absent(value: object) -> bool:
    """Entries of before a column existed are written without it: their digests stay what they were."""
    return value is None


class Item(Versioned):
    """The standard definition of an item of the smallest granularity, the same everywhere.

    ``purposes``: for which it may be asked for, words of the evidence rules; None in entries of before this was written, for any.
    ``law_covers``: the documents that its legal basis lets the hub fetch without asking the person; None: all of the item.
    """

    kind = "item"
    basic_code: BasicCode
    title_zh: ShortText
    title_en: ShortText
    level: Level
    limit: Limit
    limit_unit: LimitUnit
    requires_consent: bool = True  # false: ``legal_basis`` allows the hub to fetch without asking the person
    legal_basis: Text
    purposes: tuple[Name, ...] | None = Field(default=None, exclude_if=_absent)
    law_covers: tuple[DocumentWord, ...] | None = Field(default=None, exclude_if=_absent)
    requirements: tuple[Requirement, ...] = ()

    @property
    def key(self) -> str:
        return self.basic_code

    @model_validator(mode="after")
    def _names_are_unique(self) -> Item:
        if len({requirement.name for requirement in self.requirements}) != len(self.requirements):
            raise CatalogueError("同一事项的要求重名", "two requirements of the item have one name")
        return self

    @model_validator(mode="after")
    def _law_covers_its_own_documents(self) -> Item:
        if self.law_covers is None:
            return self
        if self.requires_consent:
            raise CatalogueError(
                "需本人同意的事项不填“无需授权的材料”",
                "an item that needs consent names no documents that the law covers",
            )
        asked = {str(one) for part in self.requirements for documents in part.alternatives for one in documents}
        if strange := sorted(set(self.law_covers) - asked):
            words = ", ".join(strange)
            raise CatalogueError(
                f"“无需授权的材料”中有本事项不要求的材料: {words}",
                f"the law would cover what the item does not ask for: {words}",
            )
        return self

    def may_be_asked_for(self, purpose: str) -> bool:
        return self.purposes is None or purpose in self.purposes

    def law_allows(self, document: Evidence) -> bool:
        """Whether the item's own legal basis is enough to fetch this document."""
        return not self.requires_consent and (self.law_covers is None or str(document) in self.law_covers)


class Implementation(Versioned):
    """How one organ handles an item. ``code``: credit code 18 + level 1 + basic code 12, and 2 more for a handling item."""

    kind = "implementation"
    code: ItemCode
    region: Region
    organ: ShortText
    channels: tuple[Channel, ...] = Field(min_length=1)
    limit: Limit
    limit_unit: LimitUnit

    @property
    def key(self) -> str:
        return self.code

    @property
    def basic_code(self) -> str:
        return self.code[19:31]

    @property
    def handling_item(self) -> str:
        """The last two digits of a code of 33, else nothing."""
        return self.code[31:]


class RuleKind(StrEnum):
    DELEGATED = "delegated"  # the region handles the item instead of the level above
    NEGATIVE_LIST = "negative-list"  # kept from a region (or area) to which all else is delegated


class HandlingRule(Versioned):
    """A region (or a named area in it, such as a free-trade zone) handles items that belong to a level above, or does not."""

    kind = "rule"
    rule: Name
    rule_kind: RuleKind
    basic_code: Annotated[str, StringConstraints(pattern=r"^([0-9]{12}|\*)$")]
    region: Region
    area: Name | None = None
    legal_basis: Text

    @property
    def key(self) -> str:
        return self.rule

    @model_validator(mode="after")
    def _names_an_item(self) -> HandlingRule:
        if self.rule_kind is RuleKind.NEGATIVE_LIST and self.basic_code == ANY_ITEM:
            raise CatalogueError("负面清单应逐项列出", "a negative list names its items one by one")
        return self


class Source(Versioned):
    """Which endpoint service issues an evidence type for a region and those below it, and which fields it reveals."""

    kind = "source"
    ecert_type: Annotated[str, AfterValidator(_evidence_type)]
    region: Region
    service: Annotated[str, StringConstraints(pattern=r"^(ecert-library|registry|identity)$")]
    endpoint: Name | None = None  # one endpoint; else whichever serves the region
    fields: tuple[Name, ...] = Field(min_length=1)

    @property
    def key(self) -> str:
        return f"{self.ecert_type}/{self.region}"


Entry = Item | Implementation | HandlingRule | Source
KINDS: Final[dict[str, type[Entry]]] = {model.kind: model for model in (Item, Implementation, HandlingRule, Source)}
