"""REST: ``/v1/presentations``: codes of the provincial library, scanned at a counter. A code never stands in an address."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.authorizations.model import Revoked
from hub.ecerts.presentations.model import PresentationRequest, PresentationRevocation, PresentationView
from hub.ecerts.presentations.service import Presentations
from hub.intake.gate import Exchange, Gate
from hub.intake.openapi import ANY, ANY_BODY, LANGUAGE, SECURITY, Document, body_of, publish, responses_of
from hub.intake.rest import add_route, admit_without_body, answer, caller_of, read_message
from hub.threads import Threads
from schemas import problems as p
from schemas.problems import AUTHORIZATION_UNKNOWN, HubProblem

TAG: Final = "授权 Authorizations"
AT_ONCE: Final = 16  # calls of libraries that one node waits for at the same time; a further one is told to come again
EACH: Final = AT_ONCE // 2  # of one caller: what waits for a slow library must not turn all others away
_ID: Final = re.compile(r"pres_[0-9a-hjkmnp-tv-z]{26}")
_HOLDER: Final = {"name": "王建国", "codeType": "111", "code": "370102198501011233"}

EXAMPLE: Final[dict[str, Any]] = {
    "messageId": "hall-20260901-000032",
    "kind": "authorization-code",
    "code": "SD1.9f2c7e51b0a84d6e",
    "holder": _HOLDER,
    "wanted": {
        "ecertTypes": ["id-card", "degree"],
        "purpose": "teacher-qualification",
        "region": "370102",
        "item": "370105001001",
    },
    "caseReference": "sdjs-2026-000018",
    "useSeconds": 1800,
}
EXAMPLE_ID: Final = "pres_01k3zq8m5v7e2r9t4w6x0y1a3b"
_PATH: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "example": EXAMPLE_ID}

BEGIN_PRESENTATION: Final = Document(
    "BeginPresentation",
    "亮证: 提交持有人出示之码 Hand over a code that the holder shows",
    "An authorization code (授权码) of the provincial library, which asks the holder on the phone, or a shown e-certificate "
    "(亮证). Handed to the library once: state says what came of it, and the same message again gets the same. When authorized, "
    "the id is the basis of one request for evidence of this case.",
    201,
    responses_of(
        201,
        PresentationView,
        "Committed; state says how it stands",
        [
            *ANY_BODY,
            p.MESSAGE_ID_CONFLICT,
            p.NO_ROUTE,
            p.AUTHORIZATION_CODE_REFUSED,
            p.AUTHORIZATION_THROTTLED,
            p.EVIDENCE_PURPOSE_REFUSED,
        ],
    ),
    {"requestBody": body_of(PresentationRequest, EXAMPLE), "parameters": [LANGUAGE], "security": SECURITY},
)
QUERY_PRESENTATION: Final = Document(
    "QueryPresentation",
    "亮证: 查询状态 Query a presentation",
    "Asked at the library while the holder has not answered, once a second at most.",
    200,
    responses_of(200, PresentationView, "How it stands", [AUTHORIZATION_UNKNOWN, *ANY]),
    {"parameters": [_PATH, LANGUAGE], "security": SECURITY},
)
REVOKE_PRESENTATION: Final = Document(
    "RevokePresentation",
    "亮证: 撤回 Take a presentation back",
    "Nothing rests on it any more.",
    200,
    responses_of(200, Revoked, "Committed", [AUTHORIZATION_UNKNOWN, *ANY_BODY]),
    {
        "requestBody": body_of(PresentationRevocation, {"holder": _HOLDER}),
        "parameters": [_PATH, LANGUAGE],
        "security": SECURITY,
    },
)


def presentations_router(gate: Gate, presentations: Presentations) -> APIRouter:
    """``POST /v1/presentations``, ``GET /v1/presentations/{id}`` and ``POST /v1/presentations/{id}/revocation``."""
    publish(PresentationRequest, "validation")
    publish(PresentationView, "serialization")
    publish(PresentationRevocation, "validation")
    publish(Revoked, "serialization")
    router, threads = APIRouter(), Threads(AT_ONCE, "presentations", each=EACH)

    async def begin(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, PresentationRequest)
        caller = caller_of(exchange)
        found = await threads.run(lambda: presentations.begin(caller, request), caller.system_id)
        where = f"{gate.base_url(exchange.request)}/v1/presentations/{found.presentation_id}"
        return answer(found, 201, {"Location": where})

    async def query(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        caller, presentation_id = caller_of(exchange), _path_id(exchange)
        found = await threads.run(lambda: presentations.status(caller, presentation_id), caller.system_id)
        return answer(found)

    async def revoke(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, PresentationRevocation)
        arguments = (caller_of(exchange), _path_id(exchange), request.holder)
        return answer(await asyncio.to_thread(presentations.revoke, *arguments))

    add_route(router, gate, "POST", "/v1/presentations", BEGIN_PRESENTATION, begin, TAG)
    add_route(router, gate, "GET", "/v1/presentations/{id}", QUERY_PRESENTATION, query, TAG)
    add_route(router, gate, "POST", "/v1/presentations/{id}/revocation", REVOKE_PRESENTATION, revoke, TAG)
    return router


def _path_id(exchange: Exchange) -> str:
    """What cannot be an id is not asked of the database."""
    text: str = exchange.request.path_params["id"]
    if not _ID.fullmatch(text):
        raise HubProblem(AUTHORIZATION_UNKNOWN)
    return text
