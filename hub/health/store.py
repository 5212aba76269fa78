"""The SQL of health: each endpoint's backlog, success and speed, as the database knows them, whichever node did the work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from hub import tables as t
from hub.tables import UtcTime


class Seen(StrEnum):
    """What a probe saw, in the audit log's words."""

    WELL = "well"
    ILL = "ill"
    MISCONFIGURED = "misconfigured"  # it will not be well before somebody has mended a setting


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one endpoint. ``oldest_at`` is when the oldest unfinished delivery was made."""

    waiting: int
    suspended: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Speed:
    """Attempts that began in the window: how many ended, how many well, and the 95th percentile of their seconds."""

    attempts: int
    succeeded: int
    p95_s: float | None


GOOD = ("delivered", "refused")  # a refusal is an answer: the endpoint is well
SAMPLE = 100  # newest attempts of each endpoint that success and speed are taken of


def ping(conn: Connection) -> None:
    """Returns if the database answers."""
    conn.execute(sa.select(sa.literal(1)))


def endpoints(conn: Connection) -> list[RowMapping]:
    """Every endpoint's row, without its secrets."""
    columns = [column for column in t.endpoints.c if column.name != "secrets_sealed"]
    return [row._mapping for row in conn.execute(sa.select(*columns).order_by(t.endpoints.c.region, t.endpoints.c.id))]


def backlogs(conn: Connection) -> dict[str, Backlog]:
    """By endpoint; one without an unfinished delivery is absent. Served by the partial indexes on live states."""
    d = t.deliveries
    found: dict[str, dict[str, tuple[int, datetime]]] = {}
    for state in ("queued", "attempting", "suspended"):  # literals, so that each query may use its partial index
        query = (
            sa.select(d.c.endpoint_id, sa.func.count().label("n"), sa.func.min(d.c.created_at).label("oldest"))
            .where(d.c.state == sa.literal_column(f"'{state}'"))
            .group_by(d.c.endpoint_id)
        )
        for row in conn.execute(query):
            found.setdefault(row.endpoint_id, {})[state] = (row.n, row.oldest)
    return {
        endpoint: Backlog(
            waiting=sum(states[state][0] for state in ("queued", "attempting") if state in states),
            suspended=states["suspended"][0] if "suspended" in states else 0,
            oldest_at=min(oldest for _, oldest in states.values()),
        )
        for endpoint, states in found.items()
    }


def speeds(conn: Connection, since: datetime) -> dict[str, Speed]:
    """By endpoint, of its newest SAMPLE attempts since then: a busy endpoint does not push a quiet one out."""
    a, e, x = t.attempts, t.endpoints, t.attempts.alias()
    oldest = (
        sa.select(x.c.started_at)
        .where(x.c.endpoint_id == e.c.id)
        .order_by(x.c.started_at.desc())
        .limit(1)
        .offset(SAMPLE - 1)
        .scalar_subquery()
    )
    bound = sa.func.coalesce(oldest, sa.literal(since, UtcTime)).label("bound")
    # materialized: else the bound of an endpoint is looked for again with each of its attempts
    bounds = sa.select(e.c.id, bound).cte("bounds").prefix_with("MATERIALIZED")
    micros = sa.type_coerce(a.c.finished_at, sa.BigInteger) - sa.type_coerce(a.c.started_at, sa.BigInteger)
    query = (
        sa.select(a.c.endpoint_id, a.c.outcome, micros)
        .join_from(bounds, a, sa.and_(a.c.endpoint_id == bounds.c.id, a.c.started_at >= bounds.c.bound))
        .where(a.c.started_at >= since, a.c.finished_at.is_not(None))
    )
    spent: dict[str, list[int]] = {}
    good: dict[str, int] = {}
    for endpoint, outcome, micro in chain(conn.execute(query), conn.execute(_calls(since))):
        spent.setdefault(endpoint, []).append(micro)
        good[endpoint] = good.get(endpoint, 0) + (outcome in GOOD)
    return {
        endpoint: Speed(len(values), good[endpoint], sorted(values)[int(0.95 * (len(values) - 1))] / 1e6)
        for endpoint, values in spent.items()
    }


def _calls(since: datetime) -> sa.Select[tuple[str, str, int]]:
    """The same of calls that no delivery made (evidence that its caller waits for), the newest of all endpoints together."""
    c = t.evidence_documents.c
    micros = sa.type_coerce(c.call_ended_at, sa.BigInteger) - sa.type_coerce(c.called_at, sa.BigInteger)
    newest = sa.select(c.endpoint_id, c.call_outcome, micros).where(c.called_at >= since, c.endpoint_id.is_not(None))
    return newest.order_by(c.called_at.desc()).limit(SAMPLE * 10)


def calls_under_way(conn: Connection, now: datetime) -> dict[str, int]:
    """By endpoint, the places that calls hold which are no deliveries."""
    c = t.endpoint_calls.c
    query = sa.select(c.endpoint_id, sa.func.sum(c.calls).label("n")).where(c.until > now).group_by(c.endpoint_id)
    return {row.endpoint_id: int(row.n) for row in conn.execute(query)}


def throttled_callers(conn: Connection, now: datetime) -> list[tuple[str, int, datetime]]:
    """(system, holders that it asked about, since) of those that ask about too many holders."""
    c = t.throttled_callers.c
    query = sa.select(c.system_id, c.subjects, c.since).where(c.until > now).order_by(c.system_id)
    return [(row.system_id, row.subjects, row.since) for row in conn.execute(query)]


def guessing_callers(conn: Connection) -> list[tuple[str, int, datetime, datetime]]:
    """(system, codes that nobody has, since, until), also of those that were let in again within a day."""
    c = t.guessing_callers.c
    query = sa.select(c.system_id, c.codes, c.since, c.until).order_by(c.since)
    return [(row.system_id, row.codes, row.since, row.until) for row in conn.execute(query)]


def open_differences(conn: Connection) -> dict[str, int]:
    """By library, what the last reconciliation found and nobody has repaired."""
    d = t.differences.c
    query = sa.select(d.endpoint_id, sa.func.count().label("n")).group_by(d.endpoint_id).order_by(d.endpoint_id)
    return {row.endpoint_id: row.n for row in conn.execute(query)}


def case_counts(conn: Connection) -> dict[str, int]:
    """Cases by state."""
    query = sa.select(t.cases.c.state, sa.func.count().label("n")).group_by(t.cases.c.state)
    return {row.state: row.n for row in conn.execute(query)}


def limit_counts(conn: Connection) -> tuple[int, int]:
    """(near, past) of open cases."""
    c = t.cases
    near = sa.select(sa.func.count()).where(
        c.c.closed_at.is_(None), c.c.near_flagged.is_(True), c.c.past_flagged.is_(False)
    )
    past = sa.select(sa.func.count()).where(c.c.closed_at.is_(None), c.c.past_flagged.is_(True))
    return conn.execute(near).scalar_one(), conn.execute(past).scalar_one()


def record_probe(
    conn: Connection, endpoint_id: str, now: datetime, seen: Seen, code: str, tls_not_after: datetime | None
) -> bool:
    """Keep what a probe saw; gives whether the endpoint's health changed (an outage is logged once)."""
    e = t.endpoints
    row = conn.execute(sa.select(e.c.ill_since, e.c.misconfigured_at).where(e.c.id == endpoint_id)).one_or_none()
    if row is None:  # removed meanwhile
        return False
    values: dict[str, object] = {"tls_not_after": tls_not_after} if tls_not_after else {}
    if seen is Seen.WELL:
        values |= {"last_ok_at": now, "ill_since": None, "misconfigured_at": None}
    else:
        values |= {"last_error_at": now, "last_error": code[:200], "ill_since": row.ill_since or now}
        values["misconfigured_at"] = (row.misconfigured_at or now) if seen is Seen.MISCONFIGURED else None
    conn.execute(sa.update(e).where(e.c.id == endpoint_id).values(values))
    return seen is not _seen_before(row.ill_since, row.misconfigured_at)


def _seen_before(ill_since: datetime | None, misconfigured_at: datetime | None) -> Seen:
    if misconfigured_at is not None:
        return Seen.MISCONFIGURED
    return Seen.WELL if ill_since is None else Seen.ILL


def release_breaker(conn: Connection, endpoint_id: str, now: datetime) -> bool:
    """Let the next delivery be the breaker's probe at once; gives whether the breaker was open."""
    e = t.endpoints
    open_ = sa.update(e).where(e.c.id == endpoint_id, e.c.breaker == "open").values(open_at=now)
    return conn.execute(open_).rowcount == 1


def base_url(conn: Connection, endpoint_id: str) -> str | None:
    """None if there is no such endpoint."""
    return conn.execute(sa.select(t.endpoints.c.base_url).where(t.endpoints.c.id == endpoint_id)).scalar_one_or_none()
