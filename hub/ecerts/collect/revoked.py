"""A revocation that the library has taken is a revocation notice too: whoever relied on the certificate is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from hub.db import Tx
from hub.ecerts.evidence.following import FollowUps
from hub.ecerts.evidence.revoking import Notice, revoke
from schemas.revocations import RevocationReason

Revoked = Callable[[Tx, Sequence[str], str], None]  # identifiers, and the delivery that carried them


def nobody(_tx: Tx, _identifiers: Sequence[str], _delivery: str) -> None:
    """Where nothing is fetched, nobody relied on anything."""


def notices_by(follow_ups: FollowUps) -> Revoked:
    """One notice for the revocations of a delivery, in the commit that records it."""

    def tell(tx: Tx, identifiers: Sequence[str], delivery: str) -> None:
        digest = hashlib.sha256("\n".join(sorted(identifiers)).encode()).hexdigest()
        source = f"collect {delivery}"
        revoke(tx, follow_ups, Notice(tuple(identifiers), RevocationReason.REVOKED, tx.now, source, "node", digest))

    return tell
