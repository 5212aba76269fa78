"""The SQL of access: systems, their keys and rights, used nonces, endpoints and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import insert_new


@dataclass(frozen=True, slots=True)
class SystemRow:
    id: str
    name: str
    enabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: str
    system_id: str
    kind: str  # tls | http | wsse
    key_id: str
    material: bytes
    allow_sha1: bool
    not_before: datetime | None
    not_after: datetime | None
    added_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class RightRow:
    system_id: str
    service: str
    region: str
    granted_at: datetime
    granted_by: str


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """What an administrator sets, and what the hub knows of its health."""

    id: str
    system_id: str
    adapter: str
    service: str
    region: str
    base_url: str
    settings: str
    secrets_sealed: bytes | None
    max_concurrency: int
    timeout_s: int
    service_hours: str | None
    created_at: datetime
    paused_at: datetime | None
    paused_reason: str | None
    breaker: str
    failures: int
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    tls_not_after: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    id: str
    endpoint_id: str
    event_type: str
    region: str
    source_only: bool


def _columns(table: sa.Table, row: type) -> list[sa.Column[object]]:
    return [table.c[field.name] for field in fields(row)]


# --- systems, keys, rights ----------------------------------------------------------------------------------------------


def systems(conn: Connection) -> list[SystemRow]:
    query = sa.select(*_columns(t.systems, SystemRow)).order_by(t.systems.c.id)
    return [SystemRow(**row._mapping) for row in conn.execute(query)]


def keys(conn: Connection, system_id: str | None = None) -> list[KeyRow]:
    """Every key, the revoked ones too."""
    query = sa.select(*_columns(t.system_keys, KeyRow)).order_by(t.system_keys.c.system_id, t.system_keys.c.id)
    if system_id is not None:
        query = query.where(t.system_keys.c.system_id == system_id)
    return [KeyRow(**row._mapping) for row in conn.execute(query)]


def rights(conn: Connection, system_id: str | None = None) -> list[RightRow]:
    r = t.rights
    query = sa.select(*_columns(r, RightRow)).order_by(r.c.system_id, r.c.service, r.c.region)
    if system_id is not None:
        query = query.where(r.c.system_id == system_id)
    return [RightRow(**row._mapping) for row in conn.execute(query)]


def insert(conn: Connection, table: sa.Table, values: Mapping[str, object]) -> None:
    conn.execute(sa.insert(table), dict(values))


def update(conn: Connection, table: sa.Table, row_id: str, values: Mapping[str, object]) -> int:
    """How many rows had this id."""
    return conn.execute(sa.update(table).where(table.c.id == row_id).values(dict(values))).rowcount


def delete_right(conn: Connection, system_id: str, service: str, region: str) -> int:
    r = t.rights
    return conn.execute(
        sa.delete(r).where(r.c.system_id == system_id, r.c.service == service, r.c.region == region)
    ).rowcount


# --- nonces -------------------------------------------------------------------------------------------------------------


def remember_nonces(conn: Connection, nonces: Sequence[tuple[str, datetime]]) -> list[bool]:
    """For each (digest, expires_at), whether it is new; of equal ones in one batch the first is."""
    # in one order on every node, so that two nodes that insert the same nonces do not wait for each other
    rows = [{"digest": digest, "expires_at": expires} for digest, expires in sorted(dict(nonces).items())]
    fresh = set(insert_new(conn, t.nonces, rows))
    answers = []
    for digest, _ in nonces:
        answers.append(digest in fresh)
        fresh.discard(digest)
    return answers


def forget_nonces(conn: Connection, now: datetime) -> None:
    conn.execute(sa.delete(t.nonces).where(t.nonces.c.expires_at < now))


# --- endpoints and subscriptions ----------------------------------------------------------------------------------------


def endpoints(conn: Connection) -> list[EndpointRow]:
    e = t.endpoints
    query = sa.select(*_columns(e, EndpointRow)).order_by(e.c.service, e.c.region, e.c.id)
    return [EndpointRow(**row._mapping) for row in conn.execute(query)]


def endpoint(conn: Connection, endpoint_id: str) -> EndpointRow | None:
    row = conn.execute(sa.select(*_columns(t.endpoints, EndpointRow)).where(t.endpoints.c.id == endpoint_id)).first()
    return None if row is None else EndpointRow(**row._mapping)


def subscriptions(conn: Connection, endpoint_id: str) -> list[SubscriptionRow]:
    s = t.subscriptions
    query = sa.select(*_columns(s, SubscriptionRow)).where(s.c.endpoint_id == endpoint_id).order_by(s.c.id)
    return [SubscriptionRow(**row._mapping) for row in conn.execute(query)]


def is_endpoint_used(conn: Connection, endpoint_id: str) -> bool:
    """Whether a delivery, a step or an attempt names it."""
    used = [sa.exists().where(table.c.endpoint_id == endpoint_id) for table in (t.deliveries, t.steps, t.attempts)]
    return bool(conn.execute(sa.select(sa.or_(*used))).scalar_one())


def delete_endpoint(conn: Connection, endpoint_id: str) -> None:
    """With its subscriptions."""
    conn.execute(sa.delete(t.subscriptions).where(t.subscriptions.c.endpoint_id == endpoint_id))
    conn.execute(sa.delete(t.endpoints).where(t.endpoints.c.id == endpoint_id))
