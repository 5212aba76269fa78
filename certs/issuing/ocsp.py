"""Writing OCSP responses, for the test authority and the demo; by SM2, RSA, ECDSA or Ed25519 keys alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from certs import der
from certs.errors import BadKey
from certs.issuing.authority import Identity, algorithm_identifier, bit_string
from certs.x509 import ocsp
from certs.x509.crl import Reason
from certs.x509.signing_cert import SigningCert


@dataclass(frozen=True, slots=True)
class CertStatus:
    """What an OCSP responder says: good, or revoked since when and why, or (neither) unknown."""

    good: bool
    revoked_at: datetime | None = None
    reason: Reason = Reason.UNSPECIFIED


def issue_ocsp_response(
    cert: SigningCert,
    issuer: SigningCert,
    status: CertStatus,
    *,
    responder: Identity,
    produced_at: datetime,
    this_update: datetime,
    next_update: datetime | None,
    include_responder: bool = False,
) -> bytes:
    """An OCSPResponse in DER about one certificate, by a responder that names itself by key hash (RFC 6960, 4.2.1)."""
    request = der.read(ocsp.build_request(cert.issuer, issuer.spki, cert.serial), der.SEQUENCE)
    request_list = request.reader().take(der.SEQUENCE).reader().take(der.SEQUENCE)
    cert_id = request_list.reader().take(der.SEQUENCE).reader().take(der.SEQUENCE).raw
    until = (der.tlv(0xA0, der.encode_time(next_update)),) if next_update else ()
    single = der.tlv(der.SEQUENCE, cert_id, _status(status), der.encode_time(this_update), *until)
    key_hash = ocsp.digest(ocsp.SHA1, ocsp.key_bits(responder.cert.spki))
    if key_hash is None:
        raise BadKey("没有 SHA-1 算法", "SHA-1 is not there")
    tbs = der.tlv(
        der.SEQUENCE,
        der.tlv(0xA2, der.tlv(der.OCTET_STRING, key_hash)),
        der.encode_time(produced_at),
        der.tlv(der.SEQUENCE, single),
    )
    certificates = (der.tlv(0xA0, der.tlv(der.SEQUENCE, responder.cert.der)),) if include_responder else ()
    algorithm = algorithm_identifier(responder.key.default_algorithm)
    signed = der.tlv(der.SEQUENCE, tbs, algorithm, bit_string(responder.sign(tbs)), *certificates)
    basic = der.tlv(der.OCTET_STRING, signed)
    response_bytes = der.tlv(der.SEQUENCE, der.encode_oid(ocsp.BASIC_RESPONSE), basic)
    return der.tlv(der.SEQUENCE, der.tlv(der.ENUMERATED, b"\x00"), der.tlv(0xA0, response_bytes))


def _status(status: CertStatus) -> bytes:
    if status.revoked_at is not None:
        reason = der.tlv(0xA0, der.tlv(der.ENUMERATED, bytes([status.reason])))
        return der.tlv(0xA1, der.encode_time(status.revoked_at), reason)
    return der.tlv(0x80 if status.good else 0x82)
