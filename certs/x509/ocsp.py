"""OCSP requests and responses, read and written as bytes (RFC 6960, 4.1 and 4.2).

No signature is judged here; :mod:`certs.x509.revocation` does that. Certificate ids are made with SHA-1, SHA-256, SHA-384,
SHA-512 or SM3: here SHA-1 only names a certificate and protects nothing (RFC 6960, 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives import hashes

from certs import der
from certs.der import Element, Malformed
from certs.x509 import extensions
from certs.x509.crl import Reason
from certs.x509.extensions import Extension

MAX_OCSP_BYTES = 256 * 1024
MAX_RESPONSES = 256
MAX_RESPONDER_CERTS = 8

BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1"
NONCE = "1.3.6.1.5.5.7.48.1.2"
ARCHIVE_CUTOFF = "1.3.6.1.5.5.7.48.1.6"
SHA1 = "1.3.14.3.2.26"

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    SHA1: hashes.SHA1,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
    "1.2.156.10197.1.401": hashes.SM3,
}


@dataclass(frozen=True, slots=True)
class CertId:
    """CertID (RFC 6960, 4.1.1)."""

    hash_oid: str
    name_hash: bytes
    key_hash: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """RevokedInfo (4.2.1)."""

    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Single:
    """SingleResponse (4.2.1). ``good`` False and ``revoked`` None is the status *unknown*."""

    cert_id: CertId
    good: bool
    revoked: Revoked | None
    this_update: datetime
    next_update: datetime | None
    archive_cutoff: datetime | None


@dataclass(frozen=True, slots=True)
class OcspResponse:
    """A read BasicOCSPResponse. One of ``responder_name`` (a Name) and ``responder_key`` (SHA-1 of a key) is set."""

    raw: bytes
    tbs: bytes
    algorithm: bytes
    signature: bytes
    responder_name: bytes | None
    responder_key: bytes | None
    produced_at: datetime
    responses: tuple[Single, ...]
    nonce: bytes | None
    certificates: tuple[bytes, ...]


def digest(oid: str, data: bytes) -> bytes | None:
    """The digest that a CertID uses, or None for an algorithm that we do not have."""
    if oid not in _HASHES:
        return None
    state = hashes.Hash(_HASHES[oid]())
    state.update(data)
    return state.finalize()


def key_bits(spki: bytes) -> bytes:
    """The subjectPublicKey octets of a SubjectPublicKeyInfo."""
    reader = der.read(spki, der.SEQUENCE).reader()
    reader.take(der.SEQUENCE)
    return reader.take(der.BIT_STRING).bits()


def names(cert_id: CertId, issuer_name: bytes, issuer_spki: bytes, serial: int) -> bool:
    """Whether a CertID is that of the certificate with this serial from this issuer (name and key both)."""
    return (
        cert_id.serial == serial
        and cert_id.name_hash == digest(cert_id.hash_oid, issuer_name)
        and cert_id.key_hash == digest(cert_id.hash_oid, key_bits(issuer_spki))
    )


def build_request(issuer_name: bytes, issuer_spki: bytes, serial: int, nonce: bytes | None = None) -> bytes:
    """An OCSPRequest for one certificate with a SHA-1 CertID, which every responder knows (RFC 5019, 2.1.1)."""
    name_hash, key_hash = digest(SHA1, issuer_name), digest(SHA1, key_bits(issuer_spki))
    if name_hash is None or key_hash is None:
        raise Malformed("没有 SHA-1 算法", "SHA-1 is not there")
    cert_id = der.tlv(
        der.SEQUENCE,
        der.tlv(der.SEQUENCE, der.encode_oid(SHA1), der.tlv(der.NULL)),
        der.tlv(der.OCTET_STRING, name_hash),
        der.tlv(der.OCTET_STRING, key_hash),
        der.encode_integer(serial),
    )
    parts = [der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, cert_id))]
    if nonce is not None:
        value = der.tlv(der.OCTET_STRING, der.tlv(der.OCTET_STRING, nonce))
        parts.append(der.tlv(0xA2, der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, der.encode_oid(NONCE), value))))
    return der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, *parts))


def parse_response(raw: bytes) -> OcspResponse:
    """Read an OCSPResponse that is successful and basic; every other one is Malformed (4.2.1, 4.2.2.3)."""
    if len(raw) > MAX_OCSP_BYTES:
        raise Malformed(f"OCSP 响应超过 {MAX_OCSP_BYTES} 字节", f"an OCSP response above {MAX_OCSP_BYTES} bytes")
    outer = der.read(raw, der.SEQUENCE).reader()
    status = outer.take(der.ENUMERATED).integer()
    if status != 0:
        raise Malformed(f"OCSP 响应者答复错误 {status}", f"the responder answers with error {status}")
    wrapped = outer.take(0xA0)
    outer.finish()
    inner = der.read(wrapped.content, der.SEQUENCE).reader()
    if inner.take(der.OID).oid() != BASIC_RESPONSE:
        raise Malformed("OCSP 响应类型未知", "an OCSP response of unknown type")
    basic = der.read(inner.take(der.OCTET_STRING).content, der.SEQUENCE).reader()
    inner.finish()
    tbs, algorithm, signature = basic.take(der.SEQUENCE), basic.take(der.SEQUENCE), basic.take(der.BIT_STRING)
    wrapped_certs = basic.maybe(0xA0)
    basic.finish()
    certificates = der.read(wrapped_certs.content, der.SEQUENCE).members() if wrapped_certs else []
    if len(certificates) > MAX_RESPONDER_CERTS:
        raise Malformed(
            f"OCSP 响应中的证书多于 {MAX_RESPONDER_CERTS} 张",
            f"more than {MAX_RESPONDER_CERTS} certificates in an OCSP response",
        )

    reader = tbs.reader()
    version = reader.maybe(0xA0)
    if version is not None and der.read(version.content, der.INTEGER).integer() != 0:
        raise Malformed("OCSP 响应版本未知", "an OCSP response of unknown version")
    responder = reader.take()
    if responder.tag not in {0xA1, 0xA2}:
        raise Malformed("OCSP 响应者标识的类型未知", "an OCSP responder id of unknown kind")
    by_name = der.read(responder.content, der.SEQUENCE).raw if responder.tag == 0xA1 else None
    by_key = der.read(responder.content, der.OCTET_STRING).content if responder.tag == 0xA2 else None
    produced_at = reader.take(der.GENERALIZED_TIME).time()
    singles = reader.take(der.SEQUENCE).members(der.SEQUENCE)
    if len(singles) > MAX_RESPONSES:
        raise Malformed(
            f"OCSP 响应中的单项响应多于 {MAX_RESPONSES} 个", f"more than {MAX_RESPONSES} answers in an OCSP response"
        )
    found = _extensions(reader.maybe(0xA1), {NONCE})
    reader.finish()
    nonce = found.get(NONCE)
    return OcspResponse(
        raw=raw,
        tbs=tbs.raw,
        algorithm=algorithm.raw,
        signature=signature.bits(),
        responder_name=by_name,
        responder_key=by_key,
        produced_at=produced_at,
        responses=tuple(_single(member) for member in singles),
        nonce=_nonce(nonce.value) if nonce else None,
        certificates=tuple(c.raw for c in certificates),
    )


def _nonce(value: bytes) -> bytes:
    """RFC 8954; old responders put the octets without their tag."""
    try:
        return der.read(value, der.OCTET_STRING).content
    except Malformed:
        return value


def _single(element: Element) -> Single:
    reader = element.reader()
    cert_id = _cert_id(reader.take(der.SEQUENCE))
    status = reader.take()
    this_update = reader.take(der.GENERALIZED_TIME).time()
    wrapped = reader.maybe(0xA0)
    found = _extensions(reader.maybe(0xA1), {ARCHIVE_CUTOFF, extensions.CRL_REASON})
    reader.finish()
    if status.tag not in {0x80, 0x82, 0xA1}:
        raise Malformed("OCSP 证书状态的类型未知", "an OCSP status of unknown kind")
    cutoff = found.get(ARCHIVE_CUTOFF)
    return Single(
        cert_id=cert_id,
        good=status.tag == 0x80,
        revoked=_revoked(status) if status.tag == 0xA1 else None,
        this_update=this_update,
        next_update=der.read(wrapped.content, der.GENERALIZED_TIME).time() if wrapped else None,
        archive_cutoff=der.read(cutoff.value, der.GENERALIZED_TIME).time() if cutoff else None,
    )


def _cert_id(element: Element) -> CertId:
    reader = element.reader()
    algorithm = reader.take(der.SEQUENCE).reader().take(der.OID).oid()
    name_hash, key_hash = reader.take(der.OCTET_STRING).content, reader.take(der.OCTET_STRING).content
    serial = reader.take(der.INTEGER).integer()
    reader.finish()
    return CertId(algorithm, name_hash, key_hash, serial)


def _revoked(status: Element) -> Revoked:
    reader = status.reader()
    at = reader.take(der.GENERALIZED_TIME).time()
    wrapped = reader.maybe(0xA0)
    reader.finish()
    number = der.read(wrapped.content, der.ENUMERATED).integer() if wrapped else 0
    return Revoked(at, Reason(number) if number in set(Reason) else Reason.UNSPECIFIED)


def _extensions(wrapped: Element | None, known: set[str]) -> dict[str, Extension]:
    found = extensions.extensions(der.read(wrapped.content, der.SEQUENCE)) if wrapped else {}
    unknown = next((e.oid for e in found.values() if e.critical and e.oid not in known), None)
    if unknown:
        raise Malformed(
            f"OCSP 响应含有无法处理的关键扩展 {unknown}",
            f"an OCSP response with the unknown critical extension {unknown}",
        )
    return found
