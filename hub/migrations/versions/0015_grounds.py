"""For which child a guardian agrees, and what was handed out of a holder's data; rows written before this name nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = (
    ("authorizations", "on_behalf_index", sa.String(64)),
    ("consents", "on_behalf_index", sa.String(64)),
    ("data_uses", "form", sa.String(16)),
    ("data_uses", "fields", sa.Text()),
    ("data_uses", "on_behalf_sealed", sa.LargeBinary()),
)


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)
