"""AlgorithmIdentifiers of X.509, CRL, OCSP and CMS → the signature algorithms that we verify, as data.

What is not in these tables is not verified: MD2, MD5, DSA, and SHA-1 outside of old certificate digests. Whether a known
algorithm is good enough is for the policy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from certs import der
from certs.der import Malformed
from certs.errors import BadKey, CertsError
from certs.keys import RSA as KIND_RSA
from certs.keys import PublicKey, SignatureAlgorithm
from certs.policy import Policy

RSA, RSA_PSS, EC, ED25519_OID = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1", "1.3.101.112"
SM2_CURVE: Final = "1.2.156.10197.1.301"

DIGESTS: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.2.156.10197.1.401": "sm3",
    "1.2.156.10197.1.401.1": "sm3",  # SM3 without key, GM/T 0006; met in GB/T 35275 messages
}

_COMBINED: Final = {  # signature with digest -> (algorithm, digest)
    "1.2.840.113549.1.1.5": (SignatureAlgorithm.RSA_PKCS1_SHA1, "sha1"),
    "1.2.840.113549.1.1.11": (SignatureAlgorithm.RSA_PKCS1_SHA256, "sha256"),
    "1.2.840.113549.1.1.12": (SignatureAlgorithm.RSA_PKCS1_SHA384, "sha384"),
    "1.2.840.113549.1.1.13": (SignatureAlgorithm.RSA_PKCS1_SHA512, "sha512"),
    "1.2.840.10045.4.3.2": (SignatureAlgorithm.ECDSA_SHA256, "sha256"),
    "1.2.840.10045.4.3.3": (SignatureAlgorithm.ECDSA_SHA384, "sha384"),
    "1.2.840.10045.4.3.4": (SignatureAlgorithm.ECDSA_SHA512, "sha512"),
    "1.2.156.10197.1.501": (SignatureAlgorithm.SM2_SM3, "sm3"),
}
_BY_KEY: Final = {  # CMS names the key's algorithm and the digest apart
    (RSA, "sha256"): SignatureAlgorithm.RSA_PKCS1_SHA256,
    (RSA, "sha384"): SignatureAlgorithm.RSA_PKCS1_SHA384,
    (RSA, "sha512"): SignatureAlgorithm.RSA_PKCS1_SHA512,
    (EC, "sha256"): SignatureAlgorithm.ECDSA_SHA256,
    (EC, "sha384"): SignatureAlgorithm.ECDSA_SHA384,
    (EC, "sha512"): SignatureAlgorithm.ECDSA_SHA512,
    (EC, "sm3"): SignatureAlgorithm.SM2_SM3,
    (SM2_CURVE, "sm3"): SignatureAlgorithm.SM2_SM3,
    ("1.2.156.10197.1.301.1", "sm3"): SignatureAlgorithm.SM2_SM3,  # SM2 for signing, GM/T 0006
}
_PSS: Final = {
    "sha256": SignatureAlgorithm.RSA_PSS_SHA256,
    "sha384": SignatureAlgorithm.RSA_PSS_SHA384,
    "sha512": SignatureAlgorithm.RSA_PSS_SHA512,
}
_NULL: Final = (b"", b"\x05\x00")


def digest_name(oid: str) -> str | None:
    """Our name of a digest algorithm that may protect content; None for every other, SHA-1 and MD5 among them."""
    return DIGESTS.get(oid)


@lru_cache(maxsize=64)
def signature_algorithm(identifier: bytes) -> SignatureAlgorithm | None:
    """The algorithm of a certificate, CRL or OCSP response by its whole AlgorithmIdentifier; None if it is not one of ours."""
    oid, parameters = _split(identifier)
    if oid == ED25519_OID:
        return SignatureAlgorithm.ED25519 if not parameters else None
    if oid == RSA_PSS:
        return _pss(parameters)
    if oid in _COMBINED and parameters in _NULL:
        return _COMBINED[oid][0]
    return None


@lru_cache(maxsize=256)
def cms_algorithm(identifier: bytes, digest: str, spki: bytes) -> SignatureAlgorithm | None:
    """The algorithm of a SignerInfo (RFC 5652, 10.1.2); None if it is unknown or contradicts the digest algorithm."""
    oid, parameters = _split(identifier)
    if oid == ED25519_OID:
        return SignatureAlgorithm.ED25519 if digest == "sha512" else None  # RFC 8419, 3.1
    if oid == RSA_PSS:
        found = _pss(parameters)
        return found if found is _PSS.get(digest) else None
    if oid in _COMBINED:
        algorithm, inside = _COMBINED[oid]
        return algorithm if inside == digest else None
    if oid == EC and (digest == "sm3") != (key_curve(spki) == SM2_CURVE):
        return None
    return _BY_KEY.get((oid, digest))


def key_curve(spki: bytes) -> str | None:
    """The named curve of an EC key, None for other keys and explicit parameters."""
    oid, parameters = _split(der.read(spki, der.SEQUENCE).reader().take(der.SEQUENCE).raw)
    return der.read(parameters, der.OID).oid() if oid == EC and parameters[:1] == b"\x06" else None


def key_weakness(spki: bytes, policy: Policy) -> tuple[str, str] | None:
    """Why a key is too weak for the policy, in Chinese and English, or None."""
    try:
        key = PublicKey.from_spki_der(spki)
    except CertsError:
        return "公钥无法使用", "its public key cannot be used"
    if key.kind == KIND_RSA and key.bits < policy.min_rsa_bits:
        return f"RSA 密钥不足 {policy.min_rsa_bits} 位", f"its RSA key has less than {policy.min_rsa_bits} bits"
    return None


def _split(identifier: bytes) -> tuple[str, bytes]:
    reader = der.read(identifier, der.SEQUENCE).reader()
    oid = reader.take(der.OID).oid()
    parameters = b"" if reader.at_end else reader.take().raw
    reader.finish()
    return oid, parameters


def _pss(parameters: bytes) -> SignatureAlgorithm | None:
    """RSASSA-PSS-params (RFC 4055, 3.1): one digest for message and mask, salt as long as it, trailer 1."""
    try:
        reader = der.read(parameters, der.SEQUENCE).reader()
        hashed, mask, salt, trailer = (reader.maybe(tag) for tag in (0xA0, 0xA1, 0xA2, 0xA3))
        reader.finish()
        if hashed is None or mask is None or salt is None:
            return None  # the defaults are SHA-1
        name = DIGESTS.get(_split(hashed.content)[0])
        mask_oid, mask_digest = _split(mask.content)
        length = der.read(salt.content, der.INTEGER).integer()
        plain = trailer is None or der.read(trailer.content, der.INTEGER).integer() == 1
        same = mask_oid == "1.2.840.113549.1.1.8" and DIGESTS.get(_split(mask_digest)[0]) == name
    except Malformed:
        return None
    size = {"sha256": 32, "sha384": 48, "sha512": 64}.get(name or "")
    return _PSS[name] if name in _PSS and same and plain and length == size else None


def encode_digest(name: str) -> bytes:
    """The AlgorithmIdentifier of a digest by our name."""
    oid = next((oid for oid, known in DIGESTS.items() if known == name), None)
    if oid is None:
        raise BadKey(f"此处不写入摘要算法 {name}", f"{name} is not written here")
    return der.tlv(der.SEQUENCE, der.encode_oid(oid))
