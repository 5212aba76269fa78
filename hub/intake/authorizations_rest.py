"""REST: ``/v1/authorizations``, ``/v1/consents`` and ``/v1/holders/uses``. No number of a holder ever stands in an address."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.intake import logins_rest
from hub.intake.cursors import Cursors
from hub.intake.gate import Exchange, Gate
from hub.intake.logins_rest import LoginDesk
from hub.intake.openapi import ANY_BODY, LANGUAGE, SECURITY, Document, body_of, publish, responses_of
from hub.intake.rest import add_route, answer, caller_of, read_message
from schemas import problems as p
from schemas.base import Canonical
from schemas.problems import AUTHORIZATION_UNKNOWN, HubProblem, ProblemKind

TAG: Final = "授权 Authorizations"
A = TypeVar("A")
_ID = re.compile(r"(auth|cons)_[0-9a-hjkmnp-tv-z]{26}")

_HOLDER: Final = {"name": "王建国", "codeType": "111", "code": "370102198501011233"}
_WANTED: Final = {
    "ecertTypes": ["id-card", "degree"],
    "purpose": "teacher-qualification",
    "region": "370102",
    "item": "370105001001",
}
_SCOPE: Final = {**_WANTED, "region": "370000"}
_EXAMPLES: Final[dict[type[Canonical], dict[str, Any]]] = {
    m.AuthorizationRequest: {"holder": _HOLDER, "login": logins_rest.EXAMPLE, "scope": _SCOPE, "codeSeconds": 120},
    m.RedemptionRequest: {"messageId": "hall-20260901-000031", "code": "0123 4567 8901 2345 6787", "wanted": _WANTED},
    m.RevocationRequest: {"holder": _HOLDER, "login": logins_rest.EXAMPLE},
    m.ConsentRequest: {
        "holder": _HOLDER,
        "scope": _SCOPE,
        "reference": "consent-20260901-77",
        "givenAt": "2026-09-01T01:00:00Z",
        "endsAt": "2027-09-01T01:00:00Z",
        "login": logins_rest.EXAMPLE,
    },
    m.UsesRequest: {"holder": _HOLDER, "login": logins_rest.EXAMPLE, "limit": 20},
}  # fmt: skip


def _document(
    operation_id: str,
    summary: str,
    description: str,
    request: type[Canonical],
    response: type[Canonical],
    kinds: tuple[ProblemKind, ...] = (),
    *,
    status: int = 200,
    with_id: bool = False,
) -> Document:
    publish(request, "validation")
    publish(response, "serialization")
    path = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return Document(
        operation_id,
        summary,
        description,
        status,
        responses_of(status, response, "Committed", [*ANY_BODY, *kinds]),
        {
            "requestBody": body_of(request, _EXAMPLES[request]),
            "parameters": [path, LANGUAGE] if with_id else [LANGUAGE],
            "security": SECURITY,
        },
    )


def authorizations_router(gate: Gate, authorizations: Authorizations, desk: LoginDesk, cursors: Cursors) -> APIRouter:
    router = APIRouter()

    async def issue(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.AuthorizationRequest)
        login = await desk.verified(exchange, request.login, request.holder, request.scope.region)
        done = authorizations.issue(caller_of(exchange), request, login)
        return answer(_or_problem(await asyncio.wrap_future(done)), 201)

    async def redeem(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.RedemptionRequest)
        done = authorizations.redeem(caller_of(exchange), request)
        return answer(_or_problem(await asyncio.wrap_future(done)))

    async def revoke(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.RevocationRequest)
        login = await desk.verified(exchange, request.login, request.holder)
        arguments = (caller_of(exchange), _path_id(exchange), request.holder, login)
        return answer(await asyncio.to_thread(authorizations.revoke_authorization, *arguments))

    async def consent(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.ConsentRequest)
        login = await desk.verified(exchange, request.login, request.holder, request.scope.region)
        arguments = (caller_of(exchange), request, login)
        return answer(await asyncio.to_thread(authorizations.register_consent, *arguments), 201)

    async def revoke_consent(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.RevocationRequest)
        login = await desk.verified(exchange, request.login, request.holder)
        arguments = (caller_of(exchange), _path_id(exchange), request.holder, login)
        return answer(await asyncio.to_thread(authorizations.revoke_consent, *arguments))

    async def uses(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, m.UsesRequest)
        caller = caller_of(exchange)
        scope = f"uses\n{caller.system_id}\n{authorizations.bases.holder_index(request.holder)}"
        before = cursors.read(request.cursor, scope=scope) if request.cursor is not None else None
        login = await desk.verified(exchange, request.login, request.holder) if before is None else None

        def read() -> tuple[list[m.DataUse], str | None]:
            return authorizations.uses(caller, request, before=before, login=login)

        page, following = await asyncio.to_thread(read)
        next_cursor = cursors.make(following, scope=scope) if following else None
        return answer(m.UsePage(items=tuple(page), next_cursor=next_cursor))

    unknown, refused, login = (AUTHORIZATION_UNKNOWN,), (p.AUTHORIZATION_CODE_REFUSED,), logins_rest.KINDS
    operations = (
        ("/v1/authorizations", issue, _document(
            "IssueAuthorization", "签发授权码 Issue an authorization code",
            "For a holder who has logged in: 20 digits, for one redemption within 180 s at most. Not kept.",
            m.AuthorizationRequest, m.AuthorizationIssued, login, status=201)),
        ("/v1/authorizations/redeem", redeem, _document(
            "RedeemAuthorization", "核销授权码 Redeem an authorization code",
            "Of any number at once exactly one succeeds; the same messageId gets the same answer again.",
            m.RedemptionRequest, m.AuthorizationRedeemed, refused)),
        ("/v1/authorizations/{id}/revocation", revoke, _document(
            "RevokeAuthorization", "撤销授权 Revoke an authorization", "Redeemed or not: nothing rests on it any more.",
            m.RevocationRequest, m.Revoked, (*unknown, *login), with_id=True)),
        ("/v1/consents", consent, _document(
            "RegisterConsent", "登记长期同意 Register a standing consent",
            "With a scope and an end. The same consent under the same reference again gets the same answer.",
            m.ConsentRequest, m.ConsentRegistered, (p.CONSENT_CONFLICT, *login), status=201)),
        ("/v1/consents/{id}/revocation", revoke_consent, _document(
            "RevokeConsent", "撤销长期同意 Revoke a standing consent", "From now on nothing rests on it.",
            m.RevocationRequest, m.Revoked, (*unknown, *login), with_id=True)),
        ("/v1/holders/uses", uses, _document(
            "ListUses", "查询数据使用记录 List what a holder's data was used for",
            "For the holder, newest first. A POST, because an ID number must not stand in an address.",
            m.UsesRequest, m.UsePage, (p.PAGE_CURSOR_INVALID, *login))),
    )  # fmt: skip
    for path, work, document in operations:
        add_route(router, gate, "POST", path, document, work, TAG)
    return router


def _or_problem(result: A | HubProblem) -> A:
    if isinstance(result, HubProblem):
        raise result
    return result


def _path_id(exchange: Exchange) -> str:
    """What cannot be an id is not asked of the database."""
    text: str = exchange.request.path_params["id"]
    if not _ID.fullmatch(text):
        raise HubProblem(AUTHORIZATION_UNKNOWN)
    return text
