"""Certificate paths: building and RFC 5280 validation over raw DER, for RSA, ECDSA, Ed25519 and SM2 (docs/trust-and-paths).

``validate_path`` in numbered steps:

1. Look for paths from the leaf to an anchor that is trusted for the purpose, best candidates first; an edge is kept only
   when the issuer's key did sign it (RFC 5280, 6.1.3 (a)(1, 4)).
2. Judge each path: algorithms and key sizes by policy; validity at ``at`` (6.1.3 (a)(2)); names and constraints (b, c);
   policies (d-f); for issuers 6.1.4 (a-o); for the leaf 6.1.5 and what the purpose asks of usages.
3. Judge revocation of every certificate below the anchor (6.3; :mod:`certs.x509.revocation`).
4. Answer with the first path that passes, else with the one that came nearest.

The caller owes: the signature over the document, and that ``at`` is the time the policy wants judged.

Bounds of one validation, revocation data and its signers included: see :data:`LIMITS`. Beyond them the answer is
INDETERMINATE, never an exception and never PASSED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from certs.algorithms import key_weakness, signature_algorithm
from certs.der import Malformed
from certs.errors import CertsError
from certs.findings import because
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, SubIndication, worst
from certs.trust import TrustStore
from certs.x509 import extensions
from certs.x509.names import same_name
from certs.x509.path_checks import USES, Fault, Use, check_path
from certs.x509.path_policies import PolicyInputs
from certs.x509.revocation import RevocationCheck, RevocationSource, State, Status, verdict
from certs.x509.signing_cert import SigningCert


class Limits(NamedTuple):
    """What one validation may cost at most."""

    depth: int = 12  # certificates from the leaf to the last one below the anchor
    intermediates: int = 1024  # certificates handed in or fetched
    signatures: int = 128  # signatures checked
    paths: int = 16  # complete paths judged
    steps: int = 1024  # edges looked at while building
    statuses: int = 48  # revocation statuses asked, those of CRL and OCSP signers included
    fetches: int = 4  # times that issuers' certificates are fetched
    signers: int = 3  # revocation signers within revocation signers


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class PathResult:
    """``chain`` is the path that the findings are about, leaf first and anchor last; empty where none was found.

    ``policies`` are the user-constrained policies of RFC 5280, 6.1.6.
    """

    findings: tuple[Finding, ...]
    chain: tuple[SigningCert, ...] = ()
    policies: frozenset[str] = frozenset()

    @property
    def indication(self) -> Indication:
        """The worst of the findings."""
        return worst(finding.indication for finding in self.findings)


def validate_path(
    leaf: SigningCert,
    intermediates: Sequence[SigningCert],
    *,
    trust: TrustStore,
    purpose: str,
    at: datetime,
    policy: Policy,
    revocation: RevocationSource,
    now: datetime | None = None,
    proven_time: bool = False,
    inputs: PolicyInputs | None = None,
) -> PathResult:
    """Judge a certificate for a purpose at a time.

    ``at`` is the time when the signature is taken to have been made; ``now`` (default: ``at``) the time of verification,
    at which revocation data must be fresh. ``proven_time`` says that ``at`` is proven, by a timestamp for instance.
    ``purpose`` is one of :data:`certs.x509.path_checks.USES`; anchors must be trusted for it. Gives findings on the axes
    PATH, VALIDITY and REVOCATION. Raises nothing on bad certificates.
    """
    search = _Search(trust, policy, revocation, now or at, inputs or PolicyInputs())
    search.add(intermediates)
    anchors = [anchor.cert for anchor in trust.for_purpose(purpose, at)]
    try:
        return search.best(leaf, USES[purpose], anchors, at, proven_time)
    except _TooMuch as error:
        return PathResult((_beyond(str(error)),))


class _TooMuch(Exception):
    """A bound of :data:`LIMITS` was met."""


@dataclass
class _Search:
    """One validation: what is at hand and what is left of the bounds."""

    trust: TrustStore
    policy: Policy
    revocation: RevocationSource
    now: datetime
    inputs: PolicyInputs
    pool: dict[bytes, SigningCert] = field(default_factory=dict)  # by DER
    signatures: dict[tuple[bytes, bytes, bytes], bool] = field(default_factory=dict)
    statuses: int = 0
    steps: int = 0
    fetches: int = 0
    signer_depth: int = 0
    in_progress: set[bytes] = field(default_factory=set)
    anchors: list[SigningCert] = field(default_factory=list)
    forged: bool = False
    unsupported: str = ""

    def add(self, certs: Iterable[SigningCert]) -> None:
        for cert in certs:
            if len(self.pool) >= LIMITS.intermediates:
                return
            self.pool.setdefault(cert.der, cert)

    # --- step 4 -----------------------------------------------------------------------------------------------------

    def best(self, leaf: SigningCert, use: Use, anchors: list[SigningCert], at: datetime, proven: bool) -> PathResult:
        """The first path that passes, else the nearest: undetermined before failed, and of those the first."""
        self.anchors, before = anchors, self.anchors
        nearest: PathResult | None = None
        try:
            for count, chain in enumerate(self._paths([leaf])):
                if count >= LIMITS.paths:
                    raise _TooMuch("paths")
                result = self._judge(chain, use, at, proven)
                if result.indication is Indication.PASSED:
                    return result
                if nearest is None or (
                    result.indication is Indication.INDETERMINATE and nearest.indication is Indication.FAILED
                ):
                    nearest = result
        finally:
            self.anchors = before
        return nearest or PathResult((self._no_path(leaf),))

    # --- step 1 -----------------------------------------------------------------------------------------------------

    def _paths(self, chain: list[SigningCert]) -> Iterator[list[SigningCert]]:
        """Complete paths, depth first. A trusted leaf is a path by itself."""
        last = chain[-1]
        if len(chain) == 1 and any(last.der == anchor.der for anchor in self.anchors):
            yield chain
            return
        for issuer in self._issuers(chain):
            self.steps += 1
            if self.steps > LIMITS.steps:
                raise _TooMuch("steps")
            if not self._issued(issuer, last):
                continue
            if any(issuer.der == anchor.der for anchor in self.anchors):
                yield [*chain, issuer]
            elif len(chain) < LIMITS.depth:
                yield from self._paths([*chain, issuer])

    def _issuers(self, chain: list[SigningCert]) -> list[SigningCert]:
        """Candidates by name, anchors and matching key identifiers first; none whose name and key the path has already."""
        last = chain[-1]
        found = self._named(last.issuer)
        if not found and self.revocation.certificate is not None and self.fetches < LIMITS.fetches:
            self.fetches += 1
            self._fetch(last)
            found = self._named(last.issuer)
        used = {(cert.subject, cert.spki) for cert in chain}
        fresh = [cert for cert in found if (cert.subject, cert.spki) not in used]
        return sorted(fresh, key=lambda cert: (not _key_ids_match(cert, last), cert not in self.anchors))

    def _named(self, subject: bytes) -> list[SigningCert]:
        known = {cert.der: cert for cert in (*self.anchors, *self.pool.values())}
        return [cert for cert in known.values() if same_name(cert.subject, subject)]

    def _fetch(self, cert: SigningCert) -> None:
        access = cert.extensions.get(extensions.AUTHORITY_INFO_ACCESS)
        try:
            urls = extensions.access_locations(access.value, "1.3.6.1.5.5.7.48.2")[:8] if access else ()
            if urls and self.revocation.certificate is not None:
                self.add(SigningCert.from_der(raw) for raw in self.revocation.certificate(urls))
        except CertsError:
            return  # what was fetched is not a certificate: no candidate

    def _issued(self, issuer: SigningCert, cert: SigningCert) -> bool:
        """6.1.3 (a)(1): the signature; a broken one where the key identifiers agree is remembered as forged."""
        if self.signed_by(issuer, cert.algorithm, cert.tbs, cert.signature):
            return True
        if _key_ids_match(issuer, cert) and not self.unsupported:
            self.forged = True
        return False

    def signed_by(self, signer: SigningCert, algorithm: bytes, tbs: bytes, signature: bytes) -> bool:
        """Whether the signer's key signed these bytes, with an algorithm that the policy allows."""
        known = signature_algorithm(algorithm)
        if known is None or not self.policy.allows(known):
            self.unsupported = algorithm.hex()
            return False
        key = (signer.spki, tbs, signature)
        if key not in self.signatures:
            if len(self.signatures) >= LIMITS.signatures:
                raise _TooMuch("signatures")
            try:
                self.signatures[key] = signer.public_key.verify_remembered(known, tbs, signature)
            except CertsError:
                self.signatures[key] = False  # a key that cannot be read signs nothing
        return self.signatures[key]

    # --- steps 2 and 3 ----------------------------------------------------------------------------------------------

    def _judge(self, chain: list[SigningCert], use: Use, at: datetime, proven: bool) -> PathResult:
        checked = check_path(chain, use=use, at=at, inputs=self.inputs if use.policies else PolicyInputs())
        faults = list(checked.faults)
        for depth, cert in enumerate(chain):
            weakness = key_weakness(cert.spki, self.policy)
            if weakness:
                faults.append(Fault(Axis.PATH, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, depth, "policy", *weakness))
        findings = [fault.finding(chain) for fault in faults]
        for axis, clause, zh, en in (
            (Axis.PATH, "RFC 5280 6.1", "证书路径成立", "the certificate path holds"),
            (Axis.VALIDITY, "RFC 5280 6.1.3 (a)(2)", "证书在该时间均有效", "all certificates were valid at the time"),
        ):
            if not any(fault.axis is axis for fault in faults):
                data = {"length": str(len(chain)), "anchor": chain[-1].fingerprint}
                findings.append(Finding(axis, Indication.PASSED, None, clause, zh, en, data))
        if not any(fault.axis is Axis.PATH for fault in faults):
            findings.extend(self._revocation(chain, use, at, proven))
        return PathResult(tuple(findings), tuple(chain), checked.policies)

    def _revocation(self, chain: list[SigningCert], use: Use, at: datetime, proven: bool) -> list[Finding]:
        """One finding for each certificate that is not plainly good, or one for all of them."""
        mode = self.policy.revocation
        if mode == "off":
            return [_revocation_note("policy", "按策略不查吊销", "revocation is not checked, by policy", {})]
        found = []
        for depth, cert in enumerate(chain[:-1]):
            if depth == 0 and use.no_check and extensions.OCSP_NO_CHECK in cert.extensions:
                continue
            status = self._status(cert, chain[depth + 1], at)
            indication, sub = verdict(status, at, soft=mode == "soft", proven=proven)
            if status.state is not State.GOOD:
                found.append(_revocation_finding(status, indication, sub, depth, cert))
        if found:
            return found
        return [_revocation_note("RFC 5280 6.3", "路径上的证书均未被吊销", "no certificate on the path is revoked", {})]

    def _status(self, cert: SigningCert, issuer: SigningCert, at: datetime) -> Status:
        self.statuses += 1
        if self.statuses > LIMITS.statuses:
            raise _TooMuch("statuses")
        self.in_progress.add(cert.der)
        check = RevocationCheck(
            self.revocation, at, self.now, self.policy.max_revocation_age, self._named, self.signed_by, self._may_sign
        )
        try:
            return check.status(cert, issuer)
        except Malformed as error:
            return Status(State.UNKNOWN, why=(error.said,))
        finally:
            self.in_progress.discard(cert.der)

    def _may_sign(self, signer: SigningCert, kind: str) -> Indication:
        """RFC 5280, 6.3.3 (f); RFC 6960, 4.2.2.2: a path of the signer to the same anchors, and the signer not revoked.

        A signer whose own status is being asked may sign the list that says so: its issuer named that list.
        """
        if signer.der in self.in_progress:
            return Indication.PASSED
        if self.signer_depth >= LIMITS.signers:
            return Indication.INDETERMINATE
        self.signer_depth += 1
        try:
            return self.best(signer, USES[kind], self.anchors, self.now, False).indication
        finally:
            self.signer_depth -= 1

    def _no_path(self, leaf: SigningCert) -> Finding:
        if self.unsupported:
            fault = Fault(
                Axis.PATH,
                SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
                0,
                "policy",
                "证书签名算法不受支持或被策略禁止",
                "a certificate is signed by an algorithm that is unknown or not allowed",
                indication=Indication.INDETERMINATE,
            )
        elif self.forged:
            fault = Fault(
                Axis.PATH,
                SubIndication.SIG_CRYPTO_FAILURE,
                0,
                "RFC 5280 6.1.3 (a)(1)",
                "证书上的签名与其声称的签发者不符",
                "the signature on a certificate is not that of the issuer it names",
            )
        else:
            fault = Fault(
                Axis.PATH,
                SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
                0,
                "RFC 5280 6.1",
                "找不到通向受信任根的证书路径",
                "no path to a trusted anchor was found",
                indication=Indication.INDETERMINATE,
            )
        return fault.finding([leaf])


def _key_ids_match(issuer: SigningCert, cert: SigningCert) -> bool:
    return issuer.subject_key_id is not None and issuer.subject_key_id == cert.authority_key_id


def _beyond(bound: str) -> Finding:
    return Finding(
        Axis.PATH,
        Indication.INDETERMINATE,
        SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE,
        "docs/trust-and-paths: bounds",
        "证书路径验证超出限额",
        "the validation went beyond its bounds",
        {"bound": bound},
    )


def _revocation_note(clause: str, zh: str, en: str, data: dict[str, str]) -> Finding:
    return Finding(Axis.REVOCATION, Indication.PASSED, None, clause, zh, en, data)


def _revocation_finding(
    status: Status, indication: Indication, sub: SubIndication | None, depth: int, cert: SigningCert
) -> Finding:
    data = {"position": str(depth), "certificate": cert.fingerprint}
    if status.state is State.UNKNOWN:
        zh, en = (
            f"无法确定第 {depth + 1} 张证书是否被吊销",
            f"whether certificate {depth + 1} is revoked cannot be told",
        )
        return Finding(Axis.REVOCATION, indication, sub, "RFC 5280 6.3.3", zh, en, data | because(*status.why))
    when = status.revoked_at.strftime("%Y-%m-%dT%H:%M:%SZ") if status.revoked_at else ""
    data |= {"revoked_at": when, "reason": status.reason.name.lower(), "by": status.by}
    clause = "RFC 6960 2.2" if status.by == "ocsp" else "RFC 5280 6.3.3"
    if indication is Indication.FAILED:
        zh, en = f"第 {depth + 1} 张证书已被吊销", f"certificate {depth + 1} is revoked"
    else:
        zh = f"第 {depth + 1} 张证书在签名时间之后被吊销"
        en = f"certificate {depth + 1} was revoked after the time of signing"
    return Finding(Axis.REVOCATION, indication, sub, clause, zh, en, data)
