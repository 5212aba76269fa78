"""The SQL of deliveries: enqueue, cancel, operators' decisions. Claiming is in ``claims.py``, outcomes in ``outcomes.py``.

Every change of state goes through a WHERE on the state before it, and is one of :data:`hub.deliveries.model.TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub import tables as t
from hub.db import AuditEntry, Tx
from hub.deliveries.model import TRANSITIONS, Finished, Handlers, Kind, NewDelivery, State, Target
from hub.ids import new_id
from hub.logs import mask
from hub.prepared import insert_many
from hub.vault import Vault
from schemas.told import Told

ENDED_WITH_CASE = (
    Kind.STEP,
    Kind.ASK,
    Kind.ECERT,
    Kind.PERSON,
    Kind.ENROLMENT,
)  # notices are told although the case has ended


class NotSuspended(Told):
    """An operator's decision came too late, or for a delivery that is not suspended."""


class NoReason(Told):
    """An operator decides with a reason, which stands in the audit log."""


class UnknownDelivery(Told):
    """No delivery has this id."""


def body_context(delivery_id: str) -> str:
    """What a delivery's body is sealed under."""
    return f"deliveries:{delivery_id}"


def enqueue(tx: Tx, vault: Vault, deliveries: Sequence[NewDelivery]) -> list[str]:
    """Make the deliveries; gives their ids. Workers are woken when this transaction is committed."""
    rows = []
    for delivery in deliveries:
        id_ = new_id("dlv")
        rows.append(
            {
                "id": id_,
                "endpoint_id": delivery.endpoint_id,
                "case_id": delivery.case_id,
                "kind": delivery.kind.value,
                "subject": delivery.subject,
                "idempotency_key": delivery.idempotency_key,
                "state": State.QUEUED.value,
                "due_at": delivery.due_at or tx.now,
                "expires_at": delivery.expires_at,
                "attempts": 0,
                "forgiven": 0,
                "in_doubt": False,
                "created_at": tx.now,
                "body_sealed": vault.seal(delivery.body.model_dump_json().encode(), body_context(id_)),
            }
        )
    if rows:
        insert_many(tx.conn, t.deliveries, rows)
        tx.wake_workers = True
    return [str(row["id"]) for row in rows]


def cancel_queued(
    tx: Tx,
    case_id: str,
    *,
    kinds: Sequence[Kind] = ENDED_WITH_CASE,
    subjects: Collection[str] | None = None,
    word: str = "case-ended",
) -> set[tuple[Kind, str]]:
    """The case has ended: what waits to be sent never is (events and cancellations are). Or only what is of these subjects.

    Gives (kind, subject) of those that certainly never reached their peer. One whose earlier attempt is in doubt is not sent again
    either, but its peer may have it, so it is not among them. One under way now is left alone; its outcome finds the case ended.
    """
    d = t.deliveries
    query = (
        sa.select(d.c.id, d.c.kind, d.c.subject, d.c.in_doubt)
        .where(d.c.case_id == case_id, d.c.state == State.QUEUED.value)
        .where(d.c.kind.in_([kind.value for kind in kinds]))
        .order_by(d.c.id)
        .with_for_update()
    )
    if subjects is not None:
        query = query.where(d.c.subject.in_(sorted(subjects)))
    rows = tx.conn.execute(query).all()
    if rows:
        tx.conn.execute(
            sa.update(d)
            .where(d.c.id.in_([row.id for row in rows]), d.c.state == State.QUEUED.value)
            .values(state=State.REFUSED.value, finished_at=tx.now, last_error=word)
        )
        tx.audit.extend(
            AuditEntry("node", "delivery.cancel", row.id, State.REFUSED.value, {"case": case_id}) for row in rows
        )
    return {(Kind(row.kind), row.subject) for row in rows if not row.in_doubt}


def forget(tx: Tx, case_ids: Sequence[str], kinds: Sequence[Kind]) -> None:
    """The data that these asked for is dropped: what waits is not asked any more, and what they carried goes.

    ``kinds``: those that end with it; of other kinds (notices) only what ended loses its body.
    """
    d = t.deliveries
    waits = [State.QUEUED.value, State.SUSPENDED.value]
    of = (d.c.case_id.in_(case_ids), d.c.kind.in_([kind.value for kind in kinds]), d.c.state.in_(waits))
    ids = list(tx.conn.execute(sa.select(d.c.id).where(*of).order_by(d.c.id).with_for_update()).scalars())
    if ids:
        values = {"state": State.REFUSED.value, "finished_at": tx.now, "last_error": "case-ended"}
        tx.conn.execute(sa.update(d).where(d.c.id.in_(ids), d.c.state.in_(waits)).values(values))
        tx.audit.extend(AuditEntry("node", "delivery.cancel", one, State.REFUSED.value) for one in ids)
    ended = [State.DELIVERED.value, State.REFUSED.value]
    tx.conn.execute(sa.update(d).where(d.c.case_id.in_(case_ids), d.c.state.in_(ended)).values(body_sealed=b""))


# --- operators ----------------------------------------------------------------------------------------------------------


def replay(tx: Tx, delivery_id: str, operator: str, reason: str) -> None:
    """Try a suspended delivery again, at once, with a fresh count and no expiry. Raises NotSuspended, UnknownDelivery, NoReason."""
    _require_reason(reason)
    row = _suspended(tx.conn, delivery_id, State.QUEUED)
    values = {
        "state": State.QUEUED.value,
        "due_at": tx.now,
        "forgiven": row.attempts,
        "expires_at": None,
        "finished_at": None,
    }
    tx.conn.execute(sa.update(t.deliveries).where(t.deliveries.c.id == delivery_id).values(values))
    tx.audit.append(AuditEntry(operator, "delivery.replay", delivery_id, "queued", {"reason": mask(reason)[:300]}))
    tx.wake_workers = True


def refuse(tx: Tx, delivery_id: str, operator: str, reason: str, *, handlers: Handlers) -> None:
    """Give a suspended delivery up; the room that asked for it hears of it. Raises NotSuspended, UnknownDelivery, NoReason."""
    _require_reason(reason)
    row = _suspended(tx.conn, delivery_id, State.REFUSED)
    values = {"state": State.REFUSED.value, "finished_at": tx.now, "last_error": "refused-by-operator"}
    tx.conn.execute(sa.update(t.deliveries).where(t.deliveries.c.id == delivery_id).values(values))
    tx.audit.append(AuditEntry(operator, "delivery.refuse", delivery_id, "refused", {"reason": mask(reason)[:300]}))
    kind = Kind(row.kind)
    finished = Finished(
        row.id, row.endpoint_id, row.case_id, kind, row.subject, State.REFUSED, "refused-by-operator", None
    )
    handlers[kind].record(tx, [finished])


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise NoReason("请填写原因, 记入审计", "give a reason: it stands in the audit log")


def _suspended(conn: Connection, delivery_id: str, after: State) -> Row[Any]:
    if (State.SUSPENDED, after) not in TRANSITIONS:
        raise NotSuspended(f"挂起的投递不能转为 {after.value}", f"a suspended delivery never becomes {after.value}")
    d = t.deliveries
    columns = (d.c.id, d.c.endpoint_id, d.c.case_id, d.c.kind, d.c.subject, d.c.state, d.c.attempts)
    query: sa.Select[Any] = sa.select(*columns).where(d.c.id == delivery_id).with_for_update()
    row = conn.execute(query).one_or_none()
    if row is None:
        raise UnknownDelivery(
            f"没有投递 {delivery_id}; hub deliveries list 列出挂起的投递",
            f"there is no delivery {delivery_id}; hub deliveries list shows those suspended",
        )
    if row.state != State.SUSPENDED.value:
        raise NotSuspended(
            f"投递 {delivery_id} 未挂起, 其状态为 {row.state}", f"{delivery_id} is not suspended: it is {row.state}"
        )
    return row


def is_under_way(conn: Connection, case_id: str, kinds: Sequence[Kind], subject: str) -> bool:
    """Whether one of these kinds has not come to its end; suspended ones have not."""
    d = t.deliveries
    ended = (State.DELIVERED.value, State.REFUSED.value)
    query = sa.select(d.c.id).where(d.c.case_id == case_id, d.c.subject == subject, d.c.state.not_in(ended))
    return conn.execute(query.where(d.c.kind.in_([kind.value for kind in kinds]))).first() is not None


def delivered_body(conn: Connection, case_id: str, kind: Kind, subject: str) -> tuple[str, bytes] | None:
    """The id and the sealed body of what its peer has taken; None also where the body was dropped."""
    d = t.deliveries
    query = sa.select(d.c.id, d.c.body_sealed).where(
        d.c.case_id == case_id, d.c.kind == kind.value, d.c.subject == subject, d.c.state == State.DELIVERED.value,
        sa.func.length(d.c.body_sealed) > 0,
    )  # fmt: skip
    row = conn.execute(query.order_by(d.c.id).limit(1)).one_or_none()
    return None if row is None else (row.id, row.body_sealed)


# --- reading ------------------------------------------------------------------------------------------------------------


def target(conn: Connection, endpoint_id: str) -> Target | None:
    """The endpoint's row as an adapter is made of it."""
    columns = [t.endpoints.c[name] for name in Target.__dataclass_fields__]
    row = conn.execute(sa.select(*columns).where(t.endpoints.c.id == endpoint_id)).one_or_none()
    return None if row is None else Target(**row._mapping)


def expired_ids(conn: Connection, now: datetime, *, limit: int = 64) -> list[str]:
    """Queued deliveries whose time has passed, also those of endpoints that are closed: they must not wait in silence."""
    d = t.deliveries
    query = sa.select(d.c.id).where(d.c.state == sa.literal_column("'queued'"), d.c.expires_at <= now)
    return list(conn.execute(query.order_by(d.c.id).limit(limit)).scalars())


def longer_than_lease(conn: Connection, lease: timedelta) -> list[str]:
    """Endpoints whose call may outlast the lease: another node would take a delivery up while it is being sent."""
    e = t.endpoints
    query = sa.select(e.c.id).where(e.c.timeout_s >= int(lease.total_seconds())).order_by(e.c.id)
    return list(conn.execute(query).scalars())


# --- places for calls that are no deliveries (places.py) ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallableRow:
    """An endpoint as somebody needs it who wants to call it now."""

    id: str
    max_concurrency: int
    paused_at: datetime | None
    open_at: datetime
    service_hours: str | None
    breaker: str
    failures: int


def lock_for_calls(conn: Connection, ids: Iterable[str]) -> dict[str, CallableRow]:
    """Locked as a claim locks them, in one order on every node: what is counted afterwards does not change under it."""
    e = t.endpoints
    columns = [e.c[name] for name in CallableRow.__dataclass_fields__]
    query = sa.select(*columns).where(e.c.id.in_(sorted(ids))).order_by(e.c.id).with_for_update(key_share=True)
    return {row.id: CallableRow(**row._mapping) for row in conn.execute(query)}


def places_taken(conn: Connection, endpoint_id: str, holder: str, now: datetime) -> tuple[int, int]:
    """By deliveries under a lease, and by other processes' calls."""
    d, c = t.deliveries.c, t.endpoint_calls.c
    leases = sa.select(sa.func.count()).where(
        d.endpoint_id == endpoint_id, d.state == sa.literal_column("'attempting'"), d.lease_until > now
    )
    calls = sa.select(sa.func.coalesce(sa.func.sum(c.calls), 0)).where(
        c.endpoint_id == endpoint_id, c.holder != holder, c.until > now
    )
    return int(conn.execute(leases).scalar_one()), int(conn.execute(calls).scalar_one())


def has_due(conn: Connection, endpoint_id: str, now: datetime) -> bool:
    d = t.deliveries.c
    query = sa.select(d.id).where(
        d.endpoint_id == endpoint_id, d.state == sa.literal_column("'queued'"), d.due_at <= now
    )
    return conn.execute(query.limit(1)).first() is not None


def set_breaker(conn: Connection, endpoint_id: str, breaker: str) -> None:
    e = t.endpoints
    conn.execute(sa.update(e).where(e.c.id == endpoint_id).values(breaker=breaker))


def hold_places(conn: Connection, endpoint_id: str, holder: str, calls: int, wanted: int, until: datetime) -> None:
    """This process's row; none where it neither holds nor wants any."""
    c = t.endpoint_calls
    mine = (c.c.endpoint_id == endpoint_id, c.c.holder == holder)
    if calls == 0 and wanted == 0:
        conn.execute(sa.delete(c).where(*mine))
        return
    values = {"calls": calls, "wanted": wanted, "until": until}
    if conn.execute(sa.update(c).where(*mine).values(values)).rowcount == 0:
        conn.execute(sa.insert(c).values(endpoint_id=endpoint_id, holder=holder, **values))


def forget_places(conn: Connection, now: datetime) -> None:
    """Those of processes that died."""
    conn.execute(sa.delete(t.endpoint_calls).where(t.endpoint_calls.c.until <= now))
