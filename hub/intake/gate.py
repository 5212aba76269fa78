"""What every message passes on its way in, REST or SOAP (size, identity, rate, replay), and every refusal on its way out."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from lxml import etree
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hub.access import replay
from hub.access.callers import Caller
from hub.access.identity import Identifier, Identity, Incoming
from hub.access.tls_auth import PeerCertificates
from hub.db import Database, DatabaseBusy, DatabaseNotWritable
from hub.ids import new_id
from hub.intake.limits import RateLimiter, read_body
from hub.intake.refusals import RefusalLog
from schemas.problems import HUB_BUSY, HUB_FAULT, MESSAGE_REPLAYED, HubProblem

INLINE_BYTES = 32 * 1024  # larger messages are verified and parsed in a thread, so that they hold nobody up
BUSY_RETRY_S = 2
FAULT_RETRY_S = 30
PURGE_EVERY_S = 60.0

log = structlog.get_logger("hub.intake")

# operation, outcome (a problem code or "accepted"), seconds
Observer = Callable[[str, str, float], None]


def _observe_nothing(operation: str, outcome: str, seconds: float) -> None:
    return


@dataclass(slots=True)
class Exchange:
    """One request while it is handled. ``id`` is the request id and, if it is refused, the problem id."""

    request: Request
    operation: str
    query: frozenset[str] = frozenset()  # the query parameters that the operation has
    id: str = field(default_factory=lambda: new_id("req"))
    started: float = field(default_factory=time.perf_counter)
    body: bytes = b""
    identity: Identity | None = None


class Gate:
    """Everything that intake asks of a message before anybody reads what it says."""

    def __init__(
        self,
        *,
        identifier: Identifier,
        peers: PeerCertificates,
        db: Database,
        refusals: RefusalLog,
        limiter: RateLimiter,
        max_body: int,
        public_url: str | None,
        observe: Observer | None = None,
    ) -> None:
        self._identifier = identifier
        self._peers = peers
        self._db = db
        self._purge_due = time.monotonic()
        self._refusals = refusals
        self._limiter = limiter
        self._public_url = public_url.rstrip("/") if public_url else None
        self._observe = observe or _observe_nothing
        self.max_body = max_body

    def now(self) -> datetime:
        return self._db.clock()

    async def read(self, exchange: Exchange) -> bytes:
        exchange.body = await read_body(exchange.request, self.max_body)
        return exchange.body

    async def admit(self, exchange: Exchange, envelope: etree._Element | None = None) -> Identity:
        """Who sent the message that was read, or HubProblem. ``envelope`` if a WS-Security header is to be verified.

        Owed by whoever handles it: that it is no replay. What has effects commits ``caller.nonces`` with them
        (:func:`hub.access.replay.used`); what only reads calls :meth:`remember` first.
        """
        incoming = self._incoming(exchange.request, exchange.body, envelope)
        if len(exchange.body) > INLINE_BYTES:
            identity = await asyncio.to_thread(self._identifier.identify, incoming)
        else:
            identity = self._identifier.identify(incoming)
        exchange.identity = identity
        self._limiter.require(identity.caller.system_id)
        if time.monotonic() >= self._purge_due:
            self._purge_due = time.monotonic() + PURGE_EVERY_S
            self._db.submit(replay.purge, None)
        return identity

    def foresee(self, exchange: Exchange) -> Caller:
        """Who is about to send a large body, told by the head alone: nobody unknown has it read. :meth:`admit` is still owed.

        The signature of the head is verified here, the digest that it covers when the body is there.
        """
        exchange.identity = self._identifier.identify(self._incoming(exchange.request, None, None))
        return exchange.identity.caller

    def _incoming(self, request: Request, body: bytes | None, envelope: etree._Element | None) -> Incoming:
        return Incoming(
            method=request.method,
            url=self.url_of(request),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]],
            body=body,
            now=self._db.clock(),
            tls_certificate=self._peers.of(request.scope),
            envelope=envelope,
        )

    async def remember(self, identity: Identity) -> None:
        """For a message without effects: HubProblem(MESSAGE_REPLAYED) if its signature was used before."""
        if not identity.caller.nonces:
            return
        used: Future[bool] = self._db.submit(replay.used, identity.caller.nonces)
        if await asyncio.wrap_future(used):
            raise HubProblem(MESSAGE_REPLAYED)

    def base_url(self, request: Request) -> str:
        """How the caller reaches the hub: the public URL if one is set, else as this request was addressed."""
        if self._public_url is not None:
            return self._public_url
        host = request.headers.get("host") or "localhost"
        return f"{request.scope['scheme']}://{host}"

    def url_of(self, request: Request) -> str:
        """The absolute URL that a signature covers (RFC 9421, 2.2.2), with the path as it was sent."""
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope["query_string"]
        target = path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        return self.base_url(request) + target

    async def run(
        self,
        exchange: Exchange,
        work: Callable[[Exchange], Awaitable[Response]],
        render: Callable[[Exchange, HubProblem], Response],
    ) -> Response:
        """``work``'s response, or the rendering of whatever stopped it; every refusal is logged and audited."""
        try:
            response = await work(exchange)
        except HubProblem as problem:
            return self._refuse(exchange, problem, render)
        except DatabaseNotWritable:
            return self._refuse(
                exchange, HubProblem(HUB_BUSY, "database-not-writable", retry_after_s=FAULT_RETRY_S), render
            )
        except DatabaseBusy:
            return self._refuse(exchange, HubProblem(HUB_BUSY, retry_after_s=BUSY_RETRY_S), render)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except (OperationalError, InterfaceError) as error:  # the database is away
            log.error(  # noqa: TRY400  the message of a database error quotes values
                "database", request=exchange.id, operation=exchange.operation, error=type(error.orig).__name__
            )
            return self._refuse(exchange, HubProblem(HUB_BUSY, retry_after_s=BUSY_RETRY_S), render)
        except Exception as error:  # noqa: BLE001  a bug of ours: told as such, with its place but not its message
            place = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
            log.error(  # noqa: TRY400  the message of an unknown error may quote values
                "bug", request=exchange.id, operation=exchange.operation, error=type(error).__name__, place=place
            )
            return self._refuse(exchange, HubProblem(HUB_FAULT, retry_after_s=FAULT_RETRY_S), render)
        response.headers["X-Request-Id"] = exchange.id
        self._observe(exchange.operation, "accepted", time.perf_counter() - exchange.started)
        return response

    def _refuse(
        self, exchange: Exchange, problem: HubProblem, render: Callable[[Exchange, HubProblem], Response]
    ) -> Response:
        client = exchange.request.client
        self._refusals.record(
            problem,
            problem_id=exchange.id,
            operation=exchange.operation,
            system_id=exchange.identity.caller.system_id if exchange.identity else None,
            address=client.host if client else "",
        )
        self._observe(exchange.operation, problem.kind.code, time.perf_counter() - exchange.started)
        return render(exchange, problem)
