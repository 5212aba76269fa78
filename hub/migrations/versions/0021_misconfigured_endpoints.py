"""Since when an endpoint's last error says that somebody must mend its settings: a probe may find that out, and pauses nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("misconfigured_at", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("endpoints", "misconfigured_at")
