"""hub serve: one node, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import typer
import uvicorn

from hub import interpreter, logs
from hub.access.tls_auth import server_options
from hub.app import Hub
from hub.commands.settings import read_settings
from hub.commands.telling import refusal
from schemas.told import Told


def serve() -> None:
    """按设置运行枢纽 (docs/operations/settings.md)。
    Run the hub as the settings say (docs/operations/settings.md).
    """
    settings = read_settings()
    logs.configure(settings)
    try:
        hub = Hub(settings)
    except Told as error:
        raise refusal(error) from None
    for role, token in hub.operators.first_links().items():
        typer.echo(f"{role.value}: {settings.effective_public_url}/console/link/{token}")
    server = uvicorn.Server(uvicorn.Config(hub.app, log_config=None, lifespan="on", **server_options(settings)))
    typer.echo(f"listening on {settings.effective_public_url}")
    interpreter.tune()
    server.run()
    if not server.started:
        raise typer.Exit(1)
