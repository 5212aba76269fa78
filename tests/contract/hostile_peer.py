"""A real TCP server that misbehaves exactly as told: what no HTTP framework lets one send.

Each behaviour is one function over an accepted socket; it runs in a thread of its own and may do anything, also hang.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from types import TracebackType
from typing import Self

Behaviour = Callable[["HostilePeer", socket.socket], None]

DRIP_S = 0.1


class HostilePeer:
    """Listens on loopback; every connection meets the behaviour. ``closing`` ends what hangs."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        with sock:
            try:
                self._behaviour(self, sock)
            except OSError:
                return  # the caller has gone, as it should

    def read_request(self, sock: socket.socket) -> bytes:
        """Head and body of one request with Content-Length."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(sock)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += _more(sock)
        return head + b"\r\n\r\n" + body


def _more(sock: socket.socket) -> bytes:
    """A caller that goes away in the middle ends the reading: else this thread would run, and slow all others, for ever."""
    data = sock.recv(65536)
    if not data:
        raise ConnectionError
    return data


def answer(
    body: bytes, *, status: str = "200 OK", media_type: str = "application/json", headers: str = ""
) -> Behaviour:
    """A well-formed answer with these bytes."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"

    def behave(peer: HostilePeer, sock: socket.socket) -> None:
        while True:
            peer.read_request(sock)
            sock.sendall(head.encode() + body)

    return behave


def raw(data: bytes) -> Behaviour:
    """These bytes after the request, then the end."""

    def behave(peer: HostilePeer, sock: socket.socket) -> None:
        peer.read_request(sock)
        sock.sendall(data)

    return behave


def reset(sock: socket.socket) -> None:
    """RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# --- hanging and dripping -------------------------------------------------------------------------------------------------


def hang_before_reading(peer: HostilePeer, _: socket.socket) -> None:
    peer.closing.wait(30)


def hang_after_reading(peer: HostilePeer, sock: socket.socket) -> None:
    peer.read_request(sock)
    peer.closing.wait(30)


def _drip(peer: HostilePeer, sock: socket.socket, start: bytes, unit: bytes) -> None:
    peer.read_request(sock)
    sock.sendall(start)
    while not peer.closing.wait(DRIP_S):
        sock.sendall(unit)


def drip_status_line(peer: HostilePeer, sock: socket.socket) -> None:
    _drip(peer, sock, b"HTTP/1.1 200 ", b"O")


def drip_headers(peer: HostilePeer, sock: socket.socket) -> None:
    _drip(peer, sock, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")


def drip_body(peer: HostilePeer, sock: socket.socket) -> None:
    _drip(peer, sock, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")


def drip_chunks(peer: HostilePeer, sock: socket.socket) -> None:
    _drip(peer, sock, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")


def drip_continue(peer: HostilePeer, sock: socket.socket) -> None:
    _drip(peer, sock, b"", b"HTTP/1.1 100 Continue\r\n\r\n")


# --- too much -------------------------------------------------------------------------------------------------------------


def _pour(peer: HostilePeer, sock: socket.socket, start: bytes, unit: bytes) -> None:
    peer.read_request(sock)
    sock.sendall(start)
    while not peer.closing.is_set():
        sock.sendall(unit)


def endless_header_line(peer: HostilePeer, sock: socket.socket) -> None:
    _pour(peer, sock, b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536)


def endless_headers(peer: HostilePeer, sock: socket.socket) -> None:
    _pour(peer, sock, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000)


def endless_body(peer: HostilePeer, sock: socket.socket) -> None:
    _pour(peer, sock, b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536)


def endless_chunks(peer: HostilePeer, sock: socket.socket) -> None:
    _pour(peer, sock, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n")


def endless_trailers(peer: HostilePeer, sock: socket.socket) -> None:
    _pour(peer, sock, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000)


def gzip_bomb() -> Behaviour:
    packer = zlib.compressobj(9, wbits=31)
    zeros = b" " * 1024 * 1024
    body = b"".join(packer.compress(zeros) for _ in range(200)) + packer.flush()  # 200 MiB in 200 KiB
    return answer(body, headers="Content-Encoding: gzip\r\n")


# --- breaking off -----------------------------------------------------------------------------------------------------------


def reset_at_once(_: HostilePeer, sock: socket.socket) -> None:
    sock.recv(1)
    reset(sock)


def reset_after_request(peer: HostilePeer, sock: socket.socket) -> None:
    peer.read_request(sock)
    reset(sock)


def reset_in_body(peer: HostilePeer, sock: socket.socket) -> None:
    peer.read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    time.sleep(0.05)
    reset(sock)


# behaviour -> (with effect, without): "unknown", "retry", "misconfigured", "refused"; the class that it must become
UNKNOWN = ("unknown", "retry")
RETRY = ("retry", "retry")
MISCONFIGURED = ("misconfigured", "misconfigured")

TRANSPORT: dict[str, tuple[Behaviour, tuple[str, str]]] = {
    "hang-before-reading": (hang_before_reading, UNKNOWN),
    "hang-after-reading": (hang_after_reading, UNKNOWN),
    "drip-status-line": (drip_status_line, UNKNOWN),
    "drip-headers": (drip_headers, UNKNOWN),
    "drip-body": (drip_body, UNKNOWN),
    "drip-chunks": (drip_chunks, UNKNOWN),
    "drip-continue": (drip_continue, UNKNOWN),
    "endless-header-line": (endless_header_line, UNKNOWN),
    "endless-headers": (endless_headers, UNKNOWN),
    "endless-body": (endless_body, UNKNOWN),
    "endless-chunks": (endless_chunks, UNKNOWN),
    "endless-trailers": (endless_trailers, UNKNOWN),
    "announced-too-large": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), UNKNOWN),
    "gzip-bomb": (gzip_bomb(), UNKNOWN),
    "gzip-broken": (answer(b"no gzip", headers="Content-Encoding: gzip\r\n"), UNKNOWN),
    "gzip-cut-off": (answer(gzip.compress(b"{}" * 99)[:20], headers="Content-Encoding: gzip\r\n"), UNKNOWN),
    "encoding-unknown": (answer(b"{}", headers="Content-Encoding: br\r\n"), UNKNOWN),
    "reset-at-once": (reset_at_once, UNKNOWN),
    "reset-after-request": (reset_after_request, UNKNOWN),
    "reset-in-body": (reset_in_body, UNKNOWN),
    "empty": (raw(b""), UNKNOWN),
    "no-http": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), UNKNOWN),
    "bad-status": (raw(b"HTTP/1.1 abc OK\r\n\r\n"), UNKNOWN),
    "truncated": (raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"code"'), UNKNOWN),
    "truncated-chunk": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{"), UNKNOWN),
    "bad-chunk": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"), UNKNOWN),
    "status-500": (answer(b"oops", status="500 X", media_type="text/plain"), UNKNOWN),
    "status-502": (answer(b"<html>", status="502 X", media_type="text/html"), UNKNOWN),
    "status-429": (answer(b"", status="429 X", headers="Retry-After: 7\r\n"), RETRY),
    "status-503": (answer(b"", status="503 X", headers="Retry-After: 7\r\n"), RETRY),
    "status-503-date": (
        answer(b"", status="503 X", headers=f"Retry-After: {formatdate(time.time() + 3600, usegmt=True)}\r\n"),
        RETRY,
    ),
    "status-302": (answer(b"", status="302 X", headers="Location: http://127.0.0.1:1/elsewhere\r\n"), MISCONFIGURED),
    "status-401": (answer(b"", status="401 X"), MISCONFIGURED),
    "status-403": (answer(b"", status="403 X"), MISCONFIGURED),
}

# Answers that are HTTP and nothing else that they should be; only for calls that read the answer.
BODIES: dict[str, Behaviour] = {
    "nothing": answer(b""),
    "html": answer("<html><body>系统维护中</body></html>".encode(), media_type="text/html"),
    "json-bomb": answer(b"[" * 200_000),
    "json-deep-object": answer(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "json-huge-number": answer(b'{"code":' + b"9" * 50_000 + b"}"),
    "json-list": answer(b"[]"),
    "json-null": answer(b"null"),
    "json-wrong-types": answer(json.dumps({"code": 0, "head": [], "data": "x"}).encode()),
    "json-bad-utf8": answer(b'{"code":"\xff\xfe"}'),
    "json-lone-surrogate": answer(b'{"code":"\\ud800"}'),
    "xml-bomb": answer(
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
        + b"".join(b'<!ENTITY b%d "%s">' % (n, b"&b%d;" % (n - 1) * 10 if n else b"&b;" * 10) for n in range(9))
        + b"]><a>&b8;</a>",
        media_type="text/xml; charset=utf-8",
    ),
    "xml-external": answer(
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>',
        media_type="text/xml",
    ),
    "xml-deep": answer(b"<a>" * 100_000, media_type="text/xml"),
    "xml-truncated": answer(
        b'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>', media_type="text/xml"
    ),
    "xml-bad-encoding": answer(b'<?xml version="1.0" encoding="no-such"?><a/>', media_type="text/xml"),
}
