"""What the item catalogue (事项目录) holds: what an item asks for, who handles it where, which source issues which evidence.

Four kinds of entries, each versioned with effective days (Asia/Shanghai): the *item* is the standard definition, one for the
whole province (basic code, requirements, limit, consent or legal basis); an *implementation* is one organ's way of handling it
(codes of 31 or 33 characters, region, channels, promised limit); a *handling rule* delegates items to a region or keeps them from
it; a *source* says which service issues an evidence type for a region. Pure data and rules: no clock, no database.
"""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from hub.ecerts.expressions import (
    RECORDS,
    Alternatives,
    CatalogueError,
    Condition,
    Evidence,
    Role,
    at_odds,
    canonical,
    conditions_of,
    evidence_of,
    evidence_text,
    parse_evidence,
    two_conditions,
)
from schemas.base import Canonical
from schemas.evidence import WORD
from schemas.fields import ItemCode, ShortText, Text, iso_day
from schemas.numbers import BASIC_CODE
from schemas.regions import REGIONS
from schemas.rules import REGION_UNKNOWN, FieldError

# what entries are written with is told here too
__all__ = ["RECORDS", "CatalogueError", "Evidence", "Role", "evidence_text", "parse_evidence"]
ANY_ITEM: Final = "*"


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


def _document(word: str) -> str:
    return str(evidence_of(unicodedata.normalize("NFKC", word)))


def _evidence_type(text: str) -> str:
    return evidence_of(text.partition("@")[0]).type


def _region(code: str) -> str:
    if code not in REGIONS:
        raise FieldError(REGION_UNKNOWN)
    return code


def _day(value: object) -> object:
    """Text only as YYYY-MM-DD: pydantic would take digits for seconds since 1970, and say of other texts only their type."""
    return iso_day(value) if isinstance(value, str) else value


BasicCode = Annotated[str, StringConstraints(pattern=BASIC_CODE.anchored)]
Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, StringConstraints(pattern=WORD.anchored)]
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
    evidence: Annotated[str, AfterValidator(canonical)]
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
        if documents := at_odds(requirement.evidence for requirement in self.requirements):
            raise CatalogueError(*two_conditions(documents))
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

    @property
    def conditions(self) -> Mapping[Evidence, Condition]:
        """Of its documents, those that count only if a field inside says what it should."""
        return conditions_of(tuple(requirement.evidence for requirement in self.requirements))

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
