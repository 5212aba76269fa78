"""Collecting put together: what an app, a worker and a test need of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hub.db import Database
from hub.deliveries.model import Handlers, Kind
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect.feeding import CollectOutcomes
from hub.ecerts.collect.revoked import Revoked, nobody
from hub.ecerts.collect.rows import RowMaker
from hub.ecerts.collect.service import Collections
from hub.ecerts.collect.work import CollectWorker
from hub.ecerts.evidence.planning import Routes
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class CollectParts:
    collections: Collections
    worker: CollectWorker
    handlers: Handlers


def collect_parts(
    db: Database,
    vault: Vault,
    directory: Routes,
    checker: EcertChecker,
    folder: Path,
    node: str,
    *,
    lease: timedelta = timedelta(seconds=60),
    give_up: timedelta = timedelta(days=7),
    revoked: Revoked = nobody,
) -> CollectParts:
    """``folder``: where batch files are spooled, without a name. ``lease`` and ``give_up``: see :class:`CollectWorker`."""
    collections = Collections(db, vault, directory, RowMaker(vault, checker, db.clock), folder, node)
    return CollectParts(
        collections,
        CollectWorker(collections, lease=lease, give_up=give_up),
        {Kind.COLLECT: CollectOutcomes(collections, revoked)},
    )
