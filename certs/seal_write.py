"""Making electronic seals and seal signatures of structures v1, v4 and v5; the reading side is :mod:`certs.seals`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from certs import der
from certs.authority import ALGORITHM_OIDS, Identity, bit_string
from certs.digests import digest
from certs.seals import Seal, parse_seal
from certs.signing_cert import SigningCert

Structure = Literal["v1", "v4", "v5"]
_VERSIONS: Final = {"v1": 1, "v4": 4, "v5": 5}


@dataclass(frozen=True, slots=True)
class Picture:
    """The image of a seal; ``width`` and ``height`` in millimetres."""

    kind: str
    data: bytes
    width: int = 40
    height: int = 40


def make_seal(
    maker: Identity,
    signers: Sequence[SigningCert],
    *,
    name: str,
    seal_id: str,
    picture: Picture,
    valid_from: datetime,
    valid_to: datetime,
    structure: Structure = "v4",
    list_digests: bool = False,
    vendor: str = "exchange-hub",
    timestamp: bytes | None = None,
) -> Seal:
    """A seal that ``signers`` may use, signed by its maker. ``list_digests`` lists digests (type 2; not in v1)."""
    old = structure == "v1"
    if list_digests and not old:
        listed = [
            der.tlv(
                der.SEQUENCE,
                der.tlv(der.PRINTABLE_STRING, b"1.2.156.10197.1.401"),
                der.tlv(der.OCTET_STRING, digest("sm3", cert.der)),
            )
            for cert in signers
        ]
    else:
        listed = [der.tlv(der.OCTET_STRING, cert.der) for cert in signers]
    properties = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1),
        der.tlv(der.UTF8_STRING, name.encode()),
        b"" if old else der.encode_integer(2 if list_digests else 1),
        der.tlv(der.SEQUENCE, *listed),
        *(_time(when, old) for when in (valid_from, valid_from, valid_to)),
    )
    header = der.tlv(
        der.SEQUENCE,
        der.tlv(der.IA5_STRING, b"ES"),
        der.encode_integer(_VERSIONS[structure]),
        der.tlv(der.IA5_STRING, vendor.encode("ascii")),
    )
    shown = der.tlv(
        der.SEQUENCE,
        der.tlv(der.IA5_STRING, picture.kind.encode("ascii")),
        der.tlv(der.OCTET_STRING, picture.data),
        der.encode_integer(picture.width),
        der.encode_integer(picture.height),
    )
    info = der.tlv(der.SEQUENCE, header, der.tlv(der.IA5_STRING, seal_id.encode("ascii")), properties, shown)
    cert, algorithm = der.tlv(der.OCTET_STRING, maker.cert.der), _algorithm(maker)
    if old:
        value = bit_string(maker.sign(der.tlv(der.SEQUENCE, info, cert, algorithm)))
        return parse_seal(der.tlv(der.SEQUENCE, info, der.tlv(der.SEQUENCE, cert, algorithm, value)))
    value = bit_string(maker.sign(info))
    return parse_seal(der.tlv(der.SEQUENCE, info, cert, algorithm, value, _stamp(timestamp)))


def seal_document(
    signer: Identity,
    seal: Seal,
    signature_xml: bytes,
    *,
    at: datetime,
    property_info: str,
    timestamp: bytes | None = None,
) -> bytes:
    """SES_Signature over the bytes of Signature.xml, in the structure of the seal. ``property_info`` is that file's path."""
    algorithm = _algorithm(signer)
    data_hash = bit_string(digest(signer.key.default_algorithm.hash_name, signature_xml))
    where = der.tlv(der.IA5_STRING, property_info.encode("ascii"))
    cert = der.tlv(der.OCTET_STRING, signer.cert.der)
    version = der.encode_integer(_VERSIONS[seal.structure])
    if seal.structure == "v1":
        when = bit_string(_time(at, False))
        tbs = der.tlv(der.SEQUENCE, version, seal.raw, when, data_hash, where, cert, algorithm)
        return der.tlv(der.SEQUENCE, tbs, bit_string(signer.sign(tbs)))
    tbs = der.tlv(der.SEQUENCE, version, seal.raw, _time(at, False), data_hash, where)
    return der.tlv(der.SEQUENCE, tbs, cert, algorithm, bit_string(signer.sign(tbs)), _stamp(timestamp))


GB_DATA: Final = "1.2.156.10197.6.1.4.2.1"
GB_SIGNED_DATA: Final = "1.2.156.10197.6.1.4.2.2"


def gb_signed_data(signer: Identity, content: bytes, *, at: datetime, certs: Sequence[SigningCert] = ()) -> bytes:
    """A detached GB/T 35275 message over ``content`` by an SM2 signer, with signed attributes and the certificates."""
    sm3 = der.tlv(der.SEQUENCE, der.encode_oid("1.2.156.10197.1.401"))
    attributes = b"".join(
        sorted(
            (
                _attribute("1.2.840.113549.1.9.3", der.encode_oid(GB_DATA)),
                _attribute("1.2.840.113549.1.9.4", der.tlv(der.OCTET_STRING, digest("sm3", content))),
                _attribute("1.2.840.113549.1.9.5", _time(at, True)),
            )
        )
    )
    value = signer.sign(der.tlv(der.SET, attributes))
    info = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1),
        der.tlv(der.SEQUENCE, signer.cert.issuer, der.encode_integer(signer.cert.serial)),
        sm3,
        der.tlv(0xA0, attributes),
        der.tlv(der.SEQUENCE, der.encode_oid("1.2.156.10197.1.301.1")),
        der.tlv(der.OCTET_STRING, value),
    )
    signed = der.tlv(
        der.SEQUENCE,
        der.encode_integer(1),
        der.tlv(der.SET, sm3),
        der.tlv(der.SEQUENCE, der.encode_oid(GB_DATA)),
        der.tlv(0xA0, signer.cert.der, *(cert.der for cert in certs)),
        der.tlv(der.SET, info),
    )
    return der.tlv(der.SEQUENCE, der.encode_oid(GB_SIGNED_DATA), der.tlv(0xA0, signed))


def _attribute(oid: str, value: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, der.encode_oid(oid), der.tlv(der.SET, value))


def _algorithm(identity: Identity) -> bytes:
    return der.encode_oid(ALGORITHM_OIDS[identity.key.default_algorithm])


def _stamp(timestamp: bytes | None) -> bytes:
    return der.tlv(0xA0, bit_string(timestamp)) if timestamp is not None else b""


def _time(when: datetime, short: bool) -> bytes:
    """GeneralizedTime, or UTCTime as in v1."""
    if short:
        return der.tlv(der.UTC_TIME, when.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.encode_time(when)
