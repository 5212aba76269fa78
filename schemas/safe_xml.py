"""The one XML parser of this project: no DOCTYPE, no entities, no network, bounded before the tree is built.

What is cheap to count in the raw bytes (size, prolog, tags, namespace declarations) is refused before libxml2 sees
anything; libxml2 itself stops at a depth of 256 and at 10 MB of one text. So the memory that hostile input can claim is
bounded by ``XmlLimits``. Comments are dropped while parsing: a comment inside a value would otherwise split its text
(``el.text`` ends at the comment) while the canonical form, and with it a signature, stays the same.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from threading import local
from typing import Final, cast

from lxml import etree

from schemas.told import Said, both

_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "gb18030": "gb18030",
    "gbk": "gb18030",  # a subset of GB18030, and so is GB 2312: stations that declare them send rarer characters too
    "gb2312": "gb18030",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
# XML 1.0 production 22 (prolog): what may stand before the root element.
_DECLARATION: Final = re.compile(
    rb"""\A<\?xml\s+version\s*=\s*["']1\.[0-9]["'](?:\s+encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["'])?"""
    rb"""(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>"""
)
_MISC: Final = re.compile(rb"(?:\s+|<!--.*?-->|<\?(?!xml[\s?]).*?\?>)*+", re.DOTALL)


class UnsafeXml(Exception):
    """A document is not well formed, or is more than we are ready to parse.

    ``reason`` is a stable word and has its rule, with a cure, in :mod:`schemas.rules`. The detail (``zh``, ``en``) never
    quotes the document; ``line`` counts from 1 and is 0 where there is none.
    """

    def __init__(self, reason: str, detail: Said, line: int = 0) -> None:
        self.zh, self.en = both(detail)
        where = f" (line {line})" if line else ""
        super().__init__(f"{reason}: {self.en}{where}")
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """Bounds of one document. ``max_bytes`` is of the document as received, in its own encoding."""

    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 64
    max_elements: int = 100_000
    max_attributes: int = 256  # of one element
    max_namespaces: int = 2_000  # xmlns declarations in the whole document


DEFAULT_LIMITS: Final = XmlLimits()
_parsers = local()  # lxml serialises calls on one parser object, so each thread has its own


def parse(data: bytes, *, limits: XmlLimits = DEFAULT_LIMITS) -> etree._Element:
    """The root element of ``data``; raises :class:`UnsafeXml` and nothing else on any bytes."""
    if len(data) > limits.max_bytes:
        raise UnsafeXml(
            "xml-too-large",
            (f"{len(data)} 字节, 至多 {limits.max_bytes} 字节", f"{len(data)} bytes, at most {limits.max_bytes}"),
        )
    text = _as_utf8(data)
    _check_prolog(text)
    _check_counts(text, limits)
    try:
        root = etree.fromstring(text, _parser())
    except etree.XMLSyntaxError as error:
        raise _malformed(error) from None
    _check_shape(root, text, limits)
    return root


def _as_utf8(data: bytes) -> bytes:
    """The document as UTF-8. A byte order mark wins over the declaration (XML 1.0, appendix F)."""
    if data.startswith(codecs.BOM_UTF8):
        return _recode(data[3:], "utf-8")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _recode(data, "utf-16")
    match = _DECLARATION.match(data)
    if match is None or match.group(1) is None:
        return _recode(data, "utf-8")
    encoding = _ENCODINGS.get(match.group(1).decode("ascii").lower())
    if encoding is None or encoding.startswith("utf-16"):  # UTF-16 without its byte order mark is not legible as ASCII
        raise UnsafeXml(
            "xml-encoding",
            (
                "只收 UTF-8、UTF-16、GB18030、GBK、GB2312、US-ASCII",
                "declare UTF-8, UTF-16, GB18030, GBK, GB2312 or US-ASCII",
            ),
            1,
        )
    return _recode(data, encoding)


def _recode(data: bytes, encoding: str) -> bytes:
    try:
        return data if encoding == "utf-8" and data.isascii() else data.decode(encoding).encode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "ignore")
    except UnicodeEncodeError as error:  # half a surrogate pair that the codec lets pass
        before = error.object[: error.start]
    said = (f"含有不是 {encoding.upper()} 的字节", f"bytes that are not {encoding.upper()}")
    raise UnsafeXml("xml-encoding", said, before.count("\n") + 1)


def _check_prolog(text: bytes) -> None:
    """XML 1.0, 2.8: a DOCTYPE can stand only before the root element; found later, it is a syntax error for libxml2."""
    declaration = _DECLARATION.match(text)
    start = declaration.end() if declaration else 0
    misc = _MISC.match(text, start)
    end = misc.end() if misc else start
    if text.startswith(b"<!DOCTYPE", end):
        raise UnsafeXml(
            "xml-doctype",
            ("不接受文档类型声明", "a document type declaration is never accepted"),
            text.count(b"\n", 0, end) + 1,
        )
    if not text.startswith(b"<", end) or text.startswith((b"<!", b"<?"), end):
        raise UnsafeXml("xml-malformed", ("没有根元素", "no root element"), text.count(b"\n", 0, end) + 1)


def _check_counts(text: bytes, limits: XmlLimits) -> None:
    """Upper bounds that need no tree: each element opens with one ``<``."""
    if text.count(b"<") - text.count(b"</") > limits.max_elements:
        raise UnsafeXml("xml-too-many-elements", (f"多于 {limits.max_elements} 个", f"more than {limits.max_elements}"))
    if text.count(b"xmlns") > limits.max_namespaces:
        raise UnsafeXml(
            "xml-too-many-namespaces", (f"多于 {limits.max_namespaces} 个", f"more than {limits.max_namespaces}")
        )


def _check_shape(root: etree._Element, text: bytes, limits: XmlLimits) -> None:
    """Depth and width, looked for in the tree only where there are enough tags or equals signs for a fault."""
    if text.count(b"</") + text.count(b"/>") > limits.max_depth and _deeper_than(limits.max_depth)(root):
        raise UnsafeXml("xml-too-deep", (f"多于 {limits.max_depth} 层", f"more than {limits.max_depth} levels"))
    if text.count(b"=") > limits.max_attributes and _wider_than(limits.max_attributes)(root):
        raise UnsafeXml(
            "xml-too-many-attributes",
            (f"一个元素上多于 {limits.max_attributes} 个", f"more than {limits.max_attributes} on one element"),
        )


def _malformed(error: etree.XMLSyntaxError) -> UnsafeXml:
    """libxml2's own message may quote the document, so only its error name and place are told."""
    name = cast(str | None, etree.ErrorTypes._getName(error.code))  # type: ignore[attr-defined]
    if error.msg is not None and "Excessive depth" in error.msg:
        return UnsafeXml("xml-too-deep", ("多于 256 层", "more than 256 levels"), error.lineno or 0)
    return UnsafeXml("xml-malformed", name or "not-well-formed", error.lineno or 0)


def _parser() -> etree.XMLParser:
    parser = cast(etree.XMLParser | None, getattr(_parsers, "parser", None))
    if parser is None:
        parser = etree.XMLParser(
            encoding="utf-8",  # overrides the declaration: the bytes were recoded
            resolve_entities=False,
            load_dtd=False,
            dtd_validation=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            recover=False,
        )
        _parsers.parser = parser
    return parser


@lru_cache(maxsize=16)
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


@lru_cache(maxsize=16)
def _wider_than(attributes: int) -> etree.XPath:
    return etree.XPath(f"boolean(//*[@*[{attributes + 1}]])")
