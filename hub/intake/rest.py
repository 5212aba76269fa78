"""REST: ``/v1/transfers`` and ``/v1/decisions``. The body is read raw, so that what was signed is what is parsed.

FastAPI routes and documents (see :mod:`hub.intake.openapi`); it does not touch the body, which pydantic parses from bytes once the
sender is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hub.access.callers import Caller
from hub.intake import openapi
from hub.intake.cursors import Cursors
from hub.intake.gate import INLINE_BYTES, Exchange, Gate
from hub.intake.openapi import TransferPage, WithdrawalBody
from hub.intake.operations import Operations
from hub.intake.plausibility import implausible
from hub.intake.problems import preferred_language, problem_response
from schemas import rules
from schemas.base import Canonical
from schemas.parsing import fault, invalid, parse_json, safe_name
from schemas.problems import (
    MEDIA_TYPE_REFUSED,
    METHOD_NOT_ALLOWED,
    OPERATION_UNKNOWN,
    HubProblem,
)
from schemas.rules import Rule
from schemas.transfers import CaseState, Decision, TransferRequest, WithdrawalRequest

M = TypeVar("M", bound=Canonical)
Work = Callable[[Exchange], Awaitable[Response]]

PAGE_DEFAULT, PAGE_MAX = 20, 100


def create_router(gate: Gate, operations: Operations, cursors: Cursors) -> APIRouter:
    """The REST routes. Give the app to :func:`describe` and :func:`install_problems` as well."""
    router = APIRouter()

    def route(method: str, path: str, document: openapi.Document, work: Work) -> None:
        add_route(router, gate, method, path, document, work)

    async def submit(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, TransferRequest)
        if faults := implausible(request, gate.now()):
            raise invalid(faults)
        accepted = await operations.submit_transfer(caller_of(exchange), request)
        return answer(accepted, 202, {"Location": _case_url(gate, exchange, accepted.case_id)})

    async def get_one(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        return answer(await operations.query_transfer(caller_of(exchange), exchange.request.path_params["case_id"]))

    async def get_page(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        caller = caller_of(exchange)
        cursor, limit, state = _page_parameters(exchange)
        scope = f"{caller.system_id}\n{state or ''}"
        before = cursors.read(cursor, scope=scope) if cursor is not None else None
        items, next_before = await operations.list_transfers(caller, before=before, limit=limit, state=state)
        next_cursor = cursors.make(next_before, scope=scope) if next_before else None
        return answer(TransferPage(items=tuple(items), next_cursor=next_cursor))

    async def withdraw(exchange: Exchange) -> Response:
        body = await read_message(gate, exchange, WithdrawalBody)
        case_id: str = exchange.request.path_params["case_id"]
        request = WithdrawalRequest.model_construct(
            message_id=body.message_id, case_id=case_id[:100], reason=body.reason
        )  # parsed above; the path's case id is judged by the operation
        return answer(await operations.withdraw_transfer(caller_of(exchange), request))

    async def decide(exchange: Exchange) -> Response:
        decision = await read_message(gate, exchange, Decision)
        return answer(await operations.submit_decision(caller_of(exchange), decision))

    route("POST", "/v1/transfers", openapi.SUBMIT_TRANSFER, submit)
    route("GET", "/v1/transfers", openapi.LIST_TRANSFERS, get_page)
    route("GET", "/v1/transfers/{case_id}", openapi.QUERY_TRANSFER, get_one)
    route("POST", "/v1/transfers/{case_id}/withdrawal", openapi.WITHDRAW_TRANSFER, withdraw)
    route("POST", "/v1/decisions", openapi.SUBMIT_DECISION, decide)
    return router


class _Route(APIRoute):
    """FastAPI documents the operation; the gate does all else, so there is nothing to resolve and inject before it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def add_route(
    router: APIRouter,
    gate: Gate,
    method: str,
    path: str,
    document: openapi.Document,
    work: Work,
    tag: str = "转学 Transfer",
) -> None:
    """One documented operation behind the gate; other rooms' routers use it too."""

    async def endpoint(request: Request) -> Response:
        return await gate.run(Exchange(request, document.operation_id, document.query), work, render_problem)

    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        operation_id=document.operation_id,
        summary=document.summary,
        description=document.description,
        tags=[tag],
        status_code=document.status,
        response_class=Response,
        responses=document.responses,
        openapi_extra=document.extra,
        route_class_override=_Route,
    )


async def read_message(gate: Gate, exchange: Exchange, model: type[M]) -> M:
    """Size, media type, sender, shape: in this order, so that nothing of a stranger's message is parsed."""
    headers = exchange.request.headers
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if (
        media_type.strip().lower() == "application/json"
        and charset.startswith("charset=")
        and charset != "charset=utf-8"
    ):
        where = fault("header:content-type", rules.ENCODING)
        raise HubProblem(MEDIA_TYPE_REFUSED, "charset", ("只收 utf-8", "only utf-8 is taken"), faults=[where])
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise HubProblem(MEDIA_TYPE_REFUSED)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HubProblem(MEDIA_TYPE_REFUSED, "content-encoding")
    body = await gate.read(exchange)
    await gate.admit(exchange)
    query_of(exchange)
    if len(body) > INLINE_BYTES:
        return await asyncio.to_thread(parse_json, model, body)
    return parse_json(model, body)


async def admit_without_body(gate: Gate, exchange: Exchange) -> None:
    """A GET with a body is read as well: its signature covers it."""
    await gate.read(exchange)
    await gate.remember(await gate.admit(exchange))
    query_of(exchange)


def caller_of(exchange: Exchange) -> Caller:
    if exchange.identity is None:
        raise RuntimeError("a message was handled before its sender was known")
    return exchange.identity.caller


def _page_parameters(exchange: Exchange) -> tuple[str | None, int, CaseState | None]:
    given = query_of(exchange)
    state = given.get("state")
    if state is not None and state not in set(CaseState):
        raise parameter_fault("state", "、".join(CaseState), ", ".join(CaseState), rules.NOT_IN_LIST)
    return given.get("cursor"), page_limit(given), CaseState(state) if state is not None else None


def query_of(exchange: Exchange) -> QueryParams:
    """The query, in which every parameter is one of the operation's and stands once; HubProblem with every one that is not so."""
    given, known = exchange.request.query_params, sorted(exchange.query)
    names = ("、".join(known), ", ".join(known)) if known else ("此操作没有查询参数", "this operation has none")
    faults = [fault(f"query:{safe_name(name)}", rules.UNKNOWN_FIELD, note=names) for name in given if name not in known]
    faults += [fault(f"query:{name}", rules.DUPLICATE_FIELD) for name in known if len(given.getlist(name)) > 1]
    if faults:
        raise invalid(faults)
    return given


def page_limit(given: QueryParams) -> int:
    """How many rows a page may have."""
    limit = given.get("limit", str(PAGE_DEFAULT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= PAGE_MAX):
        zh, en = f"1 至 {PAGE_MAX} 的整数", f"a whole number from 1 to {PAGE_MAX}"
        raise parameter_fault("limit", zh, en, rules.OUT_OF_RANGE)
    return int(limit)


def parameter_fault(name: str, zh: str, en: str, rule: Rule) -> HubProblem:
    """``zh`` and ``en`` say what the parameter must be: the end of the cure."""
    return invalid([fault(f"query:{name}", rule, note=(zh, en))])


def answer(model: Canonical, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer_bytes(model.model_dump_json(by_alias=True, exclude_none=True).encode(), status, headers)


def answer_bytes(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer whose JSON is made already."""
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json")


def _case_url(gate: Gate, exchange: Exchange, case_id: str) -> str:
    return f"{gate.base_url(exchange.request)}/v1/transfers/{case_id}"


def render_problem(exchange: Exchange, problem: HubProblem) -> Response:
    return problem_response(problem, exchange.id, preferred_language(exchange.request.headers.get("accept-language")))


# --- the app around the routes ------------------------------------------------------------------------------------------


def describe(app: FastAPI) -> None:
    """Let ``app`` serve OpenAPI 3.1 with the full schemas of the messages, the problems and the security schemes."""

    def document() -> dict[str, object]:
        if not app.openapi_schema:
            app.openapi_schema = openapi.complete(
                get_openapi(
                    title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes, tags=openapi.TAGS
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def install_problems(app: FastAPI, gate: Gate) -> None:
    """Addresses and methods that do not exist below ``/v1`` and ``/soap`` are refused as problems too, and so is a message that was
    sent past them, such as to ``/transfers``. What a browser asks for by itself is no message.

    So is one with a slash too many: the redirect of Starlette would be followed with a signature over the former address.
    """
    app.router.redirect_slashes = False

    async def refuse(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        kind = {404: OPERATION_UNKNOWN, 405: METHOD_NOT_ALLOWED}.get(error.status_code)
        path = request.url.path
        message = path.startswith(("/v1", "/soap")) or (request.method == "POST" and not path.startswith("/console"))
        if kind is None or not message:
            return await http_exception_handler(request, error)

        async def no_work(_: Exchange) -> Response:
            raise HubProblem(kind)

        response = await gate.run(Exchange(request, "none"), no_work, render_problem)
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response

    app.add_exception_handler(HTTPException, refuse)
