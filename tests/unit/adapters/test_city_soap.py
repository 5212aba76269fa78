"""The city registry's adapter against its simulator: a real SOAP server in its own process, signed both ways."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from lxml import etree

from adapters.city_soap import mapping, soap
from adapters.city_soap.client import CitySoap
from adapters.contract import (
    AdapterError,
    AttachedEcert,
    CaseEvent,
    DeliveryStatus,
    EnrolmentQuery,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
    StepAction,
    StepCancelled,
)
from adapters.population import family
from adapters.simulator_process import SimulatorProcess
from adapters.wire import WireResponse
from schemas.transfers import Decision, DecisionOutcome
from tests.unit.adapters.city_soap_city import (
    COUNTY,
    NOW,
    Keys,
    at_once,
    keys,
    later,
    soon,
    step,
    wait_for_decision,
)

__all__ = ["at_once", "keys", "later"]  # fixtures


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
