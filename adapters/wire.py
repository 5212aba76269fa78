"""The one HTTP client of all adapters: connections kept, a deadline that holds whatever the peer does, errors by our classes.

It stands on the standard library's http.client, because a hard deadline and "was the first byte sent?" must be known at the socket;
``requests`` knows neither and costs several times as much (docs/decisions has the figures).

What is classed how:

====================================================  ==============================================================
no address, refused, no connection in time            RetryLater; a refused connection is tried again a few times at once
TLS: certificate not trusted, handshake refused       PeerMisconfigured
reset, timeout, unreadable or too large an answer     OutcomeUnknown; RetryLater where the call has no effect
429, 503                                              RetryLater, with the peer's Retry-After
301 … 308, 401, 403, 405, 407, 415, 511               PeerMisconfigured (see :func:`check_status`)
other 5xx                                             OutcomeUnknown; RetryLater where the call has no effect
====================================================  ==============================================================

No redirect is followed, no proxy is taken from the environment, and nothing that was sent or received stands in an error.
"""

from __future__ import annotations

import http.client
import select
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from adapters.contract import AdapterError, Deadline, Endpoint, OutcomeUnknown, PeerMisconfigured, RetryLater
from adapters.sockets import Connection, tls_failure

MAX_BYTES: Final = 4 * 1024 * 1024
KEEP_IDLE_S: Final = (
    4.0  # below the 5 s after which uvicorn and many others close: reusing such a connection is a gamble
)
MAX_RETRY_AFTER_S: Final = 24 * 3600.0
_MISCONFIGURED: Final = frozenset({301, 302, 303, 305, 307, 308, 401, 403, 405, 407, 415, 511})


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer, read whole. Header names are in lower case; of a repeated header, the values are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Wire:
    """Speaks with one endpoint. Used by many threads at once; keeps up to ``max_idle`` connections."""

    def __init__(self, endpoint: Endpoint, *, max_idle: int) -> None:
        """Reads ``base_url`` and :data:`adapters.manifests.WIRE_SETTINGS`; PeerMisconfigured if they cannot work."""
        self._base = _split(endpoint.base_url)
        self._tls = _tls_context(endpoint.settings) if self._base.scheme == "https" else None
        self._max_idle = max_idle
        self._idle: list[tuple[float, Connection]] = []
        self._lock = threading.Lock()
        self._closed = False

    def url(self, path: str = "") -> str:
        """The absolute URL of a path below the base URL; an empty one is ``/``, as the peer will see it (RFC 9421, 2.2.2)."""
        return f"{self._base.scheme}://{self._base.netloc}{self._base.path + path or '/'}"

    def send(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        has_effect: bool,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        max_bytes: int = MAX_BYTES,
    ) -> WireResponse:
        """One request and its whole answer, whatever its status, before ``deadline``.

        ``url`` must lie at the endpoint (see :meth:`url`). ``has_effect`` says whether the peer may have done something when no
        answer comes: then OutcomeUnknown, else RetryLater. Raises only AdapterErrors.
        """
        target = self._target(url)
        connection = self._take() or self._connect(deadline)
        connection.deadline = deadline
        try:
            response = _exchange(connection, method, target, headers or {}, body, max_bytes)
        except (OSError, http.client.HTTPException, _BadAnswer) as error:
            connection.close()
            _raise_after_sending(error, deadline, has_effect)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return response

    def close(self) -> None:
        """Close what is idle; calls under way end by themselves and their connections are not kept."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _target(self, url: str) -> str:
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) != (self._base.scheme, self._base.netloc):
            raise PeerMisconfigured("address-elsewhere", "the address does not lie at the endpoint")
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    # --- connections --------------------------------------------------------------------------------------------------

    def _connect(self, deadline: Deadline) -> Connection:
        return Connection.open(self._base.hostname or "", self._base.port, self._tls, deadline)

    def _take(self) -> Connection | None:
        """An idle connection that the peer has not closed, the most recently used first."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                idle_since, connection = self._idle.pop()
            if time.monotonic() - idle_since < KEEP_IDLE_S and not _readable(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        if connection.sock is None:  # http.client closed it: the peer will not keep it
            return
        with self._lock:
            if not self._closed and len(self._idle) < self._max_idle:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()


def check_status(response: WireResponse, *, has_effect: bool) -> WireResponse:
    """Raise for the statuses that mean the same everywhere; 2xx and the rest of 4xx are for the adapter to read."""
    status = response.status
    if status in (429, 503):
        raise RetryLater(f"http-{status}", retry_after_s=retry_after(response.headers.get("retry-after")))
    if status in _MISCONFIGURED:
        raise PeerMisconfigured(f"http-{status}")
    if status >= 500 or status < 200:
        raise (OutcomeUnknown if has_effect else RetryLater)(f"http-{status}")
    return response


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3: seconds or a date), at most a day; None if there is none."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_S)
    try:
        wanted = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wanted), MAX_RETRY_AFTER_S)


def unreadable(what: str, *, has_effect: bool) -> AdapterError:
    """The error for an answer that makes no sense. ``what`` names the fault, never a value."""
    return (OutcomeUnknown if has_effect else RetryLater)("answer-unreadable", what)


# --- one exchange ---------------------------------------------------------------------------------------------------------


class _BadAnswer(Exception):
    """An answer that came and cannot be used; its text is a code of ours."""


def _exchange(
    connection: Connection, method: str, target: str, headers: Mapping[str, str], body: bytes, max_bytes: int
) -> WireResponse:
    try:
        connection.request(
            method, target, body or None, {"Accept-Encoding": "identity", "User-Agent": "exchange-hub", **headers}
        )
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        # It may have answered before it stopped reading (413, a TLS alert): that says more than the broken pipe.
        if connection.sock is None:
            raise
    answer = connection.getresponse()
    if answer.length is not None and answer.length > max_bytes:
        raise _BadAnswer("answer-too-large")
    content = answer.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _BadAnswer("answer-too-large")
    if answer.length:  # read(n) does not tell that the body ended early
        raise _BadAnswer("answer-truncated")
    found: dict[str, str] = {}
    for header, value in answer.getheaders():
        name = header.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    coding = found.pop("content-encoding", "identity").strip().lower()
    if coding != "identity":
        content = _inflate(content, coding, max_bytes)
    if answer.will_close:
        connection.close()
    return WireResponse(answer.status, found, content)


def _inflate(content: bytes, coding: str, max_bytes: int) -> bytes:
    """We ask for no compression; gateways compress all the same. Never more than ``max_bytes`` come out."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise _BadAnswer("answer-encoding-unknown")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # zlib or gzip, whichever it is
    try:
        plain = inflater.decompress(content, max_bytes + 1)
    except zlib.error:
        raise _BadAnswer("answer-encoding-broken") from None
    if len(plain) > max_bytes:
        raise _BadAnswer("answer-too-large")
    if not inflater.eof or inflater.unused_data:
        raise _BadAnswer("answer-truncated")
    return plain


def _raise_after_sending(error: Exception, deadline: Deadline, has_effect: bool) -> NoReturn:
    """The request was begun: the peer may have acted on it, unless it asked for nothing or never let us in."""
    if isinstance(error, ssl.SSLError) and (refused := tls_failure(error)):
        raise refused from None  # TLS 1.3: the server refuses our certificate after its handshake is done
    if isinstance(error, _BadAnswer):
        code = str(error)
    elif isinstance(error, TimeoutError) or not deadline.remaining():
        code = "timeout"
    elif isinstance(error, OSError | http.client.RemoteDisconnected):
        code = "connection-lost"
    elif isinstance(error, http.client.IncompleteRead):
        code = "answer-truncated"
    else:
        code = "answer-unreadable"
    raise (OutcomeUnknown if has_effect else RetryLater)(code) from None


def _readable(connection: Connection) -> bool:
    """Whether something lies ready to be read: on an idle connection that is the end, or what we never asked for."""
    sock = connection.sock
    if sock is None:
        return True
    try:
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True


# --- settings -------------------------------------------------------------------------------------------------------------


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.rstrip("/"))
        _ = parts.port
    except ValueError:
        raise PeerMisconfigured("address-invalid", "base_url is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise PeerMisconfigured("address-invalid", "base_url must be percent-encoded")
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise PeerMisconfigured("address-invalid", "base_url must be http(s)://host[:port][/path]")
    return parts


def _tls_context(settings: Mapping[str, str]) -> ssl.SSLContext:
    ca, cert, key = (settings.get(name) or None for name in ("ca_file", "client_cert_file", "client_key_file"))
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise PeerMisconfigured("tls-settings", f"ca_file or client certificate: {type(error).__name__}") from None
    return context


def _no_password() -> str:
    raise ValueError("the client key file is encrypted; store it without a password, readable by the hub alone")
