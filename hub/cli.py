"""The command ``hub``. Each group of commands is a file in ``hub/commands``; docs/operations/commands.md lists them all."""

from __future__ import annotations

from importlib.metadata import version

import typer

from hub.commands import (
    audit,
    collect,
    deliveries,
    demo,
    endpoints,
    evidence,
    health,
    items,
    notices,
    operators,
    serve,
    systems,
    trust,
    verify,
)

app = typer.Typer(
    name="hub",
    help="教育政务互通枢纽 / exchange hub",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("verify")(verify.verify_files)
app.command("health")(health.health)
app.add_typer(systems.app, name="systems")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(operators.app, name="operators")
app.add_typer(trust.app, name="trust")
app.add_typer(audit.app, name="audit")
app.add_typer(evidence.app, name="evidence")
app.add_typer(collect.app, name="collect")
app.add_typer(items.app, name="items")
app.add_typer(notices.app, name="notices")


@app.command("version")
def show_version() -> None:
    """Print the version."""
    typer.echo(version("exchange-hub"))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
