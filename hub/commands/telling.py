"""What commands tell an administrator beside what they put out: Chinese first, English second, on standard error."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.table import Table

from schemas.told import Told

WIDE = 10_000  # characters: what is read by another program is never cut


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


def show(table: Table) -> None:
    """A table, with every id whole: folded on a narrow terminal, never cut; one line for each row where no terminal reads.

    What stands in a cell is text: a name such as ``[/]`` is no markup.
    """
    for column in table.columns:
        column.overflow = "fold"
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)
