"""SOAP 1.1 and 1.2 envelopes: reading what HTTP brought, and writing answers and faults.

Clauses: SOAP 1.1 (W3C Note 2000) 4 and 6, SOAP 1.2 part 1 (2007) 5 and part 2, 7; WS-I Basic Profile 1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from lxml import etree

from certs.xml.tokens import WSSE
from certs.xml.wsse import SOAP_1_1, SOAP_1_2
from hub.intake.limits import MAX_XML_DEPTH
from schemas.faults import ExchangeFault, Language
from schemas.parsing import fault
from schemas.problems import (
    DOCTYPE_REFUSED,
    MEDIA_TYPE_REFUSED,
    MESSAGE_TOO_LARGE,
    MESSAGE_UNREADABLE,
    HubProblem,
    ProblemKind,
)
from schemas.rules import RULES
from schemas.safe_xml import UnsafeXml, XmlLimits, parse
from schemas.xml_documents import fault_to_xml

SECURITY: Final = f"{{{WSSE}}}Security"
_NEXT: Final = frozenset({"", "http://schemas.xmlsoap.org/soap/actor/next", f"{SOAP_1_2}/role/next",
                          f"{SOAP_1_2}/role/ultimateReceiver"})  # fmt: skip
_PARAMETER: Final = re.compile(r';\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"]*)"|([^;\s]*))')
_LEGACY_CHARSETS: Final = frozenset({"gbk", "gb2312", "gb18030"})
_KIND_BY_REASON: Final[dict[str, ProblemKind]] = {
    "xml-doctype": DOCTYPE_REFUSED,
    "xml-too-large": MESSAGE_TOO_LARGE,
    "xml-too-deep": MESSAGE_TOO_LARGE,
    "xml-too-many-elements": MESSAGE_TOO_LARGE,
    "xml-too-many-attributes": MESSAGE_TOO_LARGE,
    "xml-too-many-namespaces": MESSAGE_TOO_LARGE,
}

FaultCode = Literal["sender", "receiver", "must-understand", "version-mismatch"]
_FAULT_CODES: Final[dict[str, dict[FaultCode, str]]] = {
    SOAP_1_1: {
        "sender": "Client",
        "receiver": "Server",
        "must-understand": "MustUnderstand",
        "version-mismatch": "VersionMismatch",
    },
    SOAP_1_2: {
        "sender": "Sender",
        "receiver": "Receiver",
        "must-understand": "MustUnderstand",
        "version-mismatch": "VersionMismatch",
    },
}


class SoapProblem(HubProblem):
    """A refusal that SOAP has a fault code of its own for."""

    def __init__(self, code: FaultCode, said: tuple[str, str]) -> None:
        super().__init__(MESSAGE_UNREADABLE, code, said)
        self.fault_code = code


@dataclass(frozen=True, slots=True)
class Wire:
    """How the message came: the SOAP version that its media type says, its action, and a charset from HTTP."""

    version: str
    action: str
    charset: str

    @property
    def media_type(self) -> str:
        return "text/xml" if self.version == SOAP_1_1 else "application/soap+xml"


@dataclass(frozen=True, slots=True)
class Envelope:
    """``payload`` is the one child of the Body; ``secured`` whether a WS-Security header is addressed to us."""

    root: etree._Element
    payload: etree._Element
    secured: bool


def read_wire(content_type: str, soap_action: str) -> Wire:
    """From the HTTP headers (SOAP 1.1, 6.1; SOAP 1.2 part 2, 7.1.4). HubProblem(MEDIA_TYPE_REFUSED) for anything else."""
    media_type, _, _ = content_type.partition(";")
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(content_type)}
    charset = parameters.get("charset", "").lower()
    match media_type.strip().lower():
        case "text/xml":
            return Wire(SOAP_1_1, soap_action.strip().strip('"'), charset)
        case "application/soap+xml":
            return Wire(SOAP_1_2, parameters.get("action", ""), charset)
        case _:
            raise HubProblem(MEDIA_TYPE_REFUSED)


def read_envelope(body: bytes, wire: Wire, max_bytes: int) -> Envelope:
    """The envelope with its one payload, or HubProblem: unreadable (with the line), too large, DOCTYPE, SoapProblem."""
    root = _parse(_declared(body, wire.charset), max_bytes)
    if root.tag != f"{{{wire.version}}}Envelope":
        if etree.QName(root).localname == "Envelope":
            raise SoapProblem(
                "version-mismatch",
                ("信封的 SOAP 版本与内容类型不符", "the Envelope is not of the version of its media type"),
            )
        raise HubProblem(
            MESSAGE_UNREADABLE, "soap-malformed", ("根元素不是 SOAP Envelope", "the root is no SOAP Envelope")
        )
    children = list(root.iterchildren(tag=etree.Element))
    body_tag, header_tag = f"{{{wire.version}}}Body", f"{{{wire.version}}}Header"
    tags = [child.tag for child in children]
    if tags not in ([body_tag], [header_tag, body_tag]):
        raise HubProblem(
            MESSAGE_UNREADABLE,
            "soap-malformed",
            ("Envelope 中应至多一个 Header, 其后一个 Body", "an Envelope has at most one Header, then one Body"),
        )
    secured = _check_headers(children[0], wire.version) if len(children) == 2 else False
    payload = list(children[-1].iterchildren(tag=etree.Element))
    if len(payload) != 1:
        raise HubProblem(
            MESSAGE_UNREADABLE,
            "soap-malformed",
            ("Body 中应有且只有一个请求元素", "the Body holds exactly one request element"),
        )
    return Envelope(root, payload[0], secured)


def _declared(body: bytes, charset: str) -> bytes:
    """RFC 7303, 3: a charset that HTTP states counts where the document says nothing itself (old Chinese stacks do that)."""
    if charset in _LEGACY_CHARSETS and not body.lstrip().startswith(b"<?xml"):
        return b'<?xml version="1.0" encoding="GB18030"?>' + body
    return body


def _parse(body: bytes, max_bytes: int) -> etree._Element:
    try:
        return parse(body, limits=XmlLimits(max_bytes=max_bytes + 64, max_depth=MAX_XML_DEPTH, max_elements=2_000))
    except UnsafeXml as error:
        kind = _KIND_BY_REASON.get(error.reason, MESSAGE_UNREADABLE)
        where = replace(fault("/", RULES[error.reason]), line=error.line or None)
        raise HubProblem(kind, error.reason, (error.zh, error.en), faults=[where]) from None


def _check_headers(header: etree._Element, version: str) -> bool:
    """Whether there is a Security header for us; SoapProblem for a block that must be understood and is not."""
    secured = False
    for block in header.iterchildren(tag=etree.Element):
        role = (block.get(f"{{{version}}}actor") or block.get(f"{{{version}}}role") or "").strip()
        if role not in _NEXT:
            continue
        if block.tag == SECURITY:
            secured = True
        elif block.get(f"{{{version}}}mustUnderstand", "0").strip() in ("1", "true"):
            name = etree.QName(block).localname
            known = re.fullmatch(r"[A-Za-z]{1,40}", name)
            raise SoapProblem("must-understand", (name, name) if known else ("一个头元素", "a header block"))
    return secured


# --- writing ------------------------------------------------------------------------------------------------------------


def wrap(payload: etree._Element, version: str) -> etree._Element:
    """An Envelope around one Body element."""
    root = etree.Element(f"{{{version}}}Envelope", nsmap={"soap": version})
    etree.SubElement(root, f"{{{version}}}Body").append(payload)
    return root


def serialize(envelope: etree._Element) -> bytes:
    return etree.tostring(envelope, encoding="UTF-8", xml_declaration=True)


def fault_code(problem: HubProblem) -> FaultCode:
    if isinstance(problem, SoapProblem):
        return problem.fault_code
    return "receiver" if problem.kind.status >= 500 else "sender"


def fault_status(problem: HubProblem, version: str) -> int:
    """SOAP 1.1, 6.2 and Basic Profile R1126: 500. SOAP 1.2 part 2, table 20: 400 for the sender's faults. 415 in both."""
    if problem.kind is MEDIA_TYPE_REFUSED:
        return 415
    return 400 if version == SOAP_1_2 and fault_code(problem) == "sender" else 500


def fault_envelope(problem: HubProblem, problem_id: str, version: str, language: Language) -> etree._Element:
    """A fault whose detail is the typed ExchangeFault of the WSDL."""
    told = ExchangeFault.of(problem, problem_id, language)
    text = f"{told.title}: {told.detail}" if told.detail else told.title
    code = f"soap:{_FAULT_CODES[version][fault_code(problem)]}"
    fault = etree.Element(f"{{{version}}}Fault", nsmap={"soap": version})
    if version == SOAP_1_1:
        etree.SubElement(fault, "faultcode").text = code
        etree.SubElement(fault, "faultstring").text = text
        etree.SubElement(fault, "detail").append(fault_to_xml(told))
    else:
        etree.SubElement(etree.SubElement(fault, f"{{{version}}}Code"), f"{{{version}}}Value").text = code
        reason = etree.SubElement(etree.SubElement(fault, f"{{{version}}}Reason"), f"{{{version}}}Text")
        reason.set("{http://www.w3.org/XML/1998/namespace}lang", language)
        reason.text = text
        etree.SubElement(fault, f"{{{version}}}Detail").append(fault_to_xml(told))
    return wrap(fault, version)
