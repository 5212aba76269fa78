"""Who is connected and what they may do (hub.access)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, String, Table

from hub.tables.base import UtcTime, metadata

systems = Table(
    "systems",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("created_at", UtcTime, nullable=False),
)

system_keys = Table(
    "system_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # tls | http | wsse
    Column("key_id", String(200), nullable=False),  # keyid of RFC 9421; SHA-256 fingerprint of a certificate
    Column("material", LargeBinary, nullable=False),  # DER: SubjectPublicKeyInfo (http) or certificate (tls, wsse)
    Column("allow_sha1", Boolean, nullable=False, default=False),  # a legacy partner's stack, an administrator's choice
    Column("not_before", UtcTime),
    Column("not_after", UtcTime),
    Column("added_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Index("uq_system_keys_kind_key_id", "kind", "key_id", unique=True),
)

rights = Table(
    "rights",
    metadata,
    Column("system_id", ForeignKey("systems.id"), primary_key=True),
    Column("service", String(64), primary_key=True),  # transfer.submit, transfer.decide, verification, evidence …
    Column("region", String(6), primary_key=True),  # covers the regions below it
    Column("granted_at", UtcTime, nullable=False),
    Column("granted_by", String(64), nullable=False),
)

nonces = Table(
    "nonces",
    metadata,
    Column("digest", String(64), primary_key=True),  # of (key, nonce) or of the signature value
    Column("expires_at", UtcTime, nullable=False, index=True),
)
