"""What a command works with: settings, database and vault, opened and closed."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import ArgumentError, DBAPIError

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
        """One transaction."""
        return self.db.write(function)


@contextmanager
def open_hub() -> Iterator[OpenHub]:
    """A running hub sees what a command changed within a few seconds."""
    settings = read_settings()
    with mendable():
        vault = open_vault(settings)
        db = open_database(settings, vault)
        try:
            yield OpenHub(settings, db, vault)
        finally:
            db.close()


@contextmanager
def mendable() -> Iterator[None]:
    """What an administrator can mend is told in one line and ends the command with 1: never a traceback, which may quote data."""
    try:
        yield
    except Told as error:
        raise refusal(error) from None
    except ArgumentError:
        zh, en = (
            "HUB_DATABASE_URL 不是数据库地址, 例如 postgresql+psycopg://用户@主机/库",
            "HUB_DATABASE_URL is no database URL",
        )
        raise fail(zh, f"{en}, for example postgresql+psycopg://user@host/name") from None
    except (DBAPIError, DatabaseBusy) as error:
        why = type(error.orig).__name__ if isinstance(error, DBAPIError) else str(error)
        zh = f"数据库无法连接、被锁定或不可写 ({why}): 请检查 HUB_DATABASE_URL、数据库服务、磁盘空间与文件权限"
        en = "the database cannot be reached, is locked or not writable: check HUB_DATABASE_URL, its server, disk and permissions"
        raise fail(zh, en) from None
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        raise fail(f"文件无法读写, 请检查路径与权限: {what}", f"a file cannot be read or written: {what}") from None
