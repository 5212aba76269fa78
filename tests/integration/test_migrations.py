"""The migrations and hub.tables say the same, on both databases; nodes may start at once; the audit log refuses changes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.db import AuditEntry, Database
from hub.engine import WRITER, make_engine
from hub.migrate import WrongRevision, _config, current_revision, newest_revision, upgrade
from hub.tables import metadata
from tests.databases import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create(migrated=False)
    yield url
    server.drop(url)


def test_tables_and_migrations_agree(database_url: str) -> None:
    engine = make_engine(sa.make_url(database_url))
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_index_has_its_condition(database_url: str) -> None:
    """alembic does not compare the WHERE of an index; without it the claim reads every delivery there ever was."""
    engine = make_engine(sa.make_url(database_url))
    with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        else:
            query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        made = {name: text for name, text in conn.exec_driver_sql(query)}  # noqa: C416  two columns of a row
    for table in metadata.tables.values():
        for index in table.indexes:
            assert (" WHERE " in made[str(index.name)]) == (index.dialect_options["sqlite"]["where"] is not None)
    engine.dispose()


def test_nodes_that_start_at_once_migrate_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_url] * 4))
    engine = make_engine(sa.make_url(empty_url))
    with engine.connect() as conn:
        assert current_revision(conn) == newest_revision()
    engine.dispose()


def test_a_database_of_a_newer_hub_is_left_alone(database_url: str) -> None:
    engine = make_engine(sa.make_url(database_url))
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(WrongRevision, match="9999"):
        upgrade(database_url)


@pytest.mark.parametrize("act", ["UPDATE audit SET outcome = 'x'", "DELETE FROM audit"])
def test_the_audit_log_refuses_changes(database: Database, act: str) -> None:
    database.write(lambda tx: tx.audit.append(AuditEntry("test", "act", "object", "done")))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.engine.begin() as conn:
        conn.exec_driver_sql(act)


def to(conn: sa.Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def test_systems_that_vouched_for_holders_go_on_by_a_right(empty_url: str) -> None:
    """Until 0006 whoever might issue authorizations was believed; from there on it is a right that can be taken away."""
    engine = make_engine(sa.make_url(empty_url))
    with engine.connect().execution_options(**WRITER) as conn, conn.begin():
        to(conn, "0005")
        conn.exec_driver_sql("INSERT INTO systems (id, name, enabled, created_at) VALUES ('portal', 'p', true, 1)")
        for service in ("authorization.issue", "evidence"):
            values = f"('portal', '{service}', '370102', 1, 'operator')"
            conn.exec_driver_sql(
                f"INSERT INTO rights (system_id, service, region, granted_at, granted_by) VALUES {values}"
            )
    upgrade(empty_url)
    with engine.connect() as conn:
        found = conn.exec_driver_sql("SELECT service, region, granted_by FROM rights ORDER BY service").all()
    assert [tuple(row) for row in found] == [
        ("authorization.issue", "370102", "operator"),
        ("authorization.vouch", "370102", "migration 0006"),
        ("evidence", "370102", "operator"),
    ]
    engine.dispose()
