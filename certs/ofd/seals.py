"""Electronic seals and seal signatures from raw DER: structures v1 (GM/T 0031-2014), v4 (GB/T 38540-2020), v5 (GM/T 0031-2025).

Only reading; nothing is judged here. What signatures are over is kept as raw bytes. Texts and times are read leniently,
as real files break their types; structure is not: a fault is :class:`certs.der.Malformed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from certs import der
from certs.der import Element, Malformed, Reader
from certs.report import BEIJING
from certs.x509.signing_cert import readable_text

MAX_SEAL_BYTES: Final = 8 * 1024 * 1024
MAX_LISTED: Final = 256
_REMEMBERED_BYTES: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Seal:
    """SESeal. ``signed`` is what the seal maker's signature is over; ``certs`` are DER, ``digests`` (algorithm, value)."""

    structure: str  # v1, v4 or v5
    raw: bytes
    signed: bytes
    vendor: str
    seal_id: str
    kind: int
    name: str
    certs: tuple[bytes, ...]
    digests: tuple[tuple[str, bytes], ...]
    created: datetime
    valid_from: datetime
    valid_to: datetime
    picture_type: str
    picture: bytes
    maker_cert: bytes
    algorithm_oid: str
    signature: bytes
    timestamp: bytes | None

    @property
    def list_type(self) -> str:
        """``certs`` (type 1) or ``digests`` (type 2)."""
        return "digests" if self.digests else "certs"


@dataclass(frozen=True, slots=True)
class SealSignature:
    """SES_Signature. ``tbs`` are the raw bytes of TBS_Sign; of ``time`` and ``time_token`` one is None, or both."""

    structure: str
    tbs: bytes
    seal: Seal
    time: datetime | None
    time_token: bytes | None  # v1: timeInfo may be a timestamp
    data_hash: bytes
    property_info: str
    cert: bytes
    algorithm_oid: str
    signature: bytes
    timestamp: bytes | None


def parse_seal(raw: bytes) -> Seal:
    """SESeal of any structure. Small ones are remembered: one seal stands on all the documents of its owner."""
    return _small_seal(raw) if len(raw) <= _REMEMBERED_BYTES else _parse_seal(raw)


@lru_cache(maxsize=64)
def _small_seal(raw: bytes) -> Seal:
    return _parse_seal(raw)


def _parse_seal(raw: bytes) -> Seal:
    if len(raw) > MAX_SEAL_BYTES:
        raise Malformed(f"电子印章超过 {MAX_SEAL_BYTES} 字节", f"a seal above {MAX_SEAL_BYTES} bytes")
    reader = der.read(raw, der.SEQUENCE).reader()
    info = reader.take(der.SEQUENCE)
    if reader.peek() == der.SEQUENCE:  # v1: SES_SignInfo {cert, algorithm, value}
        sign_info = reader.take(der.SEQUENCE).reader()
        reader.finish()
        cert, algorithm = sign_info.take(), sign_info.take(der.OID)
        value = sign_info.take(der.BIT_STRING)
        sign_info.finish()
        signed, timestamp = der.tlv(der.SEQUENCE, info.raw, cert.raw, algorithm.raw), None
        old = True
    else:
        cert, algorithm, value = reader.take(), reader.take(der.OID), reader.take(der.BIT_STRING)
        timestamp = _timestamp(reader)
        reader.finish()
        signed, old = info.raw, False
    return _seal_info(raw, info, signed, (cert, algorithm, value), timestamp, old=old)


def _seal_info(
    raw: bytes,
    info: Element,
    signed: bytes,
    sign: tuple[Element, Element, Element],
    timestamp: bytes | None,
    *,
    old: bool,
) -> Seal:
    """SES_SealInfo {header, esID, property, picture, extDatas [0]?}."""
    reader = info.reader()
    header = reader.take(der.SEQUENCE).reader()
    if readable_text(header.take()) != "ES":
        raise Malformed("电子印章的头信息标识应为 ES", "the header of a seal must say ES")
    version, vendor = header.take(der.INTEGER).integer(), readable_text(header.take())
    seal_id = readable_text(reader.take())
    properties = reader.take(der.SEQUENCE).reader()
    kind, name = properties.take(der.INTEGER).integer(), readable_text(properties.take())
    list_type = properties.maybe(der.INTEGER)
    certs, digests = _listed(properties.take(der.SEQUENCE), list_type.integer() if list_type else 1)
    created, valid_from, valid_to = (_time(properties.take()) for _ in range(3))
    picture = reader.take(der.SEQUENCE).reader()
    picture_type, picture_data = readable_text(picture.take()), picture.take(der.OCTET_STRING).content
    _extensions(reader)
    reader.finish()
    cert, algorithm, value = sign
    return Seal(
        structure="v1" if old else "v5" if version >= 5 else "v4",
        raw=raw,
        signed=signed,
        vendor=vendor,
        seal_id=seal_id,
        kind=kind,
        name=name,
        certs=certs,
        digests=digests,
        created=created,
        valid_from=valid_from,
        valid_to=valid_to,
        picture_type=picture_type,
        picture=picture_data,
        maker_cert=_cert(cert),
        algorithm_oid=algorithm.oid(),
        signature=value.bits(),
        timestamp=timestamp,
    )


def parse_seal_signature(raw: bytes) -> SealSignature:
    """SES_Signature of any structure."""
    if len(raw) > MAX_SEAL_BYTES:
        raise Malformed(f"电子签章超过 {MAX_SEAL_BYTES} 字节", f"a seal signature above {MAX_SEAL_BYTES} bytes")
    reader = der.read(raw, der.SEQUENCE).reader()
    tbs = reader.take(der.SEQUENCE)
    inside = tbs.reader()
    version = inside.take(der.INTEGER).integer()
    seal = parse_seal(inside.take(der.SEQUENCE).raw)
    time, time_token = _time_info(inside.take())
    data_hash, property_info = inside.take(der.BIT_STRING).bits(), readable_text(inside.take())
    if reader.peek() == der.BIT_STRING:  # v1: certificate and algorithm stand inside TBS_Sign
        cert, algorithm = _cert(inside.take()), inside.take(der.OID)
        value, timestamp = reader.take(der.BIT_STRING), None
        structure = "v1"
    else:
        _extensions(inside)
        cert, algorithm = _cert(reader.take()), reader.take(der.OID)
        value = reader.take(der.BIT_STRING)
        timestamp = _timestamp(reader)
        structure = "v5" if version >= 5 else "v4"
    inside.finish()
    reader.finish()
    return SealSignature(
        structure=structure,
        tbs=tbs.raw,
        seal=seal,
        time=time,
        time_token=time_token,
        data_hash=data_hash,
        property_info=property_info,
        cert=cert,
        algorithm_oid=algorithm.oid(),
        signature=value.bits(),
        timestamp=timestamp,
    )


def _listed(element: Element, list_type: int) -> tuple[tuple[bytes, ...], tuple[tuple[str, bytes], ...]]:
    """SES_CertList: certificates (1) or their digests (2). The members decide: some files state the wrong type."""
    members = element.members()
    if not 1 <= len(members) <= MAX_LISTED:
        raise Malformed(
            f"电子印章的签章者证书列表应有 1 至 {MAX_LISTED} 项", f"a seal lists 1 to {MAX_LISTED} certificates"
        )
    if list_type == 2 or not all(_is_cert(member) for member in members):
        found = []
        for member in members:
            reader = member.reader()
            found.append((readable_text(reader.take()), reader.take(der.OCTET_STRING).content))
            reader.finish()
        return (), tuple(found)
    return tuple(_cert(member) for member in members), ()


def _is_cert(member: Element) -> bool:
    return member.tag == der.OCTET_STRING or (member.tag == der.SEQUENCE and member.content[:1] == b"\x30")


def _cert(element: Element) -> bytes:
    """A certificate in its OCTET STRING, or as it stands."""
    if element.tag == der.OCTET_STRING:
        return element.content
    if element.tag == der.SEQUENCE:
        return element.raw
    raise Malformed("此处应为证书", "a certificate was expected")


def _extensions(reader: Reader) -> None:
    """extDatas [0]; some makers leave the tag out. They are covered by the signature and not read."""
    if reader.maybe(0xA0) is None:
        reader.maybe(der.SEQUENCE)


def _timestamp(reader: Reader) -> bytes | None:
    """timeStamp [0] BIT STRING."""
    wrapped = reader.maybe(0xA0)
    return der.read(wrapped.content, der.BIT_STRING).bits() if wrapped else None


_DIGITS: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d{4})?\Z")


def _time(element: Element) -> datetime:
    """A time in UTC. One that names no zone is Beijing time."""
    text = element.content.decode("ascii", "replace")
    if element.tag == der.UTC_TIME:
        if not text[:2].isdigit():
            raise Malformed("时间格式错误", "a time is malformed")
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag not in {der.GENERALIZED_TIME, der.IA5_STRING, der.UTF8_STRING, der.PRINTABLE_STRING}:
        raise Malformed("此处应为时间", "a time was expected")
    return parse_time(text)


def parse_time(text: str) -> datetime:
    """``yyyyMMddHHmmss`` with an optional zone, as aware UTC; without a zone it is Beijing time."""
    match = _DIGITS.match(text.strip())
    if match is None:
        raise Malformed("时间格式错误", "a time is malformed")
    zone = match[7]
    try:
        value = datetime(*(int(match[n]) for n in range(1, 7)), tzinfo=BEIJING)  # type: ignore[arg-type, misc]
        if zone == "Z":
            return value.replace(tzinfo=UTC)
        if zone:
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
            value = value.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))
        return value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("时间超出范围", "a time is out of range") from None


def _time_info(element: Element) -> tuple[datetime | None, bytes | None]:
    """timeInfo: a time (v4, v5), or a BIT STRING around a time in DER or text, or around a timestamp token (v1)."""
    if element.tag != der.BIT_STRING:
        return _time(element), None
    octets = element.bits()
    try:
        inner = der.read(octets)
    except Malformed:
        return parse_time(octets.decode("ascii", "replace").strip("\x00")), None
    return (None, octets) if inner.tag == der.SEQUENCE else (_time(inner), None)
