"""Keys as partners hand them over: PEM or DER, a public key (http) or a certificate (tls, wsse)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from certs.errors import CertsError
from certs.keys import PublicKey
from certs.x509.signing_cert import SigningCert
from hub.access.callers import KeyKind
from schemas.told import Told

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


class KeyFileError(Told):
    """A file holds no key that can be registered; the text says what it holds."""


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """``der`` is a SubjectPublicKeyInfo (http) or a certificate (tls, wsse); ``fingerprint`` its SHA-256 in hexadecimal."""

    kind: KeyKind
    der: bytes
    fingerprint: str
    not_before: datetime | None = None
    not_after: datetime | None = None


def read_key_file(kind: KeyKind, data: bytes) -> KeyMaterial:
    """What can be registered, or :class:`KeyFileError`. A certificate serves as an http key too: its public key is taken."""
    label, der = _unwrap(data)
    if "PRIVATE" in label:
        raise KeyFileError(
            "这是私钥, 应只由其所有者保管; 请索取公钥或证书",
            "this is a private key: it must stay with its owner; ask for the public key or the certificate",
        )
    certificate = _certificate(der) if label in ("", "CERTIFICATE") else None
    if kind is not KeyKind.HTTP and certificate is None:
        raise KeyFileError(
            f"{kind} 密钥应为 X.509 证书 (PEM 或 DER)", f"a {kind} key is an X.509 certificate (PEM or DER)"
        )
    not_before = not_after = None
    if certificate is not None:
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    try:
        key = PublicKey.from_spki_der(der) if certificate is None else SigningCert.from_der(der).public_key
    except CertsError as error:
        raise KeyFileError(
            "该密钥无法使用; 请提供 SM2、RSA 或 ECDSA 公钥或证书 (PEM 或 DER)", f"the key cannot be used: {error.en}"
        ) from None
    if kind is KeyKind.HTTP:
        der = key.spki
    return KeyMaterial(kind, der, hashlib.sha256(der).hexdigest(), not_before, not_after)


def _unwrap(data: bytes) -> tuple[str, bytes]:
    match = _PEM.search(data)
    if match is None:
        return "", data
    try:
        return match[1].decode("ascii"), base64.b64decode(b"".join(match[2].split()), validate=True)
    except binascii.Error:
        raise KeyFileError("PEM 内容不是 base64 编码", "the PEM block is not base64") from None


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None
