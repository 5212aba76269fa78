"""The evidence service: requests, their documents, documents kept for a while, and the purposes that callers are registered for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "system_purposes",
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("granted_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("system_id", "purpose", name="pk_system_purposes"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_system_purposes_system_id"),
    )
    op.create_table(
        "evidence_requests",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("system_id", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("subject_index", sa.String(64), nullable=False),
        sa.Column("item_code", sa.String(40), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("case_reference", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("owned_until", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answer_digest", sa.String(64), nullable=True),
        sa.Column("predicate", sa.Text(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=False),
        sa.Column("grounds", sa.Text(), nullable=False),
        sa.Column("request_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_evidence_requests"),
        sa.UniqueConstraint("system_id", "message_id", name="uq_evidence_requests_system_id_message_id"),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name="fk_evidence_requests_system_id"),
    )
    op.create_index("ix_evidence_requests_subject_index_asked_at", "evidence_requests", ["subject_index", "asked_at"])
    op.create_index("ix_evidence_requests_system_id_asked_at", "evidence_requests", ["system_id", "asked_at"])
    op.create_index("ix_evidence_requests_purge_at", "evidence_requests", ["purge_at"])
    op.create_index(
        "ix_evidence_requests_open",
        "evidence_requests",
        ["owned_until"],
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "evidence_documents",
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("document", sa.String(64), nullable=False),
        sa.Column("standing", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(100), nullable=True),
        sa.Column("notice", sa.String(64), nullable=True),
        sa.Column("endpoint_id", sa.String(64), nullable=True),
        sa.Column("followed_up", sa.Boolean(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("content_sha256", sa.String(64), nullable=True),
        sa.Column("identifier_index", sa.String(64), nullable=True),
        sa.Column("document_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "document", name="pk_evidence_documents"),
        sa.ForeignKeyConstraint(["request_id"], ["evidence_requests.id"], name="fk_evidence_documents_request_id"),
    )
    op.create_index("ix_evidence_documents_identifier_index", "evidence_documents", ["identifier_index"])
    op.create_table(
        "kept_ecerts",
        sa.Column("holder_index", sa.String(64), nullable=False),
        sa.Column("type_code", sa.String(32), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("identifier_index", sa.String(64), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("keep_until", sa.BigInteger(), nullable=False),
        sa.Column("document_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("holder_index", "type_code", "endpoint_id", name="pk_kept_ecerts"),
    )
    op.create_index("ix_kept_ecerts_identifier_index", "kept_ecerts", ["identifier_index"])
    op.create_index("ix_kept_ecerts_keep_until", "kept_ecerts", ["keep_until"])
