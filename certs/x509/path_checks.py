"""RFC 5280, 6.1 over one complete path, without signatures (the builder checked them) and without revocation.

Stricter than the RFC in three places: the anchor's own basic constraints, key usage and name constraints bind (RFC 5937,
3.2); its validity is judged like any other; and for purposes that name their extended key usages, issuers that list such
usages must list one of them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from certs.der import Malformed
from certs.findings import because
from certs.report import Axis, Finding, Indication, SubIndication
from certs.x509 import extensions
from certs.x509.names import NameTrees, constrained_names, same_name
from certs.x509.path_policies import PolicyGraph, PolicyInputs
from certs.x509.signing_cert import SigningCert

ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0"
_PKIX = "1.3.6.1.5.5.7.3."
SERVER_AUTH, CLIENT_AUTH, CODE_SIGNING = _PKIX + "1", _PKIX + "2", _PKIX + "3"
TIME_STAMPING, OCSP_SIGNING = _PKIX + "8", _PKIX + "9"

# What this module and its callers process; any other critical extension refuses the path (6.1.4 (o), 6.1.5 (f)).
PROCESSED = frozenset(
    {
        extensions.KEY_USAGE,
        extensions.SUBJECT_ALT_NAME,
        extensions.ISSUER_ALT_NAME,
        extensions.BASIC_CONSTRAINTS,
        extensions.NAME_CONSTRAINTS,
        extensions.CRL_DISTRIBUTION_POINTS,
        extensions.CERTIFICATE_POLICIES,
        extensions.POLICY_MAPPINGS,
        extensions.AUTHORITY_KEY_IDENTIFIER,
        extensions.SUBJECT_KEY_IDENTIFIER,
        extensions.POLICY_CONSTRAINTS,
        extensions.EXTENDED_KEY_USAGE,
        extensions.FRESHEST_CRL,
        extensions.INHIBIT_ANY_POLICY,
        extensions.AUTHORITY_INFO_ACCESS,
        extensions.OCSP_NO_CHECK,
    }
)


@dataclass(frozen=True, slots=True)
class Use:
    """What a purpose asks of the leaf.

    ``key_usages``: one of these bits must be set where the extension is there. ``purposes``: where not empty, one of these
    extended key usages must be there (or anyExtendedKeyUsage, unless ``exact``). ``unless_only``: refused when every
    extended key usage that is there is one of these. ``exact``: the extension must be there, critical, and list nothing
    else (RFC 3161, 2.3). ``policies``: whether the caller's policy inputs apply. ``no_check``: id-pkix-ocsp-nocheck counts.
    """

    key_usages: frozenset[int] = frozenset({extensions.DIGITAL_SIGNATURE, extensions.NON_REPUDIATION})
    purposes: frozenset[str] = frozenset()
    required: bool = False
    unless_only: frozenset[str] = frozenset()
    exact: bool = False
    policies: bool = True
    no_check: bool = False


_NOT_FOR_DOCUMENTS = frozenset({SERVER_AUTH, CODE_SIGNING, TIME_STAMPING, OCSP_SIGNING})

USES = {
    "seal": Use(unless_only=_NOT_FOR_DOCUMENTS),
    "seal-maker": Use(unless_only=_NOT_FOR_DOCUMENTS),
    "message": Use(unless_only=frozenset({CODE_SIGNING, TIME_STAMPING, OCSP_SIGNING})),
    "tls": Use(frozenset({extensions.DIGITAL_SIGNATURE, 2, 4}), frozenset({SERVER_AUTH, CLIENT_AUTH})),
    "timestamp": Use(purposes=frozenset({TIME_STAMPING}), required=True, exact=True),
    "ocsp": Use(purposes=frozenset({OCSP_SIGNING}), required=True, policies=False, no_check=True),
    "crl": Use(frozenset({extensions.CRL_SIGN}), policies=False),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong; ``depth`` counts from the leaf (0) upwards."""

    axis: Axis
    sub_indication: SubIndication
    depth: int
    clause: str
    detail_zh: str
    detail_en: str
    data: tuple[tuple[str, str], ...] = ()
    indication: Indication = Indication.FAILED

    def finding(self, chain: list[SigningCert]) -> Finding:
        """As part of a report; the certificate is named by position and fingerprint, never by name."""
        data = {"position": str(self.depth), "certificate": chain[self.depth].fingerprint, **dict(self.data)}
        zh, en = f"第 {self.depth + 1} 张证书：{self.detail_zh}", f"certificate {self.depth + 1}: {self.detail_en}"
        return Finding(self.axis, self.indication, self.sub_indication, self.clause, zh, en, data)


@dataclass(frozen=True, slots=True)
class Checked:
    """All faults of a path, and the user-constrained policies."""

    faults: tuple[Fault, ...]
    policies: frozenset[str] = frozenset()


@dataclass
class _State:
    """The working variables of 6.1.2, and the faults found so far."""

    graph: PolicyGraph
    max_path_length: int
    trees: NameTrees = field(default_factory=NameTrees)
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, depth: int, clause: str, zh: str, en: str, *data: tuple[str, str]) -> None:
        sub = SubIndication.CHAIN_CONSTRAINTS_FAILURE
        self.faults.append(Fault(Axis.PATH, sub, depth, f"RFC 5280 {clause}", zh, en, data))


def check_path(chain: list[SigningCert], *, use: Use, at: datetime, inputs: PolicyInputs) -> Checked:
    """6.1 for a path given leaf first and anchor last; a leaf that is the anchor itself is trusted directly."""
    times: list[Fault] = []
    for depth, cert in enumerate(chain):
        times.extend(_validity(depth, cert, at))
    timeless = _timeless(tuple(chain), use, inputs)
    return Checked((*times, *timeless.faults), timeless.policies)


@lru_cache(maxsize=256)
def _timeless(chain: tuple[SigningCert, ...], use: Use, inputs: PolicyInputs) -> Checked:
    """All that does not depend on the time. Remembered: the signers of most documents are the same few. What is kept was
    issued under a trusted anchor, as the builder checked its signatures."""
    state = _State(PolicyGraph(inputs, len(chain) - 1), len(chain) - 1)
    policies: frozenset[str] | None = frozenset()
    try:
        if len(chain) > 1:
            _anchor(state, chain, use)
        for depth in range(len(chain) - 2, -1, -1):
            policies = _certificate(state, chain, depth, use)
        _usages(state, chain[0], use)
    except Malformed as error:
        state.faults.append(
            Fault(
                Axis.PATH,
                SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE,
                0,
                "RFC 5280 4.2",
                "路径上有格式错误的证书扩展",
                "an extension on the path is malformed",
                tuple(because(error.said).items()),
            )
        )
    return Checked(tuple(state.faults), policies or frozenset())


def _validity(depth: int, cert: SigningCert, at: datetime) -> Iterator[Fault]:
    """6.1.3 (a)(2); both bounds belong to the period (4.1.2.5)."""
    clause = "RFC 5280 6.1.3 (a)(2)"
    if at < cert.not_before:
        data = (("not_before", cert.not_before.isoformat()),)
        sub = SubIndication.NOT_YET_VALID
        yield Fault(Axis.VALIDITY, sub, depth, clause, "尚未生效", "not valid yet", data)
    if at > cert.not_after:
        data = (("not_after", cert.not_after.isoformat()),)
        sub = SubIndication.EXPIRED
        yield Fault(Axis.VALIDITY, sub, depth, clause, "已过有效期", "expired", data)


def _anchor(state: _State, chain: Sequence[SigningCert], use: Use) -> None:
    """The anchor as an issuer: what its own certificate says binds too (RFC 5937, 3.2). A version 1 root may issue."""
    depth, anchor = len(chain) - 1, chain[-1]
    if anchor.version == 3:
        _issuer_rights(state, depth, anchor, use)
        _constraints(state, anchor)


def _certificate(state: _State, chain: Sequence[SigningCert], depth: int, use: Use) -> frozenset[str] | None:
    """6.1.3 for one certificate, then 6.1.4 for an issuer or 6.1.5 for the leaf; gives the policies at the leaf."""
    cert, issuer, last = chain[depth], chain[depth + 1], depth == 0
    self_issued = same_name(cert.subject, cert.issuer)
    if not same_name(cert.issuer, issuer.subject):  # 6.1.3 (a)(4)
        state.refuse(depth, "6.1.3 (a)(4)", "签发者名称不符", "the issuer's name does not fit")
    if last or not self_issued:  # (b, c)
        _names(state, depth, cert)
    stated = cert.extensions.get(extensions.CERTIFICATE_POLICIES)
    policies = extensions.policies(stated.value) if stated else None
    state.graph.certificate(policies, self_issued=self_issued, last=last)  # (d, e)
    refused = state.graph.refused
    if refused:  # (f)
        state.refuse(depth, "6.1.3 (f)", "没有可接受的证书策略", "no acceptable certificate policy is left")
    _critical(state, depth, cert)  # 6.1.4 (o), 6.1.5 (f)

    limits = cert.extensions.get(extensions.POLICY_CONSTRAINTS)
    policy_limits = extensions.policy_constraints(limits.value) if limits else None
    if last:  # 6.1.5 (a, b, g)
        found = state.graph.wrap_up(policy_limits)
        if found is None and not refused:
            state.refuse(depth, "6.1.5 (g)", "没有可接受的证书策略", "no acceptable certificate policy is left")
        return found
    mappings = cert.extensions.get(extensions.POLICY_MAPPINGS)
    if mappings:  # 6.1.4 (a, b)
        state.graph.map(extensions.policy_mappings(mappings.value))
    inhibit = cert.extensions.get(extensions.INHIBIT_ANY_POLICY)
    skip = extensions.inhibit_any_policy(inhibit.value) if inhibit else None
    state.graph.next_certificate(policy_limits, skip, self_issued=self_issued)  # (h, i, j)
    if not self_issued:  # (l)
        if state.max_path_length <= 0:
            state.refuse(depth, "6.1.4 (l)", "超出路径长度限制", "the path is longer than an issuer allows")
        state.max_path_length -= 1
    _constraints(state, cert)  # (g, m)
    _issuer_rights(state, depth, cert, use)  # (k, n)
    return None


def _issuer_rights(state: _State, depth: int, cert: SigningCert, use: Use) -> None:
    """6.1.4 (k, n): a version 3 CA certificate whose key may sign certificates, and for our purpose if it says which."""
    stated = cert.extensions.get(extensions.BASIC_CONSTRAINTS)
    if cert.version != 3 or stated is None or not extensions.basic_constraints(stated.value).ca:
        state.refuse(depth, "6.1.4 (k)", "不是 CA 证书，不得签发证书", "not a CA certificate, so it may not issue")
    usage = cert.extensions.get(extensions.KEY_USAGE)
    if usage and extensions.KEY_CERT_SIGN not in extensions.key_usage(usage.value):
        state.refuse(depth, "6.1.4 (n)", "密钥用途不含签发证书", "its key usage does not allow issuing certificates")
    listed = cert.extensions.get(extensions.EXTENDED_KEY_USAGE)
    if listed and use.purposes:
        purposes = set(extensions.key_purposes(listed.value))
        if not purposes & (use.purposes | {ANY_EXTENDED_KEY_USAGE}):
            state.refuse(depth, "4.2.1.12", "扩展密钥用途不含该用途", "its extended key usages exclude this purpose")


def _constraints(state: _State, cert: SigningCert) -> None:
    """6.1.4 (g, m): name constraints and path length that bind the certificates below."""
    stated = cert.extensions.get(extensions.NAME_CONSTRAINTS)
    if stated:
        state.trees.add(extensions.name_constraints(stated.value))
    basic = cert.extensions.get(extensions.BASIC_CONSTRAINTS)
    length = extensions.basic_constraints(basic.value).path_length if basic else None
    if length is not None:
        state.max_path_length = min(state.max_path_length, length)


def _names(state: _State, depth: int, cert: SigningCert) -> None:
    """6.1.3 (b, c)."""
    stated = cert.extensions.get(extensions.SUBJECT_ALT_NAME)
    alternatives = extensions.general_names(stated.value) if stated else None
    refused = state.trees.refused(constrained_names(cert.subject, alternatives))
    if refused is not None:
        zh, en = "名称超出签发者的名称约束", "a name is outside the name constraints of an issuer"
        state.refuse(depth, "6.1.3 (b, c)", zh, en, ("name_kind", str(refused.kind)))


def _critical(state: _State, depth: int, cert: SigningCert) -> None:
    unknown = [e.oid for e in cert.extensions.values() if e.critical and e.oid not in PROCESSED]
    if unknown:
        zh, en = "含有无法处理的关键扩展", "it has a critical extension that is not processed"
        state.refuse(depth, "6.1.4 (o)" if depth else "6.1.5 (f)", zh, en, ("oid", " ".join(unknown)))


def _usages(state: _State, leaf: SigningCert, use: Use) -> None:
    """What the purpose asks of the leaf (4.2.1.3, 4.2.1.12; RFC 3161, 2.3)."""
    usage = leaf.extensions.get(extensions.KEY_USAGE)
    if usage and not extensions.key_usage(usage.value) & use.key_usages:
        state.refuse(0, "4.2.1.3", "密钥用途不含该用途", "its key usage does not allow this use")
    listed = leaf.extensions.get(extensions.EXTENDED_KEY_USAGE)
    if listed is None:
        if use.required:
            state.refuse(0, "4.2.1.12", "缺少所需的扩展密钥用途", "the extended key usage that is due is absent")
        return
    purposes = set(extensions.key_purposes(listed.value))
    if use.exact and (purposes != use.purposes or not listed.critical):
        zh, en = "扩展密钥用途必须为关键且仅含该用途", "its extended key usage must be critical and nothing else"
        state.refuse(0, "4.2.1.12; RFC 3161 2.3", zh, en)
    elif use.purposes and not purposes & (use.purposes | ({ANY_EXTENDED_KEY_USAGE} if not use.required else set())):
        state.refuse(0, "4.2.1.12", "扩展密钥用途不含该用途", "its extended key usages exclude this purpose")
    elif purposes <= use.unless_only:
        state.refuse(0, "4.2.1.12", "扩展密钥用途与此无关", "its extended key usages are all for something else")
