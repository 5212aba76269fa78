"""Where the hub delivers to and fetches from (hub.access.endpoints)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from hub.tables.base import EPOCH, UtcTime, metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),  # whose installation: the party that may decide
    Column("adapter", String(64), nullable=False),
    Column("service", String(32), nullable=False),  # registry | ecert-library | identity | events
    Column("region", String(6), nullable=False),
    Column("base_url", String(500), nullable=False),
    Column("settings", Text, nullable=False, default="{}"),  # JSON object of texts
    Column("secrets_sealed", LargeBinary),
    Column("max_concurrency", Integer, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("service_hours", String(32)),  # 07:30-20:00 Asia/Shanghai; none = always
    Column("created_at", UtcTime, nullable=False),
    Column("paused_at", UtcTime),  # by an operator, or by PeerMisconfigured
    Column("paused_reason", String(200)),
    # the breaker, shared by every node: closed (failures counted) → open until open_at → one probe → closed
    Column("breaker", String(16), nullable=False, default="closed"),  # closed | open | half-open
    Column("failures", Integer, nullable=False, default=0),  # consecutive
    Column("open_at", UtcTime, nullable=False, default=EPOCH),  # nothing is claimed before: breaker, hours, Retry-After
    Column("ill_since", UtcTime),
    Column("last_ok_at", UtcTime),
    Column("last_error_at", UtcTime),
    Column("last_error", String(200)),
    Column("misconfigured_at", UtcTime),  # since when the last error says that somebody must mend a setting
    Column("tls_not_after", UtcTime),  # expiry of the peer's certificate as the last probe saw it
    Index("ix_endpoints_service_region", "service", "region"),
)
