"""hub health: is the hub of this machine ready? For container health checks and scripts."""

from __future__ import annotations

import requests
import typer

from hub.config import Settings


def health() -> None:
    """Exit 0 if the hub on this machine takes messages, 1 if not."""
    settings = Settings()
    scheme = "https" if settings.tls_certificate else "http"
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  not bound here
    try:
        # our own certificate may name the public address only: this asks whether we answer, not who we are
        answer = requests.get(f"{scheme}://{host}:{settings.port}/health/ready", timeout=3, verify=False)  # noqa: S501
    except requests.RequestException as error:
        typer.echo(f"not reachable: {type(error).__name__}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        answer.json().get("status", "") if answer.headers.get("content-type", "").startswith("application/json") else ""
    )
    if answer.status_code != 200:
        raise typer.Exit(1)
