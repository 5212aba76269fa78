"""How a simulated peer fails: the modes, and the ASGI middleware that carries them out at the socket."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OVERSIZE_CHUNK: Final = b"0123456789abcdef" * 4096
_DRIP_S: Final = 0.2


class Mode(StrEnum):
    """How a request fails. ``…-after`` and the modes from SLOW_DRIP on do the work first: the caller cannot know it."""

    NONE = "none"
    DOWN = "down"  # the port is closed, open connections are reset
    RESET = "reset"  # reset when the request has come; nothing is done
    HANG_BEFORE = "hang-before"  # nothing is done, nothing is answered
    HTTP_500 = "http-500"
    STATUS_503_RETRY_AFTER = "status-503-retry-after"
    FAULT_IN_200 = "fault-in-200"  # the dialect's own refusal; nothing is done
    HANG_AFTER = "hang-after"
    RESET_AFTER = "reset-after"
    SLOW_DRIP = "slow-drip"  # one byte of the answer every 0.2 s, from the status line on
    TRUNCATED = "truncated"  # half of the body, then the end
    OVERSIZE = "oversize"  # a body without end


@dataclass(slots=True)
class Fault:
    """What is in force. ``times`` counts down; ``until`` is on the monotonic clock; None in both: until told otherwise."""

    mode: Mode = Mode.NONE
    times: int | None = None
    until: float | None = None
    path: str = "/"
    retry_after_s: int = 2

    def take(self, path: str) -> Mode:
        """The mode for one request, which uses it up by one."""
        if not path.startswith(self.path) or (self.until is not None and time.monotonic() >= self.until):
            return Mode.NONE
        if self.times is not None:
            if self.times <= 0:
                return Mode.NONE
            self.times -= 1
        return self.mode


class Failing(Protocol):
    """What the middleware needs of a simulation."""

    fault: Fault
    fault_body: Callable[[], tuple[str, bytes]]

    def came(self, method: str, path: str, key: str) -> None: ...


class Faulty:
    """ASGI middleware: lets the dialect answer, or fails as the simulation says."""

    def __init__(self, app: ASGIApp, simulation: Failing) -> None:
        self._app = app
        self._simulation = simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        self._simulation.came(scope["method"], scope["path"], headers.get(b"idempotency-key", b"").decode("latin-1"))
        mode = self._simulation.fault.take(scope["path"])
        if mode is Mode.NONE:
            await self._app(scope, receive, send)
        else:
            await self._fail(mode, scope, receive, send)

    async def _fail(self, mode: Mode, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        transport: asyncio.Transport = scope["extensions"]["transport"]
        match mode:
            case Mode.DOWN | Mode.RESET:
                await _reset(transport, receive)
            case Mode.HANG_BEFORE:
                await _until_gone(receive)
            case Mode.HTTP_500:
                await _respond(send, 500, b"text/plain", b"internal error")
            case Mode.STATUS_503_RETRY_AFTER:
                after = str(self._simulation.fault.retry_after_s).encode()
                await _respond(send, 503, b"text/plain", b"busy", (b"retry-after", after))
            case Mode.FAULT_IN_200:
                media_type, fault = self._simulation.fault_body()
                await _respond(send, 200, media_type.encode(), fault)
            case _:
                status, headers, content = await self._work(scope, body)
                await _spoil(mode, status, headers, content, transport, receive, send)

    async def _work(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Let the dialect do its work, and keep its answer from the caller."""
        sent: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, replay, keep)
        start = sent[0]
        return start["status"], list(start["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


async def _spoil(
    mode: Mode,
    status: int,
    headers: list[tuple[bytes, bytes]],
    content: bytes,
    transport: asyncio.Transport,
    receive: Receive,
    send: Send,
) -> None:
    match mode:
        case Mode.HANG_AFTER:
            await _until_gone(receive)
        case Mode.RESET_AFTER:
            await _reset(transport, receive)
        case Mode.SLOW_DRIP:
            head = b"".join(b"%s: %s\r\n" % header for header in headers)
            for octet in b"HTTP/1.1 %d OK\r\n%s\r\n%s" % (status, head, content):
                if transport.is_closing():
                    break
                transport.write(bytes((octet,)))
                await asyncio.sleep(_DRIP_S)
            transport.close()
            await _until_gone(receive)
        case Mode.TRUNCATED:
            head = b"".join(b"%s: %s\r\n" % header for header in headers)
            transport.write(b"HTTP/1.1 %d OK\r\n%s\r\n%s" % (status, head, content[: len(content) // 2]))
            transport.close()
            await _until_gone(receive)
        case Mode.OVERSIZE:
            kept = [header for header in headers if header[0].lower() != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": kept})  # a 204 could have no body
            while not transport.is_closing():
                await send({"type": "http.response.body", "body": _OVERSIZE_CHUNK, "more_body": True})
        case _:
            raise AssertionError(mode)


async def _respond(send: Send, status: int, media_type: bytes, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive) -> bytes:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reset(transport: asyncio.Transport, receive: Receive) -> None:
    abort(transport)
    await _until_gone(receive)


def abort(transport: asyncio.Transport) -> None:
    """With SO_LINGER 0 the kernel sends RST instead of FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
