"""How a case is shown to a system: states, limits and reasons, no personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.engine import Connection

from hub.cases import store
from hub.cases.flow import Flow, Party
from schemas.regions import REGIONS
from schemas.transfers import CaseFlag, EvidenceView, StepView, TransferView


def views(conn: Connection, flows: Mapping[str, Flow], cases: Sequence[store.CaseRow]) -> list[TransferView]:
    """One view for each case, in the same order."""
    ids = [case.id for case in cases]
    if not ids:
        return []
    steps, evidence = store.load_steps(conn, ids), store.load_evidence(conn, ids)
    suspended = store.cases_with_suspended(conn, ids)
    return [
        _view(flows[case.flow], case, steps.get(case.id, []), evidence.get(case.id, []), case.id in suspended)
        for case in cases
    ]


def _view(
    flow: Flow,
    case: store.CaseRow,
    steps: Sequence[store.StepRow],
    evidence: Sequence[store.EvidenceRow],
    suspended: bool,
) -> TransferView:
    flags = [
        (CaseFlag.PROVISIONAL_LIMIT, case.limit_provisional),
        (CaseFlag.NEAR_LIMIT, case.near_flagged and not case.past_flagged),
        (CaseFlag.PAST_LIMIT, case.past_flagged),
        (CaseFlag.NEEDS_OPERATOR, suspended and case.closed_at is None),
    ]
    return TransferView(
        case_id=case.id,
        message_id=case.message_id,
        flow=case.flow,
        state=case.state,
        flags=tuple(flag for flag, there in flags if there),
        accepted_at=case.opened_at,
        limit_at=case.limit_at,
        limit_provisional=case.limit_provisional,
        closed_at=case.closed_at,
        outcome_reason=case.outcome_reason,
        steps=tuple(_step_view(flow, case, step) for step in steps),
        evidence=tuple(
            EvidenceView(
                requirement=row.requirement,
                title=flow.need(row.requirement).title_zh,
                state=row.state,
                reason=row.reason,
            )
            for row in sorted(
                evidence, key=lambda row: [need.requirement for need in flow.evidence].index(row.requirement)
            )
        ),
    )


def _step_view(flow: Flow, case: store.CaseRow, step: store.StepRow) -> StepView:
    rule = flow.step(step.name)
    region = case.releasing_region if rule.party is Party.RELEASING else case.receiving_region
    return StepView(
        name=step.name,
        title=rule.title_zh,
        party=f"{REGIONS.get(region).name} {step.system_id}",
        state=step.state,
        opened_at=step.opened_at,
        limit_at=step.limit_at,
        decided_at=step.decided_at,
        reason=step.reason,
    )
