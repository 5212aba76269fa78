"""A problem as RFC 9457 ``application/problem+json``: the title in the caller's language, reasons and cures in both."""

from __future__ import annotations

import json

from starlette.responses import Response

from schemas.problems import FieldFault, HubProblem

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:exchange-hub:problem:"


def problem_response(problem: HubProblem, problem_id: str, language: str) -> Response:
    """``language`` is ``zh`` or ``en``; see :func:`preferred_language`."""
    headers = {"Content-Language": language, "X-Request-Id": problem_id, "Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.kind.status == 401:
        headers["WWW-Authenticate"] = "Signature"  # RFC 9110, 11.6.1: a 401 names a scheme; ours is RFC 9421
    body = json.dumps(problem_body(problem, problem_id, language), ensure_ascii=False).encode()
    return Response(body, problem.kind.status, headers, media_type=MEDIA_TYPE)


def problem_body(problem: HubProblem, problem_id: str, language: str) -> dict[str, object]:
    kind = problem.kind
    body: dict[str, object] = {
        "type": f"{TYPE_PREFIX}{kind.code}",
        "title": kind.title_en if language == "en" else kind.title_zh,
        "status": kind.status,
        "code": kind.code,
        "who": kind.who.value,
        "retryable": kind.retryable,
        "cure": {"zh": kind.cure_zh, "en": kind.cure_en},
        "problemId": problem_id,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.faults:
        body["faults"] = [_fault(fault) for fault in problem.faults]
    return body


def _fault(fault: FieldFault) -> dict[str, object]:
    shown: dict[str, object] = {"path": fault.path, "reason": {"zh": fault.reason_zh, "en": fault.reason_en}}
    if fault.rule:
        shown["rule"] = fault.rule
    if fault.line is not None:
        shown["line"] = fault.line
    if fault.column is not None:
        shown["column"] = fault.column
    if fault.cure_zh or fault.cure_en:
        shown["cure"] = {"zh": fault.cure_zh, "en": fault.cure_en}
    return shown


def preferred_language(accept_language: str | None) -> str:
    """``zh`` or ``en`` by RFC 9110, 12.5.4; Chinese where neither is asked for."""
    if not accept_language:
        return "zh"
    best: dict[str, float] = {}
    for part in accept_language.split(",")[:16]:
        tag, _, parameter = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        name, _, value = parameter.strip().partition("=")
        try:
            quality = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            quality = 0.0
        best[language] = max(best.get(language, 0.0), quality)
    return "en" if best.get("en", 0.0) > best.get("zh", 0.0) else "zh"
