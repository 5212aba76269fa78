"""The OFD container (GB/T 33190-2016): a bounded ZIP archive, its index, and the signature files inside.

Whatever is wrong is :class:`certs.der.Malformed`. Nothing is unpacked to disk. Bounds are in :class:`OfdLimits`.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from lxml import etree

from certs.der import Malformed
from certs.digests import digest
from certs.ofd.zip_members import member_content
from schemas.rules import RULES
from schemas.safe_xml import UnsafeXml, XmlLimits, parse

# Both are met; the standard's own examples have the first.
NAMESPACES: Final = frozenset({"http://www.ofdspec.org/2016", "http://www.ofdspec.org"})
MAX_SIGNATURES: Final = 32
MAX_REFERENCES: Final = 8192
MAX_DOC_BODIES: Final = 16
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_XML: Final = XmlLimits(max_bytes=8 * 1024 * 1024, max_depth=64, max_elements=50_000)


@dataclass(frozen=True, slots=True)
class OfdLimits:
    """Bounds of one archive; sizes in bytes. ``max_ratio`` binds files that unpack to more than a megabyte."""

    max_archive: int = 64 * 1024 * 1024
    max_members: int = 4096
    max_member: int = 64 * 1024 * 1024
    max_total: int = 256 * 1024 * 1024
    max_ratio: int = 200
    max_name: int = 512


@dataclass
class OfdPackage:
    """An opened archive. ``names`` are the files by normalised name; ``duplicates`` those that stand in it twice, True
    where the two differ (the last one counts, as it does for viewers that follow the central directory)."""

    names: dict[str, zipfile.ZipInfo]
    duplicates: dict[str, bool]
    _data: bytes
    _limits: OfdLimits
    _read: dict[str, bytes] = field(default_factory=dict)
    _digests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _roots: dict[str, etree._Element] = field(default_factory=dict)
    _signatures: dict[str, SignatureFile] = field(default_factory=dict)
    _total: int = 0

    @classmethod
    def open(cls, data: bytes, limits: OfdLimits = OfdLimits()) -> OfdPackage:
        """Open an archive and check its directory; every member is read later, within the bounds."""
        if len(data) > limits.max_archive:
            raise Malformed(f"压缩包超过 {limits.max_archive} 字节", f"an archive above {limits.max_archive} bytes")
        try:
            archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError, OverflowError):
            raise Malformed("不是 ZIP 压缩包", "not a ZIP archive") from None
        infos = archive.infolist()
        if len(infos) > limits.max_members:
            raise Malformed(
                f"压缩包内的文件多于 {limits.max_members} 个", f"more than {limits.max_members} files in the archive"
            )
        if sum(info.file_size for info in infos) > limits.max_total:
            raise Malformed(
                f"压缩包解压后超过 {limits.max_total} 字节",
                f"the archive unpacks to more than {limits.max_total} bytes",
            )
        package = cls({}, {}, data, limits)
        for info in infos:
            name = _member_name(info, limits)
            if name.endswith("/"):
                continue
            if name in package.names:
                same = package._unpack(info) == package._unpack(package.names[name])
                package.duplicates[name] = package.duplicates.get(name, False) or not same
            package.names[name] = info
        if "OFD.xml" not in package.names:
            raise Malformed(
                "压缩包根目录下没有 OFD.xml（GB/T 33190-2016 7.1）",
                "no OFD.xml at the top of the archive (GB/T 33190-2016, 7.1)",
            )
        return package

    def read(self, name: str) -> bytes:
        """The content of a file; kept, so that what is judged twice is the same bytes."""
        if name not in self._read:
            if name not in self.names:
                raise Malformed(
                    f"所引用的文件不在压缩包内：{name[:120]}",
                    f"a file that is named is not in the archive: {name[:120]}",
                )
            self._read[name] = self._unpack(self.names[name])
        return self._read[name]

    def xml(self, name: str) -> etree._Element:
        """The root element of a file; no DOCTYPE, bounded in depth and size. Kept: who verifies and who reads ask for the same."""
        root = self._roots.get(name)
        if root is None:
            try:
                root = self._roots[name] = parse(self.read(name), limits=_XML)
            except UnsafeXml as error:
                raise Malformed(f"{name[:120]}：{RULES[error.reason].zh}", f"{name[:120]}: {error.reason}") from None
        return root

    def digest(self, method: str, name: str) -> bytes:
        """The digest of a file, computed once however often it is referenced."""
        if (method, name) not in self._digests:
            self._digests[method, name] = digest(method, self.read(name))
        return self._digests[method, name]

    def locate(self, base: str, location: str) -> str:
        """The file that an ST_Loc in file ``base`` means. Some makers leave out the leading ``/`` of a path from the root: that is
        tried where the standard's reading leads to no file."""
        name = resolve(base, location)
        if name not in self.names:
            from_root = resolve("OFD.xml", location)
            return from_root if from_root in self.names else name
        return name

    def _unpack(self, info: zipfile.ZipInfo) -> bytes:
        limits = self._limits
        if info.file_size > limits.max_member:
            raise Malformed(
                f"压缩包内有文件超过 {limits.max_member} 字节", f"a file above {limits.max_member} bytes in the archive"
            )
        if info.file_size > 1024 * 1024 and info.file_size > limits.max_ratio * max(info.compress_size, 1):
            raise Malformed(
                f"文件压缩比超过 {limits.max_ratio}：疑为压缩炸弹",
                f"a file is packed more than {limits.max_ratio} times: a ZIP bomb",
            )
        content = member_content(self._data, info)
        self._total += len(content)
        if self._total > limits.max_total:
            raise Malformed(
                f"压缩包解压后超过 {limits.max_total} 字节",
                f"the archive unpacks to more than {limits.max_total} bytes",
            )
        return content


def _member_name(info: zipfile.ZipInfo, limits: OfdLimits) -> str:
    """The normalised name. Names without the UTF-8 flag are UTF-8 or GBK in practice, whatever the standard says."""
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        raw = name.encode("cp437", "replace")
        for codec in ("utf-8", "gb18030"):
            try:
                name = raw.decode(codec)
                break
            except UnicodeDecodeError:
                continue
    if len(name) > limits.max_name or not name:
        raise Malformed("压缩包内的文件名过长或为空", "a file name in the archive is too long or empty")
    name = name.replace("\\", "/").removeprefix("./").lstrip("/")
    parts = name.removesuffix("/").split("/")
    if any(part in {"", ".", ".."} or ":" in part or _CONTROL.search(part) for part in parts):
        raise Malformed(
            "压缩包内的文件名指向包外或格式错误", "a file name in the archive leads out of it or is malformed"
        )
    return name


def resolve(base: str, location: str) -> str:
    """The name that an ST_Loc in file ``base`` means (GB/T 33190-2016, 7.1): from the root with ``/``, else relative."""
    location = location.strip().replace("\\", "/")
    parts = [] if location.startswith("/") else base.split("/")[:-1]
    for part in location.strip("/").split("/"):
        if part == "..":
            if not parts:
                raise Malformed("路径指向压缩包之外", "a location leads out of the archive")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Children of this local name in a namespace of OFD, or in none."""
    return element.iterchildren(*_tags(name))


@lru_cache(maxsize=64)
def _tags(name: str) -> tuple[str, ...]:
    return (name, *(f"{{{namespace}}}{name}" for namespace in NAMESPACES))


def child(element: etree._Element, name: str) -> etree._Element | None:
    """The one such child, or None; two of them are Malformed, as readers would differ on which counts."""
    found = list(children(element, name))
    if len(found) > 1:
        raise Malformed(f"{name} 重复出现", f"{name} stands more than once")
    return found[0] if found else None


def text(element: etree._Element | None) -> str:
    """The text of a simple element, stripped; empty where there is none."""
    return (element.text or "").strip() if element is not None else ""


@dataclass(frozen=True, slots=True)
class ListedSignature:
    """One entry of a Signatures.xml. ``kind`` is ``Seal`` (also where it says nothing) or ``Sign``."""

    list_name: str
    signature_id: str
    kind: str
    name: str  # of its Signature.xml


@dataclass(frozen=True, slots=True)
class Reference:
    """One file that a signature covers, and the digest that it states."""

    name: str
    check_value: bytes


@dataclass(frozen=True, slots=True)
class SignatureFile:
    """A Signature.xml (GB/T 33190-2016, 18.2). ``raw`` are its bytes, over which dataHash is."""

    name: str
    raw: bytes
    provider: str
    method: str
    signed_at: str
    check_method: str
    references: tuple[Reference, ...]
    seal_name: str | None
    value_name: str


def doc_bodies(package: OfdPackage) -> list[etree._Element]:
    """The DocBody elements of OFD.xml (GB/T 33190-2016, 7.4)."""
    root = package.xml("OFD.xml")
    if etree.QName(root).localname != "OFD":
        raise Malformed("OFD.xml 不是 OFD 主入口文件", "OFD.xml is not an OFD index")
    found = list(children(root, "DocBody"))
    if not 1 <= len(found) <= MAX_DOC_BODIES:
        raise Malformed(
            f"一个文件应含 1 至 {MAX_DOC_BODIES} 个文档", f"1 to {MAX_DOC_BODIES} documents in one file are taken"
        )
    return found


def listed_signatures(package: OfdPackage) -> list[ListedSignature]:
    """All signatures that the document lists (18.1), in order; empty where it is not signed."""
    found: list[ListedSignature] = []
    for body in doc_bodies(package):
        location = text(child(body, "Signatures"))
        if not location:
            continue
        list_name = resolve("OFD.xml", location)
        root = package.xml(list_name)
        if etree.QName(root).localname != "Signatures":
            raise Malformed("签名列表文件（Signatures.xml）不是签名列表", "the list of signatures is something else")
        for entry in children(root, "Signature"):
            name = package.locate(list_name, entry.get("BaseLoc", ""))
            found.append(ListedSignature(list_name, entry.get("ID", ""), entry.get("Type", "Seal"), name))
    if len(found) > MAX_SIGNATURES:
        raise Malformed(f"签名多于 {MAX_SIGNATURES} 个", f"more than {MAX_SIGNATURES} signatures")
    if len({entry.name for entry in found}) != len(found):
        raise Malformed("同一签名文件列出两次", "one signature file is listed twice")
    return found


def read_signature(package: OfdPackage, name: str) -> SignatureFile:
    """Read a Signature.xml (18.2); once, however often it is asked."""
    if name not in package._signatures:
        package._signatures[name] = _read_signature(package, name)
    return package._signatures[name]


def _read_signature(package: OfdPackage, name: str) -> SignatureFile:
    root = package.xml(name)
    info = child(root, "SignedInfo") if etree.QName(root).localname == "Signature" else None
    value = text(child(root, "SignedValue"))
    listed = child(info, "References") if info is not None else None
    if info is None or listed is None or not value:
        raise Malformed(
            "签名文件（Signature.xml）缺少 SignedInfo、References 或 SignedValue",
            "a Signature.xml without SignedInfo, References or SignedValue",
        )
    references = []
    for element in children(listed, "Reference"):
        try:
            stated = base64.b64decode("".join(text(child(element, "CheckValue")).split()), validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("校验值（CheckValue）不是 base64", "a CheckValue that is not base64") from None
        references.append(Reference(package.locate(name, element.get("FileRef", "")), stated))
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise Malformed(
            f"一个签名应含 1 至 {MAX_REFERENCES} 个保护文件（Reference）",
            f"1 to {MAX_REFERENCES} references in a signature are taken",
        )
    provider, seal = child(info, "Provider"), child(info, "Seal")
    seal_location = text(child(seal, "BaseLoc")) if seal is not None else ""
    return SignatureFile(
        name=name,
        raw=package.read(name),
        provider=(provider.get("ProviderName", "") if provider is not None else "")[:200],
        method=text(child(info, "SignatureMethod")),
        signed_at=text(child(info, "SignatureDateTime")),
        check_method=listed.get("CheckMethod", "MD5"),  # the standard's default
        references=tuple(references),
        seal_name=package.locate(name, seal_location) if seal_location else None,
        value_name=package.locate(name, value),
    )
