"""The e-certificate metadata inside an OFD: what the document itself says, to be held against what was asked.

Rules:

1. Sources are the ``CustomData`` elements of DocInfo in OFD.xml and the XML attachments that the document lists: leaf
   elements (or attributes ``name``/``value``) whose name is a wire name of :data:`WIRE_NAMES`.
2. **In a signed document only files that a signature references are read.** Else somebody could put another holder into
   an uncovered OFD.xml. Whether those signatures hold is for :mod:`certs.ofd.verify`.
3. Where two sources disagree about a field, the field is left out: a caller then finds it missing, never wrong.
4. A file with more than one document (DocBody) has no fields: which of them would be meant?
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final

from lxml import etree

from certs.der import Malformed
from certs.ofd.package import OfdPackage, child, children, doc_bodies, listed_signatures, read_signature, resolve, text

MAX_ATTACHMENTS: Final = 32
MAX_VALUE: Final = 2000

# Wire names (pinyin initials) of the canonical metadata fields.
WIRE_NAMES: Final[Mapping[str, str]] = {
    "type_name": "ZZMC",
    "type_code": "ZZLXDM",
    "number": "ZZBH",
    "identifier": "ZZBS",
    "issuer_name": "ZZBFJG",
    "issuer_code": "ZZBFJGDM",
    "issued_on": "ZZBFRQ",
    "holder_name": "CZZT",
    "holder_code": "CZZTDM",
    "holder_code_type": "CZZTDMLXDM",
    "valid_from": "ZZYXQQSRQ",
    "valid_until": "ZZYXQJZRQ",
}
# Other names met at the wire (GB/T 36903 and its dialects), in lower case -> field of schemas.ecerts.EcertMetadata.
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "certificatename": "type_name",
    "certificatetype": "type_code",
    "certificatetypecode": "type_code",
    "certificatenumber": "number",
    "certificateidentifier": "identifier",
    "certificateholder": "holder_name",
    "certificateholdername": "holder_name",
    "certificateholdercode": "holder_code",
    "certificateholdertype": "holder_code_type",
    "certificateholdertypecode": "holder_code_type",
    "issuedept": "issuer_name",
    "issuedeptcode": "issuer_code",
    "issuedate": "issued_on",
    "certificateissuingauthorityname": "issuer_name",
    "certificateissuingauthoritycode": "issuer_code",
    "certificateissueddate": "issued_on",
    "certificatevalidatestart": "valid_from",
    "certificatevalidateend": "valid_until",
    "certificateeffectivedate": "valid_from",
    "certificateexpiringdate": "valid_until",
    "证照名称": "type_name",
    "证照类型代码": "type_code",
    "证照编号": "number",
    "证照标识": "identifier",
    "持证主体": "holder_name",
    "持证主体代码": "holder_code",
    "持证主体代码类型代码": "holder_code_type",
    "证照颁发机构": "issuer_name",
    "证照颁发机构代码": "issuer_code",
    "证照颁发日期": "issued_on",
    "证照有效期起始日期": "valid_from",
    "证照有效期截止日期": "valid_until",
}
FIELD_NAMES: Final[Mapping[str, str]] = {
    **{wire.lower(): name for name, wire in WIRE_NAMES.items()},
    **_OTHER_NAMES,
}


def read_ecert_fields(document: bytes | OfdPackage, *, signatures: Collection[int] | None = None) -> dict[str, str]:
    """Canonical fields, and ``KZ_…`` ones as they are; empty where there are none, or where the file cannot be read.

    ``signatures``: only what these of the listed signatures cover, by their index.
    """
    try:
        package = document if isinstance(document, OfdPackage) else OfdPackage.open(document)
        bodies = doc_bodies(package)
        if len(bodies) != 1:
            return {}
        readable = _covered(package, signatures)
        found: dict[str, set[str]] = {}
        for name, value in _statements(package, bodies[0], readable):
            canonical, said = _canonical(name), value.strip()[:MAX_VALUE]
            if canonical and said:
                found.setdefault(canonical, set()).add(said)
    except Malformed:
        return {}
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _covered(package: OfdPackage, signatures: Collection[int] | None) -> frozenset[str] | None:
    """The files that some signature (of the given ones) references; None where the document has no signature."""
    listed = listed_signatures(package)
    if not listed:
        return None
    if signatures is not None:
        listed = [entry for index, entry in enumerate(listed) if index in signatures]
    return frozenset(r.name for entry in listed for r in read_signature(package, entry.name).references)


def _statements(
    package: OfdPackage, body: etree._Element, readable: frozenset[str] | None
) -> Iterator[tuple[str, str]]:
    info = child(body, "DocInfo")
    custom = child(info, "CustomDatas") if info is not None else None
    if custom is not None and (readable is None or "OFD.xml" in readable):
        yield from ((element.get("Name", ""), element.text or "") for element in children(custom, "CustomData"))
    for name in _attachments(package, body, readable):
        if name.lower().endswith(".xml") and (readable is None or name in readable):
            yield from _leaves(package.xml(name))


def _attachments(package: OfdPackage, body: etree._Element, readable: frozenset[str] | None) -> list[str]:
    """Files listed as attachments (GB/T 33190-2016, 20). The list itself must be covered as well."""
    root_name = resolve("OFD.xml", text(child(body, "DocRoot")))
    location = text(child(package.xml(root_name), "Attachments"))
    if not location:
        return []
    list_name = resolve(root_name, location)
    if readable is not None and not {root_name, list_name} <= readable:
        return []
    found = [text(child(entry, "FileLoc")) for entry in children(package.xml(list_name), "Attachment")]
    return [resolve(list_name, location) for location in found[:MAX_ATTACHMENTS] if location]


def _leaves(root: etree._Element) -> Iterator[tuple[str, str]]:
    for element in root.iter(etree.Element):
        if len(element) == 0:
            name = element.get("name") or element.get("Name") or element.tag.rpartition("}")[2]
            yield name, element.text if element.text and not element.text.isspace() else element.get("value", "")


@lru_cache(maxsize=4096)
def _canonical(name: str) -> str | None:
    """The field that a wire name means, if any."""
    return FIELD_NAMES.get(name.strip().lower()) or (name[:64] if name.startswith("KZ_") else None)
