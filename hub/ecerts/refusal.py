"""A refusal by its reason word: where in the message, who can mend it, what is wrong, and the cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.problems import FieldFault, HubProblem, ProblemKind, WhoActs


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one word means. ``who``: who can mend it, which the problem's kind as a whole cannot say."""

    path: str
    who: WhoActs
    zh: str
    en: str
    cure_zh: str
    cure_en: str


def refused_for(kind: ProblemKind, meanings: Mapping[str, Refusal], *words: str) -> HubProblem:
    """With the first word as its detail and a fault for each."""
    found = [meanings[word] for word in words]
    faults = [FieldFault(one.path, one.zh, one.en, cure_zh=one.cure_zh, cure_en=one.cure_en) for one in found]
    return HubProblem(kind, words[0], faults=faults, who=found[0].who)
