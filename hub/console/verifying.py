"""验证文件: an operator drops a file and reads the verdict, axis by axis. It stays in memory and is forgotten with the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from certs.render import report_to_html
from certs.report import Report
from hub.access.operators.store import SessionRow
from hub.console.guard import UPLOAD, guarded
from hub.console.rendering import language_of
from hub.console.routes import Console, fits, in_thread
from hub.db import AuditEntry, Database
from hub.ecerts.verifier import Verifier
from hub.working_days import SHANGHAI
from schemas.problems import HubProblem

FRAME_BYTES = 64 * 1024  # what multipart adds to the file, and the other fields


class _TooLarge(Exception):
    """The upload is larger than a document may be."""


class _InMemory(MultiPartParser):
    """A file never goes to a disk, not even to a temporary one."""

    spool_max_size = 2**31


def verify_router(console: Console, db: Database, verifier: Verifier, *, max_document: int) -> APIRouter:
    """The page and its upload. The session is known before a byte of the file is read."""
    router = APIRouter(include_in_schema=False, route_class=guarded(console.public_url))

    def page(
        request: Request, session: SessionRow, notice: str | None = None, status: int = 200, report: Report | None = None,
        name: str = "",
    ) -> Response:  # fmt: skip
        # everything in the fragment is escaped by report_to_html
        shown = Markup(report_to_html(report, language=language_of(request))) if report is not None else None  # noqa: S704
        facts = {"report": shown, "name": name, "policies": verifier.policies, "limit_mb": max_document // 2**20,
                 "default": verifier.default}  # fmt: skip
        return console.pages.page(request, "verify.html", session, notice=notice, status=status, facts=facts)

    async def show(request: Request) -> Response:
        session = await console.session(request)
        return page(request, session) if session else console.sign_in_page(request)

    async def verify(request: Request) -> Response:
        session = await console.session(request)
        if session is None:
            return console.sign_in_page(request, "session-over", 403)
        try:
            form = await _InMemory(
                request.headers,
                _limited(request, max_document + FRAME_BYTES),
                max_files=1,
                max_fields=4,
                max_part_size=1024,
            ).parse()
        except _TooLarge:
            return page(request, session, "verify-too-large", 413)
        except (MultiPartException, KeyError):
            return page(request, session, "verify-missing", 400)
        csrf, file, policy = form.get("csrf"), form.get("file"), form.get("policy")
        if not isinstance(csrf, str) or not fits(session, csrf):
            return console.sign_in_page(request, "session-over", 403)
        document = await file.read() if isinstance(file, UploadFile) else b""
        await form.close()
        if not isinstance(file, UploadFile) or not document:
            return page(request, session, "verify-missing", 400)
        if len(document) > max_document:
            return page(request, session, "verify-too-large", 413)
        at = _moment(form.get("at"), db.clock())
        if at is None:
            return page(request, session, "verify-bad-time", 400)
        chosen = policy if isinstance(policy, str) and policy in verifier.policies else None
        try:
            report = await verifier.verify_for(f"operator:{session.operator.id}", document, policy=chosen, at=at)
        except HubProblem:  # no place
            return page(request, session, "verify-busy", 503)
        entry = AuditEntry(
            f"operator:{session.operator.id}", "document.verify", report.digest_sha256, report.indication.value,
            {"policy": report.policy, "format": report.format},
        )  # fmt: skip
        await in_thread(lambda: db.write(lambda tx: tx.audit.append(entry)))
        return page(request, session, report=report, name=(file.filename or "")[:200])

    router.add_api_route(UPLOAD, show, methods=["GET"])
    router.add_api_route(UPLOAD, verify, methods=["POST"])
    return router


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _TooLarge
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _TooLarge
        yield chunk


def _moment(given: object, now: datetime) -> datetime | None:
    """The browser's ``datetime-local``, read as Asia/Shanghai; now if it is empty, None if it cannot be read."""
    if not isinstance(given, str) or not given.strip():
        return now
    try:
        moment = datetime.fromisoformat(given.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
