"""Evidence: places for calls that are no deliveries, what came of each first call, what the caller cited, who is throttled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endpoint_calls",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "holder", name="pk_endpoint_calls"),
    )
    op.create_table(
        "throttled_callers",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", name="pk_throttled_callers"),
    )
    op.add_column("evidence_documents", sa.Column("called_at", sa.BigInteger(), nullable=True))
    op.add_column("evidence_documents", sa.Column("call_ended_at", sa.BigInteger(), nullable=True))
    op.add_column("evidence_documents", sa.Column("call_outcome", sa.String(32), nullable=True))
    op.create_index("ix_evidence_documents_endpoint_id_called_at", "evidence_documents", ["endpoint_id", "called_at"])
    op.add_column("data_uses", sa.Column("cited", sa.String(200), nullable=True))


def downgrade() -> None:
    op.drop_column("data_uses", "cited")
    op.drop_index("ix_evidence_documents_endpoint_id_called_at", "evidence_documents")
    for column in ("call_outcome", "call_ended_at", "called_at"):
        op.drop_column("evidence_documents", column)
    for table in ("throttled_callers", "endpoint_calls"):
        op.drop_table(table)
