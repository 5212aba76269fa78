"""Which certificate a case's evidence is, by the keyed hash of its identifier: rows written before this have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evidence", sa.Column("identifier_index", sa.String(64), nullable=True))
    op.create_index("ix_evidence_identifier_index", "evidence", ["identifier_index"])


def downgrade() -> None:
    op.drop_index("ix_evidence_identifier_index", "evidence")
    op.drop_column("evidence", "identifier_index")
