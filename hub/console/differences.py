"""对账差异: what the last reconciliations of collecting found, and the one button that repairs it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from hub.console.guard import guarded
from hub.console.routes import Console, FormText, fits, in_thread, may_act
from hub.db import AuditEntry, Database
from hub.ecerts.collect.model import Difference
from hub.ecerts.collect.reconciling import store
from hub.ecerts.collect.reconciling.compare import Reconciler
from hub.logs import mask

PATH = "/console/differences"
LISTED = 200


def differences_router(console: Console, db: Database, reconciler: Reconciler) -> APIRouter:
    """Everybody signed in may look; a system administrator repairs, with a reason."""
    router = APIRouter(include_in_schema=False, route_class=guarded(console.public_url))

    async def show(request: Request) -> Response:
        session = await console.session(request)
        if session is None:
            return console.sign_in_page(request)

        def read() -> dict[str, object]:
            with db.read() as conn:
                libraries, left = store.reconciliations(conn), store.open_differences(conn)
            listed = {
                one.endpoint_id: sorted(reconciler.listed(one.endpoint_id, LISTED), key=_place) for one in libraries
            }
            facts = {"libraries": libraries, "left": left, "listed": listed, "may_act": may_act(session)}
            return facts | console.names.facts()

        return console.pages.page(request, "differences.html", session, facts=await in_thread(read))

    async def act(
        request: Request, csrf: FormText, endpoint: FormText, act: FormText, reason: FormText = ""
    ) -> Response:
        session = await console.session(request)
        if session is None or not fits(session, csrf):
            return console.sign_in_page(request, "session-over", 403)
        if not may_act(session):
            return RedirectResponse(f"{PATH}?notice=notice-too-late", 303)
        if not reason.strip():
            return RedirectResponse(f"{PATH}?notice=notice-reason", 303)
        actor = f"operator:{session.operator.id}"

        def work() -> str:
            with db.read() as conn:
                if endpoint not in {one.endpoint_id for one in store.reconciliations(conn)}:
                    return "notice-nothing"
            entry = AuditEntry(actor, f"collect.{act}", endpoint, "asked", {"reason": mask(reason)[:300]})
            db.write(lambda tx: tx.audit.append(entry))
            if act == "reconcile":
                return "notice-ill" if reconciler.of(endpoint, actor=actor).error else "notice-done"
            done = reconciler.repair(endpoint, adopt=act == "adopt", actor=actor)
            return "notice-done" if done.sent + done.adopted else "notice-nothing"

        if act not in ("reconcile", "repair", "adopt"):
            return RedirectResponse(f"{PATH}?notice=notice-too-late", 303)
        return RedirectResponse(f"{PATH}?notice={await in_thread(work)}", 303)

    router.add_api_route(PATH, show, methods=["GET"])
    router.add_api_route(PATH, act, methods=["POST"])
    return router


def _place(one: Difference) -> tuple[str, int, str]:
    """As its system finds it: by batch and row."""
    return one.collection or "", one.row or 0, one.identifier
