"""A city's registry as a real SOAP server: ``python -m adapters.city_soap.simulator --key-file … --cert-file … --hub-cert-file …``.

It verifies the hub's WS-Security signature on every message and signs every answer. It recognises a repeated 流水号 and
answers as it did the first time. It decides in the reply (``--decide-after 0``) or later, and then calls the hub's
SubmitDecision with its own SOAP client (``--hub``). Faults and counts: adapters/simulation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import requests
import zeep
import zeep.exceptions
from fastapi import FastAPI, Request, Response
from lxml import etree
from zeep.settings import Settings as ZeepSettings

import schemas.wsdl
from adapters.city_soap import mapping, soap
from adapters.city_soap.client import MAX_AGE, certificates
from adapters.city_soap.mapping import Wire
from adapters.city_soap.soap import SoapFailure
from adapters.contract import DeliveryStatus, StepAction, TransferStep
from adapters.population import Family, find_family
from adapters.simulation import CALLBACK_S, Decisions, Simulation, argument_parser, run
from certs.errors import MessageRefused
from certs.keys import PrivateKey
from certs.x509.signing_cert import SigningCert
from certs.xml.dsig import KeyResolver
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from certs.xml.zeep_plugin import SignaturePlugin
from schemas.regions import REGIONS
from schemas.transfers import Decision, DecisionOutcome

VERSION: Final = "2.1.7"
PATH: Final = "/services/sjjh"


@dataclass(frozen=True, slots=True)
class Signer:
    """The city's own key and certificate."""

    key: PrivateKey
    certificate: bytes

    def sign(self, envelope: etree._Element) -> bytes:
        signed = sign_envelope(envelope, key=self.key, certificate=self.certificate, created=datetime.now(UTC))
        return soap.serialize(signed, "utf-8")


@dataclass(slots=True)
class Task:
    """A step (环节) as the registry keeps it."""

    key: str
    reference: str
    request: Wire
    decision: Decision  # what it will be; told from ``decided`` on
    decided: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """``region`` is a city (with all its counties) or one county. ``tell``: how a later decision reaches the hub."""

    region: str
    seed: int
    decide_after_s: float
    tell: Callable[[Decision], bool] | None


class Registry:
    """The registry's memory and its rules."""

    def __init__(self, options: Options, simulation: Simulation) -> None:
        self.options = options
        self._simulation = simulation
        self._tasks: dict[str, Task] = {}
        self._steps: dict[tuple[str, str], Task] = {}
        self._decisions = Decisions(simulation, options.decide_after_s, options.tell)
        self._office = f"{REGIONS.get(options.region).name}教育局"
        for entry in simulation.journal.read():
            if entry["kind"] == "task":
                decision = Decision.model_validate(entry["decision"])
                self._keep(Task(entry["key"], entry["reference"], entry["request"], decision))
            elif entry["kind"] == "decided":
                self._tasks[entry["key"]].decided = True

    def resume(self) -> None:
        """After a restart: decide what was taken and not decided."""
        self._decisions.resume(self._tasks.values())

    def answer(self, operation: str, request: Wire) -> Wire:
        """The reply record of an operation; the key of a step is the business effect, counted once."""
        match operation:
            case "TuisongZhuanxue":
                return self._push(request)
            case "ZuofeiHuanjie":
                return self._cancel(request)
            case "ChaxunZhuangtai":
                return self._status(str(request["lsh"]))
            case "HuoquXueji":
                return self._enrolment(request)
            case _:
                return {"jgm": "0000", "bbh": VERSION}

    def _push(self, request: Wire) -> Wire:
        key = str(request["lsh"])
        task = self._tasks.get(key)
        if task is None:
            step = mapping.step_from_wire(request)
            reference = f"SL{self.options.region}{len(self._tasks) + 1:08d}"
            task = Task(key, reference, request, self._decide(step, reference))
            self._simulation.journal.append(
                {
                    "kind": "task",
                    "key": key,
                    "reference": reference,
                    "request": request,
                    "decision": task.decision.model_dump(mode="json"),
                }
            )
            self._simulation.effect(key)
            self._keep(task)
            self._decisions.begin(task)
        elif task.request != request:
            return {"lsh": key, "jgm": "1005", "jgms": soap.result_of("1005").zh}
        at_once = self.options.decide_after_s <= 0
        decision = mapping.decision_to_wire(task.decision) if at_once else None
        return {"lsh": key, "jgm": "0000", "slbh": task.reference, "blyj": decision}

    def _cancel(self, request: Wire) -> Wire:
        """What never came is noted too: nothing more will come."""
        message = mapping.cancelled_from_wire(request)
        if message.idempotency_key not in self._simulation.effects:
            self._simulation.effect(message.idempotency_key)
        task = self._steps.get((message.case_id, message.step))
        if task is not None:
            task.cancelled = True
        return {"lsh": message.idempotency_key, "jgm": "0000", "slbh": task.reference if task else None}

    def _status(self, key: str) -> Wire:
        task = self._tasks.get(key)
        status, decision = DeliveryStatus.UNKNOWN, None
        if task is not None and task.decided:
            status, decision = DeliveryStatus.DECIDED, mapping.decision_to_wire(task.decision)
        elif task is not None or key in self._simulation.effects:
            status = DeliveryStatus.RECEIVED
        code = mapping.STATUSES[status]
        reference = task.reference if task else None
        return {"lsh": key, "jgm": "0000", "blztm": code, "slbh": reference, "blyj": decision}

    def _enrolment(self, request: Wire) -> Wire:
        wanted = mapping.enrolment_query_from_wire(request)
        found = self._ours(wanted.id_number)
        if found is None or found.student.enrolment_number != wanted.enrolment_number:
            return {"jgm": "1004", "jgms": soap.result_of("1004").zh}
        return {"jgm": "0000", "xjxx": mapping.enrolment_to_wire(found.record)}

    def _ours(self, id_number: str) -> Family | None:
        found = find_family(id_number, seed=self.options.seed)
        return found if found is not None and self._covers(found.school.region) else None

    def _covers(self, region: str) -> bool:
        city = REGIONS.city_of(region) if region in REGIONS else None
        return self.options.region in (region, city.code if city else None)

    def _decide(self, step: TransferStep, reference: str) -> Decision:
        why_not = self._why_not(step)
        return Decision(
            message_id=f"YJ-{reference}",
            case_id=step.case_id,
            step=step.step,
            outcome=DecisionOutcome.REFUSED if why_not else DecisionOutcome.APPROVED,
            reason=why_not,
            decided_at=datetime.now(UTC),
            decided_by=self._office,
        )

    def _why_not(self, step: TransferStep) -> str | None:
        """The rule of the releasing side: is the student ours, and free to go? The receiving side admits."""
        student = step.transfer.student
        if step.action is StepAction.ADMIT or mapping.change_code(step) == mapping.CHANGE_IN:
            return None
        if not self._covers(step.transfer.releasing.region):
            return "非本辖区学校"
        found = self._ours(student.id_number)
        if found is None or found.student.name != student.name:
            return "学籍信息不符"
        return found.why_not

    def _keep(self, task: Task) -> None:
        self._tasks[task.key] = task
        self._steps[task.decision.case_id, task.decision.step] = task


class Callback:
    """The city's SOAP client for the hub's SubmitDecision, by the hub's own WSDL."""

    def __init__(self, service_url: str, signer: Signer, hub: KeyResolver) -> None:
        folder = Path(schemas.wsdl.__file__).parent
        strict = ZeepSettings(forbid_dtd=True, forbid_entities=True, forbid_external=True, force_https=False)
        transport = zeep.Transport(timeout=CALLBACK_S, operation_timeout=CALLBACK_S, session=_session())  # type: ignore[no-untyped-call]
        plugin = SignaturePlugin(signer.key, signer.certificate, hub)
        client = zeep.Client(str(folder / schemas.wsdl.WSDL_FILE), wsse=plugin, transport=transport, settings=strict)  # type: ignore[no-untyped-call]
        binding = next(name for name in client.wsdl.bindings if name.endswith("Soap11"))
        self._service: Any = client.create_service(binding, service_url)  # type: ignore[no-untyped-call]

    def tell(self, decision: Decision) -> bool:
        """Whether the hub has answered for good: a typed fault that will not change is an answer too."""
        try:
            self._service.SubmitDecision(**decision.model_dump(mode="json", by_alias=True, exclude_none=True))
        except zeep.exceptions.Fault as fault:
            retryable = fault.detail is not None and fault.detail.findtext(".//{*}retryable")
            return retryable != "true"
        except (zeep.exceptions.Error, requests.RequestException, MessageRefused):
            return False
        return True


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def create_app(registry: Registry, signer: Signer, hub: KeyResolver) -> FastAPI:
    """The dialect over HTTP: one SOAP endpoint."""
    app = FastAPI(openapi_url=None)

    @app.post(PATH)
    async def service(request: Request) -> Response:
        message = await request.body()
        try:
            body = verify_envelope(message, now=datetime.now(UTC), max_age=MAX_AGE, resolve_key=hub).body
        except MessageRefused as refused:
            code = "2002" if refused.reason == "key-unknown" else "2001"
            return _fault(signer, code, refused.reason)
        try:
            operation, record = soap.request_record(body)
            reply = registry.answer(operation, record)
        except (SoapFailure, ValueError):
            return _fault(signer, "1001", "报文不符合规范")
        return _xml(signer.sign(soap.reply_envelope(operation, reply)))

    return app


def _fault(signer: Signer, code: str, text: str) -> Response:
    """SOAP 1.1 sends faults with HTTP 500 (6.2)."""
    return _xml(signer.sign(soap.fault_envelope(code, text, ours=False)), 500)


def _xml(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="text/xml; charset=utf-8")


def fault_body(signer: Signer) -> Callable[[], tuple[str, bytes]]:
    """What this product answers when something in it breaks: a fault inside HTTP 200 that does not say what was done."""
    return lambda: ("text/xml", signer.sign(soap.fault_envelope("9999", "系统异常", ours=True)))


def main() -> None:
    """See ``--help``."""
    parser = argument_parser("城市学籍管理平台 (模拟) / city registry, simulated")
    parser.add_argument("--region", default="370200", help="the city, or one county, whose registry this is")
    parser.add_argument("--key-file", type=Path, required=True, help="PEM of the city's private key")
    parser.add_argument("--cert-file", type=Path, required=True, help="PEM of the city's certificate")
    parser.add_argument(
        "--hub-cert-file", type=Path, required=True, help="PEM of the certificates that the hub signs with"
    )
    parser.add_argument("--decide-after", type=float, default=1.0, help="seconds; 0: the decision comes with the reply")
    parser.add_argument(
        "--hub", help="address of the hub's SOAP service, to tell decisions; without it the hub must ask"
    )
    given = parser.parse_args()
    signer = Signer(
        PrivateKey.from_pem(given.key_file.read_bytes()), SigningCert.from_pem(given.cert_file.read_bytes()).der
    )
    hub = KnownCertificates(certificates(given.hub_cert_file.read_bytes()))
    tell = Callback(given.hub, signer, hub).tell if given.hub else None
    simulation = Simulation(given.journal, fault_body=fault_body(signer))
    registry = Registry(Options(given.region, given.seed, given.decide_after, tell), simulation)
    run(
        create_app(registry, signer, hub),
        simulation,
        host=given.host,
        port=given.port,
        control_port=given.control_port,
        started=registry.resume,
    )


if __name__ == "__main__":
    main()
