"""REST: ``/v1/logins``, and the logins that come back with other messages, verified in threads of their own."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.authorizations.model import Holder
from hub.ecerts.logins import model as m
from hub.ecerts.logins.identified import VerifiedLogin
from hub.ecerts.logins.service import Logins
from hub.intake.gate import Exchange, Gate
from hub.intake.openapi import ANY_BODY, LANGUAGE, SECURITY, Document, body_of, publish, responses_of
from hub.intake.rest import add_route, answer, caller_of, read_message
from hub.threads import Threads
from schemas.problems import IDENTITY_UNAVAILABLE, LOGIN_REFUSED, LOGIN_REQUIRED, NO_ROUTE, HubProblem

AT_ONCE: Final = 16  # assertions that one node verifies at the same time
EACH: Final = AT_ONCE // 2  # of one caller: what waits for a slow identity service must not turn all others away
KINDS: Final = (LOGIN_REQUIRED, LOGIN_REFUSED, IDENTITY_UNAVAILABLE)  # of every operation that takes a login
EXAMPLE: Final[dict[str, Any]] = {
    "nonce": "r1nq8wqHk2pX5c0vZs7TtYdLgA3mBfUeJi9oR6xW4hM",
    "assertion": "eyJhbGciOiJTTTJTTTMiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJwLTE3In0.c2lnbmF0dXJl",
}


class LoginDesk:
    """What the routes of other operations need: the login of a message, verified."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins
        self._threads = Threads(AT_ONCE, "login", each=EACH)

    async def verified(
        self, exchange: Exchange, proof: m.LoginProof | None, holder: Holder, region: str | None = None
    ) -> VerifiedLogin | None:
        """None where the message holds no login: whether the caller may vouch is the operation's question."""
        if proof is None:
            return None
        caller = caller_of(exchange)
        return await self._threads.run(lambda: self._logins.verify(caller, proof, holder, region), caller.system_id)


def logins_router(gate: Gate, logins: Logins, tag: str) -> APIRouter:
    """``POST /v1/logins``."""
    router = APIRouter()
    publish(m.LoginRequest, "validation")
    publish(m.LoginBegun, "serialization")

    async def begin(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.LoginRequest)
        begun = await asyncio.wrap_future(logins.begin(caller_of(exchange), request))
        if isinstance(begun, HubProblem):
            raise begun
        return answer(begun, 201)

    document = Document(
        "BeginLogin",
        "持有人登录用的 nonce A nonce for a holder's login",
        "The holder logs in at the identity service of the region with this nonce; the assertion comes back with the operation "
        "that it is for. Good for one operation of this system within ten minutes.",
        201,
        responses_of(201, m.LoginBegun, "Committed", [*ANY_BODY, NO_ROUTE]),
        {
            "requestBody": body_of(m.LoginRequest, {"region": "370102"}),
            "parameters": [LANGUAGE],
            "security": SECURITY,
        },
    )
    add_route(router, gate, "POST", "/v1/logins", document, begin, tag)
    return router
