"""A city registry that fails, is killed, or calls the hub itself: its simulator in a process of its own."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lxml import etree

from adapters.city_soap import soap
from adapters.city_soap.client import CitySoap
from adapters.contract import (
    AdapterError,
    Deadline,
    OutcomeUnknown,
    RetryLater,
)
from adapters.simulator_process import SimulatorProcess
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import verify_envelope
from schemas.transfers import Decision, DecisionOutcome
from tests.unit.adapters.city_soap_city import (
    MODULE,
    Keys,
    at_once,
    keys,
    later,
    soon,
    step,
    wait_for_decision,
)

__all__ = ["at_once", "keys", "later"]  # fixtures


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
