"""``POST /v1/verifications``: a connected system has a document verified. The body is the file; nothing of it is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from certs.render import report_to_json
from certs.report import Axis, Indication
from hub.access.callers import Service
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.verifier import BUSY_RETRY_S, Verifier
from hub.intake import openapi
from hub.intake.gate import Exchange, Gate
from hub.intake.limits import read_body
from hub.intake.rest import add_route, caller_of, parameter_fault, query_of
from hub.threads import Places
from schemas import problems as p
from schemas import rules
from schemas.parsing import fault
from schemas.problems import MEDIA_TYPE_REFUSED, MESSAGE_INVALID, HubProblem

TAG: Final = "验证 Verification"
LARGE_AT_ONCE = 4  # bodies larger than a message that are read at the same time
LARGE_EACH = 2  # of one caller

_VERDICT: Final[dict[str, Any]] = {"type": "string", "enum": [one.value for one in Indication]}
_REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Rely on indication alone: PASSED, or not. axes has the verdict on each axis that was judged.",
    "required": ["format", "indication", "digest_sha256", "verified_at", "policy", "axes", "signers", "findings"],
    "properties": {
        "format": {"type": "string", "description": "ofd, pdf, cms, jws or unknown"},
        "indication": _VERDICT,
        "sub_indication": {"type": ["string", "null"], "description": "In the words of ETSI EN 319 102-1"},
        "digest_sha256": {"type": "string"},
        "verified_at": {"type": "string", "format": "date-time"},
        "policy": {"type": "string"},
        "axes": {
            "type": "object",
            "properties": {axis.value: _VERDICT for axis in Axis},
            "additionalProperties": False,
        },
        "signers": {"type": "array", "items": {"type": "object"}},
        "notes": {
            "type": "array",
            "description": "What decides nothing: status-not-asked, revoked-later",
            "items": {
                "type": "object",
                "required": ["code", "detail_zh", "detail_en"],
                "properties": {
                    "code": {"type": "string"},
                    "detail_zh": {"type": "string"},
                    "detail_en": {"type": "string"},
                    "data": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        },
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["axis", "indication", "clause", "detail_zh", "detail_en"],
                "properties": {
                    "axis": {"type": "string"},
                    "indication": _VERDICT,
                    "sub_indication": {"type": ["string", "null"]},
                    "clause": {"type": "string", "description": "The standard's clause of this step"},
                    "detail_zh": {"type": "string"},
                    "detail_en": {"type": "string"},
                    "data": {"type": "object", "additionalProperties": {"type": "string"}},
                    "signature": {"type": ["integer", "null"], "description": "Which signature, from 0"},
                },
            },
        },
    },
}


def _document(verifier: Verifier, limit: int) -> openapi.Document:
    kinds = [p.MESSAGE_TOO_LARGE, p.MEDIA_TYPE_REFUSED, p.MESSAGE_UNREADABLE, *openapi.ANY]
    responses = openapi.responses_of(200, openapi.Problem, "The report", kinds)
    responses[200]["content"] = {"application/json": {"schema": _REPORT}}
    at = "Judge as of this time (RFC 3339 with offset); default: now"
    return openapi.Document(
        "VerifyDocument",
        "验证文件 Verify a document",
        "OFD, PDF, CMS or JWS as the raw body. 200 with the report whatever the verdict: a document that FAILED is an answer, not "
        f"an error. At most {limit} bytes. The right is `verification`, for any region. Nothing of the document is kept.",
        200,
        responses,
        {
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            },
            "parameters": [
                {
                    "name": "policy", "in": "query", "description": f"default: {verifier.default}",
                    "schema": {"type": "string", "enum": list(verifier.policies)},
                },
                {"name": "at", "in": "query", "description": at, "schema": {"type": "string", "format": "date-time"}},
                openapi.LANGUAGE,
            ],
            "security": openapi.SECURITY,
        },
    )  # fmt: skip


def create_router(gate: Gate, db: Database, verifier: Verifier, *, max_document: int) -> APIRouter:
    """``max_document`` bytes; above the limit of messages only LARGE_AT_ONCE are read at a time."""
    router = APIRouter()
    places = Places("large-bodies", LARGE_AT_ONCE, LARGE_EACH, retry_s=BUSY_RETRY_S)

    async def read(exchange: Exchange) -> bytes:
        request = exchange.request
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) <= gate.max_body:
            return await read_body(request, gate.max_body)
        caller = gate.foresee(exchange)
        caller.require_somewhere(Service.VERIFICATION)
        with places.one(caller.system_id):
            if exchange.identity is not None:  # now: a recorded head must not hold a place while its body does not come
                await gate.remember(exchange.identity)
            return await read_body(request, max_document)

    async def verify(exchange: Exchange) -> Response:
        headers = exchange.request.headers
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/octet-stream":
            raise HubProblem(MEDIA_TYPE_REFUSED, "application/octet-stream")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise HubProblem(MEDIA_TYPE_REFUSED, "content-encoding")
        exchange.body = await read(exchange)
        remembered = exchange.identity is not None  # of a large body, before it was read
        identity = await gate.admit(exchange)
        caller_of(exchange).require_somewhere(Service.VERIFICATION)
        policy, at = _asked(exchange, verifier.policies, gate.now())
        if not exchange.body:
            raise HubProblem(MESSAGE_INVALID, faults=[fault("body", rules.MISSING)])
        if not remembered:
            await gate.remember(identity)
        document = exchange.body
        report = await verifier.verify_for(identity.caller.system_id, document, policy=policy, at=at)
        entry = AuditEntry(
            f"system:{identity.caller.system_id}", "document.verify", exchange.id, report.indication.value,
            {"sha256": report.digest_sha256, "policy": report.policy, "format": report.format},
        )  # fmt: skip
        await asyncio.to_thread(db.write, _audited(entry))
        body = json.dumps(report_to_json(report), ensure_ascii=False).encode()
        return Response(body, 200, {"Cache-Control": "no-store"}, media_type="application/json")

    add_route(router, gate, "POST", "/v1/verifications", _document(verifier, max_document), verify, TAG)
    return router


def _audited(entry: AuditEntry) -> Callable[[Tx], None]:
    return lambda tx: tx.audit.append(entry)


def _asked(exchange: Exchange, policies: tuple[str, ...], now: datetime) -> tuple[str | None, datetime]:
    """The query, checked; HubProblem(MESSAGE_INVALID) with the parameter."""
    given = query_of(exchange)
    policy = given.get("policy")
    if policy is not None and policy not in policies:
        raise parameter_fault("policy", "、".join(policies), ", ".join(policies), rules.NOT_IN_LIST)
    if "at" not in given:
        return policy, now
    try:
        at = datetime.fromisoformat(given["at"])
        if at.tzinfo is None:
            raise ValueError
        return policy, at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise parameter_fault("at", "", "", rules.DATETIME_FORMAT) from None
