"""A small strict reader and writer of DER (X.690, clause 10) for X.509, CRL, OCSP, CMS and timestamps.

Signatures are judged over raw bytes, so every element keeps the exact bytes that it was read from. Strict on purpose:
definite minimal lengths, low tag numbers, at most :data:`MAX_DEPTH` levels below any one reader. Every fault is
:class:`Malformed`. :func:`ber_to_der` takes the indefinite lengths out of CMS messages that were written as streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from certs.errors import CertsError

MAX_DEPTH = 32  # levels that ber_to_der follows; our own readers go as deep as the grammar they follow

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
UTF8_STRING, PRINTABLE_STRING, T61_STRING, IA5_STRING = 0x0C, 0x13, 0x14, 0x16
UTC_TIME, GENERALIZED_TIME, UNIVERSAL_STRING, BMP_STRING = 0x17, 0x18, 0x1C, 0x1E
SEQUENCE, SET = 0x30, 0x31


class Malformed(CertsError):
    """Bytes that are not the structure they should be."""

    code = "malformed"


class Element(NamedTuple):
    """One tag-length-value: ``tag`` is the identifier octet, ``raw`` all its bytes, ``content`` those of the value."""

    tag: int
    raw: bytes
    content: bytes

    def reader(self) -> Reader:
        """A reader over the members of a constructed element."""
        if not self.tag & 0x20:
            raise Malformed(f"标记 {self.tag:#04x} 不是构造类型", f"tag {self.tag:#04x} is primitive")
        return Reader(self.content)

    def members(self, tag: int | None = None) -> list[Element]:
        """All members, each of the given tag where one is given."""
        reader, found = self.reader(), []
        while not reader.at_end:
            found.append(reader.take(tag))
        return found

    def integer(self) -> int:
        """The value of an INTEGER or ENUMERATED. Not minimal forms are let through: real serial numbers have them."""
        if not self.content:
            raise Malformed("INTEGER 没有内容", "an INTEGER without content")
        return int.from_bytes(self.content, "big", signed=True)

    def oid(self) -> str:
        """The dotted value of an OBJECT IDENTIFIER."""
        return decode_oid(self.content)

    def boolean(self) -> bool:
        """The value of a BOOLEAN; BER's other values of true are let through, as real certificates have them."""
        if len(self.content) != 1:
            raise Malformed("BOOLEAN 应为一个八位组", "a BOOLEAN is one octet")
        return self.content != b"\x00"

    def bits(self) -> bytes:
        """The octets of a BIT STRING that is a whole number of octets: a signature or a key."""
        if not self.content or self.content[0] != 0:
            raise Malformed("BIT STRING 不是整数个八位组", "a BIT STRING that is not a whole number of octets")
        return self.content[1:]

    def flags(self) -> frozenset[int]:
        """The numbers of the bits that are set in a BIT STRING of named bits (at most 256 of them)."""
        if not self.content or self.content[0] > 7 or len(self.content) > 33:
            raise Malformed("标志位 BIT STRING 格式错误", "a BIT STRING of named bits is malformed")
        octets = self.content[1:]
        return frozenset(8 * i + n for i, octet in enumerate(octets) for n in range(8) if octet & (0x80 >> n))

    def time(self) -> datetime:
        """The value of a UTCTime or GeneralizedTime, aware and in UTC (RFC 5280, 4.1.2.5)."""
        return decode_time(self.tag, self.content)


class Reader:
    """Reads elements one after another from one constructed value."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._position >= len(self._data)

    def peek(self) -> int | None:
        """The next identifier octet, or None at the end."""
        return None if self.at_end else self._data[self._position]

    def take(self, tag: int | None = None) -> Element:
        """The next element, which must bear the tag when one is given."""
        start = self._position
        identifier, content, end = _header(self._data, start)
        if tag is not None and identifier != tag:
            raise Malformed(
                f"标记应为 {tag:#04x}，实为 {identifier:#04x}", f"tag {tag:#04x} expected, {identifier:#04x} found"
            )
        self._position = end
        return Element(identifier, self._data[start:end], self._data[content:end])

    def maybe(self, tag: int) -> Element | None:
        """The next element if it bears the tag, else None and nothing is read."""
        return self.take(tag) if self.peek() == tag else None

    def finish(self) -> None:
        """Nothing may be left."""
        if not self.at_end:
            raise Malformed("末尾成员之后还有数据", "bytes after the last member")

    def __iter__(self) -> Iterator[Element]:
        while not self.at_end:
            yield self.take()


def read(data: bytes, tag: int | None = None) -> Element:
    """Exactly one element with nothing behind it."""
    reader = Reader(data)
    element = reader.take(tag)
    reader.finish()
    return element


def spans(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, start of the content, and end of each element in a row of them.

    Only the headers are read: for lists that are too long to read whole.
    """
    position = 0
    while position < len(data):
        start = position
        _, content, position = _header(data, start)
        yield start, content, position


def _header(data: bytes, start: int) -> tuple[int, int, int]:
    """Identifier octet, start of the content and end of the element at ``start``."""
    if start + 2 > len(data):
        raise Malformed("元素不完整", "an element is cut off")
    identifier, first = data[start], data[start + 1]
    if identifier & 0x1F == 0x1F:
        raise Malformed("标记号大于 30", "a tag number above 30")
    content = start + 2
    if first < 0x80:
        length = first
    else:
        count = first & 0x7F
        if count == 0:
            raise Malformed("使用了不定长度", "an indefinite length")
        octets = data[content : content + count]
        if count > 4 or len(octets) < count:
            raise Malformed("长度不完整或超过 4 GiB", "a length is cut off or above 4 GiB")
        length = int.from_bytes(octets, "big")
        if length < 0x80 or octets[0] == 0:
            raise Malformed("长度不是最短编码", "a length that is not minimal")
        content += count
    if content + length > len(data):
        raise Malformed("元素不完整", "an element is cut off")
    return identifier, content, content + length


@lru_cache(maxsize=4096)
def decode_oid(content: bytes) -> str:
    """Dotted form of the content of an OBJECT IDENTIFIER of at most 128 octets."""
    if not content or content[-1] & 0x80 or len(content) > 128:
        raise Malformed("对象标识符（OID）格式错误", "an OBJECT IDENTIFIER is malformed")
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


_UTC = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|[+-]\d{4})\Z")
_GENERALIZED = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,](\d{1,9}))?Z\Z")


def decode_time(tag: int, content: bytes) -> datetime:
    """UTCTime (years 50-99 are 19xx) or GeneralizedTime in UTC; fractions of a second are kept to microseconds."""
    pattern = {UTC_TIME: _UTC, GENERALIZED_TIME: _GENERALIZED}.get(tag)
    match = pattern.match(content) if pattern else None
    if match is None:
        raise Malformed("时间格式错误", "a time is malformed")
    year, month, day, hour, minute = (int(match[n]) for n in range(1, 6))
    micro = 0
    if tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
        if match[7] != b"Z":
            raise Malformed("UTCTime 不是协调世界时", "a UTCTime that is not in UTC")
    elif match[7]:
        micro = int(match[7].ljust(6, b"0")[:6])
    try:
        return datetime(year, month, day, hour, minute, int(match[6] or 0), micro, tzinfo=UTC)
    except ValueError as error:
        raise Malformed("日历上没有该时间", "a time that is not in the calendar") from error


# Writing: what requests, builders and re-tagged attributes need, no more.


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element of the given identifier octet around the parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER with tag and length."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (40 * first + second, *rest):
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.append(arc & 0x7F | 0x80)
        out.extend(reversed(chunk))
    return tlv(OID, bytes(out))


def encode_integer(value: int) -> bytes:
    """An INTEGER with tag and length."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def encode_time(value: datetime) -> bytes:
    """A GeneralizedTime with whole seconds."""
    return tlv(GENERALIZED_TIME, value.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def ber_to_der(data: bytes) -> bytes:
    """The same element with indefinite lengths made definite and constructed OCTET STRINGs joined (X.690, 8.1.3.6).

    Elements of definite length are copied as they stand, so signed bytes inside them keep their exact form.
    """
    element, end = _definite(data, 0, 0)
    if end != len(data):
        raise Malformed("消息之后还有数据", "bytes after the message")
    return element


def ber_prefix_to_der(data: bytes) -> tuple[bytes, bytes]:
    """The first element as by :func:`ber_to_der`, and the bytes behind it."""
    element, end = _definite(data, 0, 0)
    return element, data[end:]


def _definite(data: bytes, start: int, depth: int) -> tuple[bytes, int]:
    if depth > MAX_DEPTH:
        raise Malformed("嵌套过深", "nested too deeply")
    if start + 2 > len(data):
        raise Malformed("元素不完整", "an element is cut off")
    if data[start + 1] != 0x80:
        *_, end = _header(data, start)
        return data[start:end], end
    tag, position, parts = data[start], start + 2, list[bytes]()
    if not tag & 0x20:
        raise Malformed("基本类型的元素使用了不定长度", "a primitive element of indefinite length")
    while data[position : position + 2] != b"\x00\x00":
        part, position = _definite(data, position, depth + 1)
        parts.append(part)
    if tag == 0x24:  # an OCTET STRING in pieces
        return tlv(OCTET_STRING, *(read(part, OCTET_STRING).content for part in parts)), position + 2
    return tlv(tag, *parts), position + 2
