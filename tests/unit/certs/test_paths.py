"""Paths beyond PKITS: every key kind, time bounds, purposes, broken names, several candidates, and the bounds of work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from certs import der
from certs.issuing.authority import Identity, encode_name, extension, new_root
from certs.keys import SignatureAlgorithm
from certs.policy import Policy
from certs.report import Indication, SubIndication
from certs.trust import TrustStore
from certs.x509 import extensions
from certs.x509.path_checks import CODE_SIGNING, OCSP_SIGNING, SERVER_AUTH, TIME_STAMPING
from certs.x509.paths import LIMITS, PathResult, validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGIN, END = NOW - timedelta(days=100), NOW + timedelta(days=1000)
NO_CHECK = Policy(revocation="off")
KINDS = (
    SignatureAlgorithm.SM2_SM3,
    SignatureAlgorithm.RSA_PKCS1_SHA256,
    SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithm.ED25519,
)


@dataclass(frozen=True)
class Chain:
    root: Identity
    middle: Identity
    leaf: Identity


def chain(kind: SignatureAlgorithm = SignatureAlgorithm.SM2_SM3) -> Chain:
    root = new_root({"C": "CN", "O": "根"}, kind, not_before=BEGIN, not_after=END)
    middle = root.issue({"C": "CN", "O": "签发"}, ca=True)
    return Chain(root, middle, middle.issue({"C": "CN", "O": "教育局"}))


def judge(
    leaf: Identity,
    *intermediates: Identity,
    root: Identity,
    at: datetime = NOW,
    purpose: str = "seal",
    policy: Policy = NO_CHECK,
) -> PathResult:
    return validate_path(
        leaf.cert,
        [one.cert for one in intermediates],
        trust=TrustStore.of([root.cert], ["seal", "message", "tls", "timestamp"], NOW),
        purpose=purpose,
        at=at,
        policy=policy,
        revocation=RevocationSource(),
    )


def subs(result: PathResult) -> set[SubIndication | None]:
    return {f.sub_indication for f in result.findings if f.indication is not Indication.PASSED}


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_path_of_every_kind_passes(kind: SignatureAlgorithm) -> None:
    made = chain(kind)
    result = judge(made.leaf, made.middle, root=made.root)
    assert result.indication is Indication.PASSED
    assert result.chain == (made.leaf.cert, made.middle.cert, made.root.cert)


def test_kinds_may_be_mixed_on_one_path() -> None:
    root = new_root("root", SignatureAlgorithm.RSA_PKCS1_SHA256, not_before=BEGIN, not_after=END)
    middle = root.issue("middle", SignatureAlgorithm.SM2_SM3, ca=True)
    assert (
        judge(middle.issue("leaf", SignatureAlgorithm.ECDSA_SHA256), middle, root=root).indication is Indication.PASSED
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_certificate_fails(kind: SignatureAlgorithm) -> None:
    made = chain(kind)
    altered = made.leaf.cert.der.replace("教育局".encode(), "教育厅".encode())
    assert altered != made.leaf.cert.der
    forged = Identity(made.leaf.key, SigningCert.from_der(altered))
    result = judge(forged, made.middle, root=made.root)
    assert result.indication is Indication.FAILED
    assert subs(result) == {SubIndication.SIG_CRYPTO_FAILURE}


@pytest.mark.parametrize(
    ("at", "sub"),
    [
        (BEGIN - timedelta(seconds=1), SubIndication.NOT_YET_VALID),
        (BEGIN, None),
        (END, None),
        (END + timedelta(seconds=1), SubIndication.EXPIRED),
    ],
)
def test_time_before_at_and_after_each_bound(at: datetime, sub: SubIndication | None) -> None:
    made = chain()
    result = judge(made.leaf, made.middle, root=made.root, at=at)
    assert subs(result) == ({sub} if sub else set())
    assert result.indication is (Indication.FAILED if sub else Indication.PASSED)


def test_no_path_is_undetermined_not_failed() -> None:
    made, other = chain(), chain()
    assert subs(judge(made.leaf, root=made.root)) == {SubIndication.NO_CERTIFICATE_CHAIN_FOUND}
    result = judge(made.leaf, made.middle, root=other.root)
    assert result.indication is Indication.INDETERMINATE


def test_an_anchor_counts_for_its_purposes_only() -> None:
    made = chain()
    assert judge(made.leaf, made.middle, root=made.root, purpose="seal-maker").indication is Indication.INDETERMINATE


def test_a_leaf_that_is_an_anchor_is_trusted_directly() -> None:
    made = chain()
    result = judge(made.leaf, root=made.leaf)
    assert result.indication is Indication.PASSED
    assert result.chain == (made.leaf.cert,)


def test_a_trusted_leaf_may_not_issue() -> None:
    made = chain()
    child = made.leaf.issue("child")
    result = judge(child, root=made.leaf)
    assert result.indication is Indication.FAILED
    assert subs(result) == {SubIndication.CHAIN_CONSTRAINTS_FAILURE}


@pytest.mark.parametrize(
    ("usages", "extended", "critical", "purpose", "good"),
    [
        ((0,), (), False, "seal", True),
        ((1,), (), False, "seal", True),
        ((5, 6), (), False, "seal", False),
        ((0, 1), (SERVER_AUTH,), False, "seal", False),
        ((0, 1), (CODE_SIGNING, TIME_STAMPING), False, "message", False),
        ((0, 1), (SERVER_AUTH, "1.3.6.1.5.5.7.3.4"), False, "seal", True),
        ((0, 1), (), False, "timestamp", False),
        ((0, 1), (TIME_STAMPING,), False, "timestamp", False),
        ((0, 1), (TIME_STAMPING,), True, "timestamp", True),
        ((0, 1), (TIME_STAMPING, SERVER_AUTH), True, "timestamp", False),
        ((0,), (OCSP_SIGNING,), False, "tls", False),
        ((0,), (SERVER_AUTH,), False, "tls", True),
    ],
)
def test_usages_must_fit_the_purpose(
    usages: tuple[int, ...], extended: tuple[str, ...], critical: bool, purpose: str, good: bool
) -> None:
    made = chain()
    leaf = made.middle.issue("leaf", key_usages=usages, extended=extended, extended_critical=critical)
    result = judge(leaf, made.middle, root=made.root, purpose=purpose)
    assert result.indication is (Indication.PASSED if good else Indication.FAILED)


def test_an_encoded_default_in_basic_constraints_is_accepted() -> None:
    made = chain()
    encoded = der.tlv(der.SEQUENCE, b"\x01\x01\x00")
    raw = made.leaf.cert.der
    assert extensions.basic_constraints(encoded).ca is False
    plain = extension(extensions.BASIC_CONSTRAINTS, der.tlv(der.SEQUENCE), True)
    assert plain in raw
    # the same certificate with cA FALSE spelt out, signed anew
    tbs = _replace_extension(made.leaf.cert.tbs, plain, extension(extensions.BASIC_CONSTRAINTS, encoded, True))
    leaf = Identity(made.leaf.key, _signed(tbs, made.middle))
    assert judge(leaf, made.middle, root=made.root).indication is Indication.PASSED


def test_broken_utf8_in_names_does_not_matter() -> None:
    made = chain()
    name = made.leaf.cert.subject
    broken = name.replace("教育局".encode(), "教育局".encode()[:-1] + b"\xff")
    leaf = Identity(made.leaf.key, _signed(made.leaf.cert.tbs.replace(name, broken), made.middle))
    assert judge(leaf, made.middle, root=made.root).indication is Indication.PASSED


def test_a_broken_issuer_name_chains_by_its_bytes() -> None:
    root = new_root("root", not_before=BEGIN, not_after=END)
    middle = root.issue("middle", ca=True)
    broken = encode_name("middle").replace(b"middle", b"mid\xff\xfee")
    middle = Identity(middle.key, _signed(middle.cert.tbs.replace(encode_name("middle"), broken), root), root)
    leaf = middle.issue("leaf")
    assert leaf.cert.issuer == broken
    assert judge(leaf, middle, root=root).indication is Indication.PASSED


def test_the_good_one_of_several_issuers_of_one_name_is_found() -> None:
    made = chain()
    impostors = [made.root.issue({"C": "CN", "O": "签发"}, ca=True) for _ in range(5)]
    expired = made.root.issue({"C": "CN", "O": "签发"}, ca=True, key=made.middle.key, not_after=BEGIN)
    result = judge(made.leaf, *impostors, expired, made.middle, root=made.root)
    assert result.indication is Indication.PASSED
    assert result.chain[1] == made.middle.cert


def test_path_length_and_depth_are_bounded() -> None:
    root = new_root("root", SignatureAlgorithm.ECDSA_SHA256, not_before=BEGIN, not_after=END)
    line = [root]
    for number in range(LIMITS.depth):
        line.append(line[-1].issue(f"ca {number}", ca=True))
    fits = judge(line[-2].issue("leaf"), *line[1:], root=root)
    assert fits.indication is Indication.PASSED
    assert len(fits.chain) == LIMITS.depth + 1
    assert judge(line[-1].issue("leaf"), *line[1:], root=root).indication is Indication.INDETERMINATE


def test_a_maze_of_cross_certificates_ends_at_the_bound() -> None:
    """Twelve CAs that certify each other have factorially many paths; none leads to the anchor."""
    kind = SignatureAlgorithm.ECDSA_SHA256
    roots = [new_root(f"ca {n}", kind, not_before=BEGIN, not_after=END) for n in range(12)]
    maze = [a.issue(f"ca {n}", ca=True, key=b.key) for a in roots for n, b in enumerate(roots) if a is not b]
    stranger = new_root("stranger", kind, not_before=BEGIN, not_after=END)
    result = judge(roots[0].issue("leaf"), *maze, root=stranger)
    assert result.indication is Indication.INDETERMINATE
    assert result.findings[0].data["bound"] in {"signatures", "steps"}


def test_sha1_and_short_keys_are_refused() -> None:
    weak = Policy(revocation="off", min_rsa_bits=3072)
    made = chain(SignatureAlgorithm.RSA_PKCS1_SHA256)
    result = judge(made.leaf, made.middle, root=made.root, policy=weak)
    assert result.indication is Indication.FAILED
    assert subs(result) == {SubIndication.CRYPTO_CONSTRAINTS_FAILURE}
    none = Policy(revocation="off", algorithms=frozenset({SignatureAlgorithm.SM2_SM3}))
    result = judge(made.leaf, made.middle, root=made.root, policy=none)
    assert result.indication is Indication.INDETERMINATE
    assert subs(result) == {SubIndication.CRYPTO_CONSTRAINTS_FAILURE}


@pytest.mark.parametrize("oid", [extensions.CERTIFICATE_POLICIES, extensions.SUBJECT_ALT_NAME])
@pytest.mark.parametrize("value", [b"", b"\x30", b"\x30\x02\x30\x00", b"\x03\x01\x09", b"\x30\x84\xff\xff\xff\xff"])
def test_malformed_extensions_are_findings_not_errors(oid: str, value: bytes) -> None:
    made = chain()
    leaf = made.middle.issue("leaf", extra_extensions=[extension(oid, value, False)])
    result = judge(leaf, made.middle, root=made.root)
    assert subs(result) == {SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE}


def _replace_extension(tbs: bytes, old: bytes, new: bytes) -> bytes:
    """A TBSCertificate with one extension exchanged and all lengths right."""
    *head, wrapped = der.read(tbs, der.SEQUENCE).members()
    listed = der.read(wrapped.content, der.SEQUENCE).content.replace(old, new)
    return der.tlv(der.SEQUENCE, *(m.raw for m in head), der.tlv(0xA3, der.tlv(der.SEQUENCE, listed)))


def _signed(tbs: bytes, issuer: Identity) -> SigningCert:
    algorithm = der.read(tbs, der.SEQUENCE).members()[2].raw
    signature = der.tlv(der.BIT_STRING, b"\x00", issuer.sign(tbs))
    return SigningCert.from_der(der.tlv(der.SEQUENCE, tbs, algorithm, signature))
