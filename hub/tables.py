"""Every table of the hub, in one place. A migration in ``hub/migrations`` makes each change; a test compares the two.

Times are stored as whole microseconds since 1970 UTC, so that both databases compare and index them alike.
``*_sealed`` columns hold ciphertext (see :mod:`hub.vault`); no other column may hold personal data.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def to_micros(value: datetime) -> int:
    """An aware datetime as it is stored."""
    return (value - _EPOCH) // _MICRO


class UtcTime(TypeDecorator[datetime]):
    """Aware datetimes, stored as microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# --- who is connected (hub.access) --------------------------------------------------------------------------------------

systems = Table(
    "systems",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("created_at", UtcTime, nullable=False),
)

system_keys = Table(
    "system_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # tls | http | wsse
    Column("key_id", String(200), nullable=False),  # keyid of RFC 9421; SHA-256 fingerprint of a certificate
    Column("material", LargeBinary, nullable=False),  # DER: SubjectPublicKeyInfo (http) or certificate (tls, wsse)
    Column("allow_sha1", Boolean, nullable=False, default=False),  # a legacy partner's stack, an administrator's choice
    Column("not_before", UtcTime),
    Column("not_after", UtcTime),
    Column("added_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Index("uq_system_keys_kind_key_id", "kind", "key_id", unique=True),
)

rights = Table(
    "rights",
    metadata,
    Column("system_id", ForeignKey("systems.id"), primary_key=True),
    Column("service", String(64), primary_key=True),  # transfer.submit, transfer.decide, verification, evidence …
    Column("region", String(6), primary_key=True),  # covers the regions below it
    Column("granted_at", UtcTime, nullable=False),
    Column("granted_by", String(64), nullable=False),
)

nonces = Table(
    "nonces",
    metadata,
    Column("digest", String(64), primary_key=True),  # of (key, nonce) or of the signature value
    Column("expires_at", UtcTime, nullable=False, index=True),
)

# --- where we deliver to ------------------------------------------------------------------------------------------------

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),  # whose installation: the party that may decide
    Column("adapter", String(64), nullable=False),
    Column("service", String(32), nullable=False),  # registry | ecert-library | identity | events
    Column("region", String(6), nullable=False),
    Column("base_url", String(500), nullable=False),
    Column("settings", Text, nullable=False, default="{}"),  # JSON object of texts
    Column("secrets_sealed", LargeBinary),
    Column("max_concurrency", Integer, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("service_hours", String(32)),  # 07:30-20:00 Asia/Shanghai; none = always
    Column("created_at", UtcTime, nullable=False),
    Column("paused_at", UtcTime),  # by an operator, or by PeerMisconfigured
    Column("paused_reason", String(200)),
    # the breaker, shared by every node: closed (failures counted) → open until open_at → one probe → closed
    Column("breaker", String(16), nullable=False, default="closed"),  # closed | open | half-open
    Column("failures", Integer, nullable=False, default=0),  # consecutive
    Column(
        "open_at", UtcTime, nullable=False, default=_EPOCH
    ),  # nothing is claimed before: breaker, hours, Retry-After
    Column("ill_since", UtcTime),
    Column("last_ok_at", UtcTime),
    Column("last_error_at", UtcTime),
    Column("last_error", String(200)),
    Column("tls_not_after", UtcTime),  # expiry of the peer's certificate as the last probe saw it
    Index("ix_endpoints_service_region", "service", "region"),
)

# --- cases --------------------------------------------------------------------------------------------------------------

messages = Table(  # what was acknowledged: the same message again gets the same answer
    "messages",
    metadata,
    Column("system_id", ForeignKey("systems.id"), primary_key=True),
    Column("message_id", String(64), primary_key=True),
    Column("operation", String(32), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the canonical form
    Column("case_id", String(64), nullable=False),
    Column("answer", Text, nullable=False),  # JSON
    Column("received_at", UtcTime, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("flow", String(64), nullable=False),  # id@version
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("subject_index", String(64), nullable=False),  # keyed hash of the subject's number
    Column("open_subject", String(64)),  # the same while the case is open, else none: one open transfer each
    Column("releasing_region", String(6), nullable=False),
    Column("receiving_region", String(6), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("near_at", UtcTime, nullable=False),
    Column("limit_at", UtcTime, nullable=False),
    Column("limit_provisional", Boolean, nullable=False),
    Column("near_flagged", Boolean, nullable=False, default=False),
    Column("past_flagged", Boolean, nullable=False, default=False),
    Column("closed_at", UtcTime),
    Column("outcome_reason", String(500)),
    Column("payload_sealed", LargeBinary, nullable=False),  # the TransferRequest
    Index("uq_cases_open_subject", "open_subject", unique=True),
    Index(
        "ix_cases_state_near_at",
        "near_at",
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index("ix_cases_system_id_id", "system_id", "id"),
    Index("ix_cases_subject_index", "subject_index"),
)

steps = Table(
    "steps",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("group_no", Integer, nullable=False),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcTime),
    Column("limit_at", UtcTime),
    Column("near_flagged", Boolean, nullable=False, default=False),
    Column("past_flagged", Boolean, nullable=False, default=False),
    Column("decided_at", UtcTime),
    Column("decided_by", String(100)),
    Column("reason", String(500)),
)

evidence = Table(
    "evidence",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("requirement", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(100)),  # a stable word
    Column("report", Text),  # JSON of the verification report
    Column("content_sha256", String(64)),
    Column("media_type", String(64)),
    Column("content_sealed", LargeBinary),  # the document, or the record as JSON
    Column("summary_sealed", LargeBinary),  # what the parties of the case see of it, as JSON
    Column("updated_at", UtcTime, nullable=False),
)

events = Table(  # what happened to a case, for its history and for subscribers; holds no personal data
    "events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("case_id", String(64), nullable=False, index=True),
    Column("type", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("data", Text, nullable=False),  # JSON object of texts
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("event_type", String(64), nullable=False),  # exact, or a prefix that ends in .*
    Column("region", String(6), nullable=False),  # covers the regions below it
    Column("source_only", Boolean, nullable=False),  # only cases whose source is the endpoint's system (callback)
)

# --- deliveries ---------------------------------------------------------------------------------------------------------

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),
    Column("case_id", String(64), nullable=False, index=True),
    Column("kind", String(32), nullable=False),  # which adapter method, and who hears of the outcome
    Column("subject", String(64), nullable=False),  # the step's or the requirement's name, or the event's id
    Column("idempotency_key", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),  # no attempt begins after it: suspended instead
    Column("lease_until", UtcTime),
    Column("lease_token", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("forgiven", Integer, nullable=False, default=0),  # attempts before the last replay: not counted for the limit
    Column("in_doubt", Boolean, nullable=False, default=False),  # an earlier attempt's outcome is unknown: ask first
    Column("last_error", String(200)),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("body_sealed", LargeBinary, nullable=False),
    # the two hot paths: what is due, and what is leased (see docs/decisions/0005-claiming.md)
    Index(
        "ix_deliveries_due", "endpoint_id", "due_at", "id",
        postgresql_where=text("state = 'queued'"), sqlite_where=text("state = 'queued'"),
    ),
    Index(
        "ix_deliveries_leased", "endpoint_id", "lease_until",
        postgresql_where=text("state = 'attempting'"), sqlite_where=text("state = 'attempting'"),
    ),
    Index(
        "ix_deliveries_suspended", "endpoint_id", "id",
        postgresql_where=text("state = 'suspended'"), sqlite_where=text("state = 'suspended'"),
    ),
)  # fmt: skip

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("endpoint_id", String(64), nullable=False),
    Column("node", String(64), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("outcome", String(32)),  # delivered, refused, retry-later, outcome-unknown, misconfigured, lease-lost, bug
    Column("code", String(100)),
    Index("ix_attempts_endpoint_id_started_at", "endpoint_id", "started_at"),
)

# --- audit --------------------------------------------------------------------------------------------------------------

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(100), nullable=False),  # system:…, operator:…, node:…
    Column("action", String(64), nullable=False),
    Column("object", String(100), nullable=False),  # an id, searchable in the console
    Column("outcome", String(64), nullable=False),
    Column("detail", Text, nullable=False),  # JSON object of texts, no personal data
    Column("row_mac", String(64), nullable=False),  # over what this row says
    Column("mac", String(64), nullable=False),  # over the mac of the row before, seq and row_mac
    Index("ix_audit_object", "object"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("seq", BigInteger, nullable=False),
    Column("mac", String(64), nullable=False),
)

# --- operators ----------------------------------------------------------------------------------------------------------

operators = Table(
    "operators",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("role", String(32), nullable=False),  # system-administrator | security-administrator | audit-administrator
    Column("password_hash", String(300)),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled_at", UtcTime),
)

login_links = Table(
    "login_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("operator_id", ForeignKey("operators.id"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

# --- e-certificates (hub.ecerts) ----------------------------------------------------------------------------------------

catalogue = Table(  # items, implementations, handling rules and sources: one row for each version of each
    "catalogue",
    metadata,
    Column("kind", String(16), primary_key=True),  # item | implementation | rule | source
    Column("key", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("effective_from", String(10), nullable=False),  # a day in Asia/Shanghai, ISO 8601
    Column("digest", String(64), nullable=False),
    Column("definition", Text, nullable=False),  # JSON
    Column("imported_at", UtcTime, nullable=False),
    Column("imported_by", String(100), nullable=False),
)

extension_notices = Table(  # a class of e-certificates deemed valid until a day although they ran out
    "extension_notices",
    metadata,
    Column("id", String(64), primary_key=True),  # the notice's own number
    Column("definition", Text, nullable=False),  # JSON
    Column("added_at", UtcTime, nullable=False),
    Column("added_by", String(100), nullable=False),
    Column("withdrawn_at", UtcTime),
)

authorizations = Table(  # codes that a holder shows; the code itself stands nowhere, only keyed hashes of it
    "authorizations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("locator_hash", String(64), nullable=False, unique=True),
    Column("code_hash", String(64), nullable=False),
    Column("issued_by", ForeignKey("systems.id"), nullable=False),
    Column("holder_index", String(64), nullable=False, index=True),  # keyed hash of the holder's type and number
    Column("scope", Text, nullable=False),  # JSON: e-certificate types, purpose, item, region, audience
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),  # of the code
    Column("use_s", Integer, nullable=False),  # how long a redeemed authorization may be used
    Column("attempts", Integer, nullable=False, default=0),  # failed ones
    Column("redeemed_at", UtcTime),
    Column("redeemed_by", String(64)),
    Column("redeemed_as", String(64)),  # the message id: the same message again gets the same answer
    Column("use_until", UtcTime),
    Column("revoked_at", UtcTime),
    Column("purge_at", UtcTime, nullable=False, index=True),
    Column("holder_sealed", LargeBinary, nullable=False),
)

consents = Table(  # standing consents
    "consents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("registered_by", ForeignKey("systems.id"), nullable=False),
    Column("holder_index", String(64), nullable=False, index=True),
    Column("scope", Text, nullable=False),  # JSON, as of an authorization
    Column("reference", String(100), nullable=False),  # where the registering system keeps the consent itself
    Column("given_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Index("uq_consents_registered_by_reference", "registered_by", "reference", unique=True),
)

data_uses = Table(  # what a holder's data was used for, as the holder may see it
    "data_uses",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("holder_index", String(64), nullable=False),
    Column("system_id", String(64), nullable=False),
    Column("basis", String(16), nullable=False),  # authorization | consent | law
    Column("basis_reference", String(200), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("item_code", String(40)),
    Column("purpose", String(100), nullable=False),
    Column("ecert_type", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("digest", String(64)),  # of what was handed out
    Index("ix_data_uses_holder_index_id", "holder_index", "id"),
)

subject_queries = Table(  # whose data each caller asked for lately: the enumeration detector's memory
    "subject_queries",
    metadata,
    Column("system_id", String(64), primary_key=True),
    Column("bucket", BigInteger, primary_key=True),  # whole windows since 1970
    Column("subject_index", String(64), primary_key=True),
    Index("ix_subject_queries_bucket", "bucket"),
)

# --- the evidence service (hub.ecerts.evidence) -------------------------------------------------------------------------

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

# --- collecting (hub.ecerts.collect) ------------------------------------------------------------------------------------

collect_batches = Table(  # what an issuing system handed in, one certificate or a file of many
    "collect_batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("region", String(6), nullable=False),
    Column("endpoint_id", ForeignKey("endpoints.id"), nullable=False),  # the library
    Column("form", String(8), nullable=False),  # one, csv, xlsx, zip
    Column("node", String(64), nullable=False),  # in whose state folder the file lies until it is checked
    Column("state", String(16), nullable=False),  # checking, delivering, done, unreadable
    Column("reason", String(64)),
    Column("rows_read", Integer, nullable=False),
    Column("next_row", Integer, nullable=False),  # the file is checked up to here: where a restart goes on
    Column("received_at", UtcTime, nullable=False),
    Column("checked_at", UtcTime),
    Column("finished_at", UtcTime),
    UniqueConstraint("system_id", "message_id"),
    Index(
        "ix_collect_batches_open", "state",
        postgresql_where=text("state in ('checking', 'delivering')"), sqlite_where=text("state in ('checking', 'delivering')"),
    ),
)  # fmt: skip

collect_rows = Table(
    "collect_rows",
    metadata,
    Column("batch_id", ForeignKey("collect_batches.id"), primary_key=True),
    Column("row", Integer, primary_key=True),  # as a spreadsheet shows it; 1 for a certificate handed in by itself
    Column("state", String(16), nullable=False),  # faulty, waiting, sending, delivered, refused, suspended
    Column("endpoint_id", String(64), nullable=False),
    Column("identifier_index", String(64)),  # keyed hash; none where it could not be told
    Column("delivery_key", String(64), index=True),  # of the delivery that carries it
    Column("code", String(100)),  # why it was refused
    Column("faults", Text),  # JSON: column, rule, blocking; never a value
    Column("record_sealed", LargeBinary, nullable=False),  # raw values and the file
    Index(
        "ix_collect_rows_waiting", "endpoint_id", "batch_id", "row",
        postgresql_where=text("state = 'waiting'"), sqlite_where=text("state = 'waiting'"),
    ),
    Index("ix_collect_rows_batch_state", "batch_id", "state"),
    Index("ix_collect_rows_identifier", "identifier_index", "batch_id"),
)  # fmt: skip

collected = Table(  # what the library must hold by our account: the last delivered row of each certificate
    "collected",
    metadata,
    Column("endpoint_id", ForeignKey("endpoints.id"), primary_key=True),
    Column("identifier_index", String(64), primary_key=True),
    Column("type_code", String(32), nullable=False),
    Column("bucket", String(2), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("standing", String(16), nullable=False),
    Column("batch_id", String(64), nullable=False),
    Column("row", Integer, nullable=False),
    Column("delivered_at", UtcTime, nullable=False),
    Column("identifier_sealed", LargeBinary, nullable=False),
    Index("ix_collected_bucket", "endpoint_id", "type_code", "bucket"),
)
