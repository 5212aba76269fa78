"""Making electronic seals and seal signatures of structures v1, v4 and v5; the reading side is :mod:`certs.ofd.seals`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from certs import der
from certs.digests import digest
from certs.issuing.authority import ALGORITHM_OIDS, Identity, bit_string
from certs.ofd.seals import Seal, parse_seal
from certs.x509.signing_cert import SigningCert

Structure = Literal["v1", "v4", "v5"]
Stamp = Callable[[bytes], bytes]  # data -> timestamp token over it
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
    timestamp: Stamp | None = None,
) -> Seal:
    """A seal that ``signers`` may use, signed by its maker. ``list_digests`` lists digests (type 2; not in v1).

    ``timestamp`` gives a token over the maker's signature value (v5).
    """
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
    value = maker.sign(info)
    return parse_seal(der.tlv(der.SEQUENCE, info, cert, algorithm, bit_string(value), _stamp(timestamp, value)))


def seal_document(
    signer: Identity,
    seal: Seal,
    signature_xml: bytes,
    *,
    at: datetime,
    property_info: str,
    timestamp: Stamp | None = None,
) -> bytes:
    """SES_Signature over the bytes of Signature.xml, in the structure of the seal. ``property_info`` is that file's path.

    ``timestamp`` gives a token over the signature value; v1 has its place in timeInfo, over Signature.xml.
    """
    algorithm = _algorithm(signer)
    data_hash = bit_string(digest(signer.key.default_algorithm.hash_name, signature_xml))
    where = der.tlv(der.IA5_STRING, property_info.encode("ascii"))
    cert = der.tlv(der.OCTET_STRING, signer.cert.der)
    version = der.encode_integer(_VERSIONS[seal.structure])
    if seal.structure == "v1":
        when = bit_string(timestamp(signature_xml) if timestamp else _time(at, False))
        tbs = der.tlv(der.SEQUENCE, version, seal.raw, when, data_hash, where, cert, algorithm)
        return der.tlv(der.SEQUENCE, tbs, bit_string(signer.sign(tbs)))
    tbs = der.tlv(der.SEQUENCE, version, seal.raw, _time(at, False), data_hash, where)
    value = signer.sign(tbs)
    return der.tlv(der.SEQUENCE, tbs, cert, algorithm, bit_string(value), _stamp(timestamp, value))


def _algorithm(identity: Identity) -> bytes:
    return der.encode_oid(ALGORITHM_OIDS[identity.key.default_algorithm])


def _stamp(timestamp: Stamp | None, value: bytes) -> bytes:
    return der.tlv(0xA0, bit_string(timestamp(value))) if timestamp else b""


def _time(when: datetime, short: bool) -> bytes:
    """GeneralizedTime, or UTCTime as in v1."""
    if short:
        return der.tlv(der.UTC_TIME, when.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.encode_time(when)
