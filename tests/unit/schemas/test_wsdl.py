"""The WSDL as a stock client sees it: zeep from the files and from a running server, SOAP 1.1 and 1.2, typed faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zeep
from lxml import etree

import schemas.wsdl
from schemas import problems, safe_xml
from schemas.faults import ExchangeFault
from schemas.problems import HubProblem
from schemas.transfers import CaseState, TransferAccepted, TransferRequest, TransferView
from schemas.wsdl import WSDL_FILE, XSD_FILES, render_wsdl, xsd_file
from schemas.xml_documents import NAMESPACE, OPERATIONS, fault_to_xml, operation_of, parse_xml, read, to_xml
from tests.unit.schemas import documents as d

FOLDER = Path(schemas.wsdl.__file__).parent
SOAP = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
PORTS = {"1.1": "ExchangeSoap11Port", "1.2": "ExchangeSoap12Port"}
NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)


def place(region: str, school: str) -> dict[str, object]:
    return {"region": region, "schoolCode": school, "schoolName": "实验小学", "grade": 5}


def transfer_arguments() -> dict[str, object]:
    """As a partner would write them, with zeep's own types."""
    return {
        "messageId": "zeep-1",
        "student": {
            "name": "张三", "idType": "111", "idNumber": d.CHILD, "enrolmentNumber": "G" + d.CHILD, "sex": "1",
            "birthDate": date(2015, 3, 9),
        },
        "guardian": {"name": "李四", "relation": "mother", "idNumber": d.MOTHER},
        "releasing": place("370102", "2137000001"),
        "receiving": place("370202", "2137000002"),
        "reason": "父母工作调动",
        "consent": {"givenAt": NOW, "reference": "CONSENT-1"},
        "submittedAt": NOW,
    }  # fmt: skip


ARGUMENTS: dict[str, dict[str, object]] = {
    "SubmitTransfer": transfer_arguments(),
    "QueryTransfer": {"caseId": "case_1"},
    "WithdrawTransfer": {"messageId": "m-2", "caseId": "case_1", "reason": "不再转学"},
    "SubmitDecision": {
        "messageId": "m-3", "caseId": "case_1", "step": "releasing-school", "outcome": "approved", "decidedAt": NOW,
        "decidedBy": "历下区教育和体育局",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def from_files() -> zeep.Client:
    return zeep.Client(str(FOLDER / WSDL_FILE))


@pytest.mark.parametrize("version", SOAP)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_zeep_makes_valid_messages_from_the_files(from_files: zeep.Client, operation: str, version: str) -> None:
    service = from_files.bind("ExchangeService", PORTS[version])
    envelope = from_files.create_message(service, operation, **ARGUMENTS[operation])
    assert envelope.tag == f"{{{SOAP[version]}}}Envelope"
    element = envelope.find(f"{{{SOAP[version]}}}Body")[0]
    assert operation_of(element) is OPERATIONS[operation]
    assert isinstance(parse_xml(element), OPERATIONS[operation].request)


class Hub(BaseHTTPRequestHandler):
    """The least that can answer: it serves the contract files, and one case that is always open."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        base = f"http://127.0.0.1:{self.server.server_address[1]}/soap/v1"
        wanted_wsdl = name == WSDL_FILE or self.path.endswith("?wsdl")
        self._reply(200, "text/xml", render_wsdl(base) if wanted_wsdl else xsd_file(name))

    def do_POST(self) -> None:
        version = "1.2" if "soap+xml" in self.headers["Content-Type"] else "1.1"
        envelope = safe_xml.parse(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            element = envelope.find(f"{{{SOAP[version]}}}Body")[0]  # type: ignore[index]
            self._answer(version, 200, self._handle(element))
        except HubProblem as problem:
            self._answer(version, 500, _fault(version, problem))

    def _handle(self, element: etree._Element) -> etree._Element:
        request, name = parse_xml(element), operation_of(element).response_element
        if isinstance(request, TransferRequest):
            accepted = TransferAccepted(
                case_id="case_1", message_id=request.message_id, state=CaseState.OPEN, accepted_at=NOW, limit_at=NOW,
                limit_provisional=True,
            )  # fmt: skip
            return to_xml(accepted, name)
        view = TransferView(
            case_id=request.case_id, message_id="m", flow="county", state=CaseState.WAITING, accepted_at=NOW, limit_at=NOW,
            limit_provisional=False,
        )  # fmt: skip
        return to_xml(view, name)

    def _answer(self, version: str, status: int, content: etree._Element) -> None:
        envelope = etree.Element(f"{{{SOAP[version]}}}Envelope")
        etree.SubElement(envelope, f"{{{SOAP[version]}}}Body").append(content)
        media_type = "application/soap+xml" if version == "1.2" else "text/xml"
        self._reply(status, f"{media_type}; charset=utf-8", etree.tostring(envelope, encoding="utf-8"))

    def _reply(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def _fault(version: str, problem: HubProblem) -> etree._Element:
    soap = SOAP[version]
    detail = fault_to_xml(ExchangeFault.of(problem, "problem-1"))
    fault = etree.Element(f"{{{soap}}}Fault")
    if version == "1.1":
        etree.SubElement(fault, "faultcode", nsmap={"s": soap}).text = "s:Client"
        etree.SubElement(fault, "faultstring").text = problem.kind.title_zh
        etree.SubElement(fault, "detail").append(detail)
    else:
        code = etree.SubElement(fault, f"{{{soap}}}Code")
        etree.SubElement(code, f"{{{soap}}}Value", nsmap={"s": soap}).text = "s:Sender"
        reason = etree.SubElement(etree.SubElement(fault, f"{{{soap}}}Reason"), f"{{{soap}}}Text")
        reason.text = problem.kind.title_zh
        etree.SubElement(fault, f"{{{soap}}}Detail").append(detail)
    return fault


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/soap/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("address", ["/exchange.wsdl", "/exchange?wsdl"])
@pytest.mark.parametrize("version", SOAP)
def test_zeep_speaks_with_a_server_from_its_wsdl_alone(base_url: str, address: str, version: str) -> None:
    service = zeep.Client(base_url + address).bind("ExchangeService", PORTS[version])
    accepted = service.SubmitTransfer(**ARGUMENTS["SubmitTransfer"])
    assert (accepted.caseId, accepted.messageId, accepted.limitProvisional) == ("case_1", "zeep-1", True)
    assert accepted.acceptedAt == NOW
    for operation in ("QueryTransfer", "WithdrawTransfer", "SubmitDecision"):
        view = getattr(service, operation)(**ARGUMENTS[operation])
        assert (view.caseId, view.state, view.steps) == ("case_1", "waiting", [])


@pytest.mark.parametrize("version", SOAP)
def test_zeep_receives_the_typed_fault(base_url: str, version: str) -> None:
    client = zeep.Client(base_url + "/exchange?wsdl")
    wrong = {**transfer_arguments(), "receiving": place("370202", "2137000001")}
    with pytest.raises(zeep.exceptions.Fault) as caught:
        client.bind("ExchangeService", PORTS[version]).SubmitTransfer(**wrong)
    element = caught.value.detail[0]
    fault = read(element, ExchangeFault)
    assert (fault.code, fault.who, fault.retryable) == ("message-invalid", "caller", False)
    assert [(item.path, item.rule) for item in fault.faults] == [
        ("/SubmitTransferRequest/receiving/schoolCode", "same-school")
    ]
    typed = client.get_element(f"{{{NAMESPACE}}}ExchangeFault").parse(element, client.wsdl.types)
    assert typed.code == "message-invalid"
    assert typed.faults[0].line is not None


def test_the_address_is_put_into_both_ports_and_nothing_else_changes() -> None:
    served = render_wsdl('https://hub.example/a&b"/')
    assert b"hub.invalid" not in served
    root = etree.fromstring(served)
    found = [str(node.get("location")) for node in root.iter() if str(node.tag).endswith("}address")]
    assert found == ['https://hub.example/a&b"/exchange'] * 2


@pytest.mark.parametrize(
    "name", ["", "../problems.py", "/etc/hostname", "exchange.wsdl", "__init__.py", "types.xsd\x00"]
)
def test_no_other_file_is_served(name: str) -> None:
    with pytest.raises(HubProblem) as caught:
        xsd_file(name)
    assert caught.value.kind is problems.OPERATION_UNKNOWN


def test_every_include_names_a_served_file() -> None:
    for content in (render_wsdl("https://hub.example"), *map(xsd_file, XSD_FILES)):
        for node in etree.fromstring(content).iter("{http://www.w3.org/2001/XMLSchema}include"):
            assert node.get("schemaLocation") in XSD_FILES


def test_names_that_become_java_classes_are_all_different() -> None:
    """wsimport makes classes of types, services, ports and fault messages; two that differ in nothing but case collide."""
    wsdl = etree.fromstring(render_wsdl("https://hub.example"))
    ns = "{http://schemas.xmlsoap.org/wsdl/}"
    classes = [str(node.get("name")) for kind in ("service", "portType") for node in wsdl.iter(ns + kind)]
    classes.append("ExchangeFaultMessage")
    for file in XSD_FILES:
        for kind in ("complexType", "simpleType"):
            classes += [
                str(n.get("name"))
                for n in etree.fromstring(xsd_file(file)).findall(f"{{http://www.w3.org/2001/XMLSchema}}{kind}")
            ]
    lowered = [name.lower() for name in classes]
    assert len(lowered) == len(set(lowered))
    elements = {operation.request_element for operation in OPERATIONS.values()}
    assert not elements & set(OPERATIONS), "an element named as its operation would be unwrapped by wsimport"
