"""The SQL of the evidence service: rows in, rows out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.deliveries.model import Target
from hub.prepared import Prepared, in_list, insert_many, insert_new, listed, replace_many
from schemas.events import EventType, is_meant

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class RequestRow:
    id: str
    system_id: str
    message_id: str
    digest: str
    subject_index: str
    item_code: str
    region: str
    case_reference: str
    purpose: str
    callback: str | None
    state: str
    asked_at: datetime
    owned_until: datetime
    owner: str
    answered_at: datetime | None
    answer_digest: str | None
    predicate: str | None
    purge_at: datetime
    grounds: str
    request_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    request_id: str
    document: str
    standing: str
    reason: str | None = None
    notice: str | None = None
    endpoint_id: str | None = None
    followed_up: bool = False
    checked_at: datetime | None = None
    content_sha256: str | None = None
    identifier_index: str | None = None
    document_sealed: bytes | None = None
    report: str | None = None
    called_at: datetime | None = None
    call_ended_at: datetime | None = None
    call_outcome: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint as a call of this service needs it: whether it may be called now, and how many calls at once."""

    target: Target
    max_concurrency: int
    paused_at: datetime | None
    open_at: datetime
    service_hours: str | None


@dataclass(frozen=True, slots=True)
class KeptRow:
    identifier_index: str
    fetched_at: datetime
    keep_until: datetime
    document_sealed: bytes


def _insert(conn: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)


# --- requests -----------------------------------------------------------------------------------------------------------

r, d, k, q, p = t.evidence_requests, t.evidence_documents, t.kept_ecerts, t.subject_queries, t.system_purposes
_REQUEST = [r.c[field.name] for field in fields(RequestRow)]
_DOCUMENT = [d.c[field.name] for field in fields(DocumentRow)]

_BY_ID = sa.select(*_REQUEST).where(r.c.id == sa.bindparam("this"))
_REQUEST_BY_ID = Prepared(_BY_ID)
_REQUEST_LOCKED = Prepared(_BY_ID.with_for_update())
_UPDATE_REQUEST = sa.update(r).where(r.c.id == sa.bindparam("this"))
_OUTCOME = {
    name: sa.bindparam(name, type_=r.c[name].type)
    for name in ("state", "answered_at", "predicate", "answer_digest", "purge_at")
}
_FINISH_REQUEST = Prepared(_UPDATE_REQUEST.where(r.c.state == "open", r.c.owner == sa.bindparam("by")).values(_OUTCOME))
_DOCUMENTS = Prepared(sa.select(*_DOCUMENT).where(d.c.request_id == sa.bindparam("this")).order_by(d.c.document))
_KEY_OF_DOCUMENT = ("request_id", "document")
_PLANNED = (*_KEY_OF_DOCUMENT, "standing", "reason", "endpoint_id", "followed_up")


def request(conn: Connection, request_id: str, *, lock: bool = False) -> RequestRow | None:
    row = (_REQUEST_LOCKED if lock else _REQUEST_BY_ID).row(conn, this=request_id)
    return None if row is None else RequestRow(*row)


def add_request(conn: Connection, row: RequestRow, documents: Sequence[DocumentRow]) -> bool:
    """False if another node took the same message in the meantime. ``documents``: planned, none asked for yet."""
    if not insert_new(conn, r, [row]):
        return False
    insert_many(conn, d, [{name: getattr(one, name) for name in _PLANNED} for one in documents])
    return True


def take_over(conn: Connection, row: RequestRow, owner: str, until: datetime) -> bool:
    """Another run's time has passed: this one goes on. False if a third was quicker."""
    mine = (r.c.id == row.id, r.c.state == "open", r.c.owner == row.owner)
    return conn.execute(sa.update(r).where(*mine).values(owner=owner, owned_until=until)).rowcount == 1


def finish(conn: Connection, request_id: str, owner: str, values: Values) -> bool:
    """Only for the run that owns the request. ``values``: all of its outcome."""
    return _FINISH_REQUEST.run(conn, this=request_id, by=owner, **values) == 1


def update_request(conn: Connection, request_id: str, values: Values) -> None:
    conn.execute(_UPDATE_REQUEST, {**values, "this": request_id})


def orphans(conn: Connection, now: datetime, *, limit: int = 50) -> list[RequestRow]:
    """Open requests whose run has ended without a word, locked."""
    query = (
        sa.select(*_REQUEST)
        .where(r.c.state == sa.literal_column("'open'"), r.c.owned_until < now)
        .order_by(r.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [RequestRow(**row._mapping) for row in conn.execute(query)]


# --- documents ----------------------------------------------------------------------------------------------------------


def documents(conn: Connection, request_id: str) -> list[DocumentRow]:
    return [DocumentRow(*row) for row in _DOCUMENTS.rows(conn, this=request_id)]


def standings(conn: Connection, request_ids: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """(document, standing) of each request that has any."""
    found: dict[str, list[tuple[str, str]]] = {}
    for part in _parts(request_ids):
        query = sa.select(d.c.request_id, d.c.document, d.c.standing).where(d.c.request_id.in_(part))
        for request_id, document, standing in conn.execute(query):
            found.setdefault(request_id, []).append((document, standing))
    return found


def put_documents(conn: Connection, rows: Sequence[DocumentRow]) -> None:
    """Every column of rows that are there."""
    replace_many(conn, d, rows)


def relied_on(conn: Connection, indexes: Collection[str]) -> list[tuple[str, str]]:
    """(request, document) of every answer that rests on one of these certificates."""
    found = []
    for part in _parts(indexes):
        query = sa.select(d.c.request_id, d.c.document).where(
            d.c.identifier_index.in_(part), d.c.standing.in_(["held", "deemed-valid"])
        )
        found += [(row.request_id, row.document) for row in conn.execute(query)]
    return found


def _parts(values: Collection[str], size: int = 200) -> Iterator[list[str]]:
    """For IN lists."""
    ordered = sorted(values)
    return (ordered[start : start + size] for start in range(0, len(ordered), size))


# --- documents that are kept -----------------------------------------------------------------------------------------------


_KEPT = Prepared(
    sa.select(*(k.c[field.name] for field in fields(KeptRow))).where(
        k.c.holder_index == sa.bindparam("holder"),
        k.c.type_code == sa.bindparam("type"),
        k.c.endpoint_id == sa.bindparam("endpoint"),
        k.c.keep_until > sa.bindparam("now"),
    )
)


def kept(conn: Connection, holder_index: str, type_code: str, endpoint_id: str, now: datetime) -> KeptRow | None:
    row = _KEPT.row(conn, holder=holder_index, type=type_code, endpoint=endpoint_id, now=now)
    return None if row is None else KeptRow(*row)


def keep(conn: Connection, values: Mapping[str, object]) -> None:
    place = ["holder_index", "type_code", "endpoint_id"]
    rest = {name: value for name, value in values.items() if name not in place}
    conn.execute(_insert(conn, k).values(values).on_conflict_do_update(index_elements=place, set_=rest))


def drop_kept(conn: Connection, indexes: Collection[str]) -> int:
    """Gives how many."""
    return sum(conn.execute(sa.delete(k).where(k.c.identifier_index.in_(part))).rowcount for part in _parts(indexes))


# --- what a caller asked before ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """What a message is judged by. ``seen``: the request that the same message made; ``allowed``: its purpose is registered.

    ``subjects``: different holders asked about of late, with this one; ``by_caller`` and ``by_subject``: requests.
    """

    seen: str | None
    allowed: bool
    subjects: int
    by_caller: int
    by_subject: int


def _count(counted: sa.ColumnElement[int], *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(counted).where(*where).scalar_subquery()


_SYSTEM = sa.bindparam("system", type_=sa.String)
_SUBJECT = sa.bindparam("subject", type_=sa.String)
_PAST = Prepared(
    sa.select(
        sa.select(r.c.id).where(r.c.system_id == _SYSTEM, r.c.message_id == sa.bindparam("message")).scalar_subquery(),
        sa.exists().where(p.c.system_id == _SYSTEM, p.c.purpose == sa.bindparam("purpose")),
        _count(
            sa.func.count(sa.distinct(q.c.subject_index)),
            q.c.system_id == _SYSTEM,
            q.c.bucket >= sa.bindparam("bucket"),
            q.c.subject_index != _SUBJECT,
        ),
        _count(sa.func.count(), r.c.system_id == _SYSTEM, r.c.asked_at > sa.bindparam("minute")),
        _count(sa.func.count(), r.c.subject_index == _SUBJECT, r.c.asked_at > sa.bindparam("since")),
    )
)


def past(
    conn: Connection,
    system_id: str,
    message_id: str,
    purpose: str,
    subject_index: str,
    *,
    bucket: int,
    minute: datetime,
    since: datetime,
) -> Past:
    """In one question: holders since ``bucket``, the caller's requests since ``minute``, whoever's about the holder ``since``."""
    row = _PAST.row(
        conn, system=system_id, message=message_id, purpose=purpose, subject=subject_index, bucket=bucket, minute=minute,
        since=since,
    )  # fmt: skip
    seen, allowed, others, by_caller, by_subject = row or (None, False, 0, 0, 0)
    return Past(seen, allowed, others + 1, by_caller, by_subject)


def note_subject(conn: Connection, system_id: str, subject_index: str, bucket: int) -> None:
    """Once for each bucket."""
    insert_new(conn, q, [{"system_id": system_id, "bucket": bucket, "subject_index": subject_index}])


def note_throttled(conn: Connection, system_id: str, subjects: int, now: datetime, until: datetime) -> bool:
    """For the console and the metrics; gives whether it is news."""
    c = t.throttled_callers
    lasting = sa.update(c).where(c.c.system_id == system_id, c.c.until > now)
    if conn.execute(lasting.values(subjects=subjects, until=until)).rowcount:
        return False
    values = {"subjects": subjects, "since": now, "until": until}
    statement = _insert(conn, c).values(system_id=system_id, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["system_id"], set_=values))
    return True


def purge(conn: Connection, now: datetime, bucket: int) -> int:
    """Drop what was sealed of answers whose time has passed, kept documents, and old counts; gives how many answers."""
    done = sa.select(r.c.id).where(r.c.purge_at < now, r.c.request_sealed.is_not(None))
    conn.execute(sa.update(d).where(d.c.request_id.in_(done)).values(document_sealed=None))
    dropped = conn.execute(
        sa.update(r)
        .where(r.c.purge_at < now, r.c.request_sealed.is_not(None))
        .values(request_sealed=None, predicate=None)
    ).rowcount
    conn.execute(sa.delete(k).where(k.c.keep_until < now))
    conn.execute(sa.delete(q).where(q.c.bucket < bucket))
    conn.execute(sa.delete(t.throttled_callers).where(t.throttled_callers.c.until < now))
    return dropped


# --- who may what, and where -----------------------------------------------------------------------------------------------


_PURPOSES = Prepared(sa.select(p.c.purpose).where(p.c.system_id == _SYSTEM))
_TARGET = [t.endpoints.c[field.name] for field in fields(Target)]


def purposes(conn: Connection, system_id: str) -> frozenset[str]:
    return frozenset(purpose for (purpose,) in _PURPOSES.rows(conn, system=system_id))


def allow_purpose(conn: Connection, system_id: str, purpose: str, now: datetime, by: str) -> bool:
    values = {"system_id": system_id, "purpose": purpose, "granted_at": now, "granted_by": by}
    return bool(insert_new(conn, t.system_purposes, [values]))


def forbid_purpose(conn: Connection, system_id: str, purpose: str) -> bool:
    return conn.execute(sa.delete(p).where(p.c.system_id == system_id, p.c.purpose == purpose)).rowcount == 1


def all_purposes(conn: Connection) -> list[tuple[str, str]]:
    rows = conn.execute(sa.select(p.c.system_id, p.c.purpose).order_by(p.c.system_id))
    return [(row.system_id, row.purpose) for row in rows]


def system_exists(conn: Connection, system_id: str) -> bool:
    return conn.execute(sa.select(t.systems.c.id).where(t.systems.c.id == system_id)).first() is not None


_CALLABLE = [t.endpoints.c[name] for name in ("max_concurrency", "paused_at", "open_at", "service_hours")]
_ENDPOINTS = in_list(lambda ids: sa.select(*_TARGET, *_CALLABLE).where(t.endpoints.c.id.in_(ids)))


def endpoints(conn: Connection, ids: Collection[str]) -> Mapping[str, EndpointRow]:
    if not ids:
        return {}
    size = len(_TARGET)
    rows = _ENDPOINTS(len(ids)).rows(conn, **listed(ids))
    return {row[0]: EndpointRow(Target(*row[:size]), *row[size:]) for row in rows}


def events_endpoint(conn: Connection, endpoint_id: str, system_id: str) -> bool:
    """Whether it is an events endpoint of this system."""
    e = t.endpoints.c
    query = sa.select(e.id).where(e.id == endpoint_id, e.system_id == system_id, e.service == "events")
    return conn.execute(query).first() is not None


def events_subscribers(conn: Connection, system_id: str, event_type: EventType) -> list[str]:
    """The system's own endpoints that asked to be told of events of this type."""
    s, e = t.subscriptions.c, t.endpoints.c
    query = (
        sa.select(s.endpoint_id, s.event_type)
        .join(t.endpoints, e.id == s.endpoint_id)
        .where(e.system_id == system_id)
        .order_by(s.endpoint_id)
    )
    return list(dict.fromkeys(row.endpoint_id for row in conn.execute(query) if is_meant(row.event_type, event_type)))


def add_event(conn: Connection, values: Values) -> None:
    conn.execute(sa.insert(t.events).values(values))


def bucket_of(at: datetime, window: timedelta) -> int:
    """Sixths of the window, counted since 1970."""
    return int(at.timestamp() // (window.total_seconds() / 6))
