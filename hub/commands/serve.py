"""hub serve: one node, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import socket

import typer
import uvicorn

from hub import interpreter, logs
from hub.access.tls_auth import server_options
from hub.app import Hub
from hub.commands.context import mendable
from hub.commands.settings import read_settings
from hub.commands.telling import fail
from hub.config import Settings


def serve() -> None:
    """按设置运行枢纽 (docs/operations/settings.md)。
    Run the hub as the settings say (docs/operations/settings.md).
    """
    settings = read_settings()
    logs.configure(settings)
    with mendable():
        hub = Hub(settings)
        options = server_options(settings)
        config = uvicorn.Config(hub.app, log_config=None, lifespan="on", **options)
        config.load()  # reads the TLS files
    listening = _listen(settings)
    if links := hub.operators.first_links():
        typer.echo("控制台的一次性链接, 每个角色一个 / one-time links to the console, one for each role:")
    for role, token in links.items():
        typer.echo(f"{role.value}: {settings.effective_public_url}/console/link/{token}")
    server = uvicorn.Server(config)
    typer.echo(f"listening on {settings.effective_public_url}")
    interpreter.tune()
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(1)


def _listen(settings: Settings) -> socket.socket:
    """The socket is there before anybody is told the address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        place, why = f"{settings.host}:{settings.port}", error.strerror or type(error).__name__
        zh = f"无法在 {place} 监听 ({why}): 请停止占用该端口的程序, 或更改 HUB_PORT、HUB_HOST"
        raise fail(zh, f"cannot listen on {place}: {why}; stop what uses it, or change HUB_PORT or HUB_HOST") from None
