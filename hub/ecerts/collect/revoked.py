"""A revocation that the library has taken is a revocation notice too: whoever relied on the certificate is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hub.access import store as access
from hub.access.callers import Service
from hub.db import AuditEntry, Tx
from hub.ecerts.evidence.following import FollowUps
from hub.ecerts.evidence.revoking import Notice, region_of, revoke
from schemas.regions import REGIONS
from schemas.revocations import RevocationReason

Revoked = Callable[
    [Tx, Mapping[str, Sequence[str]], str], None
]  # identifiers by system, and the delivery that carried them
RIGHTS: Final = (Service.ECERT_COLLECT.value, Service.ECERT_REVOKE.value)  # who may issue there may take back


def nobody(_tx: Tx, _identifiers: Mapping[str, Sequence[str]], _delivery: str) -> None:
    """Where nothing is fetched, nobody relied on anything."""


def notices_by(follow_ups: FollowUps) -> Revoked:
    """One notice for the revocations of each system in a delivery, in the commit that records it.

    The library knows the hub alone. So the system's right must cover the issuer, as it must for a notice: what it does not cover
    stays between the system and the library, and stands in the audit log.
    """

    def tell(tx: Tx, identifiers: Mapping[str, Sequence[str]], delivery: str) -> None:
        for system_id, named in sorted(identifiers.items()):
            above = [right.region for right in access.rights(tx.conn, system_id) if right.service in RIGHTS]
            covered = sorted(one for one in named if any(REGIONS.covers(region, region_of(one)) for region in above))
            actor = f"system:{system_id}"
            if len(covered) < len(named):
                detail = {"certificates": str(len(named) - len(covered))}
                tx.audit.append(AuditEntry(actor, "evidence.revocation", delivery, "access-denied", detail))
            if covered:
                digest = hashlib.sha256("\n".join(covered).encode()).hexdigest()
                revoke(tx, follow_ups, Notice(tuple(covered), RevocationReason.REVOKED, tx.now, f"collect {delivery}", actor,
                                              digest, system_id))  # fmt: skip

    return tell
