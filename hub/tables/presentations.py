"""Codes that the provincial library issued and a holder showed (hub.ecerts.presentations), and wrong codes of both kinds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from hub.tables.base import UtcTime, metadata

presentations = Table(  # the shown code itself stands nowhere, only a keyed hash of it
    "presentations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("message_hash", String(64), nullable=False),  # keyed, because the message holds the code
    Column("code_hash", String(64), nullable=False, unique=True),
    Column("kind", String(24), nullable=False),  # authorization-code | ecert
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("holder_index", String(64), nullable=False, index=True),
    Column("scope", Text, nullable=False),  # JSON, as of an authorization
    Column("case_reference", String(64), nullable=False),
    Column("state", String(24), nullable=False),  # hub.ecerts.presentations.model.State
    Column("reason", String(100)),
    Column("begun_at", UtcTime, nullable=False),
    Column("owner", String(64), nullable=False),  # token of the run that begins it at the library
    Column("owned_until", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),  # the holder must have agreed by then
    Column("use_s", Integer, nullable=False),
    Column("checked_at", UtcTime),  # when the library was last asked
    Column("use_until", UtcTime),
    Column("used_at", UtcTime),
    Column("used_as", String(64)),  # the message of the evidence request that took it
    Column("revoked_at", UtcTime),
    Column("purge_at", UtcTime, nullable=False, index=True),
    Column("holder_sealed", LargeBinary, nullable=False),
    Column("reference_sealed", LargeBinary),  # the library's own name of the transaction
    UniqueConstraint("system_id", "message_id", name="uq_presentations_system_id_message_id"),
    Index(
        "ix_presentations_beginning",
        "owned_until",
        postgresql_where=text("state = 'beginning'"),
        sqlite_where=text("state = 'beginning'"),
    ),
)

wrong_codes = Table(  # how many codes that do not exist each caller tried lately, the hub's and the library's
    "wrong_codes",
    metadata,
    Column("system_id", String(64), primary_key=True),
    Column("bucket", BigInteger, primary_key=True),  # sixths of the window since 1970
    Column("codes", Integer, nullable=False),
    Index("ix_wrong_codes_bucket", "bucket"),
)

guessing_callers = Table(  # who tried too many of them, as the console and the metrics tell it
    "guessing_callers",
    metadata,
    Column("system_id", String(64), primary_key=True),
    Column("codes", Integer, nullable=False),  # that nobody has, since it began
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),  # its codes are not looked at before
)
