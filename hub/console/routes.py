"""The console's pages and acts. Every act is a POST with a token of its session, a reason, and an audit entry."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hub.access import endpoints
from hub.access.operators import OperatorError, Operators, Role, SignedIn
from hub.access.operators.store import SessionRow
from hub.access.registration import RegistrationError
from hub.cases import store as case_store
from hub.cases.progress import Rooms
from hub.cases.views import views
from hub.console import store
from hub.console.texts import Language, text
from hub.db import Database, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Handlers
from hub.health.overview import overview
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS

COOKIE = "hub_session"
LANGUAGE_COOKIE = "hub_language"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
T = TypeVar("T")
FormText = Annotated[str, Form(max_length=300)]


class Console:
    """Pages for operators. ``secure`` marks cookies for HTTPS only."""

    def __init__(self, db: Database, rooms: Rooms, handlers: Handlers, operators: Operators, *, secure: bool) -> None:
        self._db = db
        self._handlers = handlers
        self._rooms = rooms
        self._operators = operators
        self._secure = secure
        self._templates = Environment(
            loader=PackageLoader("hub.console"), autoescape=select_autoescape(), undefined=StrictUndefined
        )
        self._templates.filters |= {"local": _local, "age": _age, "region": _region}

    # --- signing in -----------------------------------------------------------------------------------------------------

    async def link_page(self, request: Request, token: str) -> Response:
        """A GET must not use the link up: mail scanners and previews follow links."""
        return self._page(request, "sign_in.html", None, facts={"link": token})

    async def use_link(self, request: Request, token: str) -> Response:
        signed_in = await _in_thread(lambda: self._operators.sign_in_by_link(token))
        if signed_in is None:
            return self._page(request, "sign_in.html", None, facts={"link": None}, notice="sign-in-refused", status=403)
        return self._with_session(RedirectResponse("/console/password", 303), signed_in)

    async def sign_in(self, request: Request, name: FormText, password: FormText) -> Response:
        signed_in = await _in_thread(lambda: self._operators.sign_in_by_password(name, password))
        if signed_in is None:
            return self._page(request, "sign_in.html", None, facts={"link": None}, notice="sign-in-refused", status=403)
        return self._with_session(RedirectResponse("/console", 303), signed_in)

    async def sign_out(self, request: Request, csrf: FormText) -> Response:
        session = await self._session(request)
        if session is not None and hmac.compare_digest(session.csrf, csrf):
            await _in_thread(lambda: self._operators.sign_out(request.cookies[COOKIE]))
        answer = RedirectResponse("/console", 303)
        answer.delete_cookie(COOKIE, path="/console")
        return answer

    async def password_page(self, request: Request) -> Response:
        session = await self._session(request)
        if session is None:
            return self._page(request, "sign_in.html", None, facts={"link": None})
        return self._page(request, "password.html", session)

    async def set_password(self, request: Request, csrf: FormText, password: FormText) -> Response:
        session = await self._session(request)
        if session is None or not hmac.compare_digest(session.csrf, csrf):
            return self._page(request, "sign_in.html", None, facts={"link": None}, status=403)
        try:
            await _in_thread(lambda: self._operators.set_password(session.operator, password))
        except OperatorError:
            return self._page(request, "password.html", session, notice="set-password-help", status=422)
        return RedirectResponse("/console", 303)

    async def language(self, language: FormText, back: FormText) -> Response:
        local = back if back.startswith("/console") and "//" not in back else "/console"
        answer = RedirectResponse(local, 303)
        chosen = "en" if language == "en" else "zh"
        answer.set_cookie(LANGUAGE_COOKIE, chosen, max_age=31_536_000, path="/console", samesite="strict", httponly=True,
                          secure=self._secure)  # fmt: skip
        return answer

    # --- pages ----------------------------------------------------------------------------------------------------------

    async def overview_page(self, request: Request) -> Response:
        return await self._overview(request, "overview.html")

    async def live(self, request: Request) -> Response:
        """The part of the overview that changes, for the page's own refresh."""
        return await self._overview(request, "live.html")

    async def _overview(self, request: Request, template: str) -> Response:
        session = await self._session(request)
        if session is None:
            if template == "live.html":
                return RedirectResponse("/console", 303)
            return self._page(request, "sign_in.html", None, facts={"link": None})

        def read() -> dict[str, object]:
            with self._db.read() as conn:
                return {
                    "seen": overview(conn, self._db.clock()),
                    "suspended": store.suspended(conn),
                    "near": case_store.cases_near_limit(conn, limit=50),
                }

        facts = await _in_thread(read)
        return self._page(request, template, session, facts={**facts, "may_act": _may_act(session)})

    async def find(self, request: Request, id: str) -> Response:  # noqa: A002  the query's own name
        session = await self._session(request)
        if session is None:
            return self._page(request, "sign_in.html", None, facts={"link": None})
        wanted = id.strip()[:100]

        def read() -> dict[str, object]:
            with self._db.read() as conn:
                found = store.find(conn, wanted)
                cases = case_store.load_cases(conn, [found.case_id]) if found.case_id else {}
                shown = views(conn, self._rooms.flows, list(cases.values()))
                history = case_store.events_of(conn, found.case_id) if found.case_id else []
            told = [(type_, at, _event_text(data)) for type_, at, data in history]
            return {
                "view": shown[0] if shown else None,
                "history": told,
                "deliveries": found.deliveries,
                "audit": found.audit,
            }

        return self._page(request, "found.html", session, facts={**await _in_thread(read), "id": wanted})

    # --- acts -----------------------------------------------------------------------------------------------------------

    async def act_on_delivery(
        self, request: Request, delivery_id: str, csrf: FormText, reason: FormText, act: FormText
    ) -> Response:
        """Replay or refuse one suspended delivery."""

        def do(tx: Tx, operator: str) -> None:
            if act == "replay":
                deliveries.replay(tx, delivery_id, operator, reason)
            elif act == "refuse":
                deliveries.refuse(tx, delivery_id, operator, reason, handlers=self._handlers)

        return await self._act(request, csrf, reason, do)

    async def act_on_endpoint(
        self, request: Request, endpoint_id: str, act: str, csrf: FormText, reason: FormText
    ) -> Response:
        """Pause or resume an endpoint."""

        def do(tx: Tx, operator: str) -> None:
            if act == "pause":
                endpoints.pause_endpoint(tx, operator, endpoint_id, reason)
            elif act == "resume":
                endpoints.resume_endpoint(tx, operator, endpoint_id)

        return await self._act(request, csrf, reason, do)

    async def _act(self, request: Request, csrf: str, reason: str, do: Callable[[Tx, str], None]) -> Response:
        session = await self._session(request)
        if session is None or not hmac.compare_digest(session.csrf, csrf):
            return self._page(request, "sign_in.html", None, facts={"link": None}, status=403)
        if not _may_act(session):
            nothing: dict[str, object] = {"id": "", "view": None, "history": [], "deliveries": [], "audit": []}
            return self._page(request, "found.html", session, notice="denied", status=403, facts=nothing)
        if reason.strip():
            # somebody else may have been faster: the page shows how it stands now
            with suppress(deliveries.NotSuspended, deliveries.UnknownDelivery, RegistrationError):
                await _in_thread(lambda: self._db.write(lambda tx: do(tx, f"operator:{session.operator.id}")))
        return RedirectResponse("/console", 303)

    # --- rendering ------------------------------------------------------------------------------------------------------

    async def _session(self, request: Request) -> SessionRow | None:
        token = request.cookies.get(COOKIE)
        return await _in_thread(lambda: self._operators.session(token)) if token else None

    def _with_session(self, answer: Response, signed_in: SignedIn) -> Response:
        answer.set_cookie(
            COOKIE, signed_in.token, path="/console", httponly=True, samesite="strict", secure=self._secure
        )
        return answer

    def _page(
        self,
        request: Request,
        template: str,
        session: SessionRow | None,
        *,
        notice: str | None = None,
        status: int = 200,
        facts: Mapping[str, object] | None = None,
    ) -> Response:
        language: Language = "en" if request.cookies.get(LANGUAGE_COOKIE) == "en" else "zh"
        html = self._templates.get_template(template).render(
            t=lambda key: text(key, language),
            language=language,
            operator=session.operator if session else None,
            csrf=session.csrf if session else "",
            path=request.url.path if request.method == "GET" else "/console",
            notice=text(notice, language) if notice else None,
            **(facts or {}),
        )
        return HTMLResponse(html, status, headers=HEADERS)


def console_router(console: Console) -> APIRouter:
    """Every address of the console."""
    router = APIRouter(prefix="/console", include_in_schema=False)
    pages: dict[str, Callable[..., Awaitable[Response]]] = {
        "": console.overview_page,
        "/live": console.live,
        "/find": console.find,
        "/link/{token}": console.link_page,
        "/password": console.password_page,
    }
    acts: dict[str, Callable[..., Awaitable[Response]]] = {
        "/link/{token}": console.use_link,
        "/sign-in": console.sign_in,
        "/sign-out": console.sign_out,
        "/password": console.set_password,
        "/language": console.language,
        "/deliveries/{delivery_id}": console.act_on_delivery,
        "/endpoints/{endpoint_id}/{act}": console.act_on_endpoint,
    }
    for path, page in pages.items():
        router.add_api_route(path, page, methods=["GET"])
    for path, act in acts.items():
        router.add_api_route(path, act, methods=["POST"])
    return router


def static_files() -> StaticFiles:
    return StaticFiles(directory=Path(str(files("hub.console") / "static")))


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def _may_act(session: SessionRow) -> bool:
    return session.operator.role == Role.SYSTEM


def _local(moment: datetime, pattern: str = "%m-%d %H:%M") -> str:
    return moment.astimezone(SHANGHAI).strftime(pattern)


def _age(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _region(code: str) -> str:
    return REGIONS.get(code).name


def _event_text(data: str) -> str:
    facts = json.loads(data)
    return " · ".join(f"{key}: {value}" for key, value in facts.items() if key not in ("caseId", "messageId") and value)
