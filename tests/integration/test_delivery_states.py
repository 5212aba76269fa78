"""The states of a delivery, pair by pair, on both databases: each act moves what the table says, and leaves alone all else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.db import Database
from hub.deliveries import store
from hub.deliveries.breaker import BreakerPolicy, Effect, Sign
from hub.deliveries.claims import ClaimRequest, claim
from hub.deliveries.model import TRANSITIONS, Claimed, Kind, Outcome, State, Target, Word
from hub.deliveries.outcomes import Recorder
from tests.delivering import (
    VAULT,
    Heard,
    add_endpoints,
    deliveries,
    enqueue,
    handlers,
    states,
)


def put(db: Database, state: State, *, lease_over: bool = False) -> str:
    """A delivery in this state, by hand."""
    (id_,) = enqueue(db, "ep0", [f"k-{state.value}-{time.monotonic_ns()}"], kind=Kind.PERSON)
    values: dict[str, object] = {"state": state.value}
    if state is State.ATTEMPTING:
        past = timedelta(hours=-1 if lease_over else 1)
        values |= {"lease_token": "held", "lease_until": db.clock() + past, "attempts": 1}
    db.write(lambda tx: tx.conn.execute(sa.update(t.deliveries).where(t.deliveries.c.id == id_).values(values)))
    return id_


def outcome(id_: str, state: State) -> Outcome:
    """Of an attempt under the lease that ``put`` wrote."""
    target = Target("ep0", "in_process", "370102", "http://127.0.0.1:1", "{}", None, 5)
    now = datetime.now(UTC)
    claimed = Claimed(id_, target, "case_1", Kind.PERSON, "s", 1, 1, False, False, None, "held", now, 0.0, b"")
    return Outcome(claimed, Word.DELIVERED, state, "code", Sign(Effect.NONE), now)


def claim_all(db: Database, id_: str) -> None:
    db.submit(claim, ClaimRequest("node-a", 8, timedelta(seconds=30))).result(20)


def record(state: State) -> Callable[[Database, str], None]:
    recorder = Recorder(handlers(Heard()), BreakerPolicy(), "node-a")
    return lambda db, id_: db.write(lambda tx: recorder.record(tx, [outcome(id_, state)])) and None


def replay(db: Database, id_: str) -> None:
    with suppress(store.NotSuspended):
        db.write(lambda tx: store.replay(tx, id_, "operator:o", "reason"))


def refuse(db: Database, id_: str) -> None:
    with suppress(store.NotSuspended):
        db.write(lambda tx: store.refuse(tx, id_, "operator:o", "reason", handlers=handlers(Heard())))


def cancel(db: Database, id_: str) -> None:
    db.write(lambda tx: store.cancel_queued(tx, "case_1"))


# every act that can move a delivery: from which states, and whereto. From all others it must not move.
Act = Callable[[Database, str], None]
ACTS: dict[str, tuple[Act, frozenset[State], State]] = {
    "claim": (claim_all, frozenset({State.QUEUED, State.ATTEMPTING}), State.ATTEMPTING),
    "record-delivered": (record(State.DELIVERED), frozenset({State.ATTEMPTING}), State.DELIVERED),
    "record-refused": (record(State.REFUSED), frozenset({State.ATTEMPTING}), State.REFUSED),
    "record-suspended": (record(State.SUSPENDED), frozenset({State.ATTEMPTING}), State.SUSPENDED),
    "record-retry": (record(State.QUEUED), frozenset({State.ATTEMPTING}), State.QUEUED),
    "replay": (replay, frozenset({State.SUSPENDED}), State.QUEUED),
    "refuse": (refuse, frozenset({State.SUSPENDED}), State.REFUSED),
    "cancel": (cancel, frozenset({State.QUEUED}), State.REFUSED),
}


def test_the_acts_are_the_whole_table() -> None:
    """Every allowed pair is somebody's act, and nobody's act is a pair that is not allowed."""
    assert {(before, after) for _, sources, after in ACTS.values() for before in sources} == TRANSITIONS


@pytest.mark.parametrize("before", list(State), ids=lambda state: f"from-{state.value}")
@pytest.mark.parametrize("name", ACTS)
def test_every_pair_of_states(database: Database, before: State, name: str) -> None:
    """Each act is tried in each state: it moves what the table says, and leaves alone all else."""
    act, sources, after = ACTS[name]
    add_endpoints(database)
    id_ = put(database, before, lease_over=name == "claim")
    act(database, id_)
    (row,) = deliveries(database).values()
    assert row["state"] == (after if before in sources else before).value


def test_an_outcome_cannot_leave_a_delivery_under_way(database: Database) -> None:
    add_endpoints(database)
    id_ = put(database, State.ATTEMPTING)
    with pytest.raises(ValueError, match="no transition"):
        record(State.ATTEMPTING)(database, id_)
    assert states(database) == {"attempting": 1}


def test_operators_decide_only_what_is_suspended(database: Database) -> None:
    add_endpoints(database)
    id_ = put(database, State.DELIVERED)
    with pytest.raises(store.NotSuspended):
        database.write(lambda tx: store.replay(tx, id_, "operator:o", "reason"))
    with pytest.raises(store.UnknownDelivery):
        database.write(lambda tx: store.replay(tx, "dlv_none", "operator:o", "reason"))


def test_a_number_in_an_operators_reason_stands_in_no_audit_entry(database: Database) -> None:
    add_endpoints(database)
    id_ = put(database, State.SUSPENDED)
    database.write(lambda tx: store.replay(tx, id_, "operator:o", "370102198501011233 来电 138 1234 5678"))
    with database.read() as conn:
        (detail,) = conn.execute(sa.select(t.audit.c.detail).where(t.audit.c.action == "delivery.replay")).scalars()
    assert json.loads(detail) == {"reason": "****** 来电 ******"}


def test_cancelling_tells_what_certainly_never_arrived(database: Database) -> None:
    add_endpoints(database)
    enqueue(database, "ep0", ["clean"], kind=Kind.STEP)
    (doubtful,) = enqueue(database, "ep0", ["doubtful"], kind=Kind.STEP)
    enqueue(database, "ep0", ["notice"], kind=Kind.EVENT)
    mark = sa.update(t.deliveries).where(t.deliveries.c.id == doubtful).values(in_doubt=True)
    database.write(lambda tx: tx.conn.execute(mark))
    assert database.write(lambda tx: store.cancel_queued(tx, "case_1")) == {(Kind.STEP, "clean")}
    assert {key: row["state"] for key, row in deliveries(database).items()} == {
        "clean": "refused", "doubtful": "refused", "notice": "queued",
    }  # fmt: skip


def test_bodies_lie_sealed(database: Database) -> None:
    add_endpoints(database)
    (id_,) = enqueue(database, "ep0", ["k"])
    sealed = bytes(deliveries(database)["k"]["body_sealed"])  # type: ignore[call-overload]
    assert b"exchange-hub" not in sealed
    assert b"exchange-hub" in VAULT.open(sealed, store.body_context(id_))
