"""The OpenAPI 3.1 description of the REST intake: generated from the canonical models, so that it cannot say something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hub.intake.problems import MEDIA_TYPE, TYPE_PREFIX, problem_body
from schemas import problems as p
from schemas.base import Canonical
from schemas.faults import ExchangeFault
from schemas.fields import MessageId, Text
from schemas.problems import HubProblem, ProblemKind
from schemas.rules import portable
from schemas.transfers import CaseState, Decision, TransferAccepted, TransferRequest, TransferView


class WithdrawalBody(Canonical):
    """WithdrawTransfer over REST: the case is in the path."""

    message_id: MessageId
    reason: Text


class TransferPage(Canonical):
    """One page of cases, newest first. ``nextCursor`` is absent on the last page."""

    items: tuple[TransferView, ...]
    next_cursor: str | None = None


class Problem(ExchangeFault):
    """RFC 9457, and the members of the SOAP fault, in the language of Accept-Language (zh where none fits)."""

    type: str = Field(description=f"{TYPE_PREFIX} and the code")
    status: int


TAGS: Final = [
    {"name": "转学 Transfer", "description": "学生转学的提交、查询、撤回与办理意见 Student transfers"},
    {"name": "事项 Items", "description": "事项目录的公开查询 The public item catalogue"},
    {"name": "授权 Authorizations", "description": "授权码、长期同意与使用记录 Authorization codes, consents and uses"},
]

# Student 0 of Lixia in adapters/population.py: with the simulators this transfer is completed (docs/how-to/connect-a-system.md).
EXAMPLE_TRANSFER: Final[dict[str, Any]] = {
    "messageId": "qd-20260901-000123",
    "student": {
        "name": "赵明哲",
        "idType": "111",
        "idNumber": "379802201609010014",
        "enrolmentNumber": "G379802201609010014",
        "sex": "1",
        "birthDate": "2016-09-01",
    },
    "guardian": {"name": "王娜", "relation": "mother", "idType": "111", "idNumber": "379802198009130026"},
    "releasing": {"region": "370102", "schoolCode": "2137010201", "schoolName": "历下区实验小学", "grade": 4},
    "receiving": {"region": "370202", "schoolCode": "2137020201", "schoolName": "市南区实验小学", "grade": 4},
    "reason": "随父母工作调动迁居",
    "consent": {"givenAt": "2026-09-01T01:00:00Z", "reference": "consent-20260901-77"},
    "submittedAt": "2026-09-01T01:05:00Z",
}
EXAMPLE_CASE: Final = "case_01k3zq8m5v7e2r9t4w6x0y1a3b"
EXAMPLE_WITHDRAWAL: Final[dict[str, Any]] = {"messageId": "jn-20260902-000007", "reason": "家庭计划有变"}
EXAMPLE_DECISION: Final[dict[str, Any]] = {
    "messageId": "qd-20260903-000042",
    "caseId": EXAMPLE_CASE,
    "step": "receiving-bureau",
    "outcome": "approved",
    "decidedAt": "2026-09-03T02:30:00Z",
    "decidedBy": "市南区教育和体育局",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What the description says of one operation."""

    operation_id: str
    summary: str
    description: str
    status: int
    responses: dict[int | str, dict[str, Any]]
    extra: dict[str, Any]

    @property
    def query(self) -> frozenset[str]:
        """The names of the query parameters: what is refused as unknown and what is described cannot differ."""
        return frozenset(one["name"] for one in self.extra["parameters"] if one["in"] == "query")


def _ref(model: type[Canonical]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def responses_of(
    status: int, model: type[Canonical], text: str, kinds: Sequence[ProblemKind]
) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {"application/json": {"schema": _ref(model)}}}
    }
    if status == 202:
        responses[202]["headers"] = {
            "Location": {"description": "The case", "schema": {"type": "string", "format": "uri"}}
        }
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    for code, same in sorted(by_status.items()):
        content: dict[str, Any] = {"schema": _ref(Problem)}
        content["examples"] = {kind.code: {"value": _example(kind)} for kind in same}
        lines = [f"`{kind.code}` {kind.title_zh} {kind.title_en}" for kind in same]
        responses[code] = {"description": "; ".join(lines), "content": {MEDIA_TYPE: content}}
        if any(kind.retryable for kind in same):
            responses[code]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return responses


def _example(kind: ProblemKind) -> dict[str, Any]:
    return problem_body(HubProblem(kind), "req_01k3zq8m5v7e2r9t4w6x0y1a3b", "zh")


def body_of(model: type[Canonical], example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(model), "example": example}}}


ANY = [
    p.MESSAGE_INVALID,  # a query parameter that the operation has not
    p.CALLER_UNKNOWN,
    p.SIGNATURE_REFUSED,
    p.MESSAGE_REPLAYED,
    p.ACCESS_DENIED,
    p.RATE_LIMITED,
    p.HUB_FAULT,
    p.HUB_BUSY,
]
ANY_BODY = [p.MESSAGE_UNREADABLE, p.MESSAGE_TOO_LARGE, p.MEDIA_TYPE_REFUSED, *ANY]
SECURITY: Final[list[dict[str, list[str]]]] = [{"mutualTLS": []}, {"httpSignature": []}]
_CASE_PARAMETER: Final = {
    "name": "case_id", "in": "path", "required": True, "schema": {"type": "string"}, "example": EXAMPLE_CASE,
}  # fmt: skip
LANGUAGE: Final = {
    "name": "Accept-Language", "in": "header", "required": False,
    "description": "zh (default) or en: the language of a problem's title", "schema": {"type": "string"},
}  # fmt: skip

SUBMIT_TRANSFER: Final = Document(
    "SubmitTransfer",
    "提交转学申请 Submit a transfer",
    "The receiving side asks for a student's record. 202 means: committed, not decided. The same message again gets the same "
    "answer; another message under the same messageId is a conflict.",
    202,
    responses_of(
        202,
        TransferAccepted,
        "Committed",
        [*ANY_BODY, p.MESSAGE_ID_CONFLICT, p.CASE_OPEN_ALREADY, p.NO_ROUTE, p.FLOW_NOT_APPLICABLE],
    ),
    {"requestBody": body_of(TransferRequest, EXAMPLE_TRANSFER), "parameters": [LANGUAGE], "security": SECURITY},
)
LIST_TRANSFERS: Final = Document(
    "ListTransfers",
    "查询办件列表 List transfers",
    "The cases that the caller submitted or takes part in, newest first. Follow nextCursor until it is absent.",
    200,
    responses_of(200, TransferPage, "One page", [p.PAGE_CURSOR_INVALID, *ANY]),
    {
        "parameters": [
            {
                "name": "cursor",
                "in": "query",
                "description": "nextCursor of the page before",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            },
            {
                "name": "state",
                "in": "query",
                "schema": {"type": "string", "enum": [state.value for state in CaseState]},
            },
            LANGUAGE,
        ],
        "security": SECURITY,
    },
)
QUERY_TRANSFER: Final = Document(
    "QueryTransfer",
    "查询办件 Query a transfer",
    "How a case stands: state, steps, evidence, limits. No personal data.",
    200,
    responses_of(200, TransferView, "The case", [p.CASE_UNKNOWN, *ANY]),
    {"parameters": [_CASE_PARAMETER, LANGUAGE], "security": SECURITY},
)
WITHDRAW_TRANSFER: Final = Document(
    "WithdrawTransfer",
    "撤回转学申请 Withdraw a transfer",
    "The source takes its request back, until the record begins to move.",
    200,
    responses_of(
        200,
        TransferView,
        "The case",
        [*ANY_BODY, p.CASE_UNKNOWN, p.CASE_CLOSED, p.WITHDRAWAL_TOO_LATE, p.MESSAGE_ID_CONFLICT],
    ),
    {
        "requestBody": body_of(WithdrawalBody, EXAMPLE_WITHDRAWAL),
        "parameters": [_CASE_PARAMETER, LANGUAGE],
        "security": SECURITY,
    },
)
SUBMIT_DECISION: Final = Document(
    "SubmitDecision",
    "提交办理意见 Submit a decision",
    "The business answer of the party of one step. The same decision again changes nothing.",
    200,
    responses_of(
        200,
        TransferView,
        "The case",
        [
            *ANY_BODY,
            p.CASE_UNKNOWN,
            p.CASE_CLOSED,
            p.DECISION_WRONG_PARTY,
            p.DECISION_NOT_AWAITED,
            p.DECISION_CONTRADICTS,
            p.MESSAGE_ID_CONFLICT,
        ],
    ),
    {"requestBody": body_of(Decision, EXAMPLE_DECISION), "parameters": [LANGUAGE], "security": SECURITY},
)

_SECURITY_SCHEMES: Final = {
    "mutualTLS": {"type": "mutualTLS", "description": "A client certificate whose SHA-256 fingerprint is registered."},
    "httpSignature": {
        "type": "http",
        "scheme": "Signature",
        "description": "HTTP Message Signatures (RFC 9421) over @method, @target-uri and, with a body, content-digest; parameters "
        "created, keyid and nonce. ECDSA P-256/P-384, RSA, Ed25519 or SM2 with SM3. See docs/protocol/message-signatures.md.",
    },
}


_MODELS: Final[list[tuple[type[Canonical], JsonSchemaMode]]] = [
    (TransferRequest, "validation"),
    (WithdrawalBody, "validation"),
    (Decision, "validation"),
    (TransferAccepted, "serialization"),
    (TransferPage, "serialization"),
    (Problem, "serialization"),
]


def publish(model: type[Canonical], mode: JsonSchemaMode) -> None:
    """Let the description hold the schema of ``model``, a message of another room."""
    if (model, mode) not in _MODELS:
        _MODELS.append((model, mode))


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Put the models of the messages and the security schemes into FastAPI's document."""
    _, generated = models_json_schema(_MODELS, ref_template="#/components/schemas/{model}")
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(generated["$defs"])
    components["securitySchemes"] = dict(_SECURITY_SCHEMES)
    return {key: _portable(value) for key, value in document.items()}


def _portable(node: Any) -> Any:
    """The patterns as every engine reads them."""
    if isinstance(node, dict):
        return {
            key: portable(value) if key == "pattern" and isinstance(value, str) else _portable(value)
            for key, value in node.items()
        }
    return [_portable(child) for child in node] if isinstance(node, list | tuple) else node
