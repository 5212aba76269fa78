"""/health/live, /health/ready and /metrics: for machines, no personal data, no sign-in."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from hub.db import Database
from hub.health import store
from hub.health.metrics import Metrics


def health_router(db: Database, metrics: Metrics) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "live"})

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        """The database answers and takes what is written: messages can be taken."""
        try:
            writable = await asyncio.wait_for(asyncio.to_thread(_ask, db), timeout=3)
        except (SQLAlchemyError, TimeoutError):
            return JSONResponse({"status": "not-ready", "reason": "database"}, 503)
        if not writable:
            return JSONResponse({"status": "not-ready", "reason": "database-not-writable"}, 503)
        return JSONResponse({"status": "ready"})

    @router.get("/metrics")
    async def read_metrics() -> Response:
        return Response(await asyncio.to_thread(metrics.render), media_type=CONTENT_TYPE_LATEST)

    return router


def _ask(db: Database) -> bool:
    with db.read() as conn:
        store.ping(conn)
    return db.check_writable()
