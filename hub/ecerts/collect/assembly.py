"""Collecting put together: what an app, a worker and a test need of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.db import Database
from hub.deliveries.model import Handlers, Kind
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect.rows import RowMaker
from hub.ecerts.collect.service import Collections
from hub.ecerts.collect.work import CollectOutcomes, CollectWorker
from hub.ecerts.evidence.planning import Routes
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class CollectParts:
    collections: Collections
    worker: CollectWorker
    handlers: Handlers


def collect_parts(
    db: Database, vault: Vault, directory: Routes, checker: EcertChecker, folder: Path, node: str
) -> CollectParts:
    """``folder``: where batch files lie, sealed, until they are checked."""
    collections = Collections(db, vault, directory, RowMaker(vault, checker, db.clock), folder, node)
    return CollectParts(collections, CollectWorker(collections), {Kind.COLLECT: CollectOutcomes(collections)})
