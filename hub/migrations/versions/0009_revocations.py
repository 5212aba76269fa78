"""Revocation notices, the certificates that they name, and where a request's caller wants to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revocation_notices",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=True),
        sa.Column("message_id", sa.String(64), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revocation_notices"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_revocation_notices_system_id"),
        sa.UniqueConstraint("system_id", "message_id", name="uq_revocation_notices_system_id_message_id"),
    )
    op.create_table(
        "revoked_ecerts",
        sa.Column("identifier_index", sa.String(64), nullable=False),
        sa.Column("notice_id", sa.String(64), nullable=False),
        sa.Column("forget_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("identifier_index", name="pk_revoked_ecerts"),
        sa.ForeignKeyConstraint(["notice_id"], ["revocation_notices.id"], name="fk_revoked_ecerts_notice_id"),
    )
    op.create_index("ix_revoked_ecerts_forget_at", "revoked_ecerts", ["forget_at"])
    op.add_column("evidence_requests", sa.Column("callback", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("evidence_requests", "callback")
    for table in ("revoked_ecerts", "revocation_notices"):
        op.drop_table(table)
