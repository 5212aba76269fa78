"""Collecting: batches, rows and our account of the library (hub.ecerts.collect)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint, text

from hub.tables.base import UtcTime, metadata

collect_batches = Table(  # what an issuing system handed in, one certificate or a file of many
    "collect_batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("region", String(6), nullable=False),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),  # the library
    Column("form", String(8), nullable=False),  # one, csv, xlsx, zip
    Column("node", String(64), nullable=False),  # in whose state folder the file lies until it is checked
    Column("state", String(16), nullable=False),  # checking, delivering, done, unreadable
    Column("reason", String(64)),
    Column("rows_read", Integer, nullable=False),
    Column("next_row", Integer, nullable=False),  # the file is checked up to here: where a restart goes on
    Column("received_at", UtcTime, nullable=False),
    Column("checked_at", UtcTime),
    Column("finished_at", UtcTime),
    UniqueConstraint("system_id", "message_id"),
    Index(
        "ix_collect_batches_open", "state",
        postgresql_where=text("state in ('checking', 'delivering')"), sqlite_where=text("state in ('checking', 'delivering')"),
    ),
)  # fmt: skip

collect_rows = Table(
    "collect_rows",
    metadata,
    Column("batch_id", ForeignKey("collect_batches.id"), primary_key=True),
    Column("row", Integer, primary_key=True),  # as a spreadsheet shows it; 1 for a certificate handed in by itself
    Column("state", String(16), nullable=False),  # faulty, waiting, sending, delivered, refused, suspended
    Column("endpoint_id", String(64), nullable=False),
    Column("identifier_index", String(64)),  # keyed hash; none where it could not be told
    Column("delivery_key", String(64), index=True),  # of the delivery that carries it
    Column("code", String(100)),  # why it was refused
    Column("faults", Text),  # JSON: column, rule, blocking; never a value
    Column("record_sealed", LargeBinary, nullable=False),  # raw values and the file
    Index(
        "ix_collect_rows_waiting", "endpoint_id", "batch_id", "row",
        postgresql_where=text("state = 'waiting'"), sqlite_where=text("state = 'waiting'"),
    ),
    Index("ix_collect_rows_batch_state", "batch_id", "state"),
    Index("ix_collect_rows_identifier", "identifier_index", "batch_id"),
)  # fmt: skip

collected = Table(  # what the library must hold by our account: the last delivered row of each certificate
    "collected",
    metadata,
    Column("endpoint_id", ForeignKey("endpoints.id"), primary_key=True),
    Column("identifier_index", String(64), primary_key=True),
    Column("type_code", String(32), nullable=False),
    Column("bucket", String(2), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("standing", String(16), nullable=False),
    Column("batch_id", String(64), nullable=False),
    Column("row", Integer, nullable=False),
    Column("delivered_at", UtcTime, nullable=False),
    Column("identifier_sealed", LargeBinary, nullable=False),
    Index("ix_collected_bucket", "endpoint_id", "type_code", "bucket"),
)
