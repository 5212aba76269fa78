"""The SQL of cases: rows in, rows out. Each function takes many, so that a batch costs a handful of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from hub import tables as t
from hub.prepared import insert_many
from schemas.transfers import CaseState, EvidenceState, StepState

Values = dict[str, object]


@dataclass(slots=True)
class CaseRow:
    id: str
    flow: str
    system_id: str
    message_id: str
    releasing_region: str
    receiving_region: str
    state: CaseState
    opened_at: datetime
    near_at: datetime
    limit_at: datetime
    limit_provisional: bool
    near_flagged: bool
    past_flagged: bool
    closed_at: datetime | None
    outcome_reason: str | None
    payload_sealed: bytes


@dataclass(slots=True)
class StepRow:
    case_id: str
    name: str
    group_no: int
    endpoint_id: str
    state: StepState
    opened_at: datetime | None
    limit_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    system_id: str  # of the endpoint: the party that may decide


@dataclass(slots=True)
class EvidenceRow:
    case_id: str
    requirement: str
    state: EvidenceState
    reason: str | None
    summary_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """What was acknowledged under a message id."""

    digest: str
    case_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint as a case sees it: which one serves a region, and whose it is."""

    endpoint_id: str
    system_id: str
    system_name: str
    service: str
    region: str


@dataclass(frozen=True, slots=True)
class Subscription:
    endpoint_id: str
    system_id: str
    event_type: str
    region: str
    source_only: bool


def _columns(table: sa.Table, row: type[CaseRow] | type[EvidenceRow]) -> list[sa.Column[object]]:
    return [table.c[field.name] for field in fields(row)]


# --- messages -----------------------------------------------------------------------------------------------------------


def known_messages(conn: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MessageRow]:
    """By (system, message id), those that were acknowledged before."""
    m = t.messages
    query = sa.select(m.c.system_id, m.c.message_id, m.c.digest, m.c.case_id, m.c.answer).where(
        sa.tuple_(m.c.system_id, m.c.message_id).in_(list(keys))
    )
    return {
        (row.system_id, row.message_id): MessageRow(row.digest, row.case_id, row.answer) for row in conn.execute(query)
    }


def open_subjects(conn: Connection, indexes: Iterable[str]) -> dict[str, str]:
    """By subject index, the case that is open for it."""
    query = sa.select(t.cases.c.open_subject, t.cases.c.id).where(t.cases.c.open_subject.in_(list(indexes)))
    return {row.open_subject: row.id for row in conn.execute(query)}


def insert(conn: Connection, table: sa.Table, rows: Sequence[Values]) -> None:
    insert_many(conn, table, rows)


# Made once: building a statement and its cache key costs more than running it. What is set follows from the parameters.
_UPDATE_CASE = sa.update(t.cases).where(t.cases.c.id == sa.bindparam("b_id"))
_UPDATE_STEP = sa.update(t.steps).where(
    t.steps.c.case_id == sa.bindparam("b_case_id"), t.steps.c.name == sa.bindparam("b_name")
)

# --- cases --------------------------------------------------------------------------------------------------------------


def load_cases(conn: Connection, ids: Iterable[str], *, lock: bool = False) -> dict[str, CaseRow]:
    """By id, in id order, so that two nodes that lock several never wait for each other."""
    query = sa.select(*_columns(t.cases, CaseRow)).where(t.cases.c.id.in_(sorted(set(ids)))).order_by(t.cases.c.id)
    if lock:
        query = query.with_for_update()
    return {row.id: _case(row._mapping) for row in conn.execute(query)}


def page_of_cases(
    conn: Connection, system_id: str, *, before: str | None, limit: int, state: CaseState | None
) -> list[CaseRow]:
    """Newest first; ids sort by time. A system sees the cases that it submitted or has a step in."""
    takes_part = sa.select(t.steps.c.case_id).join(t.endpoints).where(t.endpoints.c.system_id == system_id)
    query = (
        sa.select(*_columns(t.cases, CaseRow))
        .where(sa.or_(t.cases.c.system_id == system_id, t.cases.c.id.in_(takes_part)))
        .order_by(t.cases.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(t.cases.c.id < before)
    if state is not None:
        query = query.where(t.cases.c.state == state.value)
    return [_case(row._mapping) for row in conn.execute(query)]


def _case(row: RowMapping) -> CaseRow:
    case = CaseRow(**row)
    case.state = CaseState(case.state)
    return case


def update_case(conn: Connection, case_id: str, values: Values) -> None:
    conn.execute(_UPDATE_CASE, {"b_id": case_id, **values})


# --- steps and evidence -------------------------------------------------------------------------------------------------


def load_steps(conn: Connection, case_ids: Iterable[str]) -> dict[str, list[StepRow]]:
    s = t.steps
    query = (
        sa.select(
            s.c.case_id, s.c.name, s.c.group_no, s.c.endpoint_id, s.c.state, s.c.opened_at, s.c.limit_at,
            s.c.decided_at, s.c.decided_by, s.c.reason, t.endpoints.c.system_id,
        )
        .join(t.endpoints, t.endpoints.c.id == s.c.endpoint_id)
        .where(s.c.case_id.in_(list(case_ids)))
        .order_by(s.c.case_id, s.c.group_no, s.c.name)
    )  # fmt: skip
    found: dict[str, list[StepRow]] = {}
    for row in conn.execute(query):
        step = StepRow(**row._mapping)
        step.state = StepState(step.state)
        found.setdefault(step.case_id, []).append(step)
    return found


def update_step(conn: Connection, case_id: str, name: str, values: Values) -> None:
    conn.execute(_UPDATE_STEP, {"b_case_id": case_id, "b_name": name, **values})


def load_evidence(conn: Connection, case_ids: Iterable[str]) -> dict[str, list[EvidenceRow]]:
    query = (
        sa.select(*_columns(t.evidence, EvidenceRow))
        .where(t.evidence.c.case_id.in_(list(case_ids)))
        .order_by(t.evidence.c.case_id, t.evidence.c.requirement)
    )
    found: dict[str, list[EvidenceRow]] = {}
    for row in conn.execute(query):
        item = EvidenceRow(**row._mapping)
        item.state = EvidenceState(item.state)
        found.setdefault(item.case_id, []).append(item)
    return found


def verification_reports(conn: Connection, case_id: str) -> dict[str, str]:
    """By requirement, the JSON of the verification report of each document that was fetched."""
    e = t.evidence
    query = sa.select(e.c.requirement, e.c.report).where(e.c.case_id == case_id, e.c.report.is_not(None))
    return {row.requirement: row.report for row in conn.execute(query)}


def update_evidence(conn: Connection, rows: Sequence[Values]) -> None:
    """``rows`` have ``b_case_id`` and ``b_requirement`` as keys, and every other column to set, the same in each."""
    if rows:
        e = t.evidence
        conn.execute(
            sa.update(e).where(
                e.c.case_id == sa.bindparam("b_case_id"), e.c.requirement == sa.bindparam("b_requirement")
            ),
            rows,
        )


def satisfied_by(conn: Connection, indexes: Iterable[str]) -> list[tuple[str, str, str]]:
    """(case, requirement, index) of evidence that rests on one of these certificates, of cases that are open or completed."""
    e, wanted = t.evidence.c, sorted(indexes)
    found = []
    for start in range(0, len(wanted), 200):  # values of one IN list
        query = (
            sa.select(e.case_id, e.requirement, e.identifier_index)
            .join(t.cases, t.cases.c.id == e.case_id)
            .where(e.identifier_index.in_(wanted[start : start + 200]), e.state == EvidenceState.SATISFIED.value)
            .where(t.cases.c.state.in_([CaseState.OPEN.value, CaseState.WAITING.value, CaseState.COMPLETED.value]))
        )
        found += [(row.case_id, row.requirement, row.identifier_index) for row in conn.execute(query)]
    return found


def cases_with_suspended(conn: Connection, case_ids: Iterable[str]) -> set[str]:
    d = t.deliveries
    query = sa.select(d.c.case_id).where(d.c.case_id.in_(list(case_ids)), d.c.state == "suspended").distinct()
    return {row.case_id for row in conn.execute(query)}


def events_of(conn: Connection, case_id: str) -> list[tuple[str, datetime, str]]:
    """(type, at, data as JSON), in the order in which they happened."""
    query = sa.select(t.events.c.type, t.events.c.at, t.events.c.data).where(t.events.c.case_id == case_id)
    return [(row.type, row.at, row.data) for row in conn.execute(query.order_by(t.events.c.at, t.events.c.id))]


# --- limits -------------------------------------------------------------------------------------------------------------


def cases_to_flag(conn: Connection, now: datetime) -> list[CaseRow]:
    """Open cases that came near or past their limit since the last look; locked, those of another node skipped."""
    c = t.cases
    query = (
        sa.select(*_columns(c, CaseRow))
        .where(
            c.c.closed_at.is_(None),
            sa.or_(
                sa.and_(c.c.near_at <= now, c.c.near_flagged.is_(False)),
                sa.and_(c.c.limit_at <= now, c.c.past_flagged.is_(False)),
            ),
        )
        .order_by(c.c.id)
        .limit(500)
        .with_for_update(skip_locked=True)
    )
    return [_case(row._mapping) for row in conn.execute(query)]


def steps_to_flag(conn: Connection, now: datetime) -> list[tuple[str, str]]:
    """(case, step) of open steps past their own limit, not yet flagged."""
    s = t.steps
    query = (
        sa.select(s.c.case_id, s.c.name)
        .where(s.c.state == StepState.OPEN.value, s.c.limit_at <= now, s.c.past_flagged.is_(False))
        .order_by(s.c.case_id, s.c.name)
        .limit(500)
        .with_for_update(skip_locked=True)
    )
    return [(row.case_id, row.name) for row in conn.execute(query)]


@dataclass(frozen=True, slots=True)
class StepToAsk:
    case_id: str
    name: str
    endpoint_id: str
    adapter: str
    opened_at: datetime


def steps_to_ask(conn: Connection, now: datetime, limit: int) -> list[StepToAsk]:
    """Open steps whose party is to be asked now, locked."""
    s, e = t.steps, t.endpoints
    query = (
        sa.select(s.c.case_id, s.c.name, s.c.endpoint_id, e.c.adapter, s.c.opened_at)
        .join(e, e.c.id == s.c.endpoint_id)
        .where(s.c.state == StepState.OPEN.value, s.c.ask_at <= now)
        .order_by(s.c.ask_at)
        .limit(limit)
        .with_for_update(of=s, skip_locked=True)
    )
    return [StepToAsk(**row._mapping) for row in conn.execute(query)]


def provisional_cases(conn: Connection) -> list[CaseRow]:
    """Open cases whose limit was computed past the published calendar."""
    c = t.cases
    query = sa.select(*_columns(c, CaseRow)).where(c.c.closed_at.is_(None), c.c.limit_provisional.is_(True))
    return [_case(row._mapping) for row in conn.execute(query.order_by(c.c.id).with_for_update(skip_locked=True))]


def cases_near_limit(conn: Connection, *, limit: int) -> list[CaseRow]:
    """Open cases that are flagged, the most urgent first."""
    c = t.cases
    query = sa.select(*_columns(c, CaseRow)).where(
        c.c.closed_at.is_(None), sa.or_(c.c.near_flagged.is_(True), c.c.past_flagged.is_(True))
    )
    return [_case(row._mapping) for row in conn.execute(query.order_by(c.c.limit_at).limit(limit))]


# --- routes and subscriptions -------------------------------------------------------------------------------------------


def load_routes(conn: Connection) -> list[Route]:
    e, s = t.endpoints.c, t.systems.c
    columns = (e.id.label("endpoint_id"), e.system_id, s.name.label("system_name"), e.service, e.region)
    query = sa.select(*columns).join(t.systems, s.id == e.system_id).order_by(e.id)
    return [Route(**row._mapping) for row in conn.execute(query)]


def load_subscriptions(conn: Connection) -> list[Subscription]:
    s = t.subscriptions
    query = sa.select(s.c.endpoint_id, t.endpoints.c.system_id, s.c.event_type, s.c.region, s.c.source_only).join(
        t.endpoints, t.endpoints.c.id == s.c.endpoint_id
    )
    return [Subscription(**row._mapping) for row in conn.execute(query)]
