"""Keys and algorithms: what fits, both signature forms, and every way that a key file comes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_der_x509_certificate

from certs.errors import BadKey
from certs.keys import SPECS, PrivateKey, PublicKey, SignatureAlgorithm, load_pkcs12
from certs.pkcs8 import armour
from certs.x509.signing_cert import SigningCert, public_key_from_pem

from .ofd_cases import world

A = SignatureAlgorithm
SIGNING = [a for a in A if a is not A.RSA_PKCS1_SHA1]
KEYS = {
    a: PrivateKey.generate(a, rsa_bits=2048)
    for a in (A.SM2_SM3, A.RSA_PSS_SHA256, A.ED25519, A.ECDSA_P256_SHA256, A.ECDSA_P384_SHA384)
}


def key_for(algorithm: SignatureAlgorithm) -> PrivateKey:
    return next(key for key in KEYS.values() if key.public_key.fits(algorithm))


@pytest.mark.parametrize("algorithm", SIGNING)
@pytest.mark.parametrize("raw", [False, True])
def test_sign_and_verify(algorithm: SignatureAlgorithm, raw: bool) -> None:
    key = key_for(algorithm)
    signature = key.sign(algorithm, b"data", raw=raw)
    public = PublicKey.from_spki_der(key.public_key.spki)
    assert public.verify(algorithm, b"data", signature, raw=raw)
    assert not public.verify(algorithm, b"Data", signature, raw=raw)
    for broken in (b"", signature[:-1], signature + b"\x00", bytes(len(signature))):
        assert not public.verify(algorithm, b"data", broken, raw=raw)
    if SPECS[algorithm].kind in {"ec", "sm2"}:
        assert not public.verify(algorithm, b"data", signature, raw=not raw)


@pytest.mark.parametrize("algorithm", list(A))
def test_an_algorithm_that_does_not_fit_is_an_error_and_not_a_false(algorithm: SignatureAlgorithm) -> None:
    for key in KEYS.values():
        if not key.public_key.fits(algorithm):
            with pytest.raises(BadKey):
                key.public_key.verify(algorithm, b"", b"")
            with pytest.raises(BadKey):
                key.sign(algorithm, b"")


def test_the_same_rsa_signature_under_another_digest_or_padding() -> None:
    key = KEYS[A.RSA_PSS_SHA256]
    signature = key.sign(A.RSA_PKCS1_SHA256, b"x")
    for other in (A.RSA_PKCS1_SHA384, A.RSA_PKCS1_SHA512, A.RSA_PSS_SHA256, A.RSA_PSS_SHA512):
        assert not key.public_key.verify(other, b"x", signature)


def test_nothing_is_signed_with_sha1() -> None:
    with pytest.raises(BadKey):
        KEYS[A.RSA_PSS_SHA256].sign(A.RSA_PKCS1_SHA1, b"x")


def spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x30\x00",
        spki(rsa.generate_private_key(65537, 1024)),
        spki(ec.generate_private_key(ec.SECP256K1())),
        spki(dsa.generate_private_key(2048)),
        KEYS[A.SM2_SM3].public_key.spki[:-1],
        KEYS[A.SM2_SM3].public_key.spki[:-1] + b"\x00",
    ],
)
def test_public_keys_that_are_not_taken(encoded: bytes) -> None:
    with pytest.raises(BadKey):
        PublicKey.from_spki_der(encoded)


@pytest.mark.parametrize("key", KEYS.values(), ids=[str(a) for a in KEYS])
def test_pem_there_and_back(key: PrivateKey) -> None:
    again = PrivateKey.from_pem(key.to_pem())
    assert again.public_key.spki == key.public_key.spki
    assert PublicKey.from_pem(armour("PUBLIC KEY", key.public_key.spki)).spki == key.public_key.spki
    assert "sm2" not in repr(again)
    assert again.default_algorithm is again.public_key.default_algorithm


@pytest.mark.parametrize("pem", [b"", b"no pem", armour("PRIVATE KEY", b"\x30\x00"), armour("PUBLIC KEY", b"x")])
def test_files_that_are_no_private_key(pem: bytes) -> None:
    with pytest.raises(BadKey):
        PrivateKey.from_pem(pem)
    with pytest.raises(BadKey):
        PrivateKey.from_pem(pem, "password")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no OpenSSL command line")
def test_sm2_key_files_of_the_openssl_command_line(tmp_path: Path) -> None:
    def run(*command: str) -> bytes:
        subprocess.run(["openssl", *command, "-out", "o"], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "o").read_bytes()

    plain = run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2")
    (tmp_path / "k.pem").write_bytes(plain)
    scalar = PrivateKey.from_pem(plain).sm2_scalar
    sec1 = run("ec", "-in", "k.pem")
    assert PrivateKey.from_pem(sec1).sm2_scalar == scalar
    for options in (("aes256",), ("sm4-cbc", "-v2prf", "hmacWithSHA256"), ("aes-128-cbc", "-v2prf", "hmacWithSHA1")):
        encrypted = run("pkcs8", "-topk8", "-in", "k.pem", "-passout", "pass:密码", "-v2", *options)
        assert PrivateKey.from_pem(encrypted, "密码").sm2_scalar == scalar
        for wrong in (None, "", "wrong"):
            with pytest.raises(BadKey):
                PrivateKey.from_pem(encrypted, wrong)
    cert = run(
        "req", "-x509", "-key", "k.pem", "-sm3", "-sigopt", "distid:1234567812345678", "-utf8", "-subj", "/C=CN/CN=测试"
    )
    parsed = SigningCert.from_pem(cert)
    assert parsed.subject_text == "C=CN, CN=测试"
    assert public_key_from_pem(cert).verify(A.SM2_SM3, parsed.tbs, parsed.signature)


@pytest.mark.parametrize("algorithm", [A.RSA_PKCS1_SHA256, A.ECDSA_SHA256])
def test_pkcs12(algorithm: SignatureAlgorithm) -> None:
    signer = world(algorithm).authority.signer
    private = serialization.load_pem_private_key(signer.key.to_pem(), None)
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    data = pkcs12.serialize_key_and_certificates(
        b"name",
        private,
        load_der_x509_certificate(signer.cert.der),
        [load_der_x509_certificate(cert.der) for cert in signer.chain],
        serialization.BestAvailableEncryption(b"secret"),
    )
    found = load_pkcs12(data, "secret")
    assert found.certificate == signer.cert.der
    assert set(found.others) == {cert.der for cert in signer.chain}
    assert found.key.public_key.spki == signer.cert.spki
    for bad, password in ((data, "wrong"), (data, None), (b"", "secret"), (data[:100], "secret")):
        with pytest.raises(BadKey):
            load_pkcs12(bad, password)
