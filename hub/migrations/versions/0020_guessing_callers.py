"""Who tries codes that nobody has, for the console and the metrics: since when, how many, until when it is throttled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guessing_callers",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", name="pk_guessing_callers"),
    )


def downgrade() -> None:
    op.drop_table("guessing_callers")
