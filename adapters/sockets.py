"""One connection whose every wait ends at the deadline: name look-up, connecting, TLS, sending, each single read.

A socket's own timeout is per read, so a peer that sends one byte a second would hold a call for ever. Here the time that is left is
set before every read and write.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Final, cast

import tenacity

from adapters.contract import AdapterError, Deadline, PeerMisconfigured, RetryLater

CONNECT_S: Final = 5.0  # a peer that does not answer a SYN for so long is down; the worker is needed elsewhere
REFUSED_ATTEMPTS: Final = 3  # a peer that restarts refuses for a moment
_SEND_CHUNK: Final = 64 * 1024

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]  # as getaddrinfo gives them


class Connection(http.client.HTTPConnection):
    """An open connection; ``deadline`` is set anew for each call."""

    deadline: Deadline

    @classmethod
    def open(cls, host: str, port: int | None, tls: ssl.SSLContext | None, deadline: Deadline) -> Connection:
        """Connected and, with ``tls``, through the handshake. Nothing of a request was sent when this raises."""
        port = port or (443 if tls else 80)
        addresses = _look_up(host, port, deadline)
        sock = _connect(addresses, deadline)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                sock.settimeout(_left(deadline))
                sock = tls.wrap_socket(sock, server_hostname=host)
        except OSError as error:
            sock.close()
            if isinstance(error, ssl.SSLError) and (refused := tls_failure(error)):
                raise refused from None
            raise RetryLater("tls-timeout" if isinstance(error, TimeoutError) else "tls-broken-off") from None
        connection = cls(host, port)
        connection.default_port = 443 if tls else 80  # class attribute in http.client; decides how Host is written
        connection.deadline = deadline
        connection.sock = cast(socket.socket, _DeadlineSocket(sock, connection))
        return connection

    def connect(self) -> None:
        """http.client calls this when the connection was closed: it is never opened a second time by itself."""
        raise ConnectionResetError


class _DeadlineSocket:
    """What http.client uses of a socket: sendall, makefile, close."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self._sock = sock
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(_left(self._connection.deadline))
            view = view[self._sock.send(view[:_SEND_CHUNK]) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._connection), 16 * 1024)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    """Reads of a socket, each within what is left of the deadline. Closing it leaves the socket open."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self._sock = sock
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._connection.deadline))
        return self._sock.recv_into(buffer)


def tls_failure(error: ssl.SSLError) -> AdapterError | None:
    """What an administrator must mend, or None where the connection only broke off."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return PeerMisconfigured("tls-certificate", f"not trusted, verification code {error.verify_code}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return None
    return PeerMisconfigured("tls-failure", (error.reason or type(error).__name__).lower())


def _left(deadline: Deadline) -> float:
    remaining = deadline.remaining()
    if remaining <= 0:
        raise TimeoutError
    return remaining


# --- before anything is sent ----------------------------------------------------------------------------------------------


def _look_up(host: str, port: int, deadline: Deadline) -> Sequence[_Address]:
    """getaddrinfo knows no timeout: it runs in a thread that is left behind when it takes too long."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    answers: queue.SimpleQueue[Sequence[_Address] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="name-look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=min(CONNECT_S, deadline.remaining()))
    except queue.Empty:
        raise RetryLater("name-timeout") from None
    if isinstance(answer, UnicodeError):
        raise PeerMisconfigured("address-invalid", "the host name cannot be encoded")
    if isinstance(answer, OSError) or not answer:
        raise RetryLater("name-unknown")
    return answer


def _connect(addresses: Sequence[_Address], deadline: Deadline) -> socket.socket:
    """The first address that answers; if all refuse, again a few times within the deadline."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ConnectionRefusedError),
        wait=tenacity.wait_exponential(multiplier=0.05, max=0.5),
        stop=tenacity.stop_after_attempt(REFUSED_ATTEMPTS) | tenacity.stop_before_delay(deadline.remaining() / 2),
        reraise=True,
    )
    try:
        return attempts(_connect_once, addresses, deadline)
    except TimeoutError:
        raise RetryLater("connect-timeout") from None
    except ConnectionRefusedError:
        raise RetryLater("connection-refused") from None
    except OSError:
        raise RetryLater("unreachable") from None


def _connect_once(addresses: Sequence[_Address], deadline: Deadline) -> socket.socket:
    failure: OSError = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(CONNECT_S, _left(deadline)) / (len(addresses) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure
