"""The city registry's adapter against its simulator: a real SOAP server in its own process, signed both ways."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lxml import etree

from adapters.city_soap import mapping, soap
from adapters.city_soap.client import CitySoap
from adapters.contract import (
    AdapterError,
    AttachedEcert,
    CaseEvent,
    Deadline,
    DeliveryStatus,
    Endpoint,
    EnrolmentQuery,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
    StepAction,
    StepCancelled,
    TransferStep,
)
from adapters.population import family, transfer
from adapters.simulator_process import SimulatorProcess
from adapters.wire import WireResponse
from certs.issuing.authority import Identity, new_root
from certs.keys import SignatureAlgorithm
from certs.pkcs8 import armour
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from schemas.transfers import Decision, DecisionOutcome

MODULE = "adapters.city_soap.simulator"
CITY, COUNTY = "370200", "370202"
NOW = datetime.now(UTC)


def soon() -> Deadline:
    return Deadline.after(10)


class Keys:
    """Key and certificate files of hub, city and a stranger, each of another kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identities: dict[str, Identity] = {}
        kinds = {
            "hub": SignatureAlgorithm.SM2_SM3,
            "city": SignatureAlgorithm.RSA_PKCS1_SHA256,
            "stranger": SignatureAlgorithm.ECDSA_SHA256,
        }
        for name, kind in kinds.items():
            made = new_root(name, kind, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
            self.identities[name] = made
            self.path(f"{name}.pem").write_bytes(armour("CERTIFICATE", made.cert.der))
            self.path(f"{name}.key").write_bytes(made.key.to_pem())

    def path(self, name: str) -> Path:
        return self.folder / name

    def arguments(self, *more: str) -> list[str]:
        files = ("--key-file", "city.key", "--cert-file", "city.pem", "--hub-cert-file", "hub.pem")
        named = [str(self.path(word)) if "." in word else word for word in files]
        return ["--region", CITY, *named, *more]

    def endpoint(self, url: str, **changes: str) -> Endpoint:
        settings = {
            "signing_key_file": str(self.path("hub.key")),
            "signing_cert_file": str(self.path("hub.pem")),
            "peer_certs_file": str(self.path("city.pem")),
            **changes,
        }
        return Endpoint("city", CITY, f"{url}/services/sjjh", settings)

    def sign(self, envelope: etree._Element, name: str = "city", age: timedelta = timedelta()) -> bytes:
        who = self.identities[name]
        created = datetime.now(UTC) - age
        return soap.serialize(sign_envelope(envelope, key=who.key, certificate=who.cert.der, created=created), "utf-8")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def later(keys: Keys) -> Iterator[SimulatorProcess]:
    """Decides after a while; the hub must ask."""
    with SimulatorProcess(MODULE, keys.arguments("--decide-after", "0.3")) as process:
        yield process


@pytest.fixture(scope="module")
def at_once(keys: Keys) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(MODULE, keys.arguments("--decide-after", "0")) as process:
        yield process


def step(index: int, key: str, **changes: object) -> TransferStep:
    made = TransferStep(
        idempotency_key=key,
        case_id=f"CASE-{index}",
        step="releasing-bureau",
        action=StepAction.REVIEW,
        acting_for="releasing-bureau",
        limit_at=NOW,
        transfer=transfer(f"M-{key}", COUNTY, index, "370602"),
        enrolment=family(COUNTY, index).record,
    )
    return made.model_copy(update=changes)


def wait_for_decision(adapter: CitySoap, message: TransferStep) -> Decision:
    end = soon()
    while end.remaining():
        answer = adapter.status(message, end)
        if answer.decision is not None:
            assert answer.status is DeliveryStatus.DECIDED
            return answer.decision
        assert answer.status is DeliveryStatus.RECEIVED
        time.sleep(0.05)
    raise AssertionError("no decision")


# --- the four capabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", soap.ENCODINGS)
def test_deliver_and_ask(later: SimulatorProcess, keys: Keys, encoding: str) -> None:
    adapter = CitySoap(keys.endpoint(later.url, encoding=encoding))
    message = step(4, f"K1-{encoding}")  # a name outside GB 2312
    receipt = adapter.deliver(message, soon())
    assert isinstance(receipt, Receipt)
    assert receipt.peer_reference is not None
    decision = wait_for_decision(adapter, message)
    assert (decision.outcome, decision.case_id, decision.step) == (DecisionOutcome.APPROVED, "CASE-4", message.step)
    assert later.effects()[message.idempotency_key] == 1
    adapter.close()


def test_a_decision_in_the_reply(at_once: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(at_once.url))
    decision = adapter.deliver(step(1, "D1"), soon())
    assert isinstance(decision, Decision)
    assert decision.outcome is DecisionOutcome.APPROVED
    assert decision.decided_by == "青岛市教育局"
    refused = adapter.deliver(step(7, "D2"), soon())  # suspended from school
    assert isinstance(refused, Decision)
    assert refused.outcome is DecisionOutcome.REFUSED
    admitted = adapter.deliver(step(7, "D3", action=StepAction.ADMIT, acting_for="admit-record"), soon())
    assert isinstance(admitted, Decision)
    assert admitted.outcome is DecisionOutcome.APPROVED
    adapter.close()


def test_the_same_key_gets_the_same_answer_and_has_one_effect(at_once: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(at_once.url))
    message = step(2, "I1")
    first = adapter.deliver(message, soon())
    assert adapter.deliver(message, soon()) == first
    assert at_once.effects()["I1"] == 1
    with pytest.raises(PeerRefused, match="key-conflict"):
        adapter.deliver(step(3, "I1"), soon())
    adapter.close()


def test_a_cancelled_step_is_never_decided(later: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(later.url))
    message = step(6, "X1", case_id="CASE-X")
    adapter.deliver(message, soon())
    cancelled = StepCancelled(idempotency_key="X1.x", case_id="CASE-X", step=message.step, reason="case withdrawn")
    assert isinstance(adapter.deliver(cancelled, soon()), Receipt)
    assert isinstance(adapter.deliver(cancelled, soon()), Receipt)
    assert later.effects()["X1.x"] == 1
    assert adapter.status(cancelled, soon()).status is DeliveryStatus.RECEIVED
    time.sleep(0.6)
    assert adapter.status(message, soon()).status is DeliveryStatus.RECEIVED
    adapter.close()


def test_status_of_what_never_came(later: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(later.url))
    assert adapter.status(step(1, "never"), soon()).status is DeliveryStatus.UNKNOWN
    adapter.close()


def test_enrolment_records(later: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(later.url))
    for index in (0, 4, 7, 13, 18):
        student = family(COUNTY, index).student
        wanted = EnrolmentQuery(enrolment_number=student.enrolment_number, id_number=student.id_number, case_id="C")
        assert adapter.fetch_enrolment(wanted, soon()) == family(COUNTY, index).record
    elsewhere = family("370602", 0).student
    wanted = EnrolmentQuery(enrolment_number=elsewhere.enrolment_number, id_number=elsewhere.id_number, case_id="C")
    with pytest.raises(PeerRefused) as refused:
        adapter.fetch_enrolment(wanted, soon())
    assert refused.value.code == "not-found"
    assert elsewhere.id_number not in str(refused.value)
    adapter.close()


def test_probe_and_what_a_registry_does_not_take(later: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(later.url))
    assert adapter.probe(soon()).version == "2.1.7"
    event = CaseEvent(idempotency_key="e", id="e", type="t", source="s", subject="c", time=NOW, data={})
    with pytest.raises(PeerRefused, match="message-unsupported"):
        adapter.deliver(event, soon())
    odd = AttachedEcert(
        requirement="r", type_code="t", number="\x00", holder_name="", verdict="", verified_at="", report_digest=""
    )
    with pytest.raises(PeerRefused, match="message-unfit"):
        adapter.deliver(step(1, "odd", evidence=(odd,)), soon())
    adapter.close()


# --- signatures -----------------------------------------------------------------------------------------------------------------


def test_a_caller_that_the_city_does_not_know(later: SimulatorProcess, keys: Keys) -> None:
    files = {"signing_key_file": str(keys.path("stranger.key")), "signing_cert_file": str(keys.path("stranger.pem"))}
    adapter = CitySoap(keys.endpoint(later.url, **files))
    with pytest.raises(PeerMisconfigured, match="caller-unknown"):
        adapter.probe(soon())
    files["signing_cert_file"] = str(keys.path("hub.pem"))  # the hub's certificate, but another key
    adapter = CitySoap(keys.endpoint(later.url, **{**files, "signing_key_file": str(keys.path("stranger.key"))}))
    with pytest.raises(PeerMisconfigured, match="signature-refused"):
        adapter.probe(soon())


def test_an_answer_signed_by_somebody_else(later: SimulatorProcess, keys: Keys) -> None:
    adapter = CitySoap(keys.endpoint(later.url, peer_certs_file=str(keys.path("stranger.pem"))))
    with pytest.raises(PeerMisconfigured, match="answer-not-signed-by-peer"):
        adapter.probe(soon())


def test_the_city_may_have_two_certificates(later: SimulatorProcess, keys: Keys) -> None:
    both = keys.path("both.pem")
    both.write_bytes(keys.path("stranger.pem").read_bytes() + keys.path("city.pem").read_bytes())
    adapter = CitySoap(keys.endpoint(later.url, peer_certs_file=str(both)))
    adapter.probe(soon())
    adapter.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signing_key_file": ""}, "settings-keys"),
        ({"signing_key_file": "nowhere"}, "settings-keys"),
        ({"signing_cert_file": __file__}, "settings-keys"),
        ({"peer_certs_file": __file__}, "settings-keys"),
        ({"encoding": "utf-16"}, "settings-encoding"),
    ],
)
def test_settings_that_cannot_work(keys: Keys, changes: dict[str, str], code: str) -> None:
    with pytest.raises(PeerMisconfigured) as refused:
        CitySoap(keys.endpoint("http://127.0.0.1:9", **changes))
    assert refused.value.code == code


class Answers:
    """Runs the adapter against answers of our own making, without a network."""

    def __init__(self, adapter: CitySoap, monkeypatch: pytest.MonkeyPatch) -> None:
        self.adapter = adapter
        self._patch = monkeypatch

    def give(self, body: bytes, status: int = 200) -> None:
        self._patch.setattr(self.adapter._wire, "send", lambda *_a, **_k: WireResponse(status, {}, body))


@pytest.fixture
def answers(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(CitySoap(keys.endpoint("http://127.0.0.1:9")), monkeypatch)


def receipt_envelope(key: str, **more: mapping.WireValue) -> etree._Element:
    return soap.reply_envelope("TuisongZhuanxue", {"lsh": key, "jgm": "0000", "slbh": "SL-1", **more})


def test_a_wrapped_signature_is_refused(answers: Answers, keys: Keys) -> None:
    """The signed Body moved into a header, and another Body in its place: zeep.wsse would take it."""
    root = etree.fromstring(keys.sign(receipt_envelope("W1")))
    header, body = root
    forged = etree.fromstring(etree.tostring(body))
    forged.set("{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id", "x")
    forged.find(f".//{{{soap.NAMESPACE}}}slbh").text = "FORGED"
    wrapper = etree.SubElement(header, "wrapper")
    wrapper.append(body)
    root.append(forged)
    answers.give(etree.tostring(root))
    with pytest.raises(OutcomeUnknown, match="signature of the answer"):
        answers.adapter.deliver(step(1, "W1"), soon())


def test_an_altered_a_stale_and_an_unsigned_answer(answers: Answers, keys: Keys) -> None:
    signed = keys.sign(receipt_envelope("S1"))
    answers.give(signed.replace(b"SL-1", b"SL-2"))
    with pytest.raises(OutcomeUnknown):
        answers.adapter.deliver(step(1, "S1"), soon())
    answers.give(keys.sign(receipt_envelope("S1"), age=timedelta(minutes=6)))
    with pytest.raises(OutcomeUnknown, match="signature-stale"):
        answers.adapter.deliver(step(1, "S1"), soon())
    answers.give(soap.serialize(receipt_envelope("S1"), "utf-8"))
    with pytest.raises(PeerMisconfigured, match="answer-not-signed-by-peer"):
        answers.adapter.deliver(step(1, "S1"), soon())


def test_a_signed_answer_to_another_request(answers: Answers, keys: Keys) -> None:
    answers.give(keys.sign(receipt_envelope("OTHER")))
    with pytest.raises(OutcomeUnknown, match="another request"):
        answers.adapter.deliver(step(1, "MINE"), soon())
    decision = Decision(
        message_id="d", case_id="CASE-2", step="s", outcome=DecisionOutcome.APPROVED, decided_at=NOW, decided_by="o"
    )
    answers.give(keys.sign(receipt_envelope("MINE", blyj=mapping.decision_to_wire(decision))))
    with pytest.raises(OutcomeUnknown, match="another step"):
        answers.adapter.deliver(step(1, "MINE"), soon())
    other = family(COUNTY, 2).record
    answers.give(
        keys.sign(soap.reply_envelope("HuoquXueji", {"jgm": "0000", "xjxx": mapping.enrolment_to_wire(other)}))
    )
    with pytest.raises(RetryLater, match="another request"):
        answers.adapter.fetch_enrolment(
            EnrolmentQuery(enrolment_number="L123456789", id_number="1", case_id="c"), soon()
        )


OUTCOMES = {
    soap.Outcome.REFUSED: PeerRefused,
    soap.Outcome.MISCONFIGURED: PeerMisconfigured,
    soap.Outcome.RETRY: RetryLater,
    soap.Outcome.UNKNOWN: OutcomeUnknown,
}


@pytest.mark.parametrize("code", [*sorted(set(soap.RESULTS) - {"0000"}), "4711"])
@pytest.mark.parametrize("form", ["reply", "fault-500", "fault-200"])
def test_every_result_code_in_every_form(answers: Answers, keys: Keys, code: str, form: str) -> None:
    if form == "reply":
        envelope = soap.reply_envelope("TuisongZhuanxue", {"lsh": "R", "jgm": code, "jgms": "x", "cssj": 7})
    else:
        envelope = soap.fault_envelope(code, "x", ours=True, wait_s=7)
    answers.give(keys.sign(envelope), 500 if form == "fault-500" else 200)
    expected = soap.result_of(code)
    with pytest.raises(AdapterError) as raised:
        answers.adapter.deliver(step(1, "R"), soon())
    assert type(raised.value) is OUTCOMES[expected.outcome]
    assert raised.value.code == expected.word
    if isinstance(raised.value, RetryLater):
        assert raised.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 200, OutcomeUnknown),
        (b"<html>", 200, OutcomeUnknown),
        (b"<html/>", 502, OutcomeUnknown),
        (b"<html/>", 503, RetryLater),
        (b"<html/>", 404, PeerMisconfigured),
        (b"<html/>", 401, PeerMisconfigured),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 200, OutcomeUnknown),
        (b"<a>" * 300, 200, OutcomeUnknown),
    ],
)
def test_answers_that_are_no_soap(answers: Answers, body: bytes, status: int, kind: type[AdapterError]) -> None:
    answers.give(body, status)
    with pytest.raises(AdapterError) as raised:
        answers.adapter.deliver(step(1, "R"), soon())
    assert type(raised.value) is kind


# --- faults on demand and restarts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "kind", "effects"),
    [
        ("down", RetryLater, 0),
        ("status-503-retry-after", RetryLater, 0),
        ("hang-before", OutcomeUnknown, 0),
        ("hang-after", OutcomeUnknown, 1),
        ("reset-after", OutcomeUnknown, 1),
        ("truncated", OutcomeUnknown, 1),
        ("fault-in-200", OutcomeUnknown, 0),
    ],
)
def test_after_a_fault_the_same_message_again_has_one_effect(
    at_once: SimulatorProcess, keys: Keys, mode: str, kind: type[AdapterError], effects: int
) -> None:
    adapter = CitySoap(keys.endpoint(at_once.url))
    message = step(8, f"F-{mode}")
    at_once.fail(mode)
    with pytest.raises(kind):
        adapter.deliver(message, Deadline.after(1.0))
    at_once.fail("none")
    assert at_once.effects().get(message.idempotency_key, 0) == effects
    assert isinstance(adapter.deliver(message, soon()), Decision)
    assert at_once.effects()[message.idempotency_key] == 1
    adapter.close()


def test_a_killed_registry_remembers_what_it_took(keys: Keys, tmp_path: Path) -> None:
    message = step(9, "J1")
    arguments = keys.arguments("--decide-after", "0.2", "--journal", str(tmp_path / "journal"))
    process = SimulatorProcess(MODULE, arguments)
    adapter = CitySoap(keys.endpoint(process.url))
    first = adapter.deliver(message, soon())
    process.kill()
    with SimulatorProcess(MODULE, arguments) as process:
        adapter = CitySoap(keys.endpoint(process.url))
        assert adapter.deliver(message, soon()) == first
        assert wait_for_decision(adapter, message).outcome is DecisionOutcome.APPROVED
        assert process.effects() == {"J1": 1}
        adapter.close()


# --- the city calls the hub -------------------------------------------------------------------------------------------------------

HUB = "urn:cn:shandong:edu:exchange:v1"


class Hub(BaseHTTPRequestHandler):
    """Stands for the hub's SOAP service: verifies what comes and answers, first with a fault that may go away."""

    keys: Keys
    seen: list[etree._Element]

    def do_POST(self) -> None:
        message = self.rfile.read(int(self.headers["content-length"]))
        city = KnownCertificates([self.keys.identities["city"].cert.der])
        signed = verify_envelope(message, now=datetime.now(UTC), max_age=timedelta(minutes=5), resolve_key=city)
        self.seen.append(signed.body[0])
        first = len(self.seen) == 1
        envelope = etree.Element(f"{{{soap.SOAP}}}Envelope")
        body = etree.SubElement(envelope, f"{{{soap.SOAP}}}Body")
        if first:
            fault = etree.SubElement(body, f"{{{soap.SOAP}}}Fault")
            etree.SubElement(fault, "faultcode").text = "Server"
            etree.SubElement(fault, "faultstring").text = "busy"
            typed = etree.SubElement(etree.SubElement(fault, "detail"), f"{{{HUB}}}ExchangeFault")
            etree.SubElement(typed, f"{{{HUB}}}retryable").text = "true"
        else:
            etree.SubElement(body, f"{{{HUB}}}SubmitDecisionResponse")
        content = self.keys.sign(envelope, "hub")
        self.send_response(500 if first else 200)
        self.send_header("content-type", "text/xml; charset=utf-8")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_later_decision_is_told_by_the_citys_own_soap_client_until_it_is_heard(keys: Keys) -> None:
    handler = type("OneHub", (Hub,), {"keys": keys, "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/soap/v1/exchange"
    with SimulatorProcess(MODULE, keys.arguments("--decide-after", "0.1", "--hub", url)) as process:
        adapter = CitySoap(keys.endpoint(process.url))
        adapter.deliver(step(1, "C1"), soon())
        end = soon()
        while len(handler.seen) < 2 and end.remaining():
            time.sleep(0.05)
        time.sleep(0.5)
        adapter.close()
    server.shutdown()
    assert len(handler.seen) == 2  # the fault, and the answer; not again after that
    told = {etree.QName(child).localname: child.text for child in handler.seen[-1]}
    assert handler.seen[-1].tag == f"{{{HUB}}}SubmitDecisionRequest"
    assert (told["caseId"], told["step"], told["outcome"]) == ("CASE-1", "releasing-bureau", "approved")
    assert Decision.model_validate(told).decided_by == "青岛市教育局"
