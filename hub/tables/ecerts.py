"""Catalogue, notices, authorizations, consents and uses (hub.ecerts)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from hub.tables.base import UtcTime, metadata

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
    Column("on_behalf_index", String(64)),  # the same of the child for whom a guardian gives it
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
    Column("login_id", String(64)),  # by which the holder was identified; none where the issuing system vouched
    Column("assurance", String(40)),  # level of that login
    Column("holder_sealed", LargeBinary, nullable=False),
)

logins = Table(  # nonces for logins at an identity service, each for one act of one system
    "logins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("nonce_hash", String(64), nullable=False, unique=True),  # keyed
    Column("system_id", ForeignKey("systems.id"), nullable=False),
    Column("endpoint_id", String(64), nullable=False),  # the identity service that the person logs in at
    Column("begun_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("used_for", String(64)),  # the id of the authorization or consent, or holder.uses
    Column("level", String(40)),  # of assurance, as the identity service names it
    Column("purge_at", UtcTime, nullable=False, index=True),
)

consents = Table(  # standing consents
    "consents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("registered_by", ForeignKey("systems.id"), nullable=False),
    Column("holder_index", String(64), nullable=False, index=True),
    Column("on_behalf_index", String(64)),  # as of an authorization
    Column("scope", Text, nullable=False),  # JSON, as of an authorization
    Column("reference", String(100), nullable=False),  # where the registering system keeps the consent itself
    Column("given_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("login_id", String(64)),  # as of an authorization
    Column("assurance", String(40)),
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
    Column("cited", String(200)),  # the clause or consent that the caller named
    Column("form", String(16)),  # documents | fields | predicate; none where nothing of it left
    Column("fields", Text),  # JSON: the names of the fields that were shown
    Column("on_behalf_sealed", LargeBinary),  # the child's name, where its guardian's word was the basis
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
