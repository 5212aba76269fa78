"""Every table of the hub, a file for each room. A migration in ``hub/migrations`` makes each change; a test compares the two.

``*_sealed`` columns hold ciphertext (see :mod:`hub.vault`); no other column may hold personal data.
"""

from hub.tables.access import nonces, rights, system_keys, systems
from hub.tables.audit_log import audit, audit_head
from hub.tables.base import UtcTime, from_micros, metadata, to_micros
from hub.tables.case import cases, events, evidence, messages, steps, subscriptions
from hub.tables.collect import (
    collect_batches,
    collect_files,
    collect_rows,
    collected,
    differences,
    reconciliations,
)
from hub.tables.delivery import attempts, deliveries, endpoint_calls
from hub.tables.ecerts import (
    authorizations,
    catalogue,
    consents,
    data_uses,
    extension_notices,
    logins,
    refused_questions,
    subject_queries,
)
from hub.tables.endpoint import endpoints
from hub.tables.evidence_service import (
    evidence_documents,
    evidence_requests,
    kept_ecerts,
    system_purposes,
    throttled_callers,
)
from hub.tables.operator import login_links, operator_sessions, operators
from hub.tables.presentations import guessing_callers, presentations, wrong_codes
from hub.tables.revocations import revocation_notices, revoked_ecerts

__all__ = [
    "UtcTime",
    "attempts",
    "audit",
    "audit_head",
    "authorizations",
    "cases",
    "catalogue",
    "collect_batches",
    "collect_files",
    "collect_rows",
    "collected",
    "consents",
    "data_uses",
    "deliveries",
    "differences",
    "endpoint_calls",
    "endpoints",
    "events",
    "evidence",
    "evidence_documents",
    "evidence_requests",
    "extension_notices",
    "from_micros",
    "guessing_callers",
    "kept_ecerts",
    "login_links",
    "logins",
    "messages",
    "metadata",
    "nonces",
    "operator_sessions",
    "operators",
    "presentations",
    "reconciliations",
    "refused_questions",
    "revocation_notices",
    "revoked_ecerts",
    "rights",
    "steps",
    "subject_queries",
    "subscriptions",
    "system_keys",
    "system_purposes",
    "systems",
    "throttled_callers",
    "to_micros",
    "wrong_codes",
]
