"""Collecting: batches, rows and our account of the library (hub.ecerts.collect)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

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
    Column("node", String(64), nullable=False),  # that took it, then that checks it
    Column("lease_until", UtcTime),  # while it is being checked; then another node goes on
    Column("lease_token", String(64)),
    Column("takeovers", Integer, nullable=False, default=0, server_default="0"),  # leases that ran out since the last step
    Column("state", String(16), nullable=False),  # checking, delivering, done, unreadable
    Column("reason", String(64)),
    Column("rows_read", Integer, nullable=False),
    Column("next_row", Integer, nullable=False),  # the file is checked up to here: where a restart goes on
    Column("percent", Integer, nullable=False, default=0),  # of the file
    Column("faults_sealed", LargeBinary),  # JSON: what is wrong with the file itself; may name its files
    Column("received_at", UtcTime, nullable=False),
    Column("checked_at", UtcTime),
    Column("finished_at", UtcTime),
    UniqueConstraint("system_id", "message_id"),
    Index(
        "ix_collect_batches_open", "state",
        postgresql_where=text("state in ('checking', 'delivering')"), sqlite_where=text("state in ('checking', 'delivering')"),
    ),
    Index(
        "ix_collect_batches_checking", "system_id", "received_at",
        postgresql_where=text("state = 'checking'"), sqlite_where=text("state = 'checking'"),
    ),
    Index("ix_collect_batches_finished_at", "finished_at"),
)  # fmt: skip

collect_files = (
    Table(  # a batch file, sealed, in parts, until it is checked; in the database, so that any node can go on with it
        "collect_files",
        metadata,
        Column("batch_id", String(64), primary_key=True),  # no foreign key: the parts are there before the batch is
        Column("part", Integer, primary_key=True),
        Column("at", UtcTime, nullable=False, index=True),
        Column("part_sealed", LargeBinary, nullable=False),
    )
)

collect_rows = Table(
    "collect_rows",
    metadata,
    Column("batch_id", ForeignKey("collect_batches.id"), primary_key=True),
    Column("row", Integer, primary_key=True),  # as a spreadsheet shows it; 1 for a certificate handed in by itself
    Column("state", String(16), nullable=False),  # faulty, pending, waiting, sending, delivered, refused, suspended
    Column("endpoint_id", String(64), nullable=False),
    Column("system_id", String(64), nullable=False),
    Column("came_at", UtcTime, nullable=False),  # its batch's received_at: the order in which rows of a certificate are delivered
    Column("due_at", UtcTime),  # of a pending row: when its document is verified again
    Column("identifier_index", String(64)),  # keyed hash; none where it could not be told
    Column("delivery_key", String(64), index=True),  # of the delivery that carries it
    Column("code", String(100)),  # why it was refused
    Column("faults", Text),  # JSON: column, rule, blocking; never a value
    Column("record_sealed", LargeBinary, nullable=False),  # raw values and the file
    Column("identifier_sealed", LargeBinary),  # by itself: it is told without opening the file
    Column("assigned", Boolean, nullable=False, default=False, server_default=false()),  # by the hub
    Index(
        "ix_collect_rows_waiting", "endpoint_id", "came_at", "batch_id", "row",
        postgresql_where=text("state = 'waiting'"), sqlite_where=text("state = 'waiting'"),
    ),
    Index(  # the oldest of each system, without those behind its unread file
        "ix_collect_rows_waiting_of", "endpoint_id", "system_id", "came_at", "batch_id", "row",
        postgresql_where=text("state = 'waiting'"), sqlite_where=text("state = 'waiting'"),
    ),
    Index(
        "ix_collect_rows_pending", "due_at",
        postgresql_where=text("state = 'pending'"), sqlite_where=text("state = 'pending'"),
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
    Column("system_id", String(64)),  # who handed it in; none for one that was taken over from the library
    Column("batch_id", String(64)),  # and where; purged after a time
    Column("row", Integer),
    Column("delivered_at", UtcTime, nullable=False),
    Column("identifier_sealed", LargeBinary, nullable=False),
    Index("ix_collected_bucket", "endpoint_id", "type_code", "bucket"),
)

reconciliations = Table(  # the last one of each library
    "reconciliations",
    metadata,
    Column("endpoint_id", ForeignKey("endpoints.id"), primary_key=True),
    Column("due_at", UtcTime, nullable=False),  # when any node begins the next
    Column("ended_at", UtcTime),
    Column("ours", Integer, nullable=False, default=0),
    Column("theirs", Integer, nullable=False, default=0),
    Column("differences", Integer, nullable=False, default=0),  # that it found
    Column("error", String(100)),  # why the last one found nothing out
)

differences = Table(  # found by the last reconciliation and not repaired since
    "differences",
    metadata,
    Column("endpoint_id", ForeignKey("endpoints.id"), primary_key=True),
    Column("identifier_index", String(64), primary_key=True),
    Column("type_code", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # missing, digest, standing, surplus
    Column("system_id", String(64)),
    Column("batch_id", String(64)),
    Column("row", Integer),
    Column("digest", String(64)),  # of the library's entry, of a surplus
    Column("standing", String(16)),
    Column("identifier_sealed", LargeBinary, nullable=False),
)
