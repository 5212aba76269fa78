"""The machine of a case, walked pair by pair: what the table has is allowed, and nothing else is."""

from __future__ import annotations

from enum import StrEnum
from itertools import product

import pytest

from hub.cases import states
from schemas.transfers import CaseState, EvidenceState, StepState

MACHINES: list[tuple[frozenset[tuple[StrEnum, StrEnum]], type[StrEnum], set[StrEnum]]] = [
    (states.CASE, CaseState, {CaseState.COMPLETED, CaseState.REFUSED, CaseState.WITHDRAWN}),  # type: ignore[list-item]
    (states.STEP, StepState, {StepState.APPROVED, StepState.REFUSED, StepState.CANCELLED}),  # type: ignore[list-item]
    (
        states.EVIDENCE,  # type: ignore[list-item]
        EvidenceState,
        {EvidenceState.REFUSED, EvidenceState.UNAVAILABLE},  # what is satisfied may be revoked
    ),
]
PAIRS = [(table, before, after) for table, kind, _ in MACHINES for before, after in product(kind, repeat=2)]


@pytest.mark.parametrize(("table", "before", "after"), PAIRS, ids=[f"{type(b).__name__}-{b}-{a}" for _, b, a in PAIRS])
def test_every_pair(table: frozenset[tuple[StrEnum, StrEnum]], before: StrEnum, after: StrEnum) -> None:
    if (before, after) in table:
        assert states.check(table, before, after) is after
    else:
        with pytest.raises(states.ImpossibleTransition, match=f"{before} -> {after}"):
            states.check(table, before, after)


@pytest.mark.parametrize(("table", "kind", "final"), MACHINES, ids=["case", "step", "evidence"])
def test_final_states_are_final_and_all_others_lead_to_an_end(
    table: frozenset[tuple[StrEnum, StrEnum]], kind: type[StrEnum], final: set[StrEnum]
) -> None:
    assert not [pair for pair in table if pair[0] in final]
    for state in set(kind) - final:
        reached = {state}
        while more := {after for before, after in table if before in reached} - reached:
            reached |= more
        assert reached & final, f"{state} never ends"
