"""The test authority against other software: what it issues, OpenSSL and cryptography take; what OpenSSL issues, we take."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certs.errors import BadKey
from certs.issuing.authority import Identity, SealAuthority, algorithm_identifier, new_root
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.ofd.seal_write import Picture, make_seal
from certs.ofd.verify import verify_ofd
from certs.ofd.write import SignOptions, sign_ofd
from certs.pkcs8 import armour
from certs.policy import Policy
from certs.report import Indication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

from .ofd_cases import NOW, unsigned, world

A = SignatureAlgorithm
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no OpenSSL command line")


@needs_openssl
@pytest.mark.parametrize("algorithm", [A.SM2_SM3, A.RSA_PKCS1_SHA256, A.ECDSA_SHA256, A.ED25519])
def test_openssl_takes_our_certificates_and_crls(algorithm: SignatureAlgorithm, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = SealAuthority.create(now, algorithm)
    crl = authority.intermediate.crl({7: (now, 1)}, this_update=now, next_update=now + timedelta(days=1))
    for name, identity in (("root", authority.root), ("middle", authority.intermediate), ("leaf", authority.signer)):
        (tmp_path / name).write_bytes(armour("CERTIFICATE", identity.cert.der))
    (tmp_path / "crl").write_bytes(armour("X509 CRL", crl))
    # OpenSSL 3.0 gives the user id to the last certificate only, so each link is verified by itself
    distid = ["-vfyopt", "distid:1234567812345678"] if algorithm is A.SM2_SM3 else []
    for issuer, subject in (("root", "middle"), ("middle", "leaf")):
        command = ["openssl", "verify", "-x509_strict", "-partial_chain", *distid, "-CAfile", issuer, subject]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["openssl", "crl", "-in", "crl", "-noout", "-text"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Serial Number: 07" in shown.stdout
    if algorithm is not A.SM2_SM3:
        command = ["openssl", "crl", "-in", "crl", "-CAfile", "middle", "-noout"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "verify OK" in done.stdout + done.stderr


@pytest.mark.parametrize("algorithm", [A.SM2_SM3, A.RSA_PKCS1_SHA256, A.ECDSA_SHA256])
def test_cryptography_reads_them(algorithm: SignatureAlgorithm) -> None:
    authority = world(algorithm).authority
    certificate = x509.load_der_x509_certificate(authority.signer.cert.der)
    assert certificate.subject.rfc4514_string().startswith("CN=济南市公安局")
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == authority.signer.cert.not_after


def test_urls_and_usages() -> None:
    root = world().authority.root
    leaf = root.issue(
        {"O": "x"},
        crl_urls=("http://crl.example/a.crl",),
        ocsp_urls=("http://ocsp.example/",),
        extended=("1.3.6.1.5.5.7.3.2",),
        serial=5,
        not_after=datetime(2055, 1, 1, tzinfo=UTC),
    )
    certificate = x509.load_der_x509_certificate(leaf.cert.der)
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name
    assert points[0].full_name[0].value == "http://crl.example/a.crl"
    assert certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert certificate.serial_number == 5
    assert leaf.chain == (root.cert,)
    assert leaf.cert.not_after.year == 2055


def test_algorithms_that_have_no_place_in_certificates() -> None:
    with pytest.raises(BadKey):
        algorithm_identifier(A.RSA_PSS_SHA256)


@needs_openssl
def test_a_document_sealed_with_a_certificate_that_openssl_made(tmp_path: Path) -> None:
    """Keys and certificates of other software through the whole verification."""

    def run(*command: str) -> None:
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)

    identities = []
    for name in ("maker", "signer"):
        run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", f"{name}.pem")
        run(
            *("req", "-x509", "-key", f"{name}.pem", "-sm3", "-sigopt", "distid:1234567812345678", "-days", "3650"),
            *("-utf8", "-subj", f"/C=CN/CN={name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-out", f"{name}.crt"),
        )
        key = PrivateKey.from_pem((tmp_path / f"{name}.pem").read_bytes())
        identities.append(Identity(key, SigningCert.from_pem((tmp_path / f"{name}.crt").read_bytes())))
    maker, signer = identities
    now = datetime.now(UTC) + timedelta(minutes=1)
    day = timedelta(days=1)
    picture = Picture("PNG", b"-")
    seal = make_seal(maker, [signer.cert], name="章", seal_id="1", picture=picture, valid_from=now, valid_to=now + day)
    document = sign_ofd(unsigned(), signer, SignOptions(seal=seal), at=now)
    trust = TrustStore.of([maker.cert, signer.cert], ["seal", "seal-maker"], now)
    policy = Policy(revocation="off")
    report = verify_ofd(document, at=now, trust=trust, policy=policy, revocation=RevocationSource())
    assert report.indication is Indication.PASSED
    nobody = verify_ofd(document, at=now, trust=TrustStore(), policy=policy, revocation=RevocationSource())
    assert nobody.indication is Indication.INDETERMINATE


def test_a_root_that_keeps_its_key() -> None:
    root = world().authority.root
    renewed = new_root("x", key=root.key, not_before=NOW, not_after=NOW + timedelta(days=1))
    assert renewed.cert.spki == root.cert.spki
    assert renewed.cert != root.cert
