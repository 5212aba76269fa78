"""Revocation notices, and the certificates that hold no longer (hub.ecerts.revocations)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text, UniqueConstraint

from hub.tables.base import UtcTime, metadata

revocation_notices = Table(
    "revocation_notices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id")),  # none: an operator's
    Column("message_id", String(64)),
    Column("digest", String(64), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("source", String(100), nullable=False),
    Column("revoked_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("answer", Text, nullable=False),  # JSON: numbers only
    UniqueConstraint("system_id", "message_id", name="uq_revocation_notices_system_id_message_id"),
)

revoked_ecerts = Table(  # remembered, whether the hub had met them or not: a source may lag behind
    "revoked_ecerts",
    metadata,
    Column("identifier_index", String(64), primary_key=True),  # keyed hash
    Column("notice_id", ForeignKey("revocation_notices.id"), nullable=False),
    Column("forget_at", UtcTime, nullable=False, index=True),
)
