"""Weak algorithms and keys wherever they may stand, and times a second before, at, and a second after each bound."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.cms.verify import verify_cms
from certs.issuing.messages import issue_timestamp, sign_message
from certs.ofd.write import SignOptions
from certs.policy import Policy
from certs.report import Axis, Indication, SubIndication
from certs.trust import Anchor, TrustStore
from certs.verify import Fetchers, verify
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert
from tests.fuzz.chains import world as chains
from tests.unit.certs.ofd_cases import NOW, on, world

PASSED, FAILED = Indication.PASSED, Indication.FAILED
SECOND = timedelta(seconds=1)
POLICY = Policy(revocation="off")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the OpenSSL command line is not installed")
@pytest.mark.parametrize(("bits", "digest"), [("1024", "sha256"), ("2048", "sha1"), ("2048", "md5")])
def test_messages_by_openssl_with_short_keys_or_weak_digests(tmp_path: Path, bits: str, digest: str) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", "key.pem")
    openssl("req", "-x509", "-key", "key.pem", "-subj", "/CN=weak", "-days", "9", "-out", "cert.pem")
    (tmp_path / "content").write_bytes(b"content")
    signing = ["-sign", "-binary", "-nodetach", "-md", digest, "-signer", "cert.pem", "-inkey", "key.pem"]
    openssl("cms", *signing, "-in", "content", "-outform", "DER", "-out", "message")
    cert = SigningCert.from_pem((tmp_path / "cert.pem").read_bytes())
    at = datetime.now(UTC) + SECOND
    trust = TrustStore.of([cert], ["message"], at)
    report = verify((tmp_path / "message").read_bytes(), policy=POLICY, at=at, trust=trust, fetchers=Fetchers())
    assert report.format == "cms"
    assert report.indication is not PASSED
    reasons = {f.sub_indication for f in report.findings if f.indication is not PASSED}
    assert SubIndication.CRYPTO_CONSTRAINTS_FAILURE in reasons


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [
        (SECOND, timedelta(days=1), SubIndication.NOT_YET_VALID),
        (timedelta(0), timedelta(days=1), None),
        (-SECOND, timedelta(days=1), None),
        (-timedelta(hours=1), SECOND, None),
        (-timedelta(hours=1), timedelta(0), None),
        (-timedelta(hours=1), -SECOND, SubIndication.EXPIRED),
    ],
)
def test_the_period_of_a_seal(begins: timedelta, ends: timedelta, reason: SubIndication | None) -> None:
    w = world()
    seal = w.seal(valid_from=NOW + begins, valid_to=NOW + ends)
    report = w.verify(w.signed(SignOptions(seal=seal)))
    assert report.sub_indication is reason
    assert report.axis(Axis.VALIDITY) is (FAILED if reason else PASSED)


@pytest.mark.parametrize(("after", "trusted"), [(-SECOND, True), (timedelta(0), True), (SECOND, False)])
def test_the_end_of_trust(after: timedelta, trusted: bool) -> None:
    w = world()
    purposes = frozenset({"seal", "seal-maker"})
    trust = TrustStore((Anchor(w.authority.root.cert, purposes, NOW - timedelta(days=1), NOW - after),))
    report = w.verify(w.signed(), trust=trust)
    signer = next(f for f in on(report, Axis.PATH) if f.data["purpose"] == "seal")
    assert (signer.indication is PASSED) is trusted


@pytest.mark.parametrize(("offset", "holds"), [(-SECOND, False), (timedelta(0), True), (SECOND, True)])
def test_a_timestamp_before_at_and_after_the_birth_of_its_authority(offset: timedelta, holds: bool) -> None:
    w = chains()
    at = w.stamper.cert.not_before + offset
    message = sign_message(
        b"x", w.leaf, chain=[w.middle.cert], timestamp=lambda value: issue_timestamp(value, w.stamper, time=at)
    )
    report = verify_cms(
        message,
        b"x",
        trust=w.trust,
        policy=POLICY,
        revocation=RevocationSource(),
        at=w.leaf.cert.not_before + 2 * SECOND,
    )
    stamp = [f for f in report.findings if f.sub_indication in {SubIndication.NOT_YET_VALID, SubIndication.EXPIRED}]
    assert (not stamp) is holds
