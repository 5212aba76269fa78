"""The client's certificate: from the TLS connection itself, or from a proxy that is trusted to have checked it.

uvicorn does not hand the peer certificate to the application; :class:`HttpToolsWithPeerCertificate` does, so that it stands
in the ASGI scope at ``scope["extensions"]["tls"]["client_cert_der"]``. The certificate was then checked by OpenSSL
against ``tls_client_ca``. Behind a proxy the certificate comes in a header (nginx: ``$ssl_client_escaped_cert``), which is believed
only on connections that come from ``trusted_proxies``: from anybody else it is as if the header were not there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.config import Settings
from schemas.problems import SIGNATURE_REFUSED, HubProblem

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

MAX_PROXY_HEADER = 16 * 1024


class PeerCertificates:
    """Finds the client's certificate of one request."""

    def __init__(self, *, proxy_header: str | None = None, trusted_proxies: str = "") -> None:
        """``trusted_proxies`` is a comma-separated list of addresses or networks; ValueError if one is neither."""
        self._header = proxy_header.lower().encode("ascii") if proxy_header else None
        self._proxies = [ipaddress.ip_network(text.strip()) for text in trusted_proxies.split(",") if text.strip()]

    def of(self, scope: MutableMapping[str, Any]) -> bytes | None:
        """DER of the certificate that the client proved to hold, None if it showed none."""
        if self._header is not None and self._from_proxy(scope):
            values = [value for name, value in scope["headers"] if name == self._header and value]
            if len(values) > 1:
                raise HubProblem(SIGNATURE_REFUSED, "proxy-certificate-ambiguous")
            if values:
                return _read_header(values[0])
        extensions = cast("dict[str, dict[str, bytes]]", scope.get("extensions") or {})
        return extensions.get("tls", {}).get("client_cert_der")

    def _from_proxy(self, scope: MutableMapping[str, Any]) -> bool:
        client = scope.get("client")
        if not client:
            return False
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _read_header(value: bytes) -> bytes:
    if len(value) > MAX_PROXY_HEADER:
        raise HubProblem(SIGNATURE_REFUSED, "proxy-certificate-malformed")
    try:
        return x509.load_pem_x509_certificate(unquote_to_bytes(value)).public_bytes(Encoding.DER)
    except ValueError:
        raise HubProblem(SIGNATURE_REFUSED, "proxy-certificate-malformed") from None


class HttpToolsWithPeerCertificate(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the peer certificate of the connection in the scope of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        ssl_object = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        certificate = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
        if certificate is None:
            return
        application = cast(ASGIApp, self.app)

        async def with_certificate(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})["tls"] = {"client_cert_der": certificate}
            await application(scope, receive, send)

        self.app = cast("ASGI3Application", with_certificate)


def server_options(settings: Settings) -> dict[str, Any]:
    """What ``uvicorn.Config`` must be given so that callers are known as these pages say.

    ``proxy_headers`` is off: with it uvicorn would take the client's address, by which a proxy is trusted, from a header.
    A client certificate is asked for, not demanded: callers may sign their messages instead. What is shown must be
    valid under ``tls_client_ca``, else the handshake fails.
    """
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "http": HttpToolsWithPeerCertificate,
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
    }
    if settings.tls_certificate is not None:
        options |= {"ssl_certfile": str(settings.tls_certificate), "ssl_version": ssl.PROTOCOL_TLS_SERVER}
        if settings.tls_key is not None:
            options["ssl_keyfile"] = str(settings.tls_key)
        if settings.tls_client_ca is not None:
            options |= {"ssl_ca_certs": str(settings.tls_client_ca), "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    return options
