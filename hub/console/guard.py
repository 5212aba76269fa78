"""What every request to the console passes before anything of it is read, and the headers that every answer carries.

Host: a name that is not ours would be DNS rebinding (an address or localhost cannot be rebound). Origin: an act comes from our own
pages. Length: forms are small, and nobody has signed in yet when they are read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.routing import APIRoute
from starlette.requests import Request

from hub.console.texts import text

FORM_BYTES = 16 * 1024
UPLOAD = "/console/verify"  # reads its own body, once it knows who sends it
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends acts with an Origin of null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def guarded(public_url: str) -> type[APIRoute]:
    """A route class for the console of a hub that is reached as ``public_url``."""
    public = urlsplit(public_url)

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guard(request: Request) -> Response:
                answer = _refusal(request, public.hostname or "")
                if answer is None:
                    try:
                        answer = await handle(request)
                    except RequestValidationError:  # a form that is not from our pages
                        answer = PlainTextResponse("form", 400)
                for name, value in HEADERS.items():
                    answer.headers.setdefault(name, value)
                if public.scheme == "https":
                    answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                return answer

            return guard

    return Guarded


def _refusal(request: Request, public_host: str) -> Response | None:
    host = request.headers.get("host", "")
    if not _is_ours(host, public_host):
        return _refused(421)
    if request.method != "POST":
        return None
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return _refused(403)
    if origin is None and request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return _refused(403)
    if request.scope["path"] == UPLOAD:
        return None
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return PlainTextResponse("length required", 411)
    return PlainTextResponse("too large", 413) if int(length) > FORM_BYTES else None


def _refused(status: int) -> Response:
    return PlainTextResponse(f"{text('refused-host', 'zh')}\n{text('refused-host', 'en')}\n", status)


def _is_ours(host: str, public_host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", public_host):
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
