"""Which ended deliveries still carry a body, for the chore that empties them in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    carried = sa.text("length(body_sealed) > 0 AND finished_at IS NOT NULL")
    op.create_index("ix_deliveries_body", "deliveries", ["finished_at"], postgresql_where=carried, sqlite_where=carried)


def downgrade() -> None:
    op.drop_index("ix_deliveries_body", "deliveries")
