"""Writing small OFD documents (GB/T 33190-2016) and signing them: what simulators, the demo and tests serve.

``write_ecert`` makes a readable page of an e-certificate whose metadata a program can read too (:mod:`certs.ofd.metadata`).
``sign_ofd`` adds a signature of any kind that :mod:`certs.ofd.verify` judges.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from certs.digests import digest
from certs.errors import BadKey
from certs.issuing.authority import Identity
from certs.issuing.messages import sign_message
from certs.ofd.metadata import WIRE_NAMES
from certs.ofd.seal_write import Stamp, seal_document
from certs.ofd.seals import Seal
from certs.report import BEIJING
from certs.x509.signing_cert import SigningCert

_NS: Final = 'xmlns:ofd="http://www.ofdspec.org/2016"'
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_METADATA: Final = "Doc_0/Attachs/metadata.xml"


def write_ecert(
    fields: Mapping[str, str],
    lines: Sequence[str],
    *,
    title: str,
    created: datetime,
    doc_id: str,
    padding: int = 0,
) -> bytes:
    """An unsigned one-page OFD. ``fields`` are canonical metadata (:data:`WIRE_NAMES`; other keys as they are), ``lines``
    what a person reads. The metadata stands in DocInfo's CustomDatas and in an attached XML. ``padding`` adds an attachment
    of so many bytes that do not compress, for measurements."""
    wire = {WIRE_NAMES.get(key, key): value for key, value in fields.items()}
    custom = "".join(
        f"<ofd:CustomData Name={quoteattr(key)}>{escape(value)}</ofd:CustomData>" for key, value in wire.items()
    )
    created_on = created.astimezone(BEIJING).date().isoformat()
    files = {
        "OFD.xml": f'<ofd:OFD {_NS} Version="1.1" DocType="OFD"><ofd:DocBody><ofd:DocInfo><ofd:DocID>{escape(doc_id)}'
        f"</ofd:DocID><ofd:Title>{escape(title)}</ofd:Title><ofd:CreationDate>{created_on}</ofd:CreationDate>"
        f"<ofd:Creator>exchange-hub</ofd:Creator><ofd:CustomDatas>{custom}</ofd:CustomDatas></ofd:DocInfo>"
        "<ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>",
        "Doc_0/Document.xml": f"<ofd:Document {_NS}><ofd:CommonData><ofd:MaxUnitID>{len(lines) + 10}</ofd:MaxUnitID>"
        "<ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea>"
        "<ofd:PublicRes>PublicRes.xml</ofd:PublicRes></ofd:CommonData><ofd:Pages>"
        '<ofd:Page ID="1" BaseLoc="Pages/Page_0/Content.xml"/></ofd:Pages>'
        "<ofd:Attachments>Attachs/Attachments.xml</ofd:Attachments></ofd:Document>",
        "Doc_0/PublicRes.xml": f'<ofd:Res {_NS} BaseLoc="Res"><ofd:Fonts>'
        '<ofd:Font ID="3" FontName="SimSun" FamilyName="SimSun"/></ofd:Fonts></ofd:Res>',
        "Doc_0/Pages/Page_0/Content.xml": _page(title, lines),
        "Doc_0/Attachs/Attachments.xml": f'<ofd:Attachments {_NS}><ofd:Attachment ID="1" Name="metadata" Format="xml" '
        'Visible="false"><ofd:FileLoc>metadata.xml</ofd:FileLoc></ofd:Attachment></ofd:Attachments>',
        _METADATA: "<metadata>" + "".join(f"<{k}>{escape(v)}</{k}>" for k, v in wire.items()) + "</metadata>",
    }
    members = {name: (_HEAD + body).encode() for name, body in files.items()}
    if padding:
        members["Doc_0/Res/padding.bin"] = b"".join(
            digest("sha512", n.to_bytes(4, "big")) for n in range(padding // 64)
        )
    return pack(members)


def _page(title: str, lines: Sequence[str]) -> str:
    """Title and lines of text, top down, in one layer (GB/T 33190-2016, 7.7 and 11)."""
    objects = [_text(4, title, 30.0, 8.0)]
    objects.extend(_text(5 + n, line, 55.0 + 10.0 * n, 5.0) for n, line in enumerate(lines))
    return f'<ofd:Page {_NS}><ofd:Content><ofd:Layer ID="2">{"".join(objects)}</ofd:Layer></ofd:Content></ofd:Page>'


def _text(number: int, line: str, top: float, size: float) -> str:
    widths = " ".join(f"{size if ord(c) > 0x2E7F else size / 2:g}" for c in line[1:])
    delta = f' DeltaX="{widths}"' if widths else ""
    return (
        f'<ofd:TextObject ID="{number}" Boundary="25 {top:g} 170 {size + 2:g}" Font="3" Size="{size:g}">'
        f'<ofd:TextCode X="0" Y="{size:g}"{delta}>{escape(line)}</ofd:TextCode></ofd:TextObject>'
    )


@dataclass(frozen=True, slots=True)
class SignOptions:
    """How to sign. Exactly one kind: ``seal`` (Type="Seal", structure as the seal's), ``gb35275`` with ``certs`` to carry,
    or neither (bare DER SM2). ``uncovered`` names files to leave out; ``lock`` covers Signatures.xml as well."""

    seal: Seal | None = None
    gb35275: bool = False
    certs: tuple[SigningCert, ...] = ()
    uncovered: frozenset[str] = frozenset()
    separate_seal: bool = False  # also write Seal.esl
    lock: bool = False
    timestamp: Stamp | None = None  # gives a token, for signatures with a seal


def sign_ofd(document: bytes, signer: Identity, options: SignOptions, *, at: datetime) -> bytes:
    """The document with one more signature over all its files; earlier signatures stay as they are."""
    members = unpack(document)
    number = sum(name.endswith("/Signature.xml") for name in members)
    folder = f"Doc_0/Signs/Sign_{number}"
    list_name, name = "Doc_0/Signs/Signatures.xml", f"{folder}/Signature.xml"
    if list_name not in members:
        index = members["OFD.xml"].decode()
        root = "<ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot>"
        signatures = f"<ofd:Signatures>/{list_name}</ofd:Signatures>"
        members["OFD.xml"] = index.replace(root, root + signatures, 1).encode()
        members[list_name] = f"{_HEAD}<ofd:Signatures {_NS}></ofd:Signatures>".encode()
    kind = "Seal" if options.seal else "Sign"
    entry = f'<ofd:Signature ID="{number + 1}" Type="{kind}" BaseLoc="/{name}"/></ofd:Signatures>'
    members[list_name] = members[list_name].replace(b"</ofd:Signatures>", entry.encode(), 1)

    if options.seal and options.separate_seal:
        members[f"{folder}/Seal.esl"] = options.seal.raw
    skipped = options.uncovered | (set() if options.lock else {list_name})
    covered = [member for member in members if member not in skipped and not _is_signature_part(member, folder)]
    signature_xml = _signature_xml(members, covered, folder, options, signer, at)
    members[name] = signature_xml
    members[f"{folder}/SignedValue.dat"] = _value(signature_xml, f"/{name}", signer, options, at)
    return pack(members)


def _is_signature_part(member: str, own: str) -> bool:
    """Signature.xml and SignedValue.dat of any signature: no signature covers those of another one."""
    path = PurePosixPath(member)
    return path.name in {"Signature.xml", "SignedValue.dat"} or (path.name == "Seal.esl" and str(path.parent) != own)


def _signature_xml(
    members: Mapping[str, bytes],
    covered: Sequence[str],
    folder: str,
    options: SignOptions,
    signer: Identity,
    at: datetime,
) -> bytes:
    references = "".join(
        f"<ofd:Reference FileRef={quoteattr('/' + name)}><ofd:CheckValue>"
        f"{base64.b64encode(digest('sm3', members[name])).decode('ascii')}</ofd:CheckValue></ofd:Reference>"
        for name in covered
    )
    seal = f"<ofd:Seal><ofd:BaseLoc>/{folder}/Seal.esl</ofd:BaseLoc></ofd:Seal>" if options.separate_seal else ""
    stamp = '<ofd:StampAnnot ID="1" PageRef="1" Boundary="140 220 40 40"/>' if options.seal else ""
    method = "1.2.156.10197.1.501" if signer.key.public_key.kind == "sm2" else str(signer.key.default_algorithm)
    return (
        f"{_HEAD}<ofd:Signature {_NS}><ofd:SignedInfo>"
        '<ofd:Provider ProviderName="exchange-hub" Version="1.0" Company="exchange-hub"/>'
        f"<ofd:SignatureMethod>{method}</ofd:SignatureMethod>"
        f"<ofd:SignatureDateTime>{at.astimezone(UTC).strftime('%Y%m%d%H%M%SZ')}</ofd:SignatureDateTime>"
        f'<ofd:References CheckMethod="1.2.156.10197.1.401">{references}</ofd:References>{stamp}{seal}'
        f"</ofd:SignedInfo><ofd:SignedValue>/{folder}/SignedValue.dat</ofd:SignedValue></ofd:Signature>"
    ).encode()


def _value(signature_xml: bytes, location: str, signer: Identity, options: SignOptions, at: datetime) -> bytes:
    if options.seal:
        return seal_document(
            signer, options.seal, signature_xml, at=at, property_info=location, timestamp=options.timestamp
        )
    if signer.key.public_key.kind != "sm2":
        raise BadKey("不带印章的签名在此须用 SM2 密钥", "a signature without a seal is made with an SM2 key here")
    if options.gb35275:
        return sign_message(signature_xml, signer, signing_time=at, chain=options.certs, gb=True)
    return signer.sign(signature_xml)


def pack(members: Mapping[str, bytes]) -> bytes:
    """A ZIP archive of these files, the same bytes for the same members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def unpack(document: bytes) -> dict[str, bytes]:
    """The files of an archive of our own making, in order."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
