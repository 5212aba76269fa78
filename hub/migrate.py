"""Bring a database to the newest revision of ``hub/migrations``. Nodes may start at once: one migrates, the others wait."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, make_url

from hub.engine import WRITER, make_engine

_LOCK = 4_702_111_233  # an arbitrary number that means "migrating the hub"


class WrongRevision(Exception):
    """The database was migrated by a newer hub than this one."""


def upgrade(url: str) -> None:
    """Create or migrate the tables; nothing happens if they are up to date. Raises WrongRevision."""
    engine = make_engine(make_url(url))
    try:
        with engine.connect().execution_options(**WRITER) as conn, conn.begin():  # SQLite: one writer from here on
            if conn.dialect.name == "postgresql":
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            _check_known(conn)
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def current_revision(conn: Connection) -> str | None:
    """The revision that the database is at; None if it is empty."""
    return MigrationContext.configure(conn).get_current_revision()


def newest_revision() -> str | None:
    """The revision that this hub wants."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _check_known(conn: Connection) -> None:
    current = current_revision(conn)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise WrongRevision(f"the database is at revision {current}, which this version does not know: use a newer hub")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
