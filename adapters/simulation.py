"""What all simulators share: a server that fails on demand, and counts what it did in the name of each idempotency key.

A simulator is a real server of its dialect in its own process. It listens on two ports: the dialect's, and a control port on
which tests, the demo and partners ask for faults and for counts, also while the first is down:

====================================================================  =================================================
``POST /_faults {"mode", "times"?, "seconds"?, "path"?}``             fail the next ``times`` requests, or for ``seconds``,
                                                                      or until told otherwise; only paths that begin so
``GET  /_faults``                                                     what is in force
``GET  /_effects``                                                    ``{"effects": {key: count}, "doubled": [key…]}``
``GET  /_requests``                                                   ``{"total", "requests": [{"method", "path", "key"}]}``
``POST /_forget``                                                     no fault and no counts any more; the e-certificate
                                                                      library also forgets what was pushed to it
====================================================================  =================================================

``listening on http://127.0.0.1:PORT control http://127.0.0.1:CONTROL`` is printed once both ports are open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, cast

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.simulation_faults import Fault, Faulty, Mode, abort
from certs.errors import MessageRefused
from certs.http.signatures import verify_request
from certs.keys import PublicKey
from schemas.transfers import Decision

REQUESTS_KEPT: Final = 20_000
CALLBACK_S: Final = 5.0  # for one try to tell the hub
_CALLBACK_PAUSES: Final = (0.3, 0.6, 1.2, 2.5, 5.0, 10.0, 20.0, 30.0)
MESSAGE_AGE: Final = timedelta(minutes=5)  # how old a signed request may be


class Journal:
    """Lines of JSON in a file, so that what was done is known after the simulator itself was killed; without a path, nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
            whole = path.read_bytes()
            os.ftruncate(self._file, whole.rfind(b"\n") + 1)  # a last line that the kill cut off

    def clear(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)

    def append(self, entry: Mapping[str, object]) -> None:
        """In the kernel when this returns: it survives a kill of the process, though not of the machine."""
        if self._file is not None:
            os.write(self._file, json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """All entries, the oldest first."""
        for line in self._path.read_bytes().split(b"\n") if self._path is not None else ():
            if line:
                yield json.loads(line)


class Simulation:
    """The state beside the dialect: the fault in force, effects by key, and the requests that came."""

    def __init__(self, journal: Path | None = None, *, fault_body: Callable[[], tuple[str, bytes]]) -> None:
        """``fault_body`` gives media type and body of a refusal as the dialect wraps it in an HTTP 200."""
        self.journal = Journal(journal)
        self.effects: Counter[str] = Counter()
        self.requests: deque[dict[str, str]] = deque(maxlen=REQUESTS_KEPT)
        self.total = 0
        self.fault = Fault()
        self.fault_body = fault_body
        self.port: _Port | None = None
        self.on_forget: list[Callable[[], None]] = []  # what else a simulator was given
        for entry in self.journal.read():
            if entry.get("kind") == "effect":
                self.effects[entry["key"]] += 1

    def effect(self, key: str) -> int:
        """Count one business effect of ``key``, kept in the journal; gives the count, 1 for the first."""
        self.journal.append({"kind": "effect", "key": key})
        self.effects[key] += 1
        return self.effects[key]

    def came(self, method: str, path: str, key: str) -> None:
        """Note a request; ``key`` is empty where it has none."""
        self.total += 1
        self.requests.append({"method": method, "path": path, "key": key})

    async def forget(self) -> None:
        """As one that was never asked for anything."""
        await self.set_fault({})
        self.journal.clear()
        self.effects.clear()
        self.requests.clear()
        self.total = 0
        for forget in self.on_forget:
            forget()

    async def set_fault(self, wanted: Mapping[str, Any]) -> None:
        """ValueError if ``wanted`` makes no sense."""
        mode = Mode(wanted.get("mode", Mode.NONE))
        seconds, times = wanted.get("seconds"), wanted.get("times")
        until = time.monotonic() + float(seconds) if seconds is not None else None
        self.fault = Fault(
            mode,
            int(times) if times is not None else None,
            until,
            str(wanted.get("path", "/")),
            int(wanted.get("retryAfter", 2)),
        )
        if self.port is None:
            return
        if mode is Mode.DOWN:
            self.port.close()
            if seconds is not None:
                asyncio.get_running_loop().call_later(float(seconds), self._come_back, self.fault)
        else:
            await self.port.open()

    def _come_back(self, fault: Fault) -> None:
        if self.fault is fault and self.port is not None:
            self._opening = asyncio.ensure_future(self.port.open())


def signature_refusal(request: Request, body: bytes, key: PublicKey) -> str | None:
    """Why the HTTP signature of a request is not the hub's; none if it is."""
    try:
        verify_request(
            request.method, str(request.url), request.headers.items(), body,
            now=datetime.now(UTC), max_age=MESSAGE_AGE, resolve_key=lambda _: key,
        )  # fmt: skip
    except MessageRefused as refused:
        return refused.reason
    return None


class Undecided(Protocol):
    """A step as a registry keeps it. ``decision`` is what it will be; told from ``decided`` on."""

    key: str
    decision: Decision
    decided: bool
    cancelled: bool


class Decisions:
    """A registry that decides at once (``after_s`` 0), or after a while and then tells the hub until it has heard.

    ``tell`` says whether the hub has answered for good; it blocks, and is called in a thread. Without it the hub must ask.
    """

    def __init__(self, simulation: Simulation, after_s: float, tell: Callable[[Decision], bool] | None) -> None:
        self._simulation = simulation
        self._after_s = after_s
        self._tell = tell
        self._running: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="callback")

    def begin(self, step: Undecided) -> None:
        """What came new."""
        if self._after_s > 0:
            self._later(step)
        else:
            self._decide(step)

    def resume(self, steps: Iterable[Undecided]) -> None:
        """After a restart: decide what was taken and not decided."""
        for step in steps:
            if not step.decided:
                self._later(step)

    def _decide(self, step: Undecided) -> None:
        step.decided = True
        self._simulation.journal.append({"kind": "decided", "key": step.key})

    def _later(self, step: Undecided) -> None:
        running = asyncio.ensure_future(self._run(step))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, step: Undecided) -> None:
        await asyncio.sleep(self._after_s)
        if step.cancelled:
            return
        self._decide(step)
        if self._tell is None:
            return
        for pause in _CALLBACK_PAUSES:
            if await asyncio.get_running_loop().run_in_executor(self._pool, self._tell, step.decision):
                return
            await asyncio.sleep(pause)


def control_app(simulation: Simulation) -> FastAPI:
    """The control port's application."""
    app = FastAPI(openapi_url=None)

    @app.post("/_faults")
    async def set_fault(request: Request) -> JSONResponse:
        try:
            await simulation.set_fault(await request.json())
        except (ValueError, TypeError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"mode": simulation.fault.mode})

    @app.get("/_faults")
    async def fault() -> dict[str, object]:
        return {"mode": simulation.fault.mode, "times": simulation.fault.times, "path": simulation.fault.path}

    @app.get("/_effects")
    async def effects() -> dict[str, object]:
        return {"effects": simulation.effects, "doubled": [key for key, n in simulation.effects.items() if n > 1]}

    @app.get("/_requests")
    async def requests() -> dict[str, object]:
        return {"total": simulation.total, "requests": list(simulation.requests)}

    @app.post("/_forget")
    async def forget() -> dict[str, object]:
        await simulation.forget()
        return {}

    return app


# --- running --------------------------------------------------------------------------------------------------------------


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol; the transport stands in the scope, for the faults."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        application = cast(ASGIApp, self.app)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})["transport"] = transport
            await application(scope, receive, send)

        self.app = cast("Any", with_transport)


class _Server(uvicorn.Server):
    """A server that ends with exit code 0: uvicorn would raise the signal again at its end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, self, "should_exit", True)
        yield


class _Port:
    """The dialect's port, which closes and opens again."""

    def __init__(self, server: uvicorn.Server, address: tuple[str, int]) -> None:
        self._server = server
        self.address = address
        self._listener: asyncio.Server | None = None

    async def open(self) -> None:
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()
        config, state = self._server.config, self._server.server_state
        self._listener = await loop.create_server(
            lambda: _Protocol(config=config, server_state=state, app_state={}),
            *self.address,
            reuse_address=True,
            backlog=2048,
        )
        self.address = self._listener.sockets[0].getsockname()[:2]

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for protocol in list(self._server.server_state.connections):
            abort(protocol.transport)


def argument_parser(description: str) -> argparse.ArgumentParser:
    """The options that every simulator has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--control-port", type=int, default=0, help="for /_faults, /_effects and /_requests")
    parser.add_argument("--journal", type=Path, help="file in which effects survive a kill of the simulator")
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic population")
    return parser


def run(
    app: ASGIApp,
    simulation: Simulation,
    *,
    host: str,
    port: int,
    control_port: int,
    started: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then return. ``started`` is called on the event loop before the ports open."""
    asyncio.run(_serve(app, simulation, host, port, control_port, started))


async def _serve(
    app: ASGIApp,
    simulation: Simulation,
    host: str,
    port: int,
    control_port: int,
    started: Callable[[], None] | None,
) -> None:
    if started is not None:
        started()
    dialect = uvicorn.Server(_config(Faulty(app, simulation)))
    dialect.config.load()
    control = _Server(_config(control_app(simulation)))
    listener = socket.create_server((host, control_port))
    simulation.port = _Port(dialect, (host, port))
    await simulation.port.open()
    control_url = f"http://{host}:{listener.getsockname()[1]}"
    print(f"listening on http://{host}:{simulation.port.address[1]} control {control_url}", flush=True)
    await control.serve(sockets=[listener])
    simulation.port.close()
    await asyncio.sleep(0.05)  # requests that hung see that their callers have gone, and end


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
