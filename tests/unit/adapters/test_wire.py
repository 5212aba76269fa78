"""The HTTP client where the contract suite does not reach: kept connections, TLS, names, Retry-After, many threads."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters import sockets
from adapters.contract import AdapterError, Deadline, Endpoint, OutcomeUnknown, PeerMisconfigured, RetryLater
from adapters.wire import Wire, WireResponse, check_status, retry_after
from tests.contract.hostile_peer import Behaviour, HostilePeer, answer, raw

OK = answer(b"{}")


@contextmanager
def wire_to(behaviour: Behaviour, *, max_idle: int = 4) -> Iterator[tuple[Wire, HostilePeer]]:
    with HostilePeer(behaviour) as peer:
        wire = Wire(Endpoint("e", "370102", peer.url), max_idle=max_idle)
        yield wire, peer
        wire.close()


def get(wire: Wire, *, limit_s: float = 3.0, has_effect: bool = False, max_bytes: int = 1024) -> WireResponse:
    return wire.send(
        "GET", wire.url("/x?y=1"), deadline=Deadline.after(limit_s), has_effect=has_effect, max_bytes=max_bytes
    )


def test_a_connection_is_kept_and_used_again() -> None:
    with wire_to(OK) as (wire, peer):
        for _ in range(5):
            assert get(wire).body == b"{}"
        assert peer.connections == 1


def test_not_more_connections_are_kept_than_allowed() -> None:
    with wire_to(OK, max_idle=2) as (wire, _):
        with ThreadPoolExecutor(8) as pool:
            assert all(one.status == 200 for one in pool.map(lambda _: get(wire), range(64)))
        assert len(wire._idle) <= 2


def test_a_connection_that_the_peer_closed_is_not_used_again() -> None:
    """Else the second request would end in an unknown outcome, and that is an operator's work."""
    with wire_to(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as (wire, peer):
        assert get(wire, has_effect=True).status == 200
        time.sleep(0.05)
        assert get(wire, has_effect=True).status == 200
        assert peer.connections == 2


def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used_again() -> None:
    def behave(peer: HostilePeer, sock: socket.socket) -> None:
        while True:
            peer.read_request(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            time.sleep(0.05)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")

    with wire_to(behave) as (wire, peer):
        get(wire)
        time.sleep(0.15)
        assert get(wire).body == b"{}"
        assert peer.connections == 2


def test_connection_close_is_obeyed() -> None:
    with wire_to(answer(b"{}", headers="Connection: close\r\n")) as (wire, peer):
        get(wire)
        get(wire)
        assert peer.connections == 2


def test_what_is_sent() -> None:
    seen: list[bytes] = []

    def behave(peer: HostilePeer, sock: socket.socket) -> None:
        seen.append(peer.read_request(sock))
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with wire_to(behave) as (wire, peer):
        wire.send(
            "POST",
            wire.url("/a%20b"),
            headers={"X-One": "1"},
            body="䶮".encode(),
            deadline=Deadline.after(3),
            has_effect=True,
        )
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a%20b HTTP/1.1"
    assert f"Host: {peer.url.removeprefix('http://')}" in lines
    assert {"X-One: 1", "Content-Length: 3", "Accept-Encoding: identity"} <= set(lines)
    assert body == "䶮".encode()


def test_the_limit_is_exact() -> None:
    for size, fits in ((1024, True), (1025, False)):
        for headers, body in (("", b" " * size), ("Content-Encoding: gzip\r\n", gzip.compress(b" " * size))):
            with wire_to(answer(body, headers=headers)) as (wire, _):
                if fits:
                    assert get(wire).body == b" " * size
                else:
                    with pytest.raises(RetryLater, match="answer-too-large"):
                        get(wire)


def test_deflate_and_chunks_are_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    with wire_to(raw(chunked)) as (wire, _):
        assert get(wire).body == b"abcde"


def test_repeated_headers_are_joined_and_in_lower_case() -> None:
    with wire_to(answer(b"{}", headers="X-A: 1\r\nx-a: 2\r\n")) as (wire, _):
        assert get(wire).headers["x-a"] == "1, 2"


def test_a_large_request_to_a_peer_that_does_not_read_ends_in_time() -> None:
    def behave(peer: HostilePeer, _: socket.socket) -> None:
        peer.closing.wait(30)

    with wire_to(behave) as (wire, _):
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="timeout"):
            wire.send("POST", wire.url(), body=b"x" * 50_000_000, deadline=Deadline.after(0.5), has_effect=True)
        assert time.monotonic() - began < 1


def test_an_answer_before_the_request_was_read_is_heard() -> None:
    """A gateway says 413 and closes while we are still sending."""

    def behave(_: HostilePeer, sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)  # then it closes with our bytes unread, which resets the connection

    with wire_to(behave) as (wire, _):
        answered = wire.send("POST", wire.url(), body=b"x" * 20_000_000, deadline=Deadline.after(3), has_effect=True)
        assert answered.status == 413


def test_a_spent_deadline_sends_nothing() -> None:
    with wire_to(OK) as (wire, peer):
        with pytest.raises(RetryLater):
            get(wire, limit_s=0)
        assert peer.connections == 0


def test_another_address_is_refused() -> None:
    with wire_to(OK) as (wire, _), pytest.raises(PeerMisconfigured, match="address-elsewhere"):
        wire.send("GET", "http://127.0.0.1:1/x", deadline=Deadline.after(1), has_effect=False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "http://",
        "http://user:pw@x/",
        "http://x/?q",
        "http://x/#f",
        "http://[::1",
        "http://x:y/",
        "http://学/",
    ],
)
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(PeerMisconfigured, match="address-invalid"):
        Wire(Endpoint("e", "370102", url), max_idle=1)


def test_a_proxy_in_the_environment_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with wire_to(OK) as (wire, _):
        assert get(wire).status == 200


def test_a_name_that_nobody_knows() -> None:
    wire = Wire(Endpoint("e", "370102", "http://registry.invalid"), max_idle=1)
    with pytest.raises(RetryLater, match="name-"):
        get(wire)


def test_a_name_server_that_hangs_does_not_hold_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(10)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    with pytest.raises(RetryLater, match="name-timeout"):
        get(Wire(Endpoint("e", "370102", "http://registry.test"), max_idle=1), limit_s=0.3)
    assert time.monotonic() - began < 0.8
    released.set()


def test_a_refused_connection_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that restarts: refused once, there the next moment."""
    real, refused = sockets._connect_once, []

    def once_refused(addresses: object, deadline: Deadline) -> socket.socket:
        if not refused:
            refused.append(True)
            raise ConnectionRefusedError
        return real(addresses, deadline)  # type: ignore[arg-type]

    monkeypatch.setattr(sockets, "_connect_once", once_refused)
    with wire_to(OK) as (wire, _):
        assert get(wire).status == 200
    assert refused


# --- statuses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "with_effect", "without"),
    [
        (200, None, None),
        (202, None, None),
        (400, None, None),
        (404, None, None),
        (409, None, None),
        (103, OutcomeUnknown, RetryLater),
        (301, PeerMisconfigured, PeerMisconfigured),
        (401, PeerMisconfigured, PeerMisconfigured),
        (407, PeerMisconfigured, PeerMisconfigured),
        (429, RetryLater, RetryLater),
        (503, RetryLater, RetryLater),
        (500, OutcomeUnknown, RetryLater),
        (504, OutcomeUnknown, RetryLater),
        (599, OutcomeUnknown, RetryLater),
    ],
)
def test_statuses(status: int, with_effect: type[AdapterError] | None, without: type[AdapterError] | None) -> None:
    for has_effect, expected in ((True, with_effect), (False, without)):
        response = WireResponse(status, {}, b"")
        if expected is None:
            assert check_status(response, has_effect=has_effect) is response
        else:
            with pytest.raises(expected):
                check_status(response, has_effect=has_effect)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("5", 5), (" 7 ", 7), ("-1", None), ("soon", None), ("9" * 30, 86400), ("٣", None), ("", None)],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    ahead = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert ahead is not None
    assert 85 < ahead <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Fri, 31 Feb 2099 07:28:00 GMT") is None


# --- TLS ----------------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, host: str) -> Path:
    """A self-signed certificate with its key in one file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def tls_server(own: Path, *, client_ca: Path | None = None, broken: bool = False) -> Iterator[str]:
    """A TLS server that answers every request with ``{}``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED

    def behave(peer: HostilePeer, sock: socket.socket) -> None:
        if broken:
            return
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                peer.read_request(tls)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except ssl.SSLError:
            time.sleep(0.1)  # let the alert arrive before the reset

    with HostilePeer(behave) as peer:
        yield peer.url.replace("http://127.0.0.1", "https://localhost")


def over_tls(url: str, **settings: Path) -> WireResponse:
    wire = Wire(Endpoint("e", "370102", url, {name: str(path) for name, path in settings.items()}), max_idle=1)
    try:
        return wire.send("GET", wire.url(), deadline=Deadline.after(3), has_effect=True)
    finally:
        wire.close()


def test_tls_with_a_known_authority_and_a_client_certificate(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "server", "localhost"), certificate(tmp_path, "client", "hub")
    with tls_server(server, client_ca=client) as url:
        assert over_tls(url, ca_file=server, client_cert_file=client).body == b"{}"


def test_tls_that_is_not_trusted(tmp_path: Path) -> None:
    server, other = certificate(tmp_path, "server", "localhost"), certificate(tmp_path, "other", "elsewhere")
    with tls_server(server) as url, pytest.raises(PeerMisconfigured, match="tls-certificate"):
        over_tls(url)
    with tls_server(other) as url, pytest.raises(PeerMisconfigured, match="tls-certificate"):
        over_tls(url, ca_file=other)  # of another host


def test_tls_that_wants_a_client_certificate(tmp_path: Path) -> None:
    server = certificate(tmp_path, "server", "localhost")
    with tls_server(server, client_ca=server) as url, pytest.raises(PeerMisconfigured, match="tls-failure"):
        over_tls(url, ca_file=server)


def test_tls_that_breaks_off(tmp_path: Path) -> None:
    server = certificate(tmp_path, "server", "localhost")
    with tls_server(server, broken=True) as url, pytest.raises(RetryLater, match="tls-broken-off"):
        over_tls(url, ca_file=server)


def test_tls_to_a_port_without_tls(tmp_path: Path) -> None:
    server = certificate(tmp_path, "server", "localhost")
    with HostilePeer(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        url = peer.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises((PeerMisconfigured, RetryLater)):
            over_tls(url, ca_file=server)


@pytest.mark.parametrize("setting", ["ca_file", "client_cert_file"])
def test_tls_files_that_are_not_there(tmp_path: Path, setting: str) -> None:
    with pytest.raises(PeerMisconfigured, match="tls-settings"):
        over_tls("https://localhost:1", **{setting: tmp_path / "none.pem"})
