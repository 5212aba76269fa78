"""hub version."""

from __future__ import annotations

from importlib import metadata

import typer


def version() -> None:
    """显示版本。
    Print the version.
    """
    typer.echo(metadata.version("exchange-hub"))
