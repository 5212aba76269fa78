"""Who may seal for whom, as data: the owners whose seals count on certificates of another issuer (代章, 统一签章)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from certs.errors import BadConfiguration
from certs.report import Owner
from certs.x509.names import folded
from schemas.ecert_types import ecert_types
from schemas.numbers import CREDIT_CODE, check_credit_code
from schemas.rules import FieldError, Rule, Step
from schemas.toml_file import faults_told, read_toml

Mark = tuple[str, str]  # ("code", …) or ("name", …)
_Text = Annotated[str, Field(min_length=2, max_length=200)]


def _rule(zh: str, en: str, cure_zh: str, cure_en: str) -> Rule:
    return Rule("sealing", Step.MEANING, zh, en, cure_zh, cure_en)


_ANYTHING: Final = _rule(
    "issuers 与 types 都没有", "neither issuers nor types", "写明可为谁、或可在何种证照上代章",
    "say for whom, or on which certificates, it may seal",
)  # fmt: skip
_TYPE: Final = _rule(
    "没有这种证照类型", "there is no such type", "使用 ecert_types.toml 或 HUB_ECERT_TYPES 中的词",
    "use a word of ecert_types.toml or of HUB_ECERT_TYPES",
)  # fmt: skip
_REVERSED: Final = _rule("until 早于 since", "until is before since", "核对两个日期", "check both days")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whom a certificate names as its issuer. ``code`` is a credit code: a region's code or a misspelt one is none."""

    name: str | None
    code: str | None


class Delegation(BaseModel):
    """``owner`` may seal for ``issuers``, on ``types``; where both are given, on these types of these issuers only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: _Text
    issuers: tuple[_Text, ...] = ()
    types: tuple[str, ...] = ()
    since: date
    until: date | None = None
    source: _Text

    @field_validator("owner", "issuers")
    @classmethod
    def _codes_are_codes(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (given,) if isinstance(given, str) else given:
            if CREDIT_CODE.matches(text):
                check_credit_code(text)
        return given

    @cached_property
    def _owner(self) -> frozenset[Mark]:
        return _meant((self.owner,))

    @cached_property
    def _issuers(self) -> frozenset[Mark]:
        return _meant(self.issuers)

    @field_validator("types")
    @classmethod
    def _types_are_known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not set(given) <= ecert_types().keys():
            raise FieldError(_TYPE)
        return given

    @model_validator(mode="after")
    def _can_be_meant(self) -> Delegation:
        if not self.issuers and not self.types:  # it would seal anything for anybody
            raise FieldError(_ANYTHING)
        if self.until is not None and self.until < self.since:
            raise FieldError(_REVERSED)
        return self

    def covers(self, owner: Set[Mark], issuer: Set[Mark], type_code: str | None, day: date) -> bool:
        """Whether it lets this owner seal such a certificate on that day."""
        if self._owner.isdisjoint(owner) or day < self.since or (self.until is not None and day > self.until):
            return False
        if self.types and type_code not in {ecert_types()[key].code for key in self.types}:
            return False
        return not self.issuers or not self._issuers.isdisjoint(issuer)


class SealingRules(BaseModel):
    """``version`` is told with every certificate that counts by one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(min_length=1, max_length=50)]
    delegation: tuple[Delegation, ...] = ()

    def letting(self, owner: Owner, issuer: Issuer, type_code: str | None, day: date) -> Delegation | None:
        """The first that covers it."""
        if not self.delegation:
            return None
        by, named = _marks(owner.names, owner.codes), _marks((issuer.name,), (issuer.code,))
        return next((one for one in self.delegation if one.covers(by, named, type_code, day)), None)


def _marks(names: Iterable[str | None], codes: Iterable[str | None]) -> frozenset[Mark]:
    """By what somebody is known. A name that is written like a code is a name all the same."""
    by_code = {("code", code) for code in codes if code is not None}
    return frozenset(by_code | {("name", folded(name)) for name in names if name is not None})


def _meant(given: Sequence[str]) -> frozenset[Mark]:
    """The same of what a rule says: each a code, or else a name."""
    codes = [text for text in given if CREDIT_CODE.matches(text)]
    return _marks([text for text in given if text not in codes], codes)


@cache
def shipped() -> SealingRules:
    """Those that ship, data/sealing.toml."""
    text = (files("hub.ecerts") / "data" / "sealing.toml").read_text(encoding="utf-8")
    return SealingRules.model_validate(tomllib.loads(text))


def load_sealing(path: Path | None) -> SealingRules:
    """Those of this file; None: those that ship. BadConfiguration says what is wrong and where. After ``use_types``."""
    if path is None:
        return shipped()
    try:
        return SealingRules.model_validate(read_toml(path, BadConfiguration))
    except ValidationError as error:
        zh, en = faults_told(error)
        raise BadConfiguration(f"代章规则 {path} {zh}", f"sealing rules {path} {en}") from None
