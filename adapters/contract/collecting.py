"""What the library collects (归集), and what both sides reconcile by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from pydantic import Base64Bytes

from schemas.base import Canonical
from schemas.ecerts import EcertMetadata


class CollectAction(StrEnum):
    """What an issuing system did to a certificate."""

    ISSUE = "issue"
    CHANGE = "change"
    REVOKE = "revoke"


class CollectedEcert(Canonical):
    """One certificate for the library (归集). ``digest`` is what both sides reconcile by: SHA-256 (hex) over what was collected."""

    action: CollectAction
    metadata: EcertMetadata  # with its identifier; raw values as the issuer wrote them
    digest: str
    content: Base64Bytes | None = None  # the sealed OFD, verified by the hub; none where the issuer sends data only


class Collection(Canonical):
    """Certificates that go to the library together. ``idempotency_key`` is the same over all attempts."""

    idempotency_key: str
    ecerts: tuple[CollectedEcert, ...]


class CollectRefusal(Canonical):
    """One certificate that the library did not take, and its word for why; the others of the collection stand."""

    identifier: str
    code: str


class CollectReceipt(Canonical):
    """The library has them, but for those refused."""

    peer_reference: str | None = None
    refused: tuple[CollectRefusal, ...] = ()


class CollectedQuery(Canonical):
    """What does the library hold of a type? Without ``bucket`` the sums of every bucket, with one its entries.

    A bucket is the first two hexadecimal digits of SHA-256 over the identifier: the same on both sides whatever their clocks say.
    """

    type_code: str
    bucket: str | None = None


class CollectedBucket(Canonical):
    """``digest``: SHA-256 over the lines ``identifier digest standing\\n`` of its entries, sorted: :func:`bucket_digest`."""

    bucket: str
    count: int
    digest: str


class CollectedEntry(Canonical):
    identifier: str
    digest: str
    standing: str  # valid or revoked


class CollectedAnswer(Canonical):
    """One of the two, as was asked."""

    buckets: tuple[CollectedBucket, ...] = ()
    entries: tuple[CollectedEntry, ...] = ()


def bucket_of(identifier: str) -> str:
    """See :class:`CollectedQuery`."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:2]


def bucket_digest(entries: Iterable[CollectedEntry]) -> str:
    """See :class:`CollectedBucket`."""
    lines = sorted(f"{one.identifier} {one.digest} {one.standing}\n" for one in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
