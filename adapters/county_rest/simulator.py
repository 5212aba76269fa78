"""The county registry as a server: takes applications, decides after a while, tells the hub.

``python -m adapters.county_rest.simulator --port 0 --token secret --region 370102``; faults and counts: adapters/simulation.py.
It does not recognise a repeated key, as its manifest says: a repeat is a second application, and a second effect.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request, Response

from adapters.contract import AdapterError, Deadline, DeliveryStatus, Endpoint, StatusAnswer, StepAction, TransferStep
from adapters.county_rest import mapping
from adapters.county_rest.mapping import Result
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.population import find_family
from adapters.signing import RequestSigner
from adapters.simulation import CALLBACK_S, Decisions, Simulation, argument_parser, run, signature_refusal
from adapters.wire import Wire
from certs.keys import PrivateKey, PublicKey
from schemas.regions import REGIONS
from schemas.transfers import Decision, DecisionOutcome


@dataclass(slots=True)
class Application:
    """An 异动申请 as the registry keeps it."""

    key: str
    reference: str
    case_id: str
    step: str
    decision: Decision  # what it will be; told from ``decided`` on
    decided: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """``decide_after_s``: seconds until the decision; 0: with the receipt. Without ``tell`` the hub must ask."""

    region: str
    token: str
    seed: int
    decide_after_s: float
    hub_key: PublicKey | None
    tell: Callable[[Decision], bool] | None


class Callback:
    """Tells decisions to the hub: ``POST <hub>/v1/decisions``, signed with this registry's own key."""

    def __init__(self, hub_url: str, signer: RequestSigner) -> None:
        self._wire = Wire(Endpoint("hub", "370000", hub_url), max_idle=8)
        self._signer = signer

    def tell(self, decision: Decision) -> bool:
        """Whether the hub has answered for good."""
        url = self._wire.url("/v1/decisions")
        body = decision.model_dump_json(by_alias=True, exclude_none=True).encode()
        headers = self._signer.headers("POST", url, {"Content-Type": "application/json"}, body)
        try:
            answer = self._wire.send(
                "POST", url, headers=headers, body=body, deadline=Deadline.after(CALLBACK_S), has_effect=True
            )
        except AdapterError:
            return False
        return answer.status < 500 and answer.status not in (408, 425, 429)


class Registry:
    """The registry's memory and its rules."""

    def __init__(self, options: Options, simulation: Simulation) -> None:
        self.options = options
        self._simulation = simulation
        self._by_key: dict[str, Application] = {}
        self._by_step: dict[tuple[str, str], Application] = {}
        self._number = 0
        self._decisions = Decisions(simulation, options.decide_after_s, options.tell)
        self._office = f"{REGIONS.get(options.region).name}教育局"
        for entry in simulation.journal.read():
            if entry["kind"] == "application":
                self._keep(
                    Application(
                        entry["key"],
                        entry["reference"],
                        entry["case"],
                        entry["step"],
                        Decision.model_validate(entry["decision"]),
                    )
                )
            elif entry["kind"] == "decided":
                self._by_key[entry["key"]].decided = True

    def resume(self) -> None:
        """After a restart: decide what was taken and not decided."""
        self._decisions.resume(self._by_key.values())

    def apply(self, step: TransferStep) -> Application:
        """A new application, and its business effect; a repeat of a key is one more."""
        self._number += 1
        reference = f"YD{self.options.region}{self._number:08d}"
        application = Application(
            step.idempotency_key, reference, step.case_id, step.step, self._decide(step, reference)
        )
        self._simulation.journal.append(
            {
                "kind": "application",
                "key": application.key,
                "reference": reference,
                "case": step.case_id,
                "step": step.step,
                "decision": application.decision.model_dump(mode="json"),
            }
        )
        self._simulation.effect(step.idempotency_key)
        self._keep(application)
        self._decisions.begin(application)
        return application

    def cancel(self, key: str, case_id: str, step: str) -> None:
        """A cancellation of what never came is noted too: nothing more will come."""
        application = self._by_step.get((case_id, step))
        if application is not None:
            application.cancelled = True
        self._simulation.effect(key)

    def status(self, key: str) -> StatusAnswer:
        application = self._by_key.get(key)
        if application is None:
            known = key in self._simulation.effects  # a cancellation
            return StatusAnswer(status=DeliveryStatus.RECEIVED if known else DeliveryStatus.UNKNOWN)
        if not application.decided:
            return StatusAnswer(status=DeliveryStatus.RECEIVED, peer_reference=application.reference)
        return StatusAnswer(
            status=DeliveryStatus.DECIDED, peer_reference=application.reference, decision=application.decision
        )

    def _keep(self, application: Application) -> None:
        self._number = max(self._number, int(application.reference[-8:]))
        self._by_key.setdefault(application.key, application)
        self._by_step.setdefault((application.case_id, application.step), application)

    def _decide(self, step: TransferStep, reference: str) -> Decision:
        why_not = self._why_not(step)
        return Decision(
            message_id=f"JD-{reference}",
            case_id=step.case_id,
            step=step.step,
            outcome=DecisionOutcome.REFUSED if why_not else DecisionOutcome.APPROVED,
            reason=why_not,
            decided_at=datetime.now(UTC).replace(microsecond=0),
            decided_by=self._office,
        )

    def _why_not(self, step: TransferStep) -> str | None:
        """The rule of the releasing side: is the student ours, and free to go? The receiving side admits."""
        student = step.transfer.student
        if step.action is StepAction.ADMIT or step.transfer.releasing.region != self.options.region:
            return None
        family = find_family(student.id_number, seed=self.options.seed)
        if family is None or family.school.region != self.options.region or family.student.name != student.name:
            return "学籍信息不符"
        return family.why_not


def create_app(registry: Registry) -> FastAPI:
    app = FastAPI(openapi_url=None)
    options = registry.options

    async def admitted(request: Request) -> JsonObject | Response:
        """The body of a request whose token, and signature if a key is known, are right; else the refusal."""
        body = await request.body()
        if not hmac.compare_digest(request.headers.get("x-access-token", "").encode(), options.token.encode()):
            return _answer(Result.NOT_ADMITTED, "令牌无效")
        if options.hub_key is not None and (reason := signature_refusal(request, body, options.hub_key)):
            return _answer(Result.NOT_ADMITTED, f"签名无效: {reason}")
        try:
            return read_object(body) if body else {}
        except ValueError:
            return _answer(Result.INVALID, "请求不是 JSON 对象")

    @app.get("/api/heartbeat")
    async def heartbeat(request: Request) -> Response:
        body = await admitted(request)
        return body if isinstance(body, Response) else _answer(Result.OK, "正常", {"version": "3.2"})

    @app.post("/api/xjyd/apply")
    async def apply(request: Request) -> Response:
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        try:
            application = registry.apply(mapping.step_from_wire(body, request.headers.get("idempotency-key", "")))
        except ValueError as fault:
            return _answer(Result.INVALID, str(fault))
        data: dict[str, object] = {"ywlsh": application.reference}
        if application.decided:
            data["jd"] = mapping.decision_to_wire(application.decision)
        return _answer(Result.OK, "已受理", data, status=202)

    @app.post("/api/xjyd/cancel")
    async def cancel(request: Request) -> Response:
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        try:
            message = mapping.cancellation_from_wire(body, request.headers.get("idempotency-key", ""))
        except ValueError as fault:
            return _answer(Result.INVALID, str(fault))
        registry.cancel(message.idempotency_key, message.case_id, message.step)
        return _answer(Result.OK, "已撤销")

    @app.get("/api/xjyd/status/{key}")
    async def status(request: Request, key: str) -> Response:
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        return _answer(Result.OK, "成功", mapping.status_to_wire(registry.status(key)))

    @app.post("/api/xs/query")
    async def query(request: Request) -> Response:
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        try:
            wanted = mapping.query_from_wire(body)
        except ValueError as fault:
            return _answer(Result.INVALID, str(fault))
        family = find_family(wanted.id_number, seed=options.seed)
        if family is None or family.school.region != options.region:
            return _answer(Result.NOT_FOUND, "未查询到该生学籍")
        if family.student.enrolment_number != wanted.enrolment_number:
            return _answer(Result.NOT_FOUND, "未查询到该生学籍")
        return _answer(Result.OK, "成功", mapping.record_to_wire(family.record))

    return app


def fault_body() -> tuple[str, bytes]:
    """What this product answers when its database is away: HTTP 200, and a code that says nothing about what was done."""
    return "application/json", write_object({"code": Result.FAILED, "msg": "系统内部错误", "data": None})


def _answer(code: str, message: str, data: JsonObject | None = None, *, status: int = 200) -> Response:
    body = write_object({"code": code, "msg": message, "data": data})
    return Response(body, status, media_type="application/json")


def main() -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--region", default="370102", help="the county whose registry this is")
    parser.add_argument("--token", required=True, help="the access token that callers must show")
    parser.add_argument(
        "--decide-after", type=float, default=1.0, help="seconds; 0: the decision comes with the receipt"
    )
    parser.add_argument("--hub", help="base URL of the hub, to tell decisions; without it the hub must ask")
    parser.add_argument("--key-file", type=Path, help="PEM of the private key that signs the callbacks")
    parser.add_argument("--key-id", help="keyid under which the hub knows that key")
    parser.add_argument(
        "--hub-key-file", type=Path, help="PEM of the hub's public key; with it, unsigned requests are refused"
    )
    given = parser.parse_args()
    tell = None
    if given.hub:
        if not given.key_file or not given.key_id:
            parser.error("--hub needs --key-file and --key-id")
        signer = RequestSigner(PrivateKey.from_pem(given.key_file.read_bytes()), given.key_id)
        tell = Callback(given.hub, signer).tell
    hub_key = PublicKey.from_pem(given.hub_key_file.read_bytes()) if given.hub_key_file else None
    simulation = Simulation(given.journal, fault_body=fault_body)
    options = Options(given.region, given.token, given.seed, given.decide_after, hub_key, tell)
    registry = Registry(options, simulation)
    run(
        create_app(registry),
        simulation,
        host=given.host,
        port=given.port,
        control_port=given.control_port,
        started=registry.resume,
    )


if __name__ == "__main__":
    main()
