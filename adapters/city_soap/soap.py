"""The SOAP side of this product, for client and simulator alike: envelopes out of records, records out of checked bodies.

zeep writes requests and reads replies by the WSDL of this folder. It never touches the network, and it sees only trees that
:func:`certs.xml.wsse.verify_envelope` made from the raw bytes with the safe parser.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Final, cast

from lxml import etree

from adapters.city_soap.mapping import Wire, WireValue

if TYPE_CHECKING:
    import zeep

NAMESPACE: Final = "urn:csxj:sjjh:2.1"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
ENCODINGS: Final = ("utf-8", "gb18030")
_FOLDER: Final = Path(__file__).parent
_BINDING: Final = f"{{{NAMESPACE}}}SjjhSoap11"
_schemas = local()  # an lxml schema collects its errors in itself: one for each thread


class SoapFailure(ValueError):
    """A message that cannot be written or read by the WSDL; the text names elements, never values."""


class Outcome(StrEnum):
    """What the hub makes of a result code."""

    OK = "ok"
    REFUSED = "refused"
    RETRY = "retry"
    UNKNOWN = "unknown"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of results.toml."""

    code: str
    outcome: Outcome
    word: str
    zh: str


def _results() -> Mapping[str, Result]:
    rows = tomllib.loads((_FOLDER / "results.toml").read_text(encoding="utf-8"))
    return {code: Result(code, Outcome(row["outcome"]), row["word"], row["zh"]) for code, row in rows.items()}


RESULTS: Final = _results()


def result_of(code: str) -> Result:
    """The row of ``code``; a code in no table may mean anything, so the outcome is unknown."""
    return RESULTS.get(code) or Result(code, Outcome.UNKNOWN, "peer-code-unlisted", "未知结果码")


@cache
def _client() -> zeep.Client:
    """One for the process, whatever the number of endpoints: it takes 0.1 s to build, and zeep 0.3 s to import."""
    import zeep
    from zeep.settings import Settings as ZeepSettings

    settings = ZeepSettings(forbid_dtd=True, forbid_entities=True, forbid_external=True)
    return zeep.Client(str(_FOLDER / "wsdl" / "sjjh.wsdl"), settings=settings)  # type: ignore[no-untyped-call]


def warm_up() -> None:
    """Build now what the first call would otherwise wait for."""
    _client()


def action(operation: str) -> str:
    """SOAPAction of an operation."""
    return f"{NAMESPACE}:{operation}"


def request_envelope(operation: str, record: Wire) -> etree._Element:
    """An unsigned envelope with the request of ``operation``."""
    from zeep.exceptions import Error as ZeepError

    client = _client()
    try:
        envelope = client.create_message(client.service, operation, **record)  # type: ignore[no-untyped-call]
    except (ZeepError, ValueError, TypeError) as error:
        raise SoapFailure(f"{operation}: {type(error).__name__}") from None
    return cast(etree._Element, envelope)


def reply_record(operation: str, body: etree._Element) -> Wire:
    """The reply of ``operation`` from a checked soap:Body; its faults are for :func:`fault_code`."""
    from zeep.exceptions import Error as ZeepError
    from zeep.helpers import serialize_object

    envelope = body.getparent()
    _validate(body, f"{operation}Response")
    try:
        reply = _client().wsdl.bindings[_BINDING].get(operation).process_reply(envelope)  # type: ignore[no-untyped-call]
    except (ZeepError, ValueError, TypeError) as error:
        raise SoapFailure(f"{operation}Response: {type(error).__name__}") from None
    return cast(Wire, serialize_object(reply, dict))  # type: ignore[no-untyped-call]


def fault_code(body: etree._Element) -> tuple[str, int | None] | None:
    """Result code and seconds to wait of a SOAP fault; None if the body holds none. A fault without them has code ""."""
    fault = body.find(f"{{{SOAP}}}Fault")
    if fault is None:
        return None
    seconds = (fault.findtext(f"detail/{{{NAMESPACE}}}yichang/{{{NAMESPACE}}}cssj") or "").strip()
    code = (fault.findtext(f"detail/{{{NAMESPACE}}}yichang/{{{NAMESPACE}}}jgm") or "").strip()
    return code, int(seconds[:6]) if seconds.isascii() and seconds.isdigit() else None


def serialize(envelope: etree._Element, encoding: str) -> bytes:
    """The message with its XML declaration. Signatures are over canonical UTF-8, so the encoding does not touch them."""
    text = etree.tostring(envelope, encoding="unicode")
    return f'<?xml version="1.0" encoding="{encoding.upper()}"?>\n{text}'.encode(encoding)


def _validate(body: etree._Element, name: str) -> None:
    if len(body) != 1 or body[0].tag != f"{{{NAMESPACE}}}{name}":
        raise SoapFailure(f"{name} expected")
    if not _schema().validate(body[0]):
        raise SoapFailure(f"{name}: not valid by the XSD")


def _schema() -> etree.XMLSchema:
    schema = cast(etree.XMLSchema | None, getattr(_schemas, "schema", None))
    if schema is None:
        schema = etree.XMLSchema(etree.parse(str(_FOLDER / "wsdl" / "xjgl.xsd")))
        _schemas.schema = schema
    return schema


# --- the city's side (simulator): without zeep, so that the two sides prove each other --------------------------------------

_REPEATED: Final = frozenset({"zmcl"})


def request_record(body: etree._Element) -> tuple[str, Wire]:
    """Operation and request from a checked soap:Body."""
    name = etree.QName(body[0]).localname if len(body) == 1 else ""
    _validate(body, name)
    record = element_record(body[0])
    return name, record if isinstance(record, dict) else {}


def element_record(element: etree._Element) -> WireValue:
    """A record of the children, or the text where there are none."""
    if not len(element):
        return element.text or ""
    record: dict[str, WireValue] = {}
    for child in element:
        name = etree.QName(child).localname
        if name in _REPEATED:
            record[name] = [*cast(list[WireValue], record.get(name, [])), element_record(child)]
        else:
            record[name] = element_record(child)
    return record


def reply_envelope(operation: str, record: Wire) -> etree._Element:
    """An unsigned envelope with the reply of ``operation``; the record stands in the order of the XSD."""
    envelope, body = _envelope()
    _append(body, f"{operation}Response", record)
    return envelope


def fault_envelope(code: str, text: str, *, ours: bool, wait_s: int | None = None) -> etree._Element:
    """A SOAP 1.1 fault (4.4) with the product's own detail; ``ours`` tells whether the server or the client is to blame."""
    envelope, body = _envelope()
    fault = etree.SubElement(body, f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = "soap:Server" if ours else "soap:Client"
    etree.SubElement(fault, "faultstring").text = text
    _append(etree.SubElement(fault, "detail"), "yichang", {"jgm": code, "cssj": wait_s})
    return envelope


def _envelope() -> tuple[etree._Element, etree._Element]:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP, "t": NAMESPACE})
    return envelope, etree.SubElement(envelope, f"{{{SOAP}}}Body")


def _append(parent: etree._Element, name: str, value: WireValue) -> None:
    if value is None:
        return
    if isinstance(value, list | tuple):
        for one in value:
            _append(parent, name, one)
        return
    child = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _append(child, key, inner)
    else:
        child.text = str(value)
