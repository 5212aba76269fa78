"""What a command works with: settings, database and vault, opened and closed."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import typer

from hub.access.operators import OperatorError
from hub.access.registration import RegistrationError
from hub.config import Settings
from hub.db import Database, DatabaseBusy, Tx
from hub.deliveries.store import NotSuspended, UnknownDelivery
from hub.opening import open_database, open_vault
from hub.vault import Vault, VaultError

R = TypeVar("R")


def _shell_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


ACTOR = f"operator:shell:{_shell_user()}"[:100]  # who acts, in the audit log


def fail(text: str) -> typer.Exit:
    """Print why a command cannot do what was asked; raise what this gives."""
    typer.echo(text, err=True)
    return typer.Exit(1)


@dataclass(frozen=True, slots=True)
class OpenHub:
    settings: Settings
    db: Database
    vault: Vault

    def write(self, function: Callable[[Tx], R]) -> R:
        """One transaction; what an administrator can mend is told and ends the command with 1."""
        try:
            return self.db.write(function)
        except (RegistrationError, OperatorError, NotSuspended, UnknownDelivery, DatabaseBusy) as error:
            raise fail(str(error) or type(error).__name__) from None


@contextmanager
def open_hub() -> Iterator[OpenHub]:
    """A running hub sees what a command changed within a few seconds."""
    settings = Settings()
    try:
        vault = open_vault(settings)
    except VaultError as error:
        raise fail(str(error)) from None
    db = open_database(settings, vault)
    try:
        yield OpenHub(settings, db, vault)
    finally:
        db.close()
