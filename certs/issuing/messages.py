"""Writing CMS and GB/T 35275 signed messages and RFC 3161 tokens: for what the hub signs, for tests and the demo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from certs import der
from certs.algorithms import encode_digest
from certs.cms.signed_data import (
    CONTENT_TYPE,
    DATA,
    GB_DATA,
    GB_SIGNED_DATA,
    MESSAGE_DIGEST,
    SIGNATURE_TIMESTAMP,
    SIGNED_DATA,
    SIGNING_CERTIFICATE_V2,
    SIGNING_TIME,
    TST_INFO,
)
from certs.digests import digest
from certs.issuing.authority import Identity, algorithm_identifier
from certs.x509.signing_cert import SigningCert


def sign_message(
    content: bytes,
    signer: Identity,
    *,
    signing_time: datetime | None = None,
    chain: Sequence[SigningCert] = (),
    gb: bool = False,
    detached: bool = True,
    attributes: bool = True,
    bind_certificate: bool = True,
    content_type: str | None = None,
    timestamp: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A ContentInfo with one signer. ``gb`` writes GB/T 35275 identifiers; ``attributes`` False signs the bare content.

    ``timestamp`` gives a token over the signature value, which becomes an unsigned attribute (RFC 3161, appendix A).
    """
    cert, key = signer.cert, signer.key
    kind = content_type or (GB_DATA if gb else DATA)
    algorithm = key.public_key.default_algorithm
    hash_name = algorithm.hash_name
    signed = b""
    if attributes:
        members = [
            _attribute(CONTENT_TYPE, der.encode_oid(kind)),
            _attribute(MESSAGE_DIGEST, der.tlv(der.OCTET_STRING, digest(hash_name, content))),
        ]
        if signing_time is not None:
            members.append(_attribute(SIGNING_TIME, der.encode_time(signing_time)))
        if bind_certificate:
            cert_id = der.tlv(
                der.SEQUENCE, encode_digest(hash_name), der.tlv(der.OCTET_STRING, digest(hash_name, cert.der))
            )
            members.append(_attribute(SIGNING_CERTIFICATE_V2, der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, cert_id))))
        signed = b"".join(sorted(members))  # DER of a SET OF (X.690, 11.6)
    signature = key.sign(algorithm, der.tlv(der.SET, signed) if attributes else content)
    info = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1),
        der.tlv(der.SEQUENCE, cert.issuer, der.encode_integer(cert.serial)),
        encode_digest(hash_name),
        *((der.tlv(0xA0, signed),) if attributes else ()),
        algorithm_identifier(algorithm),
        der.tlv(der.OCTET_STRING, signature),
        *((der.tlv(0xA1, _attribute(SIGNATURE_TIMESTAMP, timestamp(signature))),) if timestamp else ()),
    )
    inside = () if detached else (der.tlv(0xA0, der.tlv(der.OCTET_STRING, content)),)
    signed_data = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1 if kind in {DATA, GB_DATA} else 3),
        der.tlv(der.SET, encode_digest(hash_name)),
        der.tlv(der.SEQUENCE, der.encode_oid(kind), *inside),
        der.tlv(0xA0, cert.der, *(one.der for one in chain)),
        der.tlv(der.SET, info),
    )
    return der.tlv(der.SEQUENCE, der.encode_oid(GB_SIGNED_DATA if gb else SIGNED_DATA), der.tlv(0xA0, signed_data))


def issue_timestamp(
    stamped: bytes,
    signer: Identity,
    *,
    time: datetime,
    serial: int = 1,
    chain: Sequence[SigningCert] = (),
    policy: str = "1.2.156.10197.6.9.9",
    bind_certificate: bool = True,
) -> bytes:
    """A TimeStampToken over the data (RFC 3161, 2.4.2), its imprint by the digest of the authority's key."""
    hash_name = signer.key.default_algorithm.hash_name
    imprint = der.tlv(der.SEQUENCE, encode_digest(hash_name), der.tlv(der.OCTET_STRING, digest(hash_name, stamped)))
    info = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode_oid(policy),
        imprint,
        der.encode_integer(serial),
        der.encode_time(time),
    )
    return sign_message(
        info, signer, chain=chain, detached=False, content_type=TST_INFO, bind_certificate=bind_certificate
    )


def _attribute(oid: str, value: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, der.encode_oid(oid), der.tlv(der.SET, value))
