"""The audit chain (hub.audit)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from hub.tables.base import UtcTime, metadata

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(100), nullable=False),  # system:…, operator:…, node:…
    Column("action", String(64), nullable=False),
    Column("object", String(100), nullable=False),  # an id, searchable in the console
    Column("outcome", String(64), nullable=False),
    Column("detail", Text, nullable=False),  # JSON object of texts, no personal data
    Column("row_mac", String(64), nullable=False),  # over what this row says
    Column("mac", String(64), nullable=False),  # over the mac of the row before, seq and row_mac
    Index("ix_audit_object", "object"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("seq", BigInteger, nullable=False),
    Column("mac", String(64), nullable=False),
)
