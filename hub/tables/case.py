"""Cases, their steps, evidence and events (hub.cases)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from hub.tables.base import UtcTime, metadata

messages = Table(  # what was acknowledged: the same message again gets the same answer
    "messages",
    metadata,
    Column("system_id", ForeignKey("systems.id"), primary_key=True),
    Column("message_id", String(64), primary_key=True),
    Column("operation", String(32), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the canonical form
    Column("case_id", String(64), nullable=False),
    Column("answer", Text, nullable=False),  # JSON
    Column("received_at", UtcTime, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("flow", String(64), nullable=False),  # id@version
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("subject_index", String(64), nullable=False),  # keyed hash of the subject's number
    Column("open_subject", String(64)),  # the same while the case is open, else none: one open transfer each
    Column("releasing_region", String(6), nullable=False),
    Column("receiving_region", String(6), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("near_at", UtcTime, nullable=False),
    Column("limit_at", UtcTime, nullable=False),
    Column("limit_provisional", Boolean, nullable=False),
    Column("near_flagged", Boolean, nullable=False, default=False),
    Column("past_flagged", Boolean, nullable=False, default=False),
    Column("closed_at", UtcTime),
    Column("outcome_reason", String(500)),
    Column("payload_sealed", LargeBinary, nullable=False),  # the TransferRequest
    Index("uq_cases_open_subject", "open_subject", unique=True),
    Index(
        "ix_cases_state_near_at",
        "near_at",
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index("ix_cases_system_id_id", "system_id", "id"),
    Index("ix_cases_subject_index", "subject_index"),
)

steps = Table(
    "steps",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("group_no", Integer, nullable=False),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcTime),
    Column("limit_at", UtcTime),
    Column("near_flagged", Boolean, nullable=False, default=False),
    Column("past_flagged", Boolean, nullable=False, default=False),
    Column("decided_at", UtcTime),
    Column("decided_by", String(100)),
    Column("reason", String(500)),
    Column("ask_at", UtcTime),  # when its party is asked what became of it; none: it cannot be asked
    Index("ix_steps_ask_at", "ask_at", postgresql_where=text("state = 'open'"), sqlite_where=text("state = 'open'")),
)

evidence = Table(
    "evidence",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("requirement", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(100)),  # a stable word
    Column("report", Text),  # JSON of the verification report
    Column("content_sha256", String(64)),
    Column("media_type", String(64)),
    Column("content_sealed", LargeBinary),  # the document, or the record as JSON
    Column("summary_sealed", LargeBinary),  # what the parties of the case see of it, as JSON
    Column("identifier_index", String(64), index=True),  # keyed hash, for revocation notices
    Column("updated_at", UtcTime, nullable=False),
)

events = Table(  # what happened to a case, for its history and for subscribers; holds no personal data
    "events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("case_id", String(64), nullable=False, index=True),
    Column("type", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("data", Text, nullable=False),  # JSON object of texts
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("event_type", String(64), nullable=False),  # exact, or a prefix that ends in .*
    Column("region", String(6), nullable=False),  # covers the regions below it
    Column("source_only", Boolean, nullable=False),  # only cases whose source is the endpoint's system (callback)
)
