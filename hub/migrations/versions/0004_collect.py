"""Collecting: batches, their rows, and what the library must hold by our account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collect_batches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("form", sa.String(8), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("next_row", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_collect_batches"),
        sa.UniqueConstraint("system_id", "message_id", name="uq_collect_batches_system_id_message_id"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_collect_batches_system_id"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_collect_batches_endpoint_id"),
    )
    op.create_index(
        "ix_collect_batches_open",
        "collect_batches",
        ["state"],
        postgresql_where=sa.text("state in ('checking', 'delivering')"),
        sqlite_where=sa.text("state in ('checking', 'delivering')"),
    )
    op.create_table(
        "collect_rows",
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("identifier_index", sa.String(64), nullable=True),
        sa.Column("delivery_key", sa.String(64), nullable=True),
        sa.Column("code", sa.String(100), nullable=True),
        sa.Column("faults", sa.Text(), nullable=True),
        sa.Column("record_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "row", name="pk_collect_rows"),
        sa.ForeignKeyConstraint(["batch_id"], ["collect_batches.id"], name="fk_collect_rows_batch_id"),
    )
    op.create_index("ix_collect_rows_delivery_key", "collect_rows", ["delivery_key"])
    op.create_index(
        "ix_collect_rows_waiting",
        "collect_rows",
        ["endpoint_id", "batch_id", "row"],
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_collect_rows_batch_state", "collect_rows", ["batch_id", "state"])
    op.create_index("ix_collect_rows_identifier", "collect_rows", ["identifier_index", "batch_id"])
    op.create_table(
        "collected",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("identifier_index", sa.String(64), nullable=False),
        sa.Column("type_code", sa.String(32), nullable=False),
        sa.Column("bucket", sa.String(2), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=False),
        sa.Column("identifier_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "identifier_index", name="pk_collected"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_collected_endpoint_id"),
    )
    op.create_index("ix_collected_bucket", "collected", ["endpoint_id", "type_code", "bucket"])


def downgrade() -> None:
    for table in ("collected", "collect_rows", "collect_batches"):
        op.drop_table(table)
