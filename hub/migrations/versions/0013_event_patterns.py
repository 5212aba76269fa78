"""Subscriptions keep the types of events without their prefix at the wire; those written with it never met an event."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

PREFIX = "cn.sd.edu.exchange."


def upgrade() -> None:
    cut, like = len(PREFIX) + 1, f"{PREFIX}%"
    op.execute(f"UPDATE subscriptions SET event_type = substr(event_type, {cut}) WHERE event_type LIKE '{like}'")  # noqa: S608


def downgrade() -> None:
    """Both ways of writing mean the same."""
