"""CMS, PKCS#7 and GB/T 35275 messages with and without attributes and timestamps, against our writer and OpenSSL's."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import der
from certs.cms.signed_data import MESSAGE_DIGEST
from certs.cms.timestamps import TimestampResult, verify_timestamp
from certs.cms.verify import verify_cms, verify_signed_data
from certs.issuing.authority import Identity, new_root
from certs.issuing.messages import issue_timestamp, sign_message
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.policy import Policy
from certs.report import Axis, Indication, Report, SubIndication
from certs.trust import TrustStore
from certs.x509.path_checks import TIME_STAMPING
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGIN, END = NOW - timedelta(days=100), NOW + timedelta(days=1000)
POLICY = Policy(revocation="off")
KINDS = (
    SignatureAlgorithm.SM2_SM3,
    SignatureAlgorithm.RSA_PKCS1_SHA256,
    SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithm.ED25519,
)
CONTENT = "签名内容".encode()


@dataclass(frozen=True)
class World:
    root: Identity
    signer: Identity
    stamper: Identity

    @property
    def trust(self) -> TrustStore:
        return TrustStore.of([self.root.cert], ["message", "timestamp"], NOW)


def world(kind: SignatureAlgorithm = SignatureAlgorithm.SM2_SM3) -> World:
    root = new_root("root", kind, not_before=BEGIN, not_after=END)
    stamper = root.issue("tsa", extended=[TIME_STAMPING], extended_critical=True)
    return World(root, root.issue("signer"), stamper)


def judge(data: bytes, made: World, content: bytes | None = CONTENT, *, policy: Policy = POLICY) -> Report:
    return verify_cms(
        data, content, trust=made.trust, policy=policy, revocation=RevocationSource(), at=NOW, purpose="message"
    )


def subs(report: Report) -> set[SubIndication | None]:
    return {f.sub_indication for f in report.findings if f.indication is not Indication.PASSED}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize("detached", [True, False])
def test_messages_of_every_kind_pass(kind: SignatureAlgorithm, attributes: bool, detached: bool) -> None:
    made = world(kind)
    data = sign_message(CONTENT, made.signer, attributes=attributes, detached=detached)
    report = judge(data, made, CONTENT if detached else None)
    assert report.indication is Indication.PASSED, report.findings
    assert report.signers[0].fingerprint_sha256 == made.signer.cert.fingerprint
    assert report.signers[0].algorithm == kind.value


@pytest.mark.parametrize("attributes", [True, False])
def test_gb_t_35275_messages_pass(attributes: bool) -> None:
    made = world()
    data = sign_message(CONTENT, made.signer, gb=True, attributes=attributes)
    report = judge(data, made)
    assert report.indication is Indication.PASSED
    assert report.findings[0].clause.startswith("GB/T 35275")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attributes", [True, False])
def test_other_content_fails(kind: SignatureAlgorithm, attributes: bool) -> None:
    made = world(kind)
    report = judge(sign_message(CONTENT, made.signer, attributes=attributes), made, CONTENT + b"!")
    assert report.indication is Indication.FAILED
    assert subs(report) == {SubIndication.HASH_FAILURE if attributes else SubIndication.SIG_CRYPTO_FAILURE}


def test_content_inside_must_be_the_content_given() -> None:
    made = world()
    assert subs(judge(sign_message(CONTENT, made.signer, detached=False), made, b"other")) == {
        SubIndication.HASH_FAILURE
    }


def test_missing_content_is_undetermined() -> None:
    made = world()
    report = judge(sign_message(CONTENT, made.signer), made, None)
    assert report.indication is Indication.INDETERMINATE
    assert subs(report) == {SubIndication.SIGNED_DATA_NOT_FOUND}


def test_signed_attributes_cannot_be_passed_off_as_content() -> None:
    """A signature over attributes is one over content that is those attributes; such content is refused (RFC 5652, 5.4)."""
    made = world()
    whole = sign_message(CONTENT, made.signer)
    start = whole.index(der.encode_oid(MESSAGE_DIGEST))
    assert start > 0
    attributes = der.tlv(
        der.SET,
        der.tlv(der.SEQUENCE, der.encode_oid(MESSAGE_DIGEST), der.tlv(der.SET, der.tlv(der.OCTET_STRING, bytes(32)))),
    )
    report = judge(sign_message(attributes, made.signer, attributes=False), made, attributes)
    assert subs(report) == {SubIndication.SIG_CONSTRAINTS_FAILURE}


def test_another_certificate_of_the_same_name_and_serial_is_refused() -> None:
    made = world()
    data = sign_message(CONTENT, made.signer)
    other = made.root.issue("signer", serial=made.signer.cert.serial, key=made.signer.key, not_after=NOW)
    report = judge(data.replace(made.signer.cert.der, other.cert.der), made)
    assert report.indication is Indication.FAILED


def test_a_stranger_is_undetermined_and_an_absent_certificate_too() -> None:
    made, other = world(), world()
    assert subs(judge(sign_message(CONTENT, other.signer), made)) == {SubIndication.NO_CERTIFICATE_CHAIN_FOUND}
    plain = world(SignatureAlgorithm.ED25519)  # its certificates are of equal length
    other_cert = plain.root.issue("signer", serial=plain.signer.cert.serial ^ 2, key=plain.signer.key).cert
    data = sign_message(CONTENT, plain.signer).replace(plain.signer.cert.der, other_cert.der)
    assert subs(judge(data, plain)) == {SubIndication.NO_SIGNING_CERTIFICATE_FOUND}


@pytest.mark.parametrize("policy", [POLICY, Policy(revocation="off", accept_claimed_time=False)])
def test_the_claimed_time_counts_where_the_policy_says_so(policy: Policy) -> None:
    root = new_root("root", not_before=BEGIN, not_after=END)
    made = World(root, root.issue("signer", not_after=NOW - timedelta(days=1)), root)
    data = sign_message(CONTENT, made.signer, signing_time=NOW - timedelta(days=2))
    report = judge(data, made, policy=policy)
    assert report.axis(Axis.VALIDITY) is (Indication.PASSED if policy.accept_claimed_time else Indication.FAILED)


def test_a_timestamp_proves_the_time() -> None:
    root = new_root("root", not_before=BEGIN, not_after=END)
    stamper = root.issue("tsa", extended=[TIME_STAMPING], extended_critical=True)
    made = World(root, root.issue("signer", not_after=NOW - timedelta(days=1)), stamper)
    when = NOW - timedelta(days=2)
    strict = Policy(revocation="off", accept_claimed_time=False)
    data = sign_message(CONTENT, made.signer, timestamp=lambda value: issue_timestamp(value, stamper, time=when))
    report = judge(data, made, policy=strict)
    assert report.indication is Indication.PASSED
    assert report.axis(Axis.TIMESTAMP) is Indication.PASSED
    wrong = sign_message(CONTENT, made.signer, timestamp=lambda value: issue_timestamp(b"other", stamper, time=when))
    report = judge(wrong, made, policy=strict)
    assert report.axis(Axis.TIMESTAMP) is Indication.FAILED
    assert report.axis(Axis.VALIDITY) is Indication.FAILED


# --- timestamps by themselves ---


def stamped(made: World, token: bytes, data: bytes = CONTENT) -> TimestampResult:
    return verify_timestamp(token, data, trust=made.trust, policy=POLICY, revocation=RevocationSource(), now=NOW)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_timestamps_of_every_kind(kind: SignatureAlgorithm) -> None:
    made = world(kind)
    when = NOW - timedelta(hours=1)
    result = stamped(made, issue_timestamp(CONTENT, made.stamper, time=when))
    assert (result.indication, result.time) == (Indication.PASSED, when)
    assert {f.axis for f in result.findings} == {Axis.TIMESTAMP}


def test_timestamps_that_do_not_hold() -> None:
    made, other = world(), world()
    hour_ago = NOW - timedelta(hours=1)
    good = issue_timestamp(CONTENT, made.stamper, time=hour_ago)
    cases = {
        SubIndication.HASH_FAILURE: stamped(made, good, b"other"),
        SubIndication.FORMAT_FAILURE: stamped(made, b"junk"),
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND: stamped(made, issue_timestamp(CONTENT, other.stamper, time=hour_ago)),
        SubIndication.CHAIN_CONSTRAINTS_FAILURE: stamped(made, issue_timestamp(CONTENT, made.signer, time=hour_ago)),
        SubIndication.EXPIRED: stamped(
            made,
            issue_timestamp(
                CONTENT,
                made.root.issue(
                    "old", extended=[TIME_STAMPING], extended_critical=True, not_after=NOW - timedelta(days=1)
                ),
                time=hour_ago,
            ),
        ),
        SubIndication.TIMESTAMP_ORDER_FAILURE: stamped(
            made, issue_timestamp(CONTENT, made.stamper, time=NOW + timedelta(hours=1))
        ),
        SubIndication.SIG_CONSTRAINTS_FAILURE: stamped(
            made, issue_timestamp(CONTENT, made.stamper, time=hour_ago, bind_certificate=False)
        ),
    }
    for expected, result in cases.items():
        assert result.indication is not Indication.PASSED
        assert expected in {f.sub_indication for f in result.findings}, expected
        assert {f.axis for f in result.findings} == {Axis.TIMESTAMP}


# --- written by OpenSSL, so that not only our signer meets our verifier ---

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="the OpenSSL command line is not installed")
NEW_KEY = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def openssl(folder: Path, *arguments: str) -> None:
    assert OPENSSL
    subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@needs_openssl
@pytest.mark.parametrize("kind", NEW_KEY)
@pytest.mark.parametrize("form", [[], ["-noattr"], ["-nodetach"], ["-nodetach", "-stream"]])
def test_messages_by_openssl_pass(tmp_path: Path, kind: str, form: list[str]) -> None:
    openssl(tmp_path, "genpkey", *NEW_KEY[kind], "-out", "key.pem")
    openssl(tmp_path, "req", "-x509", "-key", "key.pem", "-subj", "/CN=signer", "-days", "30", "-out", "cert.pem")
    (tmp_path / "content").write_bytes(CONTENT)
    sign = ["cms", "-sign", "-binary", "-in", "content", "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER"]
    openssl(tmp_path, *sign, *form, "-out", "message")
    cert = SigningCert.from_pem((tmp_path / "cert.pem").read_bytes())
    result = verify_signed_data(
        (tmp_path / "message").read_bytes(),
        None if "-nodetach" in form else CONTENT,
        trust=TrustStore.of([cert], ["message"], NOW),
        policy=POLICY,
        revocation=RevocationSource(),
        at=datetime.now(UTC),
    )
    assert all(f.indication is Indication.PASSED for f in result.findings), result.findings
    assert result.content == CONTENT


@needs_openssl
def test_an_sm2_chain_by_openssl_passes(tmp_path: Path) -> None:
    """Root and leaf made by the OpenSSL command line, with the default user id of GB/T 35276."""
    user = ["-sigopt", "distid:1234567812345678"]
    for name in ("root", "leaf"):
        openssl(tmp_path, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", f"{name}.key")
    openssl(
        tmp_path, "req", "-x509", "-sm3", *user, "-key", "root.key", "-subj", "/C=CN/CN=root", "-out", "root.pem",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    openssl(tmp_path, "req", "-new", "-sm3", *user, "-key", "leaf.key", "-subj", "/C=CN/CN=leaf", "-out", "leaf.csr")
    openssl(
        tmp_path, "x509", "-req", "-sm3", *user, "-vfyopt", "distid:1234567812345678", "-in", "leaf.csr", "-days", "9",
        "-CA", "root.pem", "-CAkey", "root.key", "-out", "leaf.pem",
    )  # fmt: skip
    root, leaf = (SigningCert.from_pem((tmp_path / f"{n}.pem").read_bytes()) for n in ("root", "leaf"))
    key = PrivateKey.from_pem((tmp_path / "leaf.key").read_bytes())
    report = verify_cms(
        sign_message(CONTENT, Identity(key, leaf), gb=True),
        CONTENT,
        trust=TrustStore.of([root], ["message"], NOW),
        policy=POLICY,
        revocation=RevocationSource(),
        at=datetime.now(UTC),
    )
    assert report.indication is Indication.PASSED, report.findings
