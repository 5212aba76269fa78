"""Bring a database to the newest revision of ``hub/migrations``. Nodes may start at once: one migrates, the others wait.

Every command and every start asks whether there is anything to migrate; only then is alembic loaded, which takes longer than many a
command itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from psycopg.errors import LockNotAvailable
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import OperationalError

from hub.engine import WRITER, make_engine
from schemas.told import Told

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK: Final = 4_702_111_233  # an arbitrary number that means "migrating the hub"
PATIENCE_S: Final = 30
MIGRATIONS: Final = Path(__file__).parent / "migrations"


class WrongRevision(Told):
    """The database was migrated by a newer hub than this one."""


class TablesHeld(Told):
    """Somebody else's transaction holds a table that is to be changed. Nothing was changed."""


def upgrade(url: str, *, patience_s: int = PATIENCE_S) -> None:
    """Create or migrate the tables; nothing happens if they are up to date. Raises WrongRevision, TablesHeld."""
    engine = make_engine(make_url(url))
    try:
        with engine.connect() as conn, conn.begin():
            if current_revision(conn) == revisions()[-1]:
                return
        with engine.connect().execution_options(**WRITER) as conn, conn.begin():  # SQLite: one writer from here on
            if conn.dialect.name == "postgresql":
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                # who waits for a table holds up everybody behind it: a session forgotten in a transaction must not stop all nodes
                conn.execute(sa.text(f"SET LOCAL lock_timeout = '{patience_s}s'"))
            _migrate(conn)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise _held(patience_s) from None
        raise
    finally:
        engine.dispose()


def current_revision(conn: Connection) -> str | None:
    """The revision that the database is at; None if it is empty."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def revisions() -> list[str]:
    """Those that this hub knows, oldest first: their files begin with them."""
    return sorted(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def _migrate(conn: Connection) -> None:
    from alembic import command

    current = current_revision(conn)
    if current is not None and current not in revisions():
        raise WrongRevision(
            f"数据库已由更新的版本升级 (修订 {current}), 本版本不认识: 请使用更新的枢纽, 或恢复升级前的备份",
            f"the database is at revision {current}, which this version does not know: use a newer hub, or restore the backup "
            "of before",
        )
    config = config_of_migrations()
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def config_of_migrations() -> Config:
    """For alembic; ``attributes["connection"]`` is what it works on."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def _held(patience_s: int) -> TablesHeld:
    return TablesHeld(
        f"升级数据库等待 {patience_s} 秒未能取得表锁, 未作任何改动: 请结束占用的会话 "
        "(pg_stat_activity 中 state = 'idle in transaction') 后重试",
        f"a table that is to be changed was held by another session for {patience_s} s, and nothing was changed: end that session "
        "(pg_stat_activity, state = 'idle in transaction') and start again",
    )
