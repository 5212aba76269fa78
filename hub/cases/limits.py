"""The clock of the cases: near and past the limit is flagged once, and provisional limits follow the calendar."""

from __future__ import annotations

from hub.cases import store
from hub.cases.progress import Progress, Rooms
from hub.db import AuditEntry, Tx
from hub.working_days import limit_after
from schemas.events import EventType


def flag_limits(rooms: Rooms, tx: Tx) -> int:
    """Flag what came near or past its limit since the last look; gives how many flags were set. Safe on many nodes."""
    progress = Progress(tx, rooms)
    count = 0
    for case in store.cases_to_flag(tx.conn, tx.now):
        past = case.limit_at <= tx.now
        values: store.Values = {"near_flagged": True, "past_flagged": past}
        store.update_case(tx.conn, case.id, values)
        event = EventType.PAST_LIMIT if past else EventType.NEAR_LIMIT
        progress.flag(case, event, limitAt=case.limit_at.isoformat())
        tx.audit.append(AuditEntry("node", event.value, case.id, "flagged"))
        count += 1
    late = store.steps_to_flag(tx.conn, tx.now)
    cases = store.load_cases(tx.conn, [case_id for case_id, _ in late])
    for case_id, step in late:
        store.update_step(tx.conn, case_id, step, {"past_flagged": True})
        progress.flag(cases[case_id], EventType.STEP_PAST_LIMIT, step=step)
        count += 1
    progress.finish()
    return count


def recompute_provisional(rooms: Rooms, tx: Tx) -> int:
    """Compute provisional limits again, as the calendar stands now; gives how many changed. Run at every start."""
    progress = Progress(tx, rooms)
    count = 0
    for case in store.provisional_cases(tx.conn):
        flow = rooms.flows[case.flow]
        limit = limit_after(case.opened_at, flow.limit_working_days)
        near = limit_after(case.opened_at, max(1, flow.limit_working_days - flow.near_working_days))
        if (limit.at, limit.provisional) == (case.limit_at, case.limit_provisional):
            continue
        before, case.limit_at, case.limit_provisional = case.limit_at, limit.at, limit.provisional
        store.update_case(
            tx.conn, case.id, {"limit_at": limit.at, "near_at": near.at, "limit_provisional": limit.provisional}
        )
        progress.flag(case, EventType.LIMIT_RECOMPUTED, before=before.isoformat(), limitAt=limit.at.isoformat())
        tx.audit.append(AuditEntry("node", EventType.LIMIT_RECOMPUTED.value, case.id, "recomputed"))
        count += 1
    progress.finish()
    return count
