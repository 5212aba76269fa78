"""Waiting rows by system: those behind a file that is still being checked are not looked at one by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_collect_rows_waiting_of", "collect_rows", ["endpoint_id", "system_id", "came_at", "batch_id", "row"],
        postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_collect_rows_waiting_of", "collect_rows")
