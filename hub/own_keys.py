"""The hub's own keys, made on the first run in ``keys/`` of the state folder: what it sends is signed by them.

``http.pem`` (ECDSA P-256) signs HTTP messages; ``wsse.pem`` with ``wsse.crt`` (RSA-2048, what every SOAP stack takes) signs
envelopes. Partners are given ``http.pub.pem`` and ``wsse.crt``. An endpoint's secret names a key by ``file:``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Files, all PEM; the private ones have mode 600."""

    http: Path
    http_public: Path
    wsse: Path
    wsse_certificate: Path

    @classmethod
    def ensure(cls, state_dir: Path) -> OwnKeys:
        """The keys of this state folder, made if they are not there."""
        folder = state_dir / "keys"
        keys = cls(folder / "http.pem", folder / "http.pub.pem", folder / "wsse.pem", folder / "wsse.crt")
        folder.mkdir(parents=True, exist_ok=True)
        if not keys.http.exists():
            http = ec.generate_private_key(ec.SECP256R1())
            keys.http_public.write_bytes(
                http.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            )
            _write_private(keys.http, http.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if not keys.wsse.exists():
            wsse = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            keys.wsse_certificate.write_bytes(_certificate(wsse).public_bytes(Encoding.PEM))
            _write_private(keys.wsse, wsse.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return keys


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exchange-hub")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, pem: bytes) -> None:
    """Last, so that a key that exists is whole and has its public part beside it."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    fresh.replace(path)
