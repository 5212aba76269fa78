"""Logins of holders; how a holder was identified; systems that vouch for their holders until now go on doing so, as a right.

A system that may issue authorizations said by its own word who the holder is. From here on that is the right
``authorization.vouch``, which nobody has who was not granted it: those who relied on it until today are granted it here, for
the regions of theirs, to be revoked when their portal logs people in (docs/protocol/authorizations.md).
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("nonce_hash", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("used_for", sa.String(64), nullable=True),
        sa.Column("level", sa.String(40), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
        sa.UniqueConstraint("nonce_hash", name="uq_logins_nonce_hash"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_logins_system_id"),
    )
    op.create_index("ix_logins_purge_at", "logins", ["purge_at"])
    for table in ("authorizations", "consents"):
        op.add_column(table, sa.Column("login_id", sa.String(64), nullable=True))
        op.add_column(table, sa.Column("assurance", sa.String(40), nullable=True))
    grant = sa.text(
        "INSERT INTO rights (system_id, service, region, granted_at, granted_by) "
        "SELECT system_id, 'authorization.vouch', region, :now, 'migration 0006' FROM rights "
        "WHERE service = 'authorization.issue'"
    )
    op.get_bind().execute(grant, {"now": time.time_ns() // 1_000})


def downgrade() -> None:
    op.execute("DELETE FROM rights WHERE service = 'authorization.vouch'")
    for table in ("authorizations", "consents"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("assurance")
            batch.drop_column("login_id")
    op.drop_table("logins")
