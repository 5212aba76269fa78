"""Every endpoint in one view: which is ill, since when, what waits for it. The console and the metrics read this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.engine import Connection, RowMapping

from hub.health import store

WINDOW = timedelta(minutes=15)


class EndpointState(StrEnum):
    """In words that say what to do; the worst that is true. In the order in which they are urgent: see :data:`URGENCY`."""

    OK = "ok"
    ILL = "ill"  # calls or probes fail; retried by itself
    MISCONFIGURED = "misconfigured"  # a probe says that no call can succeed before somebody has mended a setting
    BREAKER_OPEN = "breaker-open"  # nothing is sent until the next probe
    PAUSED = "paused"  # by an operator, or misconfigured: somebody must act
    CLOSED = "closed"  # outside its service hours, or it asked to wait


URGENCY = (
    EndpointState.PAUSED,
    EndpointState.MISCONFIGURED,
    EndpointState.BREAKER_OPEN,
    EndpointState.ILL,
    EndpointState.CLOSED,
    EndpointState.OK,
)


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    id: str
    system_id: str
    adapter: str
    service: str
    region: str
    state: EndpointState
    reason: str
    since: datetime | None
    success_rate: float | None  # of the attempts in the window
    p95_s: float | None
    attempts: int
    calls: int  # places held by calls that are no deliveries
    waiting: int
    suspended: int
    oldest_at: datetime | None
    breaker: str
    open_at: datetime
    tls_not_after: datetime | None
    last_ok_at: datetime | None
    misconfigured_at: datetime | None  # also where it is paused for that: a setting must be mended first

    @property
    def needs_attention(self) -> bool:
        """It is not sent to as it should be, or an operator must decide on something."""
        return self.state not in (EndpointState.OK, EndpointState.CLOSED) or self.suspended > 0


@dataclass(frozen=True, slots=True)
class Throttled:
    """A system that asked for evidence of so many holders that it looks like enumeration: it is refused for now."""

    system_id: str
    subjects: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Guessing:
    """A system that tried so many authorization codes which nobody has that its codes were not looked at until then."""

    system_id: str
    codes: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    at: datetime
    endpoints: tuple[EndpointHealth, ...]
    throttled: tuple[Throttled, ...]
    guessing: tuple[Guessing, ...]  # those that were let in again not long ago, too
    differences: dict[str, int]  # of reconciliations, by library
    cases: dict[str, int]
    near_limit: int
    past_limit: int


def overview(conn: Connection, now: datetime) -> Overview:
    """A few queries, whatever the number of endpoints. The most urgent endpoint comes first."""
    backlogs, speeds = store.backlogs(conn), store.speeds(conn, now - WINDOW)
    calls = store.calls_under_way(conn, now)
    near, past = store.limit_counts(conn)
    healths = []
    for row in store.endpoints(conn):
        backlog = backlogs.get(row["id"], store.Backlog(0, 0, None))
        speed = speeds.get(row["id"])
        state, reason, since = _state(row, now)
        healths.append(
            EndpointHealth(
                id=row["id"],
                system_id=row["system_id"],
                adapter=row["adapter"],
                service=row["service"],
                region=row["region"],
                state=state,
                reason=reason,
                since=since,
                success_rate=speed.succeeded / speed.attempts if speed else None,
                p95_s=speed.p95_s if speed else None,
                attempts=speed.attempts if speed else 0,
                calls=calls.get(row["id"], 0),
                waiting=backlog.waiting,
                suspended=backlog.suspended,
                oldest_at=backlog.oldest_at,
                breaker=row["breaker"],
                open_at=row["open_at"],
                tls_not_after=row["tls_not_after"],
                last_ok_at=row["last_ok_at"],
                misconfigured_at=row["misconfigured_at"],
            )
        )
    healths.sort(key=lambda one: (not one.needs_attention, URGENCY.index(one.state)))
    throttled = tuple(Throttled(*row) for row in store.throttled_callers(conn, now))
    guessing = tuple(Guessing(*row) for row in store.guessing_callers(conn))
    differences = store.open_differences(conn)
    return Overview(now, tuple(healths), throttled, guessing, differences, store.case_counts(conn), near, past)


def _state(row: RowMapping, now: datetime) -> tuple[EndpointState, str, datetime | None]:
    ill_since, error = row["ill_since"], row["last_error"] or ""
    if row["paused_at"] is not None:
        return EndpointState.PAUSED, row["paused_reason"] or "", row["paused_at"]
    if row["misconfigured_at"] is not None:
        return EndpointState.MISCONFIGURED, error, row["misconfigured_at"]
    # an open breaker whose time has come, at an endpoint that probes find well, only waits for its next delivery
    if row["breaker"] != "closed" and (ill_since is not None or row["open_at"] > now):
        return EndpointState.BREAKER_OPEN, error, ill_since
    if ill_since is not None:
        return EndpointState.ILL, error, ill_since
    if row["open_at"] > now:
        return EndpointState.CLOSED, "", None
    return EndpointState.OK, "", None
