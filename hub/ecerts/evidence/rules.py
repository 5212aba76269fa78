"""The rules of the evidence service as data: limits, how long what is kept, and what each purpose may see."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.ecerts.entries import RECORDS
from schemas.ecert_types import ecert_types

Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Part):
    """How much may be asked. Windows in seconds."""

    subjects: Count
    window_s: Count
    caller_requests: Count  # a minute
    subject_requests: Count
    subject_window_s: Count


class CodeLimits(_Part):
    """Of authorization codes and shown codes. Windows in seconds."""

    wrong: Count
    wrong_window_s: Count
    live: Count
    confirm_s: Count


class Times(_Part):
    answer_keep_s: Count
    follow_up_s: Count
    predicate_s: Count
    revoked_keep_s: Count


class Purpose(_Part):
    """``fields``: of each evidence type, what a caller that is registered for the purpose may see.

    ``documents``: of which types the whole file may leave, which shows more than the fields; of the others, the fields do.
    ``relied_days``: how long after its answer a caller relies on what it was handed out.
    """

    title_zh: str
    title_en: str
    relied_days: Count
    documents: tuple[str, ...] = ()
    fields: Mapping[str, tuple[str, ...]]


class EvidenceRules(_Part):
    """``field_titles``: what people call a field of a certificate, Chinese and English."""

    limits: Limits
    codes: CodeLimits
    times: Times
    keep_s: Mapping[str, Count]
    purpose: Mapping[str, Purpose]
    field_titles: Mapping[str, tuple[str, str]] = {}

    @model_validator(mode="after")
    def _types_are_known(self) -> EvidenceRules:
        known = ecert_types().keys() | RECORDS.keys()
        named = set(self.keep_s).union(*(purpose.fields for purpose in self.purpose.values()))
        named |= {one for purpose in self.purpose.values() for one in purpose.documents}
        if unknown := named - known:
            raise ValueError(f"unknown evidence types: {', '.join(sorted(unknown))}")
        return self


@cache
def load_rules() -> EvidenceRules:
    """Those that ship, data/evidence.toml."""
    text = (files("hub.ecerts") / "data" / "evidence.toml").read_text(encoding="utf-8")
    return EvidenceRules.model_validate(tomllib.loads(text))
