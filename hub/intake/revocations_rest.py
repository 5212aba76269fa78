"""REST: ``/v1/revocations``, the notice by which an issuing authority or a library takes certificates back."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.evidence.revoking import Revocations
from hub.intake.gate import Exchange, Gate
from hub.intake.openapi import ANY_BODY, LANGUAGE, SECURITY, Document, body_of, publish, responses_of
from hub.intake.operations import digest_of
from hub.intake.rest import add_route, answer, caller_of, read_message
from schemas import problems as p
from schemas.revocations import RevocationAccepted, RevocationNotice

EXAMPLE: Final[dict[str, Any]] = {
    "messageId": "jn-rsj-20260903-000004",
    "identifiers": ["1.2.156.3005.2.11100000000013338W901.11370102000000000X.2021000017.001.L"],
    "reason": "revoked",
    "revokedAt": "2026-09-03T02:00:00Z",
    "source": "历教撤决〔2026〕4号",
}
EXAMPLE_ANSWER: Final[dict[str, Any]] = {
    "id": "rev_01k3zq8m5v7e2r9t4w6x0y1a3b",
    "messageId": "jn-rsj-20260903-000004",
    "receivedAt": "2026-09-03T02:05:00Z",
    "certificates": 1,
    "reliedOn": 1,
    "answers": 3,
    "cases": 1,
    "systems": 2,
    "systemsTold": 2,
    "rememberedUntil": "2027-03-02T02:05:00Z",
}

REVOKE: Final = Document(
    "RevokeEcerts",
    "证照吊销、注销通知 Revocation notice",
    "Certificates hold no longer. When this is answered, kept copies are dropped, answers that rest on one say so when they are "
    "read again, transfer cases that rest on one fetch it anew, and the systems that relied are told by the events "
    "evidence.revoked and case.evidence-revoked. The caller learns numbers, no names. "
    "The same message again gets the same answer.",
    200,
    responses_of(200, RevocationAccepted, "Committed", [*ANY_BODY, p.MESSAGE_ID_CONFLICT]),
    {"requestBody": body_of(RevocationNotice, EXAMPLE), "parameters": [LANGUAGE], "security": SECURITY},
)
REVOKE.responses[200]["content"]["application/json"]["example"] = EXAMPLE_ANSWER


def revocations_router(gate: Gate, revocations: Revocations, tag: str) -> APIRouter:
    """``POST /v1/revocations``."""
    publish(RevocationNotice, "validation")
    publish(RevocationAccepted, "serialization")
    router = APIRouter()

    async def take(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, RevocationNotice)
        caller, digest = caller_of(exchange), digest_of(request)
        return answer(await asyncio.to_thread(lambda: revocations.take(caller, request, digest=digest)))

    add_route(router, gate, "POST", "/v1/revocations", REVOKE, take, tag)
    return router
