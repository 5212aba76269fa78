"""The evidence service: requests, documents, what is kept (hub.ecerts.evidence)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from hub.tables.base import UtcTime, metadata

system_purposes = Table(  # what each caller may ask evidence for; data/evidence.toml says which fields that opens
    "system_purposes",
    metadata,
    Column("system_id", ForeignKey("systems.id"), primary_key=True),
    Column("purpose", String(40), primary_key=True),
    Column("granted_at", UtcTime, nullable=False),
    Column("granted_by", String(100), nullable=False),
)

evidence_requests = Table(
    "evidence_requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("digest", String(64), nullable=False),  # of the message: another one under its id is a conflict
    Column("subject_index", String(64), nullable=False),
    Column("item_code", String(40), nullable=False),
    Column("region", String(6), nullable=False),
    Column("case_reference", String(64), nullable=False),  # the caller's
    Column("purpose", String(40), nullable=False),
    Column("callback", String(64)),  # the caller's events endpoint that the message named
    Column("state", String(16), nullable=False),  # open | pending | answered
    Column("asked_at", UtcTime, nullable=False),
    Column("owned_until", UtcTime, nullable=False),  # while open: until then its fetches are under way in one process
    Column("owner", String(64), nullable=False),  # the token of that run: only it may record what came of it
    Column("answered_at", UtcTime),
    Column("answer_digest", String(64)),  # of what was handed out last
    Column("predicate", Text),
    Column("purge_at", UtcTime, nullable=False, index=True),  # then everything sealed of it is dropped
    Column("grounds", Text, nullable=False),  # JSON by role: consent, authorization or clause, and the types it covers
    Column("request_sealed", LargeBinary),
    Column("item_version", Integer),  # the definition that it was asked under; a version in effect never changes
    UniqueConstraint("system_id", "message_id"),
    Index("ix_evidence_requests_subject_index_asked_at", "subject_index", "asked_at"),
    Index("ix_evidence_requests_system_id_asked_at", "system_id", "asked_at"),
    Index(
        "ix_evidence_requests_open", "owned_until",
        postgresql_where=text("state = 'open'"), sqlite_where=text("state = 'open'"),
    ),
)  # fmt: skip

evidence_documents = Table(
    "evidence_documents",
    metadata,
    Column("request_id", ForeignKey("evidence_requests.id"), primary_key=True),
    Column("document", String(64), primary_key=True),  # type, or type@role
    Column("standing", String(32), nullable=False),  # hub.ecerts.solver.Standing
    Column("reason", String(100)),
    Column("notice", String(64)),
    Column("endpoint_id", String(64)),
    Column("followed_up", Boolean, nullable=False),  # a delivery goes on asking
    Column("checked_at", UtcTime),
    Column("content_sha256", String(64)),
    Column("identifier_index", String(64), index=True),  # keyed hash: who relied on this certificate
    Column("document_sealed", LargeBinary),
    Column("report", Text),
    Column("called_at", UtcTime),  # the call that no delivery made: it counts for the endpoint's health as attempts do
    Column("call_ended_at", UtcTime),
    Column("call_outcome", String(32)),  # as an attempt's
    Index("ix_evidence_documents_endpoint_id_called_at", "endpoint_id", "called_at"),
)

throttled_callers = Table(  # who asked about too many holders, as the console and the metrics tell it
    "throttled_callers",
    metadata,
    Column("system_id", String(64), primary_key=True),
    Column("subjects", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
)

kept_ecerts = Table(  # documents kept for a while by data/evidence.toml; their status is asked at each use
    "kept_ecerts",
    metadata,
    Column("holder_index", String(64), primary_key=True),
    Column("type_code", String(32), primary_key=True),
    Column("endpoint_id", String(64), primary_key=True),
    Column("identifier_index", String(64), nullable=False, index=True),
    Column("fetched_at", UtcTime, nullable=False),
    Column("keep_until", UtcTime, nullable=False, index=True),
    Column("document_sealed", LargeBinary, nullable=False),
)
