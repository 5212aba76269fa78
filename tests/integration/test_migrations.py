"""The migrations and hub.tables say the same, on both databases; nodes may start at once; the audit log refuses changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hub.db import AuditEntry, Database
from hub.engine import WRITER, make_engine
from hub.migrate import TablesHeld, WrongRevision, config_of_migrations, current_revision, revisions, upgrade
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


def test_the_names_of_files_tell_the_revisions() -> None:
    scripts = ScriptDirectory.from_config(config_of_migrations())
    assert [script.revision for script in scripts.walk_revisions()] == revisions()[::-1]
    assert scripts.get_current_head() == revisions()[-1]


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
        assert current_revision(conn) == revisions()[-1]
    engine.dispose()


def test_a_database_of_a_newer_hub_is_left_alone(database_url: str) -> None:
    engine = make_engine(sa.make_url(database_url))
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(WrongRevision, match="9999"):
        upgrade(database_url)


@pytest.mark.postgresql
def test_a_session_that_holds_a_table_stops_an_upgrade_for_a_while_only(postgres: PostgresServer) -> None:
    url = postgres.create(migrated=False)
    engine = make_engine(sa.make_url(url))
    with engine.connect().execution_options(**WRITER) as conn, conn.begin():
        config = config_of_migrations()
        config.attributes["connection"] = conn
        command.upgrade(config, "0019")
    with engine.connect() as forgotten, forgotten.begin():
        forgotten.exec_driver_sql("SELECT count(*) FROM endpoints")
        with pytest.raises(TablesHeld, match="idle in transaction"):
            upgrade(url, patience_s=1)
    with engine.connect() as conn:
        assert current_revision(conn) == "0019"
    engine.dispose()
    upgrade(url)
    postgres.drop(url)


@pytest.mark.parametrize("act", ["UPDATE audit SET outcome = 'x'", "DELETE FROM audit"])
def test_the_audit_log_refuses_changes(database: Database, act: str) -> None:
    database.write(lambda tx: tx.audit.append(AuditEntry("test", "act", "object", "done")))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.engine.begin() as conn:
        conn.exec_driver_sql(act)


def to(conn: sa.Connection, revision: str) -> None:
    config = config_of_migrations()
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


def test_a_filled_database_of_before_keeps_its_rows(empty_url: str) -> None:
    """From 0011, where the revisions begin that change tables which are full in production, and back."""
    engine = make_engine(sa.make_url(empty_url))

    def migrate(move: Callable[[Config, str], None], revision: str) -> None:
        with engine.connect().execution_options(**WRITER) as conn, conn.begin():
            config = config_of_migrations()
            config.attributes["connection"] = conn
            move(config, revision)

    migrate(command.upgrade, "0011")
    old = sa.MetaData()
    old.reflect(engine)
    put(engine, old, "systems", id="s")
    put(engine, old, "endpoints", id="e", system_id="s")
    put(engine, old, "cases", id="case_1", system_id="s")
    put(engine, old, "steps", case_id="case_1", name="open", endpoint_id="e", state="open", opened_at=7)
    put(engine, old, "steps", case_id="case_1", name="waiting", endpoint_id="e", state="pending")
    put(engine, old, "subscriptions", id="one", endpoint_id="e", event_type="cn.sd.edu.exchange.case.*")
    put(engine, old, "subscriptions", id="two", endpoint_id="e", event_type="case.*")
    put(engine, old, "deliveries", id="dlv_1", endpoint_id="e", case_id="case_1", state="delivered", finished_at=7)
    put(engine, old, "collect_batches", id="col_1", system_id="s", endpoint_id="e")
    put(engine, old, "collect_rows", batch_id="col_1", endpoint_id="e", system_id="s", state="waiting")
    put(engine, old, "consents", registered_by="s")
    put(engine, old, "authorizations", issued_by="s")
    put(engine, old, "evidence_requests", system_id="s")
    put(engine, old, "subject_queries", system_id="s")
    put(engine, old, "data_uses", system_id="s")
    before = counts(engine, old)
    migrate(command.upgrade, "head")
    assert counts(engine, old) == before
    with engine.connect() as conn:
        asked = conn.execute(sa.text("SELECT name, ask_at FROM steps ORDER BY name")).all()
        assert [tuple(row) for row in asked] == [("open", 7), ("waiting", None)]
        assert set(conn.execute(sa.text("SELECT event_type FROM subscriptions")).scalars()) == {"case.*"}
        assert conn.execute(sa.text("SELECT questions FROM subject_queries")).scalar_one() == 1
        assert conn.execute(sa.text("SELECT times FROM data_uses")).scalar_one() == 1
        assert not conn.execute(sa.text("SELECT assigned FROM collect_rows")).scalar_one()
    migrate(command.downgrade, "0011")
    migrate(command.upgrade, "head")
    assert counts(engine, old) == before
    engine.dispose()


def put(engine: sa.Engine, tables: sa.MetaData, table: str, /, **given: object) -> None:
    """A row, of which only what is ``given`` means something."""
    values: dict[str, object] = dict(given)
    for column in tables.tables[table].columns:
        if column.name not in values and not column.nullable:
            values[column.name] = _anything(column)
    with engine.begin() as conn:
        conn.execute(sa.insert(tables.tables[table]), values)


def _anything(column: sa.Column[object]) -> object:
    kind: object = column.type
    match kind:
        case sa.Boolean():
            return False
        case sa.Integer():
            return 1
        case sa.LargeBinary():
            return b"x"
        case sa.String(length=int() as length):
            return column.name[:length]
    return column.name


def counts(engine: sa.Engine, tables: sa.MetaData) -> dict[str, int]:
    with engine.connect() as conn:
        return {
            name: conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in tables.tables.items()
        }
