"""The identifier of each collected row, sealed by itself: it is told without opening the row and its document."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collect_rows", sa.Column("identifier_sealed", sa.LargeBinary()))
    op.add_column("collect_rows", sa.Column("assigned", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("collect_rows", "assigned")
    op.drop_column("collect_rows", "identifier_sealed")
