"""When a party whose step is open is asked what became of it; open steps of before are asked soon."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("steps", sa.Column("ask_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE steps SET ask_at = opened_at WHERE state = 'open'")
    open_ = sa.text("state = 'open'")
    op.create_index("ix_steps_ask_at", "steps", ["ask_at"], postgresql_where=open_, sqlite_where=open_)


def downgrade() -> None:
    op.drop_index("ix_steps_ask_at", "steps")
    op.drop_column("steps", "ask_at")
