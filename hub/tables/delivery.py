"""Deliveries and their attempts (hub.deliveries)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, text

from hub.tables.base import UtcTime, metadata

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("case_id", String(64), nullable=False, index=True),
    Column("kind", String(32), nullable=False),  # which adapter method, and who hears of the outcome
    Column("subject", String(64), nullable=False),  # the step's or the requirement's name, or the event's id
    Column("idempotency_key", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),  # no attempt begins after it: suspended instead
    Column("lease_until", UtcTime),
    Column("lease_token", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("forgiven", Integer, nullable=False, default=0),  # attempts before the last replay: not counted for the limit
    Column("in_doubt", Boolean, nullable=False, default=False),  # an earlier attempt's outcome is unknown: ask first
    Column("last_error", String(200)),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("body_sealed", LargeBinary, nullable=False),  # empty once it is ended and was kept long enough
    # the two hot paths: what is due, and what is leased (see docs/decisions/0005-claiming.md)
    Index(
        "ix_deliveries_due", "endpoint_id", "due_at", "id",
        postgresql_where=text("state = 'queued'"), sqlite_where=text("state = 'queued'"),
    ),
    Index(
        "ix_deliveries_leased", "endpoint_id", "lease_until",
        postgresql_where=text("state = 'attempting'"), sqlite_where=text("state = 'attempting'"),
    ),
    Index(  # what hub.keeping empties
        "ix_deliveries_body", "finished_at",
        postgresql_where=text("length(body_sealed) > 0 AND finished_at IS NOT NULL"),
        sqlite_where=text("length(body_sealed) > 0 AND finished_at IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_suspended", "endpoint_id", "id",
        postgresql_where=text("state = 'suspended'"), sqlite_where=text("state = 'suspended'"),
    ),
)  # fmt: skip

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("endpoint_id", String(64), nullable=False),
    Column("node", String(64), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("outcome", String(32)),  # delivered, refused, retry-later, outcome-unknown, misconfigured, lease-lost, bug
    Column("code", String(100)),
    Index("ix_attempts_endpoint_id_started_at", "endpoint_id", "started_at"),
)

endpoint_calls = Table(  # places that a process holds for calls that are no deliveries (hub.deliveries.places)
    "endpoint_calls",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("holder", String(64), primary_key=True),  # node and process
    Column("calls", Integer, nullable=False),  # places held
    Column("wanted", Integer, nullable=False),  # places needed: deliveries leave room
    Column("until", UtcTime, nullable=False),  # a process that died gives them back then
)
