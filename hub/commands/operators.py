"""hub operators: who may use the console. Nobody has a default password; everybody begins with a one-time link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub.access.operators import OperatorError, Operators, Role
from hub.commands.context import open_hub
from hub.working_days import SHANGHAI

app = typer.Typer(help="控制台用户 / who may use the console", no_args_is_help=True)
BY = "operator:shell"
Name = Annotated[str, typer.Argument(help="用户名 / name")]


@app.command("list")
def list_operators() -> None:
    """List operators, their roles, and whether they have a password."""
    table = Table("name", "role", "password", "since", "disabled")
    with open_hub() as hub:
        for row in Operators(hub.db).list():
            since, disabled = (moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M") if moment else ""
                               for moment in (row.created_at, row.disabled_at))  # fmt: skip
            table.add_row(row.name, row.role, "yes" if row.password_hash else "no", since, disabled)
    Console().print(table)


@app.command("add")
def add(name: Name, role: Annotated[Role, typer.Option(help="one of the three separated roles")]) -> None:
    """Add an operator and print a one-time link."""
    with open_hub() as hub:
        _print_link(hub.settings.effective_public_url, _or_exit(lambda: Operators(hub.db).add(name, role, by=BY)))


@app.command("link")
def link(name: Name) -> None:
    """Print another one-time link for an operator who is locked out."""
    with open_hub() as hub:
        _print_link(hub.settings.effective_public_url, _or_exit(lambda: Operators(hub.db).link(name, by=BY)))


@app.command("disable")
def disable(name: Name) -> None:
    """End an operator's sessions and links for good."""
    with open_hub() as hub:
        _or_exit(lambda: Operators(hub.db).disable(name, by=BY) or "")


def _print_link(public_url: str, token: str) -> None:
    typer.echo(f"{public_url}/console/link/{token}")


def _or_exit(act: Callable[[], str]) -> str:
    try:
        return act()
    except OperatorError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
