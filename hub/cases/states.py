"""The machine of a case: every transition that may happen, and no other. A test walks every pair."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from schemas.transfers import CaseState, EvidenceState, StepState

CASE: frozenset[tuple[CaseState, CaseState]] = frozenset(
    {
        (CaseState.OPEN, CaseState.WAITING),  # every required evidence is satisfied: the first group opens
        (CaseState.OPEN, CaseState.REFUSED),  # evidence was refused
        (CaseState.OPEN, CaseState.WITHDRAWN),
        (CaseState.WAITING, CaseState.COMPLETED),  # the last group has approved
        (
            CaseState.WAITING,
            CaseState.REFUSED,
        ),  # a party has refused, or evidence was revoked and could not be had anew
        (CaseState.WAITING, CaseState.WITHDRAWN),
    }
)

STEP: frozenset[tuple[StepState, StepState]] = frozenset(
    {
        (StepState.PENDING, StepState.OPEN),  # its group opens
        (StepState.PENDING, StepState.CANCELLED),
        (StepState.OPEN, StepState.APPROVED),
        (StepState.OPEN, StepState.REFUSED),
        (StepState.OPEN, StepState.CANCELLED),  # the case ended before it
    }
)

EVIDENCE: frozenset[tuple[EvidenceState, EvidenceState]] = frozenset(
    {
        (EvidenceState.PENDING, EvidenceState.SATISFIED),
        (EvidenceState.PENDING, EvidenceState.REFUSED),
        (EvidenceState.PENDING, EvidenceState.UNAVAILABLE),
        (EvidenceState.SATISFIED, EvidenceState.PENDING),  # a notice revoked it: fetched anew
        (EvidenceState.SATISFIED, EvidenceState.REFUSED),  # a notice revoked it after the record had begun to move
    }
)

S = TypeVar("S", bound=StrEnum)


class ImpossibleTransition(Exception):
    """A bug of ours: code asked for a transition that is not in the table."""


def check(table: frozenset[tuple[S, S]], before: S, after: S) -> S:
    """``after``, if the table has the transition."""
    if (before, after) not in table:
        raise ImpossibleTransition(f"{before} -> {after}")
    return after
