"""hub health: is the hub of this machine ready? For container health checks and scripts."""

from __future__ import annotations

import http.client
import json
import ssl

import typer

from hub.commands.settings import read_settings
from hub.commands.telling import fail


def health() -> None:
    """本机枢纽可接收报文则退出码为 0, 否则为 1。
    Exit 0 if the hub on this machine takes messages, 1 if not.
    """
    settings = read_settings()
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  not bound here
    try:
        status, body = _get(host, settings.port, tls=settings.tls_certificate is not None)
    except (OSError, http.client.HTTPException) as error:
        raise fail(f"无法连接: {type(error).__name__}", f"not reachable: {type(error).__name__}") from None
    typer.echo(_status(body))
    if status != 200:
        raise typer.Exit(1)


def _get(host: str, port: int, *, tls: bool) -> tuple[int, bytes]:
    # by the standard library: this is run every few seconds, and is done before requests would be imported
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False  # our own certificate may name the public address only:
        context.verify_mode = ssl.CERT_NONE  # this asks whether we answer, not who we are
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=3, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status, answer.read(65_536)
    finally:
        connection.close()


def _status(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("status", "")) if isinstance(told, dict) else ""
