"""What commands tell an administrator beside what they put out: Chinese first, English second, on standard error."""

from __future__ import annotations

import typer

from schemas.told import Told


def tell(zh: str, en: str) -> None:
    """One line. No other place of the commands writes to standard error."""
    typer.echo(f"{zh} / {en}", err=True)


def fail(zh: str, en: str, *, code: int = 1) -> typer.Exit:
    """Print why a command cannot do what was asked; raise what this gives."""
    tell(zh, en)
    return typer.Exit(code)


def refusal(error: Told, *, code: int = 1) -> typer.Exit:
    """As :func:`fail`, in the error's own words."""
    return fail(error.zh, error.en, code=code)
