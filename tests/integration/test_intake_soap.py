"""The SOAP intake over the wire: both versions, WS-Security, typed faults, and the contract files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from lxml import etree

from certs.issuing.authority import Identity
from certs.keys import SignatureAlgorithm
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import SOAP_1_1, SOAP_1_2, verify_envelope
from certs.xml.wsse_sign import sign_envelope
from hub.access.callers import KeyKind
from hub.intake.soap_envelope import wrap
from schemas.faults import ExchangeFault
from schemas.parsing import parse_json
from schemas.rules import RULES
from schemas.transfers import TransferAccepted, TransferQuery, TransferRequest
from schemas.xml_documents import read, to_xml
from tests.integration.intake_hub import RunningHub, issue, new_caller, pem, running_hub, transfer

ACTION = "urn:cn:shandong:edu:exchange:v1:"
VERSIONS = pytest.mark.parametrize("version", [SOAP_1_1, SOAP_1_2], ids=["1.1", "1.2"])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state"), max_body_kb=64, sign_answers=True) as running:
        yield running


@pytest.fixture(scope="module")
def partner(hub: RunningHub) -> Identity:
    identity = issue("青岛学籍系统")
    hub.register("qd-registry", KeyKind.WSSE, pem(identity))
    return identity


def submit_element() -> etree._Element:
    return to_xml(parse_json(TransferRequest, json.dumps(transfer()).encode()), "SubmitTransferRequest")


def post(hub: RunningHub, body: bytes, version: str = SOAP_1_1, **headers: str) -> httpx.Response:
    content_type = "text/xml; charset=utf-8" if version == SOAP_1_1 else "application/soap+xml; charset=utf-8"
    return httpx.post(f"{hub.url}/soap/v1/exchange", content=body, headers={"content-type": content_type, **headers})


def signed(identity: Identity, payload: etree._Element, version: str = SOAP_1_1, when: datetime | None = None) -> bytes:
    envelope = sign_envelope(
        wrap(payload, version), key=identity.key, certificate=identity.cert.der, created=when or datetime.now(UTC)
    )
    return etree.tostring(envelope)


def fault_of(response: httpx.Response, version: str = SOAP_1_1) -> tuple[str, ExchangeFault]:
    """The fault code's local name and the typed detail."""
    root = etree.fromstring(response.content)
    assert root.tag == f"{{{version}}}Envelope", response.text
    code = root.findtext(".//faultcode") or root.findtext(f".//{{{version}}}Value")
    detail = root.find(".//{urn:cn:shandong:edu:exchange:v1}ExchangeFault")
    assert detail is not None
    assert code is not None
    return code.partition(":")[2], read(detail, ExchangeFault)


@VERSIONS
def test_a_transfer_is_taken_and_the_answer_is_signed_by_the_hub(
    hub: RunningHub, partner: Identity, version: str
) -> None:
    response = post(hub, signed(partner, submit_element(), version), version)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/xml" if version == SOAP_1_1 else "application/soap+xml")
    root = etree.fromstring(response.content)
    token = root.findtext(".//{*}BinarySecurityToken")
    assert token is not None
    known = KnownCertificates([base64.b64decode(token)])
    answer = verify_envelope(root, now=datetime.now(UTC), max_age=timedelta(minutes=5), resolve_key=known)
    accepted = read(answer.body[0], TransferAccepted)
    shown = post(
        hub, signed(partner, to_xml(TransferQuery(case_id=accepted.case_id), "QueryTransferRequest"), version), version
    )
    assert shown.status_code == 200
    assert accepted.case_id in shown.text


@pytest.mark.parametrize(
    "algorithm", [SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.ECDSA_SHA256, SignatureAlgorithm.ED25519]
)
def test_every_kind_of_key(hub: RunningHub, algorithm: SignatureAlgorithm) -> None:
    identity = issue(algorithm.value, algorithm)
    hub.register(f"wsse-{algorithm.value}", KeyKind.WSSE, pem(identity))
    assert post(hub, signed(identity, submit_element())).status_code == 200


def test_an_http_signature_serves_soap_too(hub: RunningHub) -> None:
    caller = new_caller(hub, "http-soap")
    body = etree.tostring(wrap(submit_element(), SOAP_1_1))
    headers = {"content-type": "text/xml", "soapaction": f'"{ACTION}SubmitTransfer"'}
    response = caller.send("POST", "/soap/v1/exchange", body, headers=headers)
    assert response.status_code == 200, response.text


@VERSIONS
def test_identity_faults(hub: RunningHub, partner: Identity, version: str) -> None:
    unsigned = post(hub, etree.tostring(wrap(submit_element(), version)), version)
    code, fault = fault_of(unsigned, version)
    assert (code, fault.code, fault.detail) == (
        "Client" if version == SOAP_1_1 else "Sender",
        "caller-unknown",
        "identity-missing",
    )
    assert unsigned.status_code == (500 if version == SOAP_1_1 else 400)

    message = signed(partner, submit_element(), version)
    assert post(hub, message, version).status_code == 200
    assert fault_of(post(hub, message, version), version)[1].code == "message-replayed"

    altered = message.replace(b"<grade>4</grade>", b"<grade>6</grade>", 1)
    assert altered != message
    fault = fault_of(post(hub, altered, version), version)[1]
    assert (fault.code, fault.detail and fault.detail.split(":")[0]) == ("signature-refused", "digest-mismatch")

    stale = signed(partner, submit_element(), version, datetime.now(UTC) - timedelta(hours=1))
    assert fault_of(post(hub, stale, version), version)[1].code == "signature-refused"

    stranger = signed(issue("stranger"), submit_element(), version)
    assert fault_of(post(hub, stranger, version), version)[1].code == "caller-unknown"


def test_identities_that_disagree_are_refused(hub: RunningHub, partner: Identity) -> None:
    other = new_caller(hub, "somebody-else")
    body = signed(partner, submit_element())
    response = other.send("POST", "/soap/v1/exchange", body, headers={"content-type": "text/xml"})
    _, fault = fault_of(response)
    assert (fault.code, fault.detail) == ("signature-refused", "identities-disagree")


@VERSIONS
def test_structure_faults(hub: RunningHub, partner: Identity, version: str) -> None:
    def told(body: bytes, **headers: str) -> tuple[str, ExchangeFault]:
        return fault_of(post(hub, body, version, **headers), version)

    sender = "Client" if version == SOAP_1_1 else "Sender"
    plain = etree.tostring(wrap(submit_element(), version))
    code, fault = told(b'<!DOCTYPE x [<!ENTITY a "b">]>' + plain)
    assert (code, fault.code) == (sender, "doctype-refused")
    code, fault = told(plain[:-9])
    assert (code, fault.code, fault.faults[0].line) == (sender, "message-unreadable", 1)
    assert told(b" " * 70_000)[1].code == "message-too-large"
    assert told(b"<a>" * 60 + b"</a>" * 60)[1].code == "message-too-large"
    assert told(b"<nothing/>")[1].code == "message-unreadable"
    other = SOAP_1_2 if version == SOAP_1_1 else SOAP_1_1
    assert told(etree.tostring(wrap(submit_element(), other)))[0] == "VersionMismatch"
    header = f'<h:Odd xmlns:h="urn:h" xmlns:s="{version}" s:mustUnderstand="1"/>'.encode()
    body = (
        f'<s:Envelope xmlns:s="{version}"><s:Header>'.encode()
        + header
        + b"</s:Header><s:Body><a/></s:Body></s:Envelope>"
    )
    code, fault = told(body)
    assert (code, fault.detail) == ("MustUnderstand", "must-understand: Odd")
    empty = signed(partner, etree.Element("{urn:x}Nothing"), version)
    assert told(empty)[1].code == "operation-unknown"
    if version == SOAP_1_1:
        mismatch = told(signed(partner, submit_element(), version), soapaction=f'"{ACTION}QueryTransfer"')[1]
        assert (mismatch.code, (mismatch.detail or "").split(":")[0]) == ("operation-unknown", "action-mismatch")


@VERSIONS
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "报文无法解析: soap-malformed: 根元素不是 SOAP Envelope"),
        ("en", "The message cannot be read: soap-malformed: the root is no SOAP Envelope"),
    ],
)
def test_the_text_of_a_fault_is_in_one_language(hub: RunningHub, version: str, language: str, text: str) -> None:
    root = etree.fromstring(post(hub, b"<nothing/>", version, **{"accept-language": language}).content)
    assert (root.findtext(".//faultstring") or root.findtext(f".//{{{version}}}Text")) == text


def test_a_message_against_the_schema_is_told_line_path_and_reason(hub: RunningHub, partner: Identity) -> None:
    payload = submit_element()
    student = payload.find("{*}student")
    assert student is not None
    number = student.find("{*}idNumber")
    assert number is not None
    number.text = "370102201503070013"
    code, fault = fault_of(post(hub, signed(partner, payload)))
    assert (code, fault.code) == ("Client", "message-invalid")
    assert [item.path for item in fault.faults] == ["/SubmitTransferRequest/student/idNumber"]
    assert fault.faults[0].line == 1
    assert "370102201503070013" not in str(fault)


def test_what_cannot_be_true_is_told_with_line_field_and_cure(hub: RunningHub, partner: Identity) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    placement = {**transfer()["receiving"], "schoolCode": "2111020201"}
    asked = transfer(receiving=placement, consent={"givenAt": ahead.isoformat(), "reference": "c-1"})
    element = to_xml(parse_json(TransferRequest, json.dumps(asked).encode()), "SubmitTransferRequest")
    body = signed(partner, element)
    whose, fault = fault_of(post(hub, body, **{"accept-language": "en"}))
    assert (whose, fault.code) == ("Client", "message-invalid")
    assert [(one.path, one.rule) for one in fault.faults] == [
        ("/SubmitTransferRequest/consent/givenAt", "consent-in-future"),
        ("/SubmitTransferRequest/receiving/schoolCode", "school-region-mismatch"),
    ]
    assert all(one.line and one.cure and one.reason for one in fault.faults)
    assert "2111020201" not in str(fault)


def test_other_media_types(hub: RunningHub) -> None:
    response = httpx.post(f"{hub.url}/soap/v1/exchange", content=b"{}", headers={"content-type": "application/json"})
    assert response.status_code == 415
    assert fault_of(response)[1].code == "media-type-refused"


@pytest.mark.parametrize(
    ("body", "code", "rule", "line"),
    [
        (b"<a>\n<b></a>", "message-unreadable", "xml-malformed", 2),
        (b'{"messageId": "x"}', "message-unreadable", "xml-malformed", 1),
        (b"<!DOCTYPE a>\n<a/>", "doctype-refused", "xml-doctype", 1),
        ("<a>\n张</a>".encode("gb18030"), "message-unreadable", "xml-encoding", 2),
        (b"<a>" * 60 + b"</a>" * 60, "message-too-large", "xml-too-deep", None),
    ],
)
def test_what_cannot_be_read_is_told_with_line_and_cure(
    hub: RunningHub, body: bytes, code: str, rule: str, line: int | None
) -> None:
    for language in ("zh", "en"):
        fault = fault_of(post(hub, body, **{"accept-language": language}))[1]
        (item,) = fault.faults
        known = RULES[rule]
        told = (known.zh, known.cure_zh) if language == "zh" else (known.en, known.cure_en)
        assert (fault.code, item.rule, item.line, item.path) == (code, rule, line, "/")
        assert (item.reason, item.cure) == told
        assert (fault.detail or "").startswith(rule)


def test_a_gb18030_message_is_read(hub: RunningHub, partner: Identity) -> None:
    text = signed(partner, submit_element()).decode()
    root = etree.fromstring(text)
    body = etree.tostring(root, encoding="GB18030")
    assert b"GB18030" in body[:60]
    assert post(hub, body).status_code == 200


def test_the_contract_is_served_with_the_hubs_address(hub: RunningHub) -> None:
    for path in ("/soap/v1/exchange?wsdl", "/soap/v1/exchange?WSDL", "/soap/v1/exchange.wsdl"):
        response = httpx.get(hub.url + path)
        assert response.status_code == 200
        assert re.findall(r'location="([^"]+)"', response.text) == [f"{hub.url}/soap/v1/exchange"] * 2
    for name in ("types.xsd", "transfer.xsd", "faults.xsd"):
        assert httpx.get(f"{hub.url}/soap/v1/{name}").status_code == 200
    assert httpx.get(f"{hub.url}/soap/v1/%2e%2e%2fproblems.py").status_code == 404
    assert httpx.get(f"{hub.url}/soap/v1/exchange").status_code == 405
