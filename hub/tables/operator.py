"""The console's users and their sessions (hub.access.operators)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from hub.tables.base import UtcTime, metadata

operators = Table(
    "operators",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("role", String(32), nullable=False),  # system-administrator | security-administrator | audit-administrator
    Column("password_hash", String(300)),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled_at", UtcTime),
)

login_links = Table(
    "login_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
