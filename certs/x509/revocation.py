"""Revocation of one certificate by CRL and OCSP: RFC 5280, 6.3 and RFC 6960, 3.2, three-valued and without I/O.

Fetchers are handed in. What they bring is believed only when it is signed by whoever may say it, speaks about this
certificate, and is fresh at ``now``. What cannot be told is INDETERMINATE / TRY_LATER; :mod:`certs.policy` says whether
that refuses (``hard``) or passes with a note (``soft``).

Bounds: CRLs of up to 32 MiB (:data:`certs.x509.crl.MAX_CRL_BYTES`), OCSP responses of up to 256 KiB, :data:`MAX_LISTS` CRLs
and :data:`MAX_ANSWERS` OCSP responses for one certificate, :data:`MAX_DEPTH` levels of signers of revocation data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from certs.der import Malformed
from certs.errors import BadKey
from certs.report import BEIJING, Indication, SubIndication
from certs.x509 import crl as crls
from certs.x509 import extensions, ocsp
from certs.x509.crl import ALL_REASONS, Crl, Reason, parse_crl
from certs.x509.extensions import DIRECTORY, DistributionPoint, GeneralName, PointName
from certs.x509.names import same_name
from certs.x509.ocsp import OcspResponse, Single
from certs.x509.signing_cert import SigningCert
from schemas.told import Sentence

MAX_LISTS = 64
MAX_ANSWERS = 8
MAX_DEPTH = 3
MAX_URLS = 8
SKEW = timedelta(minutes=5)  # how far in the future thisUpdate may lie, for clocks that differ

OCSP_METHOD = "1.3.6.1.5.5.7.48.1"


class CrlFetcher(Protocol):
    """Brings CRLs, complete and delta, in any order."""

    def __call__(self, issuer: bytes, urls: Sequence[str]) -> Iterable[bytes]:
        """DER lists for the CRL issuer of this Name (DER), found at these URLs or elsewhere; nothing if there are none."""


class OcspFetcher(Protocol):
    """Asks OCSP responders."""

    def __call__(self, request: bytes, urls: Sequence[str]) -> Iterable[bytes]:
        """DER answers to the DER request from the responders at these URLs; nothing if there are none."""


class CertificateFetcher(Protocol):
    """Brings the certificates of issuers."""

    def __call__(self, urls: Sequence[str]) -> Iterable[bytes]:
        """DER certificates found at these URLs; nothing if there are none."""


@dataclass(frozen=True, slots=True)
class RevocationSource:
    """Where revocation data comes from: what the document carries, and fetchers for the rest.

    A fetcher that cannot reach its peer brings nothing; it never raises, and it alone knows about time limits.
    """

    crl: CrlFetcher | None = None
    ocsp: OcspFetcher | None = None
    certificate: CertificateFetcher | None = None
    crls: tuple[bytes, ...] = ()
    ocsp_responses: tuple[bytes, ...] = ()


class State(Enum):
    """What is known about one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Status:
    """``why`` lists, for UNKNOWN, what was wrong with each list or answer that was looked at."""

    state: State
    by: str = ""  # "crl" or "ocsp"
    revoked_at: datetime | None = None
    reason: Reason = Reason.UNSPECIFIED
    why: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True)
class _Said:
    """What one list or answer that may speak says, as of its thisUpdate. GOOD: for which ``reasons`` (bits of ReasonFlags)."""

    state: State
    by: str
    as_of: datetime
    reasons: frozenset[int] = frozenset()
    revoked_at: datetime | None = None
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuer on the path that is being validated; ``cert`` is the anchor's certificate at the top."""

    cert: SigningCert


# What the path validator lends: is the signature made by this certificate's key, and may this certificate sign CRLs or
# OCSP responses on a path to the same anchor. Both count against the bounds of the one validation.
SignatureCheck = Callable[[SigningCert, bytes, bytes, bytes], bool]  # (signer, AlgorithmIdentifier, tbs, signature)
SignerCheck = Callable[[SigningCert, str], Indication]  # (signer, "crl" or "ocsp")


@dataclass
class RevocationCheck:
    """One certificate against one issuer. ``candidates`` are certificates that may have signed the data."""

    source: RevocationSource
    at: datetime
    now: datetime
    max_age: timedelta | None
    candidates: Callable[[bytes], Sequence[SigningCert]]  # by subject Name
    signed_by: SignatureCheck
    may_sign: SignerCheck
    why: list[Sentence] = field(default_factory=list)

    def status(self, cert: SigningCert, issuer: SigningCert) -> Status:
        """Everybody who may speak is heard, whoever brought it and in whatever order: what lies in a document was chosen by
        its maker, who has every list of the past that is still in force.

        A revocation for good decides, as nothing takes it back; a hold (5.3.1) stands until something later says otherwise.
        """
        said = [*self._by_ocsp(cert, issuer), *self._by_crl(cert, issuer)]
        good = [one for one in said if one.state is State.GOOD]
        cleared = max((one.as_of for one in good if Reason.CERTIFICATE_HOLD in one.reasons), default=None)
        revoked = [
            one
            for one in said
            if one.state is State.REVOKED
            and (one.reason is not Reason.CERTIFICATE_HOLD or cleared is None or cleared <= one.as_of)
        ]
        if revoked:
            first = min(revoked, key=lambda one: (one.reason is Reason.CERTIFICATE_HOLD, one.revoked_at or one.as_of))
            return Status(State.REVOKED, first.by, first.revoked_at, first.reason)
        told = frozenset[int]().union(*(one.reasons for one in good))
        if told >= ALL_REASONS:
            return Status(State.GOOD, good[0].by)
        if told:
            self.why.append(("CRL：未涵盖全部吊销原因", "CRL: not all reasons of revocation are covered"))
        return Status(State.UNKNOWN, why=tuple(self.why))

    # --- OCSP (RFC 6960, 3.2) ---

    def _by_ocsp(self, cert: SigningCert, issuer: SigningCert) -> Iterator[_Said]:
        access = cert.extensions.get(extensions.AUTHORITY_INFO_ACCESS)
        urls = extensions.access_locations(access.value, OCSP_METHOD)[:MAX_URLS] if access else ()
        answers: list[bytes] = []
        if self.source.ocsp is not None:
            request = ocsp.build_request(cert.issuer, issuer.spki, cert.serial)
            answers.extend(self.source.ocsp(request, urls))
        answers.extend(self.source.ocsp_responses)  # last: a document cannot crowd ours out
        for raw in answers[:MAX_ANSWERS]:
            try:
                response = ocsp.parse_response(raw)
                single = next((s for s in response.responses if self._about(s, cert, issuer)), None)
                if single is None or not self._ocsp_usable(response, single, cert, issuer):
                    continue
            except (Malformed, BadKey) as error:
                self.why.append((f"OCSP：{error.zh}", f"OCSP: {error.en}"))
                continue
            if single.revoked is not None:
                revoked = single.revoked
                yield _Said(State.REVOKED, "ocsp", single.this_update, revoked_at=revoked.at, reason=revoked.reason)
            elif single.good:
                yield _Said(State.GOOD, "ocsp", single.this_update, ALL_REASONS)
            else:
                self.why.append(("OCSP：响应者不知道该证书", "OCSP: the responder does not know this certificate"))

    @staticmethod
    def _about(single: Single, cert: SigningCert, issuer: SigningCert) -> bool:
        """3.2 (1): the answer is about this certificate."""
        return ocsp.names(single.cert_id, cert.issuer, issuer.spki, cert.serial)

    def _ocsp_usable(self, response: OcspResponse, single: Single, cert: SigningCert, issuer: SigningCert) -> bool:
        """3.2 (2-6): signed, by an authorised responder, and fresh."""
        if not self._fresh("OCSP", single.this_update, single.next_update):
            return False
        if cert.not_after < single.this_update and not (
            single.archive_cutoff and single.archive_cutoff <= cert.not_after
        ):
            self.why.append(
                (
                    "OCSP：响应生成前证书已过期，响应者可能已不再保留其状态",
                    "OCSP: the certificate had expired before the answer, which may have forgotten it",
                )
            )
            return False
        responder = self._responder(response, issuer)
        if responder is None:
            self.why.append(
                (
                    "OCSP：响应者未经授权（RFC 6960 4.2.2.2）",
                    "OCSP: the responder is not authorised (RFC 6960, 4.2.2.2)",
                )
            )
            return False
        if not self.signed_by(responder, response.algorithm, response.tbs, response.signature):
            self.why.append(("OCSP：签名值不成立", "OCSP: the signature does not hold"))
            return False
        return True

    def _responder(self, response: OcspResponse, issuer: SigningCert) -> SigningCert | None:
        """4.2.2.2: the issuer itself, or a certificate that this very issuer gave out for OCSP signing."""
        if self._identifies(response, issuer):
            return issuer
        for raw in response.certificates:
            delegate = SigningCert.from_der(raw)
            if (
                self._identifies(response, delegate)
                and same_name(delegate.issuer, issuer.subject)
                and self.signed_by(issuer, delegate.algorithm, delegate.tbs, delegate.signature)
                and self.may_sign(delegate, "ocsp") is Indication.PASSED
            ):
                return delegate
        return None

    @staticmethod
    def _identifies(response: OcspResponse, cert: SigningCert) -> bool:
        if response.responder_name is not None:
            return same_name(response.responder_name, cert.subject)
        return response.responder_key == ocsp.digest(ocsp.SHA1, ocsp.key_bits(cert.spki))

    # --- CRL (RFC 5280, 6.3.3) ---

    def _by_crl(self, cert: SigningCert, issuer: SigningCert) -> Iterator[_Said]:
        listed = cert.extensions.get(extensions.CRL_DISTRIBUTION_POINTS)
        points = list(extensions.distribution_points(listed.value)) if listed else []
        # "any available CRLs not specified in a distribution point but issued by the certificate issuer": the last step
        points.append(
            DistributionPoint(PointName((GeneralName(DIRECTORY, cert.issuer),), None), None, ()),
        )
        complete, deltas = self._lists(cert, points)
        for base in complete:
            try:
                said = self._one_list(cert, issuer, points, base, deltas)
            except Malformed as error:
                self.why.append((f"CRL：{error.zh}", f"CRL: {error.en}"))
                continue
            if said is not None:
                yield said

    def _lists(self, cert: SigningCert, points: Sequence[DistributionPoint]) -> tuple[list[Crl], list[Crl]]:
        """Every list that may speak, read; what cannot be read is noted."""
        raw: dict[bytes, None] = {}
        if self.source.crl is not None:
            asked: dict[bytes, list[str]] = {}
            for point in points:
                names = [n.content for n in point.crl_issuer if n.kind == DIRECTORY] or [cert.issuer]
                full = point.name.full if point.name else ()
                urls = [n.content.decode("ascii", "replace") for n in full if n.kind == extensions.URI]
                for name in names:
                    asked.setdefault(name, []).extend(urls)
            fresh = cert.extensions.get(extensions.FRESHEST_CRL)
            for point in extensions.distribution_points(fresh.value) if fresh else ():
                full = point.name.full if point.name else ()
                asked.setdefault(cert.issuer, []).extend(
                    n.content.decode("ascii", "replace") for n in full if n.kind == extensions.URI
                )
            for name, urls in asked.items():
                raw.update(dict.fromkeys(self.source.crl(name, tuple(dict.fromkeys(urls))[:MAX_URLS])))
        raw.update(dict.fromkeys(self.source.crls))  # last: a document cannot crowd ours out
        complete: list[Crl] = []
        deltas: list[Crl] = []
        for one in list(raw)[:MAX_LISTS]:
            try:
                found = parse_crl(one)
            except Malformed as error:
                self.why.append((f"CRL：{error.zh}", f"CRL: {error.en}"))
                continue
            (deltas if found.is_delta else complete).append(found)
        return complete, deltas

    def _one_list(
        self,
        cert: SigningCert,
        issuer: SigningCert,
        points: Sequence[DistributionPoint],
        base: Crl,
        deltas: Sequence[Crl],
    ) -> _Said | None:
        """6.3.3 (a-l) for one complete CRL: the entry that revokes, or the reasons that it clears; None if it may not speak."""
        met = [p for p in points if crls.covers(base, p, cert_issuer=cert.issuer, is_ca=cert.is_ca)]  # (b)
        if not met or not self._list_usable(base, cert, issuer):  # (a, f, g)
            return None
        newer = [d for d in deltas if crls.same_scope(d, base) and self._list_usable(d, cert, issuer)]  # (c, h)
        delta = max(newer, key=lambda d: d.this_update, default=None)
        entry = base.find(cert.issuer, cert.serial)  # (j)
        if delta is not None:  # (i)
            entry = delta.find(cert.issuer, cert.serial) or entry
        as_of = (delta or base).this_update
        if entry is not None and entry.reason is not Reason.REMOVE_FROM_CRL:  # (k)
            return _Said(State.REVOKED, "crl", as_of, revoked_at=entry.revoked_at, reason=entry.reason)
        reasons = frozenset[int]().union(*(crls.reasons(base, point) for point in met))  # (d)
        return _Said(State.GOOD, "crl", as_of, reasons)  # (l)

    def _list_usable(self, crl: Crl, cert: SigningCert, issuer: SigningCert) -> bool:
        """Fresh, with nothing critical that we do not know, and signed by whoever may sign it."""
        unknown = crl.unknown_critical()
        if unknown is not None:
            self.why.append(
                (
                    f"CRL：含有无法处理的关键扩展 {unknown}（RFC 5280 5.2）",
                    f"CRL: unknown critical extension {unknown} (RFC 5280, 5.2)",
                )
            )
            return False
        if not self._fresh("CRL", crl.this_update, crl.next_update):
            return False
        if cert.not_after < crl.this_update and not (crl.expired_since and crl.expired_since <= cert.not_after):
            self.why.append(
                (
                    "CRL：列表签发前证书已过期，可能已从列表中移除（RFC 5280 5.3）",
                    "CRL: the certificate had expired before the list, which may have dropped it (5.3)",
                )
            )
            return False
        return self._list_signed(crl, issuer)

    def _list_signed(self, crl: Crl, issuer: SigningCert) -> bool:
        """6.3.3 (f, g): a key for CRLs, whose path ends at the same anchor."""
        signers = [issuer] if same_name(crl.issuer, issuer.subject) else []
        signers.extend(c for c in self.candidates(crl.issuer) if c.der != issuer.der)
        for signer in signers:
            if crl.authority_key and signer.subject_key_id and crl.authority_key != signer.subject_key_id:
                continue
            if not _may_by_usage(signer):
                continue
            if self.signed_by(signer, crl.algorithm, crl.tbs, crl.signature) and (
                signer is issuer or self.may_sign(signer, "crl") is Indication.PASSED
            ):
                return True
        self.why.append(
            (
                "CRL：不是由有权签发的密钥签名（RFC 5280 6.3.3 (f, g)）",
                "CRL: not signed by a key that may sign it (RFC 5280, 6.3.3 (f, g))",
            )
        )
        return False

    def _fresh(self, what: str, this_update: datetime, next_update: datetime | None) -> bool:
        """In force at ``now``, and where the policy bounds the age, not older than that."""
        if this_update - self.now > SKEW:
            self.why.append((f"{what}：签发时间晚于验证时间", f"{what}: issued after the time of verification"))
            return False
        if next_update is not None and next_update < self.now:
            told = next_update.astimezone(BEIJING)
            self.why.append(
                (
                    f"{what}：自北京时间 {told:%Y-%m-%d %H:%M:%S} 起已过期",
                    f"{what}: out of date since {next_update:%Y-%m-%dT%H:%M:%SZ}",
                )
            )
            return False
        if self.max_age is not None and self.now - this_update > self.max_age:
            self.why.append((f"{what}：早于策略允许的期限", f"{what}: older than the policy allows"))
            return False
        if next_update is None and self.max_age is None:
            self.why.append((f"{what}：未载明下次更新时间", f"{what}: does not say until when it holds"))
            return False
        return True


def _may_by_usage(signer: SigningCert) -> bool:
    usage = signer.extensions.get(extensions.KEY_USAGE)
    return usage is None or extensions.CRL_SIGN in extensions.key_usage(usage.value)


def verdict(status: Status, at: datetime, *, soft: bool, proven: bool) -> tuple[Indication, SubIndication | None]:
    """What a status means for a signature made at ``at``; ``proven`` when a timestamp or an archive proves that time.

    Revoked at or before that time: FAILED / REVOKED. Revoked after it: PASSED if the time is proven, else INDETERMINATE /
    REVOKED_NO_POE, because whoever holds a stolen key writes any time (ETSI EN 319 102-1, 5.3.4 and 5.5.4).
    """
    if status.state is State.GOOD:
        return Indication.PASSED, None
    if status.state is State.UNKNOWN:
        return (Indication.PASSED, None) if soft else (Indication.INDETERMINATE, SubIndication.TRY_LATER)
    if status.revoked_at is None or status.revoked_at <= at:
        return Indication.FAILED, SubIndication.REVOKED
    if proven:
        return Indication.PASSED, None
    return Indication.INDETERMINATE, SubIndication.REVOKED_NO_POE
