"""Fixtures that every test may use: real databases, migrated and empty."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.audit.chain import AuditChain
from hub.db import Database
from hub.own_keys import OwnKeys
from tests.databases import PostgresServer, postgres_server, sqlite_template

AUDIT_KEY = b"audit key of the tests, 32 bytes"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for each test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the hub's own keys, to be copied: making them takes a tenth of a second."""
    folder = tmp_path_factory.mktemp("made") / "state"
    OwnKeys.ensure(folder)
    return folder


@pytest.fixture
def state_dir(tmp_path: Path, made_keys: Path) -> Path:
    """Of a hub that has its own keys and nothing else."""
    return Path(shutil.copytree(made_keys, tmp_path / "state"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; a test that takes it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "hub.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its audit chain, closed at the end."""
    db = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    yield db
    db.close()


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector of garbage need not walk it again and again."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes have no name: some are fresh keys, and every test process must give its tests the same names."""
    return argname if isinstance(val, bytes) else None
