"""What a command works with: settings, database and vault, opened and closed."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from hub.commands.settings import read_settings
from hub.commands.telling import fail, refusal
from hub.config import Settings
from hub.db import Database, DatabaseBusy, Tx
from hub.opening import open_database, open_vault
from hub.vault import Vault
from schemas.told import Told

R = TypeVar("R")


def _shell_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


ACTOR = f"operator:shell:{_shell_user()}"[:100]  # who acts, in the audit log


@dataclass(frozen=True, slots=True)
class OpenHub:
    settings: Settings
    db: Database
    vault: Vault

    def write(self, function: Callable[[Tx], R]) -> R:
        """One transaction; what an administrator can mend is told and ends the command with 1."""
        try:
            return self.db.write(function)
        except Told as error:
            raise refusal(error) from None
        except DatabaseBusy as error:
            zh, en = "数据库繁忙或无法连接, 请稍后重试", "the database is busy or away, try again later"
            raise fail(f"{zh} ({error})", en) from None


@contextmanager
def open_hub() -> Iterator[OpenHub]:
    """A running hub sees what a command changed within a few seconds."""
    settings = read_settings()
    try:
        vault = open_vault(settings)
        db = open_database(settings, vault)
    except Told as error:
        raise refusal(error) from None
    try:
        yield OpenHub(settings, db, vault)
    finally:
        db.close()
