"""Recording outcomes: many in one commit, each only if its lease still holds. What follows from them is in the same commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.db import AuditEntry, Tx
from hub.deliveries import endpoint_health
from hub.deliveries.breaker import BreakerPolicy, Sign
from hub.deliveries.model import TRANSITIONS, Finished, Handlers, Outcome, OutcomeHandler, State, Word

d, a = t.deliveries, t.attempts
log = structlog.get_logger(__name__)

_FINISH = (
    sa.update(d)
    .where(d.c.id == sa.bindparam("b_id"), d.c.lease_token == sa.bindparam("b_token"))
    .values(
        state=sa.bindparam("b_state"),
        due_at=sa.bindparam("b_due_at"),
        in_doubt=sa.bindparam("b_in_doubt"),
        last_error=sa.bindparam("b_last_error"),
        finished_at=sa.bindparam("b_finished_at"),
        lease_until=None,
        lease_token=None,
    )
)
_ATTEMPT = (
    sa.update(a)
    .where(a.c.delivery_id == sa.bindparam("b_id"), a.c.number == sa.bindparam("b_number"))
    .values(finished_at=sa.bindparam("b_at"), outcome=sa.bindparam("b_outcome"), code=sa.bindparam("b_code"))
)


@dataclass(frozen=True)
class Recorder:
    """``record`` is the batch operation that workers submit their outcomes to."""

    handlers: Handlers
    breaker: BreakerPolicy
    node: str

    def record(self, tx: Tx, outcomes: Sequence[Outcome]) -> list[bool]:
        """For each, whether its lease still held; if not, nothing of it was recorded but that."""
        held = _leases_held(tx.conn, outcomes)
        kept = [outcome for outcome in outcomes if outcome.claimed.token in held]
        if kept:
            tx.conn.execute(_FINISH, [_delivery_values(tx, outcome) for outcome in kept])
            tx.conn.execute(_ATTEMPT, [_attempt_values(outcome) for outcome in kept])
            signs: dict[str, list[Sign]] = {}
            for outcome in kept:
                signs.setdefault(outcome.claimed.target.id, []).append(outcome.sign)
            endpoint_health.note(tx, signs, self.breaker, self.node)
        for outcome in outcomes:
            tx.audit.append(self._entry(outcome, outcome.claimed.token in held))
        for outcome in kept:
            if outcome.state is State.SUSPENDED:
                tx.after_commit.append(partial(_log_suspended, outcome))
        for handler, finished in _by_handler(self.handlers, kept):
            handler.record(tx, finished)
        return [outcome.claimed.token in held for outcome in outcomes]

    def _entry(self, outcome: Outcome, held: bool) -> AuditEntry:
        claimed = outcome.claimed
        word = outcome.word if held else Word.LEASE_LOST
        detail = {
            "endpoint": claimed.target.id,
            "attempt": str(claimed.attempt),
            "state": outcome.state.value if held else "",
            "code": outcome.code[:100],
        }
        return AuditEntry(f"node:{self.node}", "delivery.attempt", claimed.id, word.value, detail)


def _log_suspended(outcome: Outcome) -> None:
    claimed = outcome.claimed
    log.warning(
        "delivery suspended", delivery=claimed.id, endpoint=claimed.target.id, case=claimed.case_id,
        attempts=claimed.attempt, code=outcome.code[:100],
    )  # fmt: skip


def _leases_held(conn: Connection, outcomes: Sequence[Outcome]) -> set[str]:
    """The tokens that still stand on their delivery; the rows are locked, in one order on every node."""
    ids = sorted(outcome.claimed.id for outcome in outcomes)
    query = (
        sa.select(d.c.lease_token)
        .where(d.c.id.in_(ids), d.c.state == State.ATTEMPTING.value)
        .order_by(d.c.id)
        .with_for_update()
    )
    return set(conn.execute(query).scalars())


def _delivery_values(tx: Tx, outcome: Outcome) -> dict[str, object]:
    if outcome.state is State.ATTEMPTING or (State.ATTEMPTING, outcome.state) not in TRANSITIONS:
        raise ValueError(f"attempting -> {outcome.state.value} is no transition")
    final = outcome.state in (State.DELIVERED, State.REFUSED)
    return {
        "b_id": outcome.claimed.id,
        "b_token": outcome.claimed.token,
        "b_state": outcome.state.value,
        "b_due_at": tx.now + outcome.wait,
        "b_in_doubt": outcome.in_doubt,
        "b_last_error": None if outcome.word is Word.DELIVERED else outcome.code[:200],
        "b_finished_at": tx.now if final else None,
    }


def _attempt_values(outcome: Outcome) -> dict[str, object]:
    return {
        "b_id": outcome.claimed.id,
        "b_number": outcome.claimed.attempt,
        "b_at": outcome.at,
        "b_outcome": outcome.word.value,
        "b_code": outcome.code[:100],
    }


def _by_handler(handlers: Handlers, outcomes: Sequence[Outcome]) -> list[tuple[OutcomeHandler, list[Finished]]]:
    """Who hears of what; one that hears of several kinds hears of them at once."""
    groups: dict[int, tuple[OutcomeHandler, list[Finished]]] = {}
    for outcome in outcomes:
        if outcome.state is State.QUEUED or not outcome.tell:
            continue
        claimed = outcome.claimed
        handler = handlers[claimed.kind]
        finished = Finished(
            delivery_id=claimed.id,
            endpoint_id=claimed.target.id,
            case_id=claimed.case_id,
            kind=claimed.kind,
            subject=claimed.subject,
            state=outcome.state,
            code=outcome.code,
            result=outcome.result,
        )
        groups.setdefault(id(handler), (handler, []))[1].append(finished)
    return list(groups.values())
