"""A problem as RFC 9457 ``application/problem+json``, in the language of Accept-Language, with the members of the SOAP fault."""

from __future__ import annotations

import json

from starlette.responses import Response

from schemas.faults import ExchangeFault, Language
from schemas.problems import HubProblem

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:exchange-hub:problem:"


def problem_response(problem: HubProblem, problem_id: str, language: Language) -> Response:
    """``language`` is ``zh`` or ``en``; see :func:`preferred_language`."""
    headers = {"Content-Language": language, "X-Request-Id": problem_id, "Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.kind.status == 401:
        headers["WWW-Authenticate"] = "Signature"  # RFC 9110, 11.6.1: a 401 names a scheme; ours is RFC 9421
    body = json.dumps(problem_body(problem, problem_id, language), ensure_ascii=False).encode()
    return Response(body, problem.kind.status, headers, media_type=MEDIA_TYPE)


def problem_body(problem: HubProblem, problem_id: str, language: Language) -> dict[str, object]:
    """The members of RFC 9457, and those of the SOAP fault."""
    fault = ExchangeFault.of(problem, problem_id, language).model_dump(
        mode="json", by_alias=True, exclude_defaults=True
    )
    return {"type": TYPE_PREFIX + problem.kind.code, "status": problem.kind.status, **fault}


def preferred_language(accept_language: str | None) -> Language:
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
