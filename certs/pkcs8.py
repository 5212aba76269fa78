"""SM2 private keys in PEM: PKCS#8 (RFC 5208, 5958), encrypted PKCS#8 (PBES2, RFC 8018) and SEC 1 (RFC 5915).

``cryptography`` reads these for every other kind of key and raises for SM2, so only what SM2 needs stands here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from certs import der, sm2
from certs.der import Malformed
from certs.errors import BadKey

EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
SM2_CURVE: Final = "1.2.156.10197.1.301"
_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_PRFS: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.2.7": hashes.SHA1(),  # noqa: S303 - the default of RFC 8018; HMAC-SHA-1 is not broken as a PRF
    "1.2.840.113549.2.9": hashes.SHA256(),
    "1.2.840.113549.2.11": hashes.SHA512(),
    "1.2.156.10197.1.401.2": hashes.SM3(),
}
_CIPHERS: Final[Mapping[str, tuple[Callable[[bytes], CipherAlgorithm], int]]] = {
    "2.16.840.1.101.3.4.1.2": (algorithms.AES, 16),
    "2.16.840.1.101.3.4.1.42": (algorithms.AES, 32),
    "1.2.156.10197.1.104.2": (algorithms.SM4, 16),
}
_SEC1_LABELS: Final = ("EC PRIVATE KEY", "SM2 PRIVATE KEY")
_MAX_ITERATIONS: Final = 10_000_000
_MAX_PEM: Final = 256 * 1024
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s*(.*?)-----END \1-----", re.DOTALL)


def unarmour(pem: bytes, labels: Sequence[str]) -> tuple[str, bytes]:
    """Label and content of the first PEM block that bears one of the labels; BadKey if there is none."""
    for label, body in _PEM.findall(pem[:_MAX_PEM]):
        if label.decode("ascii") in labels:
            try:
                return label.decode("ascii"), base64.b64decode(b"".join(body.split()), validate=True)
            except binascii.Error:
                raise BadKey("PEM 文件的内容不是 base64", "the PEM file is not base64 inside") from None
    raise BadKey(f"PEM 文件中没有 {' 或 '.join(labels)}", f"no {' or '.join(labels)} in the PEM file")


def sm2_scalar_from_pem(pem: bytes, password: str | None) -> bytes | None:
    """The scalar of an SM2 key; None if the file holds another kind of key; BadKey if an SM2 key is malformed."""
    try:
        label, content = unarmour(pem, ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", *_SEC1_LABELS))
    except BadKey:
        return None
    try:
        if label in _SEC1_LABELS:
            return None if b"Proc-Type" in pem else _sec1(content, None)
        if label == "ENCRYPTED PRIVATE KEY":
            if password is None:
                raise BadKey("私钥已加密：需要口令", "the private key is encrypted: a password is needed")
            content = _decrypted(content, password)
        return _pkcs8(content)
    except Malformed:
        return None  # not this form: cryptography says what it thinks of it


def _pkcs8(content: bytes) -> bytes | None:
    reader = der.read(content, der.SEQUENCE).reader()
    reader.take(der.INTEGER)
    algorithm = [member.oid() for member in reader.take(der.SEQUENCE).members() if member.tag == der.OID]
    inner = reader.take(der.OCTET_STRING).content
    return _sec1(inner, SM2_CURVE) if SM2_CURVE in algorithm else None


def _sec1(content: bytes, curve: str | None) -> bytes | None:
    reader = der.read(content, der.SEQUENCE).reader()
    if reader.take(der.INTEGER).integer() != 1:
        raise Malformed("不是 ECPrivateKey", "not an ECPrivateKey")
    scalar = reader.take(der.OCTET_STRING).content
    parameters = reader.maybe(0xA0)
    if parameters is not None:
        curve = der.read(parameters.content, der.OID).oid()
    return sm2.scalar(scalar.rjust(32, b"\x00")) if curve == SM2_CURVE else None


def _decrypted(content: bytes, password: str) -> bytes:
    """EncryptedPrivateKeyInfo under PBES2 with PBKDF2. Other schemes are Malformed: no SM2 tool writes them."""
    reader = der.read(content, der.SEQUENCE).reader()
    scheme, data = reader.take(der.SEQUENCE).reader(), reader.take(der.OCTET_STRING).content
    if scheme.take(der.OID).oid() != _PBES2:
        raise Malformed("不是 PBES2 加密", "not PBES2")
    parameters = scheme.take(der.SEQUENCE).reader()
    derivation, encryption = parameters.take(der.SEQUENCE).reader(), parameters.take(der.SEQUENCE).reader()
    cipher_oid, iv = encryption.take(der.OID).oid(), encryption.take(der.OCTET_STRING).content
    if derivation.take(der.OID).oid() != _PBKDF2 or cipher_oid not in _CIPHERS or len(iv) != 16:
        raise Malformed("不是 PBKDF2 与 AES 或 SM4 的 CBC 模式", "not PBKDF2 with AES or SM4 in CBC mode")
    make, size = _CIPHERS[cipher_oid]
    values = derivation.take(der.SEQUENCE).reader()
    salt, iterations = values.take(der.OCTET_STRING).content, values.take(der.INTEGER).integer()
    values.maybe(der.INTEGER)
    prf = values.maybe(der.SEQUENCE)
    prf_oid = prf.reader().take(der.OID).oid() if prf else "1.2.840.113549.2.7"
    if prf_oid not in _PRFS or not 1 <= iterations <= _MAX_ITERATIONS:
        raise Malformed("PBKDF2 的参数未知或过大", "PBKDF2 with unknown or excessive parameters")
    key = PBKDF2HMAC(_PRFS[prf_oid], size, salt, iterations).derive(password.encode())
    try:
        decryptor = Cipher(make(key), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise BadKey("私钥口令错误", "the password of the private key is wrong") from None


def sm2_to_pem(scalar: bytes, point: bytes) -> bytes:
    """PKCS#8 in PEM, as the OpenSSL command line writes it."""
    public = der.tlv(0xA1, der.tlv(der.BIT_STRING, b"\x00" + point))
    inner = der.tlv(der.SEQUENCE, der.encode_integer(1), der.tlv(der.OCTET_STRING, scalar), public)
    algorithm = der.tlv(der.SEQUENCE, der.encode_oid(EC_PUBLIC_KEY), der.encode_oid(SM2_CURVE))
    return armour(
        "PRIVATE KEY", der.tlv(der.SEQUENCE, der.encode_integer(0), algorithm, der.tlv(der.OCTET_STRING, inner))
    )


def armour(label: str, content: bytes) -> bytes:
    """PEM (RFC 7468)."""
    text = base64.b64encode(content).decode("ascii")
    lines = "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode("ascii")
