"""REST: ``/v1/evidence``. A request may take as long as its deadline says, so it runs in threads of its own."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.evidence.service import EvidenceService
from hub.intake.gate import Exchange, Gate
from hub.intake.openapi import (
    ANY,
    ANY_BODY,
    LANGUAGE,
    SECURITY,
    TAGS,
    Document,
    body_of,
    publish,
    responses_of,
)
from hub.intake.operations import digest_of
from hub.intake.rest import add_route, admit_without_body, answer_bytes, caller_of, read_message
from hub.threads import Threads
from schemas import problems as p
from schemas.evidence import EvidenceAnswer, EvidenceCaseState, EvidenceRequest
from schemas.problems import EVIDENCE_UNKNOWN, HubProblem

TAG: Final = "取证 Evidence"
AT_ONCE: Final = 32  # requests that one node fetches for at the same time; a further one is told to come again
EACH: Final = AT_ONCE // 2  # of one caller: slow requests of one must not turn all others away
_ID: Final = re.compile(r"evd_[0-9a-hjkmnp-tv-z]{26}")

EXAMPLE: Final[dict[str, Any]] = {
    "messageId": "sdjs-20260901-000017",
    "itemCode": "370105001001",
    "region": "370102",
    "subject": {
        "kind": "person",
        "role": "applicant",
        "name": "王建国",
        "code": "370102198501011233",
        "codeType": "111",
    },
    "caseReference": "sdjs-2026-000017",
    "purpose": "teacher-qualification",
    "basis": {"kind": "consent"},
    "answer": "fields",
    "deadlineS": 10,
}
_EXAMPLE_ID: Final = "evd_01k3zq8m5v7e2r9t4w6x0y1a3b"

REQUEST_EVIDENCE: Final = Document(
    "RequestEvidence",
    "取证 Request evidence",
    "The evidence that an item asks for, fetched, verified and checked at its source, by requirement. 200 is final; 202 means that "
    "issuers which did not answer are asked again: what is there is in the answer, the end is told by the event "
    "evidence.answered. The same message again gets the same answer.",
    200,
    responses_of(
        200,
        EvidenceAnswer,
        "The answer",
        [
            *ANY_BODY,
            p.MESSAGE_ID_CONFLICT,
            p.ITEM_UNKNOWN,
            p.EVIDENCE_BASIS_REFUSED,
            p.EVIDENCE_PURPOSE_REFUSED,
            p.EVIDENCE_THROTTLED,
        ],
    )
    | {
        202: {
            "description": "Answered in part, or still being fetched",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EvidenceAnswer"}}},
            "headers": {"Location": {"description": "The request", "schema": {"type": "string", "format": "uri"}}},
        }
    },
    {"requestBody": body_of(EvidenceRequest, EXAMPLE), "parameters": [LANGUAGE], "security": SECURITY},
)
QUERY_EVIDENCE: Final = Document(
    "QueryEvidence",
    "查询取证 Query an evidence request",
    "How a request of the caller stands, with all that the caller may see of it, for a day after it was answered.",
    200,
    responses_of(200, EvidenceAnswer, "The answer as it stands", [EVIDENCE_UNKNOWN, *ANY]),
    {
        "parameters": [
            {
                "name": "evidence_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "example": _EXAMPLE_ID,
            },
            LANGUAGE,
        ],
        "security": SECURITY,
    },
)


def evidence_router(gate: Gate, service: EvidenceService) -> APIRouter:
    """``POST /v1/evidence`` and ``GET /v1/evidence/{evidence_id}``."""
    publish(EvidenceRequest, "validation")
    publish(EvidenceAnswer, "serialization")
    if all(tag["name"] != TAG for tag in TAGS):
        TAGS.append({"name": TAG, "description": "按事项取证: 一次提出, 逐项答复 Evidence for an item, by requirement"})
    router = APIRouter()
    threads = Threads(AT_ONCE, "evidence-requests", each=EACH)

    async def ask(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, EvidenceRequest)
        caller, digest = caller_of(exchange), digest_of(request)
        found = await threads.run(lambda: service.ask(caller, request, digest=digest), caller.system_id)
        if found.answer.state is EvidenceCaseState.ANSWERED:
            return answer_bytes(found.body)
        location = f"{gate.base_url(exchange.request)}/v1/evidence/{found.answer.id}"
        return answer_bytes(found.body, 202, {"Location": location})

    async def get_one(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        evidence_id: str = exchange.request.path_params["evidence_id"]
        if not _ID.fullmatch(evidence_id):
            raise HubProblem(EVIDENCE_UNKNOWN)
        caller = caller_of(exchange)
        return answer_bytes((await asyncio.to_thread(service.read, caller, evidence_id)).body)

    add_route(router, gate, "POST", "/v1/evidence", REQUEST_EVIDENCE, ask, TAG)
    add_route(router, gate, "GET", "/v1/evidence/{evidence_id}", QUERY_EVIDENCE, get_one, TAG)
    return router
