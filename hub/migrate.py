"""Bring a database to the newest revision of ``hub/migrations``. Nodes may start at once: one migrates, the others wait."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import OperationalError

from hub.engine import WRITER, make_engine
from schemas.told import Told

_LOCK: Final = 4_702_111_233  # an arbitrary number that means "migrating the hub"
PATIENCE_S: Final = 30


class WrongRevision(Told):
    """The database was migrated by a newer hub than this one."""


class TablesHeld(Told):
    """Somebody else's transaction holds a table that is to be changed. Nothing was changed."""


def upgrade(url: str, *, patience_s: int = PATIENCE_S) -> None:
    """Create or migrate the tables; nothing happens if they are up to date. Raises WrongRevision, TablesHeld."""
    engine = make_engine(make_url(url))
    try:
        with engine.connect().execution_options(**WRITER) as conn, conn.begin():  # SQLite: one writer from here on
            if conn.dialect.name == "postgresql":
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                # who waits for a table holds up everybody behind it: a session forgotten in a transaction must not stop all nodes
                conn.execute(sa.text(f"SET LOCAL lock_timeout = '{patience_s}s'"))
            _check_known(conn)
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise _held(patience_s) from None
        raise
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
        raise WrongRevision(
            f"数据库已由更新的版本升级 (修订 {current}), 本版本不认识: 请使用更新的枢纽, 或恢复升级前的备份",
            f"the database is at revision {current}, which this version does not know: use a newer hub, or restore the backup "
            "of before",
        )


def _held(patience_s: int) -> TablesHeld:
    return TablesHeld(
        f"升级数据库等待 {patience_s} 秒未能取得表锁, 未作任何改动: 请结束占用的会话 "
        "(pg_stat_activity 中 state = 'idle in transaction') 后重试",
        f"a table that is to be changed was held by another session for {patience_s} s, and nothing was changed: end that session "
        "(pg_stat_activity, state = 'idle in transaction') and start again",
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
