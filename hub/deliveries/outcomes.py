"""Recording outcomes: many in one commit, each only if its lease still holds. What follows from them is in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.db import AuditEntry, Tx
from hub.deliveries.breaker import Breaker, BreakerPolicy, Effect, Health, Sign, after
from hub.deliveries.model import TRANSITIONS, Finished, Handlers, Outcome, OutcomeHandler, State, Word

log = structlog.get_logger(__name__)
d, e, a = t.deliveries, t.endpoints, t.attempts

OK_EVERY: Final = timedelta(seconds=10)  # a healthy endpoint's row is not rewritten at every answer

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
_HEALTH = [e.c[name] for name in Health.__dataclass_fields__]


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
            self._endpoints(tx, kept)
        for outcome in outcomes:
            tx.audit.append(self._entry(outcome, outcome.claimed.token in held))
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

    def _endpoints(self, tx: Tx, outcomes: Sequence[Outcome]) -> None:
        """Breakers and health: one update for each endpoint whose health changes, none for those that stay well."""
        signs: dict[str, list[Sign]] = {}
        for outcome in outcomes:
            if outcome.sign.effect is not Effect.NONE:
                signs.setdefault(outcome.claimed.target.id, []).append(outcome.sign)
        changing = [id_ for id_, before in _healths(tx.conn, signs).items() if _is_news(before, signs[id_], tx)]
        for id_, before in _healths(tx.conn, changing, lock=True).items():
            health = before
            for sign in signs[id_]:
                health = after(health, sign, self.breaker, tx.now)
            values = {name: getattr(health, name) for name in Health.__dataclass_fields__}
            tx.conn.execute(sa.update(e).where(e.c.id == id_).values({**values, "breaker": health.breaker.value}))
            self._tell(tx, id_, before, health)

    def _tell(self, tx: Tx, endpoint_id: str, before: Health, health: Health) -> None:
        """An outage is logged once, and the recovery once."""
        detail = {"code": health.last_error or ""}
        if before.paused_at is None and health.paused_at is not None:
            tx.audit.append(AuditEntry(f"node:{self.node}", "endpoint.pause", endpoint_id, "misconfigured", detail))
            _log_after(tx, "endpoint paused: somebody must mend it", endpoint_id, health.last_error)
        if before.ill_since is None and health.ill_since is not None and health.paused_at is None:
            _log_after(tx, "endpoint does not answer", endpoint_id, health.last_error)
        if before.breaker is Breaker.CLOSED and health.breaker is Breaker.OPEN:
            tx.audit.append(AuditEntry(f"node:{self.node}", "endpoint.breaker", endpoint_id, "open", detail))
            _log_after(tx, "endpoint's breaker is open", endpoint_id, health.last_error)
        if before.breaker is not Breaker.CLOSED and health.breaker is Breaker.CLOSED:
            tx.audit.append(AuditEntry(f"node:{self.node}", "endpoint.breaker", endpoint_id, "closed"))
        if before.ill_since is not None and health.ill_since is None:
            _log_after(tx, "endpoint answers again", endpoint_id, None)


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


def _healths(conn: Connection, ids: Iterable[str], *, lock: bool = False) -> dict[str, Health]:
    wanted = sorted(ids)
    if not wanted:
        return {}
    query = sa.select(e.c.id, *_HEALTH).where(e.c.id.in_(wanted)).order_by(e.c.id)
    if lock:
        query = query.with_for_update(key_share=True)
    found = {}
    for row in conn.execute(query):
        values = {name: row._mapping[name] for name in Health.__dataclass_fields__}
        found[row.id] = Health(**{**values, "breaker": Breaker(row.breaker)})
    return found


def _is_news(health: Health, signs: Sequence[Sign], tx: Tx) -> bool:
    if any(sign.effect is not Effect.WELL for sign in signs):
        return True
    is_well = health.breaker is Breaker.CLOSED and health.failures == 0 and health.ill_since is None
    return not is_well or health.last_ok_at is None or tx.now - health.last_ok_at >= OK_EVERY


def _log_after(tx: Tx, text: str, endpoint_id: str, code: str | None) -> None:
    tx.after_commit.append(lambda: log.warning(text, endpoint=endpoint_id, code=code))
