"""How often each caller asked about each holder, and was refused: what was counted before counts as asked once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subject_queries", sa.Column("questions", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_subject_queries_subject_index_bucket", "subject_queries", ["subject_index", "bucket"])
    op.create_table(
        "refused_questions",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "minute", name="pk_refused_questions"),
    )
    op.create_index("ix_refused_questions_minute", "refused_questions", ["minute"])
    op.add_column("data_uses", sa.Column("times", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("data_uses", "times")
    op.drop_table("refused_questions")
    op.drop_index("ix_subject_queries_subject_index_bucket", "subject_queries")
    op.drop_column("subject_queries", "questions")
