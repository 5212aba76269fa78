"""Keys, certificates and messages for the tests of signatures; made once per run, nothing is read from disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal

from asn1crypto import algos, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from certs.keys import PrivateKey, SignatureAlgorithm
from certs.xml.algorithms import DSIG as DS
from certs.xml.dsig import WSU
from certs.xml.key_info import KnownCertificates
from certs.xml.tokens import WSSE
from certs.xml.wsse import SOAP_1_1 as SOAP
from certs.xml.wsse_sign import sign_envelope

__all__ = ["BODY", "DS", "HEADER", "NOW", "SOAP", "TIMESTAMP", "WSSE", "WSU"]

KeyKind = Literal["rsa", "p256", "p384", "ed25519", "sm2"]
KINDS: tuple[KeyKind, ...] = ("rsa", "p256", "p384", "ed25519", "sm2")
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
HEADER, BODY, TIMESTAMP = f"{{{SOAP}}}Header", f"{{{SOAP}}}Body", f"{{{WSU}}}Timestamp"

RawKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def raw_key(kind: KeyKind, number: int = 1) -> RawKey:
    """The key as ``cryptography`` has it, for other libraries; SM2 has none. ``number`` tells keys of a kind apart."""
    return _raw_key(kind, number)


@cache
def _raw_key(kind: KeyKind, number: int) -> RawKey:
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def key_of(kind: KeyKind, number: int = 1) -> PrivateKey:
    """The same key as ours."""
    return _key_of(kind, number)


@cache
def _key_of(kind: KeyKind, number: int) -> PrivateKey:
    if kind == "sm2":
        return PrivateKey.generate(SignatureAlgorithm.SM2_SM3)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return PrivateKey.from_pem(raw_key(kind, number).private_bytes(encoding, form, serialization.NoEncryption()))


def certificate_of(kind: KeyKind, number: int = 1) -> bytes:
    """A self-signed DER certificate of :func:`key_of`."""
    return _certificate_of(kind, number)


@cache
def _certificate_of(kind: KeyKind, number: int) -> bytes:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test, of messages"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} {number}"),
        ]
    )
    signer = raw_key("p256" if kind == "sm2" else kind, number)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
    )
    digest = None if kind == "ed25519" else hashes.SHA256()
    certificate = builder.sign(signer, digest).public_bytes(serialization.Encoding.DER)
    return _with_sm2_key(certificate, key_of("sm2", number)) if kind == "sm2" else certificate


def _with_sm2_key(certificate: bytes, key: PrivateKey) -> bytes:
    """The certificate with another key, signed by that key; ``cryptography`` cannot issue for SM2."""
    parsed = asn1_x509.Certificate.load(certificate)
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "1.2.156.10197.1.501"})
    tbs = parsed["tbs_certificate"]
    tbs["signature"] = algorithm
    tbs["subject_public_key_info"] = asn1_x509.PublicKeyInfo.load(key.public_key.spki)
    content = tbs.dump(force=True)
    signature = core.OctetBitString(key.sign(SignatureAlgorithm.SM2_SM3, content)).dump()
    body = content + algorithm.dump() + signature
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


@cache
def resolver() -> KnownCertificates:
    return KnownCertificates(certificate_of(kind) for kind in KINDS)


def envelope(namespace: str = SOAP) -> etree._Element:
    """A SOAP message without header."""
    return etree.fromstring(
        f'<s:Envelope xmlns:s="{namespace}" xmlns:t="urn:test:transfer" xmlns:wsu="{WSU}"><s:Body>'
        "<t:SubmitTransfer><t:messageId>m-1</t:messageId><t:student>张𠮷</t:student></t:SubmitTransfer>"
        "</s:Body></s:Envelope>"
    )


@cache
def signed_bytes() -> bytes:
    """:func:`envelope` as our own side signs it at :data:`NOW`."""
    root = sign_envelope(envelope(), key=key_of("rsa"), certificate=certificate_of("rsa"), created=NOW)
    return etree.tostring(root, encoding="utf-8")
