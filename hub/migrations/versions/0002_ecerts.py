"""E-certificates: the item catalogue, extension notices, authorizations, consents, uses, and the enumeration detector."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogue",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", "version", name="pk_catalogue"),
    )
    op.create_table(
        "extension_notices",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(100), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_extension_notices"),
    )
    op.create_table(
        "authorizations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("locator_hash", sa.String(64), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("issued_by", sa.String(64), nullable=False),
        sa.Column("holder_index", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("use_s", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.Column("redeemed_by", sa.String(64), nullable=True),
        sa.Column("redeemed_as", sa.String(64), nullable=True),
        sa.Column("use_until", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=False),
        sa.Column("holder_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authorizations"),
        sa.UniqueConstraint("locator_hash", name="uq_authorizations_locator_hash"),
        sa.ForeignKeyConstraint(["issued_by"], ["systems.id"], name="fk_authorizations_issued_by"),
    )
    op.create_index("ix_authorizations_holder_index", "authorizations", ["holder_index"])
    op.create_index("ix_authorizations_purge_at", "authorizations", ["purge_at"])
    op.create_table(
        "consents",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("registered_by", sa.String(64), nullable=False),
        sa.Column("holder_index", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(100), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.ForeignKeyConstraint(["registered_by"], ["systems.id"], name="fk_consents_registered_by"),
    )
    op.create_index("ix_consents_holder_index", "consents", ["holder_index"])
    op.create_index("uq_consents_registered_by_reference", "consents", ["registered_by", "reference"], unique=True)
    op.create_table(
        "data_uses",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("holder_index", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("basis", sa.String(16), nullable=False),
        sa.Column("basis_reference", sa.String(200), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("item_code", sa.String(40), nullable=True),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("ecert_type", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_data_uses"),
    )
    op.create_index("ix_data_uses_holder_index_id", "data_uses", ["holder_index", "id"])
    op.create_table(
        "subject_queries",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("subject_index", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "bucket", "subject_index", name="pk_subject_queries"),
    )
    op.create_index("ix_subject_queries_bucket", "subject_queries", ["bucket"])
