"""Engines for the two databases, and what their errors mean. The rest of the hub sees SQLAlchemy only."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from hub.tables import UtcTime, to_micros

READERS = 32  # connections for reading; the writer has its own
WRITER = {"hub_writer": True}  # execution options of a connection that will write

# A dead database host must be noticed in seconds: the client's own limits, unless the URL says otherwise.
_LIBPQ = {"connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "tcp_user_timeout": "15000"}

# PostgreSQL's words for "nothing is wrong with what you asked; ask again": serialization, deadlock, lock not available,
# shutting or starting up, read-only (a primary that was just demoted), too many connections, connection failures.
_ASK_AGAIN = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "25006", "53300"})


def make_engine(url: URL) -> Engine:
    """An engine with our settings. PostgreSQL URLs may name several hosts (``?host=a:5432&host=b:5432``)."""
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _postgresql(url: URL) -> Engine:
    return sa.create_engine(
        url,
        pool_size=12,
        max_overflow=READERS - 12,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",  # claiming relies on a second statement seeing a newer state than the first
        connect_args={name: value for name, value in _LIBPQ.items() if name not in url.query},
    )


def _sqlite(url: URL) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, poolclass=QueuePool, pool_size=12, max_overflow=READERS - 12)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=15000",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16384",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        # a reader that later writes would fail with SQLITE_BUSY_SNAPSHOT; a writer says so from the start
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("hub_writer") else "BEGIN")

    return engine


def insert_many(conn: Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows that have the same columns, many with one statement: the hot tables, at half of SQLAlchemy's cost.

    SQLite's driver gives the interpreter lock up for every row of an executemany, and the event loop takes it; here it does
    so once for up to 64 rows. Times become what :class:`hub.tables.UtcTime` stores; columns that no row names get their default.
    """
    if not rows:
        return
    readers = _readers(table, tuple(rows[0]))
    done = 0
    for size in _SIZES:
        while len(rows) - done >= size:
            values = tuple(read(row) for row in rows[done : done + size] for read in readers.values())
            conn.exec_driver_sql(_insert_statement(table.name, tuple(readers), size, conn.dialect.paramstyle), values)
            done += size


_SIZES = (64, 32, 16, 8, 4, 2, 1)  # few statements, so that the drivers keep them prepared
Reader = Callable[[Mapping[str, object]], object]


@lru_cache(maxsize=64)
def _readers(table: sa.Table, names: tuple[str, ...]) -> Mapping[str, Reader]:
    """How the value of each column is read from a row."""
    readers: dict[str, Reader] = {}
    for column in table.columns:
        if column.name in names:
            readers[column.name] = (
                _time_of(column.name) if isinstance(column.type, UtcTime) else itemgetter(column.name)
            )
        elif isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
            value = column.default.arg
            readers[column.name] = _constant(to_micros(value) if isinstance(value, datetime) else value)
    return readers


@lru_cache(maxsize=512)
def _insert_statement(table: str, columns: tuple[str, ...], rows: int, paramstyle: str) -> str:
    mark = "?" if paramstyle == "qmark" else "%s"
    one = "(" + ", ".join([mark] * len(columns)) + ")"
    listed = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({listed}) VALUES {", ".join([one] * rows)}'  # noqa: S608  names of our own tables


def _time_of(name: str) -> Reader:
    def read(row: Mapping[str, object]) -> object:
        value = row[name]
        return to_micros(value) if isinstance(value, datetime) else value

    return read


def _constant(value: object) -> Reader:
    return lambda _row: value


def is_transient(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed if it is simply run again: deadlock, failover, a lost connection, a lock."""
    if error.connection_invalidated:
        return True
    match error.orig:
        case psycopg.Error() as fault:
            if fault.sqlstate is None:  # the client's own: could not connect, connection lost
                return isinstance(fault, (psycopg.OperationalError, psycopg.InterfaceError))
            return fault.sqlstate in _ASK_AGAIN or fault.sqlstate.startswith("08")
        case sqlite3.OperationalError() as locked:
            return locked.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return False


def is_constraint(error: SQLAlchemyError) -> bool:
    """Whether a unique or foreign-key constraint refused the write."""
    return isinstance(error, IntegrityError)


def listen(engine: Engine, channel: str, hear: Callable[[], None], stop: threading.Event) -> None:
    """Call ``hear`` for each NOTIFY until ``stop``; blocks. A lost connection is made anew; what was missed meanwhile is missed.

    PostgreSQL only. ``hear`` is called once after each connect as well, as something may have happened before.
    """
    positional, named = engine.dialect.create_connect_args(engine.url)
    while not stop.is_set():
        try:
            with psycopg.connect(*positional, **{**_LIBPQ, **named}, autocommit=True) as connection:
                connection.execute(f"LISTEN {channel}".encode())
                hear()
                while not stop.is_set():
                    for _ in connection.notifies(timeout=1.0, stop_after=1):
                        hear()
        except psycopg.Error:
            stop.wait(1.0)
