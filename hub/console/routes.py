"""The console's pages and acts. Every act is a POST with a token of its session, a reason, and an audit entry."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from hub.access import endpoints
from hub.access.operators import OperatorError, Operators, Role, SignedIn
from hub.access.operators.store import SessionRow
from hub.access.operators.throttle import TooManyTries
from hub.access.registration import RegistrationError
from hub.cases import store as case_store
from hub.cases.progress import Rooms
from hub.cases.views import views
from hub.console import store
from hub.console.entries import lists
from hub.console.guard import guarded
from hub.console.naming import Names
from hub.console.rendering import LANGUAGE_COOKIE, Pages, local_address
from hub.db import Database, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Handlers
from hub.ecerts.items.service import ItemCatalogue
from hub.health.overview import overview
from hub.health.probes import Prober, UnknownEndpoint

COOKIE = "hub_session"
REPLAYED_AT_ONCE = 500
T = TypeVar("T")
Facts = dict[str, object]  # of a template
FormText = Annotated[str, Form(max_length=300)]
Back = Annotated[str, Form(max_length=300)]
_PERSONAL = re.compile(r"\d{15}|\d{17}[\dXx]|[GL]\d{17}[\dXx]")


class TooLate(Exception):
    """The act finds nothing to act on any more."""


class Console:
    """Pages for operators. ``public_url`` is how they reach them; with https, cookies are for https only."""

    def __init__(
        self, db: Database, rooms: Rooms, handlers: Handlers, operators: Operators, prober: Prober, items: ItemCatalogue,
        *, public_url: str,
    ) -> None:  # fmt: skip
        self._db = db
        self._handlers = handlers
        self._rooms = rooms
        self._operators = operators
        self._prober = prober
        self.public_url = public_url
        self._secure = public_url.startswith("https")
        self.names = Names(db, operators, items)
        self.pages = Pages(rooms.flows)

    # --- signing in -----------------------------------------------------------------------------------------------------

    async def link_page(self, request: Request, token: str) -> Response:
        """A GET must not use the link up: mail scanners and previews follow links."""
        return self.pages.page(request, "sign_in.html", None, facts={"link": token})

    async def use_link(self, request: Request, token: str) -> Response:
        signed_in = await in_thread(lambda: self._operators.sign_in_by_link(token))
        if signed_in is None:
            return self.sign_in_page(request, "sign-in-refused", 403)
        return self._with_session(RedirectResponse("/console/password", 303), signed_in)

    async def sign_in(self, request: Request, name: FormText, password: FormText) -> Response:
        try:
            signed_in = await in_thread(lambda: self._operators.sign_in_by_password(name, password))
        except TooManyTries as many:
            answer = self.sign_in_page(request, "too-many-tries", 429)
            answer.headers["Retry-After"] = str(many.wait_s)
            return answer
        if signed_in is None:
            return self.sign_in_page(request, "sign-in-refused", 403)
        return self._with_session(RedirectResponse("/console", 303), signed_in)

    async def sign_out(self, request: Request, csrf: FormText) -> Response:
        session = await self.session(request)
        answer = RedirectResponse("/console", 303)
        if session is None or not fits(session, csrf):
            return answer
        await in_thread(lambda: self._operators.sign_out(request.cookies[COOKIE]))
        answer.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict", secure=self._secure)
        return answer

    async def password_page(self, request: Request) -> Response:
        session = await self.session(request)
        return self.pages.page(request, "password.html", session) if session else self.sign_in_page(request)

    async def set_password(self, request: Request, csrf: FormText, password: FormText) -> Response:
        session = await self.session(request)
        if session is None or not fits(session, csrf):
            return self.sign_in_page(request, "session-over", 403)
        token = request.cookies[COOKIE]
        try:
            await in_thread(lambda: self._operators.set_password(session.operator, password, token=token))
        except OperatorError:
            return self.pages.page(request, "password.html", session, notice="set-password-help", status=422)
        return RedirectResponse("/console?notice=notice-saved", 303)

    async def language(self, language: FormText, back: Back) -> Response:
        answer = RedirectResponse(local_address(back), 303)
        chosen = "en" if language == "en" else "zh"
        answer.set_cookie(LANGUAGE_COOKIE, chosen, max_age=31_536_000, path="/console", samesite="strict", httponly=True,
                          secure=self._secure)  # fmt: skip
        return answer

    # --- pages ----------------------------------------------------------------------------------------------------------

    async def overview_page(self, request: Request) -> Response:
        session = await self.session(request)
        return await self._overview(request, session, "overview.html") if session else self.sign_in_page(request)

    async def live(self, request: Request) -> Response:
        """The part of the overview that changes, for the page's own refresh: an operator who is away still times out."""
        session = await self.session(request, active=False)
        if session is None:
            return Response(status_code=401)
        return await self._overview(request, session, "live.html")

    async def _overview(self, request: Request, session: SessionRow, template: str) -> Response:
        def read() -> Facts:
            with self._db.read() as conn:
                facts: Facts = {
                    "seen": overview(conn, self._db.clock()),
                    "suspended": store.suspended(conn),
                    "suspended_total": store.suspended_total(conn),
                    "near": case_store.cases_near_limit(conn, limit=50),
                }
            return facts | self.names.facts()

        return self.pages.page(request, template, session, facts={**await in_thread(read), "may_act": may_act(session)})

    async def find(self, request: Request, id: str = "") -> Response:  # noqa: A002  the query's own name
        session = await self.session(request)
        if session is None:
            return self.sign_in_page(request)
        wanted = id.strip()[:100]
        if _PERSONAL.fullmatch(wanted):
            return self._found(request, session, "", "no-personal", 400)

        def read() -> Facts:
            around = self.names.around()
            with self._db.read() as conn:
                found = store.find(conn, wanted)
                one = found.case_ids if len(found.case_ids) == 1 else []
                kept = lists.find(conn, wanted, one, around)
                cases = case_store.load_cases(conn, one)
                shown = views(conn, self._rooms.flows, list(cases.values()))
                all_health = () if found.case_ids else overview(conn, self._db.clock()).endpoints
                health = next((e for e in all_health if e.id == wanted), None)
                facts: Facts = {
                    "view": shown[0] if shown else None,
                    "entries": kept,
                    "history": case_store.events_of(conn, one[0]) if one else [],
                    "case_ids": found.case_ids,
                    "deliveries": found.deliveries,
                    "audit": found.audit,
                    "endpoint": health,
                    "now": self._db.clock(),
                    "may_act": may_act(session),
                    "id": wanted,
                }
            return facts | self.names.facts()

        return self.pages.page(request, "found.html", session, facts=await in_thread(read))

    async def list_entries(self, request: Request, name: str, before: str = "") -> Response:
        """What a room of e-certificates keeps, newest first; items by code."""
        session = await self.session(request)
        if session is None:
            return self.sign_in_page(request)
        listing = lists.LISTINGS.get(name)
        if listing is None:
            return self._found(request, session, "", "found-none", 404)

        def read() -> Facts:
            around = self.names.around()
            with self._db.read() as conn:
                shown = lists.page(conn, listing, around, before=before[:100])
            return {"shown": shown, "listing": listing, "listings": list(lists.LISTINGS), **self.names.facts()}

        return self.pages.page(request, "listing.html", session, facts=await in_thread(read))

    def _found(self, request: Request, session: SessionRow, wanted: str, notice: str, status: int) -> Response:
        """The page of an id with nothing on it but a notice."""
        nothing: Facts = {
            "view": None,
            "entries": [],
            "history": [],
            "case_ids": [],
            "deliveries": [],
            "audit": [],
            "endpoint": None,
        }
        facts = {**nothing, "now": self._db.clock(), "may_act": False, "id": wanted}
        return self.pages.page(request, "found.html", session, notice=notice, status=status, facts=facts)

    async def audit(
        self, request: Request, before: int | None = None, actor: str = "", action: str = "", object: str = ""  # noqa: A002
    ) -> Response:  # fmt: skip
        """The audit log, for the audit administrator alone."""
        session = await self.session(request)
        if session is None:
            return self.sign_in_page(request)
        if session.operator.role != Role.AUDIT:
            return self._found(request, session, "", "denied", 403)
        asked = {"actor": actor.strip()[:100], "action": action.strip()[:64], "object_id": object.strip()[:100]}

        def read() -> Facts:
            with self._db.read() as conn:
                log = store.audit_page(conn, before=before, **asked)
            return {"log": log, **self.names.facts(), **asked}

        return self.pages.page(request, "audit.html", session, facts=await in_thread(read))

    # --- acts -----------------------------------------------------------------------------------------------------------

    async def act_on_delivery(
        self, request: Request, delivery_id: str, csrf: FormText, reason: FormText, act: FormText, back: Back = ""
    ) -> Response:
        """Replay or refuse one suspended delivery."""

        def replay(tx: Tx, operator: str) -> None:
            deliveries.replay(tx, delivery_id, operator, reason)

        def refuse(tx: Tx, operator: str) -> None:
            deliveries.refuse(tx, delivery_id, operator, reason, handlers=self._handlers)

        return await self._act(request, csrf, reason, back, {"replay": replay, "refuse": refuse}.get(act))

    async def act_on_endpoint(
        self, request: Request, endpoint_id: str, csrf: FormText, act: FormText, reason: FormText = "", back: Back = ""
    ) -> Response:
        """Pause or resume an endpoint, replay everything suspended of it, or probe it now (which needs no reason)."""

        def pause(tx: Tx, operator: str) -> None:
            endpoints.pause_endpoint(tx, operator, endpoint_id, reason)

        def resume(tx: Tx, operator: str) -> None:
            endpoints.resume_endpoint(tx, operator, endpoint_id, reason)

        def replay_all(tx: Tx, operator: str) -> None:
            waiting = store.suspended_of(tx.conn, endpoint_id, limit=REPLAYED_AT_ONCE)
            if not waiting:
                raise TooLate(endpoint_id)
            for delivery_id in waiting:
                deliveries.replay(tx, delivery_id, operator, reason)

        if act == "probe":
            return await self._probe(request, endpoint_id, csrf, back)
        acts = {"pause": pause, "resume": resume, "replay-all": replay_all}
        return await self._act(request, csrf, reason, back, acts.get(act))

    async def _probe(self, request: Request, endpoint_id: str, csrf: str, back: str) -> Response:
        allowed = await self._may(request, csrf)
        if isinstance(allowed, Response):
            return allowed
        try:
            probed = await in_thread(lambda: self._prober.probe_now(endpoint_id, f"operator:{allowed.operator.id}"))
        except UnknownEndpoint:
            return _back(back, "notice-too-late")
        return _back(back, f"notice-{probed.seen.value}")

    async def _act(
        self, request: Request, csrf: str, reason: str, back: str, do: Callable[[Tx, str], None] | None
    ) -> Response:
        allowed = await self._may(request, csrf)
        if isinstance(allowed, Response):
            return allowed
        if not reason.strip():
            return _back(back, "notice-reason")
        if do is None:
            return _back(back, "notice-too-late")
        operator = f"operator:{allowed.operator.id}"
        try:
            await in_thread(lambda: self._db.write(lambda tx: do(tx, operator)))
        except (deliveries.NotSuspended, deliveries.UnknownDelivery, RegistrationError):
            return _back(back, "notice-too-late")  # somebody else was faster: the page shows how it stands now
        except TooLate:
            return _back(back, "notice-nothing")
        return _back(back, "notice-done")

    async def _may(self, request: Request, csrf: str) -> SessionRow | Response:
        """The session, if it may act; else the page that says why not."""
        session = await self.session(request)
        if session is None or not fits(session, csrf):
            return self.sign_in_page(request, "session-over", 403)
        return session if may_act(session) else self._found(request, session, "", "denied", 403)

    # --- sessions -------------------------------------------------------------------------------------------------------

    async def session(self, request: Request, *, active: bool = True) -> SessionRow | None:
        token = request.cookies.get(COOKIE)
        return await in_thread(lambda: self._operators.session(token, active=active)) if token else None

    def sign_in_page(self, request: Request, notice: str | None = None, status: int = 200) -> Response:
        return self.pages.page(request, "sign_in.html", None, facts={"link": None}, notice=notice, status=status)

    def _with_session(self, answer: Response, signed_in: SignedIn) -> Response:
        answer.set_cookie(
            COOKIE, signed_in.token, path="/console", httponly=True, samesite="strict", secure=self._secure
        )
        return answer


def console_router(console: Console) -> APIRouter:
    """Every address of the console; the page that verifies files is in ``verifying.py``."""
    router = APIRouter(prefix="/console", include_in_schema=False, route_class=guarded(console.public_url))
    pages: dict[str, Callable[..., Awaitable[Response]]] = {
        "": console.overview_page,
        "/live": console.live,
        "/find": console.find,
        "/audit": console.audit,
        "/lists/{name}": console.list_entries,
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
        "/endpoints/{endpoint_id}": console.act_on_endpoint,
    }
    for path, page in pages.items():
        router.add_api_route(path, page, methods=["GET"])
    for path, act in acts.items():
        router.add_api_route(path, act, methods=["POST"])
    return router


def static_files() -> StaticFiles:
    return StaticFiles(directory=Path(str(files("hub.console") / "static")))


async def in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def fits(session: SessionRow, csrf: str) -> bool:
    """Whether a form came from a page of this session."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode(errors="replace"))


def may_act(session: SessionRow) -> bool:
    return session.operator.role == Role.SYSTEM


def _back(address: str, notice: str) -> Response:
    """To the page that the act came from, which tells how it went."""
    local = local_address(address)
    return RedirectResponse(f"{local}{'&' if urlsplit(local).query else '?'}notice={notice}", 303)
