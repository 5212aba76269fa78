"""What a command works with: settings, database and vault, opened and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hub.app import open_database, open_vault
from hub.config import Settings
from hub.db import Database
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class OpenHub:
    settings: Settings
    db: Database
    vault: Vault


@contextmanager
def open_hub() -> Iterator[OpenHub]:
    """A running hub sees what a command changed within a few seconds."""
    settings = Settings()
    vault = open_vault(settings)
    db = open_database(settings, vault)
    try:
        yield OpenHub(settings, db, vault)
    finally:
        db.close()
