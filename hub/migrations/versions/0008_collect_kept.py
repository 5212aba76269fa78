"""Collecting: files in the database, leases on them, documents looked at again, the order of rows, differences kept.

Files that a node holds in its state folder are not taken over: let batches be checked before the upgrade, or have them handed in
again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("collect_batches") as batch:
        batch.add_column(sa.Column("lease_until", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("lease_token", sa.String(64), nullable=True))
        batch.add_column(sa.Column("percent", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("faults_sealed", sa.LargeBinary(), nullable=True))
    op.create_index("ix_collect_batches_finished_at", "collect_batches", ["finished_at"])
    _partial("ix_collect_batches_checking", "collect_batches", ["system_id", "received_at"], "state = 'checking'")
    op.create_table(
        "collect_files",
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("part_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "part", name="pk_collect_files"),
    )
    op.create_index("ix_collect_files_at", "collect_files", ["at"])

    op.drop_index("ix_collect_rows_waiting", "collect_rows")
    for name, type_ in (("system_id", sa.String(64)), ("came_at", sa.BigInteger()), ("due_at", sa.BigInteger())):
        op.add_column("collect_rows", sa.Column(name, type_, nullable=True))
    for name, source in (("system_id", "system_id"), ("came_at", "received_at")):
        op.execute(
            f"UPDATE collect_rows SET {name} = (SELECT b.{source} FROM collect_batches b WHERE b.id = collect_rows.batch_id)"  # noqa: S608
        )
    with op.batch_alter_table("collect_rows") as batch:
        batch.alter_column("system_id", existing_type=sa.String(64), nullable=False)
        batch.alter_column("came_at", existing_type=sa.BigInteger(), nullable=False)
    _partial(
        "ix_collect_rows_waiting", "collect_rows", ["endpoint_id", "came_at", "batch_id", "row"], "state = 'waiting'"
    )
    _partial("ix_collect_rows_pending", "collect_rows", ["due_at"], "state = 'pending'")

    op.add_column("collected", sa.Column("system_id", sa.String(64), nullable=True))
    op.execute(
        "UPDATE collected SET system_id = (SELECT b.system_id FROM collect_batches b WHERE b.id = collected.batch_id)"
    )
    with op.batch_alter_table("collected") as batch:
        batch.alter_column("batch_id", existing_type=sa.String(64), nullable=True)
        batch.alter_column("row", existing_type=sa.Integer(), nullable=True)
    op.create_table(
        "reconciliations",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ours", sa.Integer(), nullable=False),
        sa.Column("theirs", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(100), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_id", name="pk_reconciliations"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_reconciliations_endpoint_id"),
    )
    op.create_table(
        "differences",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("identifier_index", sa.String(64), nullable=False),
        sa.Column("type_code", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=True),
        sa.Column("batch_id", sa.String(64), nullable=True),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("standing", sa.String(16), nullable=True),
        sa.Column("identifier_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "identifier_index", name="pk_differences"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_differences_endpoint_id"),
    )


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    for table in ("differences", "reconciliations", "collect_files"):
        op.drop_table(table)
    op.drop_column("collected", "system_id")
    for index in ("ix_collect_rows_pending", "ix_collect_rows_waiting"):
        op.drop_index(index, "collect_rows")
    for column in ("due_at", "came_at", "system_id"):
        op.drop_column("collect_rows", column)
    _partial("ix_collect_rows_waiting", "collect_rows", ["endpoint_id", "batch_id", "row"], "state = 'waiting'")
    for index in ("ix_collect_batches_checking", "ix_collect_batches_finished_at"):
        op.drop_index(index, "collect_batches")
    for column in ("faults_sealed", "percent", "lease_token", "lease_until"):
        op.drop_column("collect_batches", column)
