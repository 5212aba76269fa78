"""The front door: any document to a :class:`certs.report.Report`, by what the bytes are, not by what a name says.

``ofd`` (ZIP), ``pdf``, ``cms`` (DER, BER or PEM), ``xml`` (XMLDSig, WS-Security) and ``jws`` (compact).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from certs.findings import Findings
from certs.ofd.package import OfdPackage
from certs.ofd.verify import verify_ofd
from certs.policy import Policy
from certs.report import Axis, Report, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
_COMPACT_JWS: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\s*\Z")


@dataclass(frozen=True, slots=True)
class Fetchers:
    """What is not in a document: where revocation data comes from, and certificates of issuers and of known signers."""

    revocation: RevocationSource = field(default_factory=RevocationSource)
    certs: tuple[SigningCert, ...] = ()


def verify(
    document: bytes,
    *,
    policy: Policy,
    at: datetime,
    trust: TrustStore,
    fetchers: Fetchers,
    package: OfdPackage | None = None,
) -> Report:
    """Judge a document of at most 64 MiB at an aware time. Raises nothing on bad input.

    ``package``: an OFD ``document`` that was opened already, so that it is unpacked and read once.
    """
    kind = format_of(document)
    revocation = fetchers.revocation
    if kind == "ofd":
        return verify_ofd(
            document,
            at=at,
            trust=trust,
            policy=policy,
            revocation=revocation,
            extra_certs=fetchers.certs,
            package=package,
        )
    if kind == "pdf":
        from certs.pdf import verify_pdf  # pyHanko takes long to load, and few documents are PDF

        return verify_pdf(
            document,
            trust=trust,
            policy=policy,
            revocation=revocation,
            at=at,
            purpose="seal",
            extra_certs=fetchers.certs,
        )
    if kind == "cms":
        from certs.cms.verify import verify_cms

        return verify_cms(
            document, trust=trust, policy=policy, revocation=revocation, at=at, extra_certs=fetchers.certs
        )
    if kind == "xml":
        from certs.xml.document import verify_xml_document

        return verify_xml_document(
            document, trust=trust, policy=policy, revocation=revocation, at=at, extra_certs=fetchers.certs
        )
    if kind == "jws":
        from certs.jws import verify_jws

        token = document.decode("ascii").strip()
        return verify_jws(token, trust=trust, policy=policy, revocation=revocation, at=at, extra_certs=fetchers.certs)
    findings = Findings()
    zh, en = (
        "不是可验证的文件（OFD、PDF、CMS、XML、JWS）",
        "not a document that can be verified: OFD, PDF, CMS, XML, JWS",
    )
    findings.failed(Axis.FORMAT, SubIndication.FORMAT_FAILURE, "docs/verification: formats", zh, en)
    return Report.of("unknown", document, at, policy.name, findings.found)


def format_of(document: bytes) -> str:
    """``ofd``, ``pdf``, ``cms``, ``xml``, ``jws`` or ``unknown`` by the first bytes; above 64 MiB it is ``unknown``."""
    if len(document) > MAX_DOCUMENT_BYTES:
        return "unknown"
    if document.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "ofd"
    if b"%PDF-" in document[:1024]:
        return "pdf"
    if document[:1] == b"\x30" or document.lstrip()[:10] == b"-----BEGIN":
        return "cms"
    if document.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "xml"
    if document[:1024].removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<":
        return "xml"
    if len(document) <= 1024 * 1024 and _COMPACT_JWS.match(document.strip()):
        return "jws"
    return "unknown"
