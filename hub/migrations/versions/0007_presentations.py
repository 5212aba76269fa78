"""Presentations: codes of the provincial library that holders show, and how many wrong codes a caller tried."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "presentations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("message_hash", sa.String(64), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("holder_index", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("case_reference", sa.String(64), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(100), nullable=True),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("owned_until", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("use_s", sa.Integer(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("use_until", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("used_as", sa.String(64), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=False),
        sa.Column("holder_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("reference_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_presentations"),
        sa.UniqueConstraint("code_hash", name="uq_presentations_code_hash"),
        sa.UniqueConstraint("system_id", "message_id", name="uq_presentations_system_id_message_id"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_presentations_system_id"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_presentations_endpoint_id"),
    )
    op.create_index("ix_presentations_holder_index", "presentations", ["holder_index"])
    op.create_index("ix_presentations_purge_at", "presentations", ["purge_at"])
    op.create_index(
        "ix_presentations_beginning",
        "presentations",
        ["owned_until"],
        postgresql_where=sa.text("state = 'beginning'"),
        sqlite_where=sa.text("state = 'beginning'"),
    )
    op.create_table(
        "wrong_codes",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "bucket", name="pk_wrong_codes"),
    )
    op.create_index("ix_wrong_codes_bucket", "wrong_codes", ["bucket"])


def downgrade() -> None:
    op.drop_table("wrong_codes")
    op.drop_table("presentations")
