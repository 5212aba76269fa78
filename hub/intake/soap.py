"""SOAP: one address for SOAP 1.1 and 1.2, and the WSDL with its schemas beside it. Behind it, the same operations as REST."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from lxml import etree
from starlette.requests import Request
from starlette.responses import Response

from certs.keys import PrivateKey
from certs.xml.wsse import SOAP_1_1
from certs.xml.wsse_sign import sign_envelope
from hub.access.callers import Caller
from hub.intake.gate import INLINE_BYTES, Exchange, Gate
from hub.intake.operations import Operations
from hub.intake.plausibility import implausible
from hub.intake.problems import preferred_language
from hub.intake.rest import render_problem
from hub.intake.soap_envelope import (
    Wire,
    fault_envelope,
    fault_status,
    read_envelope,
    read_wire,
    serialize,
    wrap,
)
from schemas import wsdl
from schemas.parsing import invalid
from schemas.problems import MEDIA_TYPE_REFUSED, METHOD_NOT_ALLOWED, OPERATION_UNKNOWN, HubProblem
from schemas.transfers import Decision, TransferQuery, TransferRequest, WithdrawalRequest
from schemas.xml_documents import Request as RequestModel
from schemas.xml_documents import Response as ResponseModel
from schemas.xml_documents import located, operation_of, parse_xml, to_xml

BASE_PATH = "/soap/v1"
_LIKE_SOAP_1_1 = Wire(SOAP_1_1, "", "")  # how a fault is written before the version is known


@dataclass(frozen=True, slots=True)
class AnswerSigner:
    """The hub's own key, with which answers to WS-Security callers are signed. ``certificate`` is DER."""

    key: PrivateKey
    certificate: bytes
    clock: Callable[[], datetime]


def create_router(
    gate: Gate, operations: Operations, *, public_url: str, signer: AnswerSigner | None = None
) -> APIRouter:
    """The SOAP routes. ``public_url`` stands in the WSDL; with ``signer``, callers by WS-Security get signed answers."""
    router = APIRouter(include_in_schema=False)
    description = wsdl.render_wsdl(public_url.rstrip("/") + BASE_PATH)

    async def exchange(request: Request) -> Response:
        handler = _Handler(gate, operations, signer)
        return await gate.run(Exchange(request, "soap"), handler.work, handler.render)

    async def describe(request: Request) -> Response:
        async def work(_: Exchange) -> Response:
            if "wsdl" not in {name.lower() for name in request.query_params}:
                raise HubProblem(
                    METHOD_NOT_ALLOWED,
                    said=(
                        "报文以 POST 发到此处; GET 加 ?wsdl 得到描述",
                        "POST messages here; GET with ?wsdl gives the description",
                    ),
                )
            return _xml(description)

        return await gate.run(Exchange(request, "wsdl"), work, render_problem)

    async def contract(request: Request) -> Response:
        async def work(_: Exchange) -> Response:
            name: str = request.path_params["name"]
            return _xml(description if name == wsdl.WSDL_FILE else wsdl.xsd_file(name))

        return await gate.run(Exchange(request, "wsdl"), work, render_problem)

    router.add_api_route(BASE_PATH + wsdl.SERVICE_PATH, exchange, methods=["POST"], response_class=Response)
    router.add_api_route(BASE_PATH + wsdl.SERVICE_PATH, describe, methods=["GET"], response_class=Response)
    router.add_api_route(BASE_PATH + "/{name}", contract, methods=["GET"], response_class=Response)
    return router


class _Handler:
    """One message: its wire is known first, and faults are written for it."""

    def __init__(self, gate: Gate, operations: Operations, signer: AnswerSigner | None) -> None:
        self._gate = gate
        self._operations = operations
        self._signer = signer
        self._wire = _LIKE_SOAP_1_1

    async def work(self, exchange: Exchange) -> Response:
        """Wire, size, envelope, sender, operation, shape; then the operation itself."""
        headers = exchange.request.headers
        self._wire = wire = read_wire(headers.get("content-type", ""), headers.get("soapaction", ""))
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise HubProblem(MEDIA_TYPE_REFUSED, "content-encoding")
        body = await self._gate.read(exchange)
        large = len(body) > INLINE_BYTES
        if large:
            envelope = await asyncio.to_thread(read_envelope, body, wire, self._gate.max_body)
        else:
            envelope = read_envelope(body, wire, self._gate.max_body)
        identity = await self._gate.admit(exchange, envelope.root if envelope.secured else None)
        operation = operation_of(envelope.payload)
        exchange.operation = operation.name
        if wire.action and wire.action != operation.soap_action:
            raise HubProblem(
                OPERATION_UNKNOWN,
                "action-mismatch",
                ("SOAPAction 与请求元素不一致", "the SOAP action is not that of the request element"),
            )
        request = await asyncio.to_thread(parse_xml, envelope.payload) if large else parse_xml(envelope.payload)
        if isinstance(request, TransferRequest) and (faults := implausible(request, self._gate.now())):
            raise invalid([located(one, envelope.payload) for one in faults])
        if isinstance(request, TransferQuery):
            await self._gate.remember(identity)
        answer = await self._call(identity.caller, request)
        return self._respond(exchange, to_xml(answer, operation.response_element))

    async def _call(self, caller: Caller, request: RequestModel) -> ResponseModel:
        match request:
            case TransferRequest():
                return await self._operations.submit_transfer(caller, request)
            case TransferQuery():
                return await self._operations.query_transfer(caller, request.case_id)
            case WithdrawalRequest():
                return await self._operations.withdraw_transfer(caller, request)
            case Decision():
                return await self._operations.submit_decision(caller, request)

    def _respond(self, exchange: Exchange, payload: etree._Element) -> Response:
        return self._envelope(exchange, wrap(payload, self._wire.version), 200)

    def render(self, exchange: Exchange, problem: HubProblem) -> Response:
        language = preferred_language(exchange.request.headers.get("accept-language"))
        version = self._wire.version
        envelope = fault_envelope(problem, exchange.id, version, language)
        response = self._envelope(exchange, envelope, fault_status(problem, version))
        response.headers["X-Request-Id"] = exchange.id
        if problem.retry_after_s is not None:
            response.headers["Retry-After"] = str(problem.retry_after_s)
        return response

    def _envelope(self, exchange: Exchange, envelope: etree._Element, status: int) -> Response:
        if self._signer is not None and exchange.identity is not None and exchange.identity.wsse is not None:
            envelope = sign_envelope(
                envelope, key=self._signer.key, certificate=self._signer.certificate, created=self._signer.clock()
            )
        content_type = f"{self._wire.media_type}; charset=utf-8"
        return Response(serialize(envelope), status, {"Content-Type": content_type, "Cache-Control": "no-store"})


def _xml(content: bytes) -> Response:
    return Response(content, 200, {"Content-Type": "text/xml; charset=utf-8"})
