"""No input makes the hub fault: whatever the bytes, headers and paths, a refusal of ours comes back and nothing else."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from certs.issuing.authority import Identity
from certs.xml.wsse_sign import sign_envelope
from hub.access.callers import KeyKind
from hub.intake.openapi import EXAMPLE_TRANSFER
from schemas.faults import ExchangeFault
from schemas.problems import KINDS
from schemas.xml_documents import read
from tests.integration.intake_hub import HttpCaller, RunningHub, issue, new_caller, pem, running_hub

BUDGET = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80).map(str.strip)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state"), caller_rate=0, max_body_kb=256) as running:
        yield running


@pytest.fixture(scope="module")
def caller(hub: RunningHub) -> HttpCaller:
    return new_caller(hub)


@pytest.fixture(scope="module")
def partner(hub: RunningHub) -> Identity:
    identity = issue("partner")
    hub.register("partner", KeyKind.WSSE, pem(identity))
    return identity


def assert_refused_or_taken(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] in KINDS


def assert_soap(response: httpx.Response) -> None:
    """SOAP 1.1 tells every fault with HTTP 500: it must then be one of the sender's."""
    root = etree.fromstring(response.content)
    detail = root.find(".//{*}ExchangeFault")
    if detail is None:
        assert response.status_code == 200
        return
    fault = read(detail, ExchangeFault)
    assert fault.code in KINDS
    assert KINDS[fault.code].status < 500


@BUDGET
@given(body=st.binary(max_size=400) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_signed_body(caller: HttpCaller, body: bytes) -> None:
    for path in ("/v1/transfers", "/v1/decisions", "/v1/transfers/case_00000000000000000000000000/withdrawal"):
        assert_refused_or_taken(caller.send("POST", path, body, headers={"content-type": "application/json"}))


@BUDGET
@given(data=st.data())
def test_a_valid_message_with_one_part_put_out_of_joint(caller: HttpCaller, data: st.DataObject) -> None:
    message = json.loads(json.dumps(EXAMPLE_TRANSFER))
    message["messageId"] = f"h-{secrets.token_hex(6)}"
    target = message
    if data.draw(st.booleans()):
        target = message[data.draw(st.sampled_from(["student", "guardian", "releasing", "receiving", "consent"]))]
    target[data.draw(st.sampled_from(sorted(target)) | st.text(max_size=8))] = data.draw(json_values)
    assert_refused_or_taken(caller.send("POST", "/v1/transfers", json.dumps(message).encode()))


@BUDGET
@given(
    query=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60),
    segment=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?/"), max_size=40),
)
def test_any_path_and_query(hub: RunningHub, caller: HttpCaller, query: str, segment: str) -> None:
    for path in (f"/v1/transfers?{query}", f"/v1/transfers/{segment or 'x'}"):
        assert_refused_or_taken(caller.client.get(hub.url + path))
        request = caller.client.build_request("GET", hub.url + path)  # signed as httpx will spell it
        assert_refused_or_taken(caller.send("GET", str(request.url)[len(hub.url) :]))


@BUDGET
@given(signature=header_values, signature_input=header_values, digest=header_values, other=header_values)
def test_any_headers(
    hub: RunningHub, caller: HttpCaller, signature: str, signature_input: str, digest: str, other: str
) -> None:
    names = ["content-type", "accept-language", "content-encoding", "x-client-cert"]
    for name in names:
        headers = {"content-type": "application/json", "signature": signature, "signature-input": signature_input,
                   "content-digest": digest, name: other}  # fmt: skip
        assert_refused_or_taken(caller.client.post(f"{hub.url}/v1/transfers", content=b"{}", headers=headers))


@BUDGET
@given(
    body=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"<a>{text}</a>".encode()),
    content_type=header_values,
)
def test_any_bytes_to_soap(hub: RunningHub, caller: HttpCaller, body: bytes, content_type: str) -> None:
    for media_type in ("text/xml", "application/soap+xml", content_type):
        headers = {"content-type": media_type}
        assert_soap(caller.client.post(f"{hub.url}/soap/v1/exchange", content=body, headers=headers))


names = st.sampled_from(
    ["SubmitTransferRequest", "QueryTransferRequest", "student", "caseId", "messageId", "reason", "x"]
)
trees = st.recursive(
    st.tuples(names, st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF), max_size=20)),
    lambda inner: st.tuples(names, st.lists(inner, max_size=4)),
    max_leaves=10,
)


def build(tree: tuple[str, object]) -> etree._Element:
    element = etree.Element(f"{{urn:cn:shandong:edu:exchange:v1}}{tree[0]}")
    if isinstance(tree[1], str):
        element.text = tree[1]
    elif isinstance(tree[1], list):
        element.extend([build(child) for child in tree[1]])
    return element


@BUDGET
@given(tree=trees)
def test_any_signed_payload(hub: RunningHub, caller: HttpCaller, partner: Identity, tree: tuple[str, object]) -> None:
    envelope = etree.Element(f"{{{SOAP_1_1}}}Envelope")
    etree.SubElement(envelope, f"{{{SOAP_1_1}}}Body").append(build(tree))
    sign_envelope(envelope, key=partner.key, certificate=partner.cert.der, created=datetime.now(UTC))
    headers = {"content-type": "text/xml"}
    assert_soap(caller.client.post(f"{hub.url}/soap/v1/exchange", content=etree.tostring(envelope), headers=headers))


def test_nothing_personal_reaches_the_log_or_the_audit(
    hub: RunningHub, caller: HttpCaller, capsys: pytest.CaptureFixture[str]
) -> None:
    number = EXAMPLE_TRANSFER["student"]["idNumber"]
    broken = json.loads(json.dumps(EXAMPLE_TRANSFER))
    broken["student"]["idNumber"] = number[:-1] + "9"
    for body in (
        json.dumps(broken).encode(),
        json.dumps(EXAMPLE_TRANSFER).encode()[:-1],
        base64.b64encode(number.encode()),
    ):
        response = caller.send("POST", "/v1/transfers", body, headers={"content-type": "application/json"})
        assert number[:-1] not in response.text
    assert caller.send("GET", f"/v1/transfers/{number}").status_code == 404
    assert caller.send("GET", f"/v1/transfers?{number}={number}").status_code == 422
    written = "".join(repr(entry) for entry in hub.audited)
    shown = capsys.readouterr()
    for secret in (number[:-1], EXAMPLE_TRANSFER["student"]["name"], EXAMPLE_TRANSFER["guardian"]["name"]):
        assert secret not in written + shown.out + shown.err
