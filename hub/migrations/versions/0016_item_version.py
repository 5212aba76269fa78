"""Under which version of its item evidence was asked for: rows written before this have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evidence_requests", sa.Column("item_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("evidence_requests", "item_version")
