"""The answer of every verification: a verdict per axis, and one overall verdict, each with its reason.

Words follow ETSI EN 319 102-1 (clause 5.1.3 and table 5): an indication is PASSED, FAILED or INDETERMINATE, and a
sub-indication says why. "Could not tell" is never "bad" and never "good"; a report is no truth value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, NoReturn, Self

BEIJING: Final = timezone(timedelta(hours=8))  # what people read; and what a document says that names no zone


class Indication(StrEnum):
    """ETSI EN 319 102-1, clause 5.1.3."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"

    def __bool__(self) -> NoReturn:
        raise TypeError("an indication has three values: compare it, do not test it")


class SubIndication(StrEnum):
    """ETSI EN 319 102-1, clause 5.1.3, tables 5 and 6; those marked *ours* name what that standard does not have."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    POLICY_PROCESSING_ERROR = "POLICY_PROCESSING_ERROR"
    TRY_LATER = "TRY_LATER"
    NOT_SIGNED = "NOT_SIGNED"  # ours: the document carries no signature at all
    UNCOVERED_CONTENT = "UNCOVERED_CONTENT"  # ours: parts of the document lie outside every signature
    SEALED_BY_ANOTHER = "SEALED_BY_ANOTHER"  # ours: a trusted seal, and not that of the issuer that the document names


class Axis(StrEnum):
    """What is judged, one by one and independently."""

    FORMAT = "format"
    CONTENT = "content"  # digests of what was signed
    COVERAGE = "coverage"  # files or objects that no signature covers
    SIGNATURE = "signature"
    SEAL = "seal"  # the seal maker's signature, and that the signer may use this seal
    PATH = "path"
    REVOCATION = "revocation"
    VALIDITY = "validity"  # times: certificates and seal at the time of signing
    TIMESTAMP = "timestamp"
    POLICY = "policy"
    ISSUER = "issuer"  # whether the seal is that of the issuer that the document names; judged by whoever has the rules (the hub)
    STATUS = (
        "status"  # whether a certificate still holds by notices of its issuer; judged by whoever has them (the hub)
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged step: which axis, what came out, by which clause, and the facts that a person needs.

    ``clause`` cites the standard, for example ``GB/T 38540-2020 7.3 c)``. ``detail_zh`` and ``detail_en`` are texts for
    people and never hold an ID number. ``data`` holds what a program needs, so that nobody parses a text.
    ``signature`` is the index of the signature that the finding is about, or None for the document as a whole.
    """

    axis: Axis
    indication: Indication
    sub_indication: SubIndication | None
    clause: str
    detail_zh: str
    detail_en: str
    data: dict[str, str] = field(default_factory=dict)
    signature: int | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose certificate it is, as its issuer attests it: names (the subject's O, then its CN) and unified social credit codes."""

    names: tuple[str, ...]
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the document says it; names are best effort because real certificates have broken ones.

    ``signature`` is the index of the signature in the document, ``owner`` who may be held against what the document says.
    """

    subject: str
    issuer: str
    serial: str  # hexadecimal
    fingerprint_sha256: str  # hexadecimal, of the DER certificate
    signed_at: datetime | None
    algorithm: str  # for example "SM2-with-SM3"
    seal_id: str | None = None
    seal_name: str | None = None
    owner: Owner | None = None
    signature: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What the reader should know and what decides nothing: a stable word, texts for people, data for programs."""

    code: str
    detail_zh: str
    detail_en: str
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer. ``format`` is for example ``ofd``; ``digest_sha256`` is of the bytes that were verified."""

    format: str
    digest_sha256: str
    verified_at: datetime  # the time argument of the verification, UTC
    policy: str
    findings: tuple[Finding, ...]
    signers: tuple[Signer, ...] = ()
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(
        cls,
        kind: str,
        verified: bytes,
        at: datetime,
        policy: str,
        findings: Iterable[Finding],
        signers: Iterable[Signer] = (),
    ) -> Self:
        """The report on these bytes."""
        return cls(kind, hashlib.sha256(verified).hexdigest(), at, policy, tuple(findings), tuple(signers))

    def __bool__(self) -> NoReturn:
        raise TypeError("a report has three verdicts: look at report.indication")

    @property
    def indication(self) -> Indication:
        """FAILED if any finding failed, else INDETERMINATE if any could not be told or nothing was judged, else PASSED."""
        return worst(finding.indication for finding in self.findings)

    @property
    def sub_indication(self) -> SubIndication | None:
        """The reason of the first finding that decided the indication."""
        decided = self.indication
        return next((f.sub_indication for f in self.findings if f.indication is decided), None)

    def axis(self, axis: Axis) -> Indication | None:
        """The verdict on one axis, or None where the document has nothing to judge there."""
        found = [finding.indication for finding in self.findings if finding.axis is axis]
        return worst(found) if found else None


def worst(indications: Iterable[Indication]) -> Indication:
    """FAILED before INDETERMINATE before PASSED; INDETERMINATE where there is nothing."""
    result = None
    for one in indications:
        if one is Indication.FAILED:
            return one
        if one is Indication.INDETERMINATE or result is None:
            result = one
    return Indication.INDETERMINATE if result is None else result
