"""Engines for the two databases, and what their errors mean. The rest of the hub sees SQLAlchemy only."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from hub.prepared import run_text

READERS = 32  # connections for reading; the writer has its own
WRITER = {"hub_writer": True}  # execution options of a connection that will write
BEGAN_AT = "hub_began_at"  # in its ``info``, PostgreSQL only: the server's time when its transaction began

# A dead database host must be noticed in seconds: the client's own limits, unless the URL says otherwise.
_LIBPQ = {"connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "tcp_user_timeout": "15000"}

# PostgreSQL's words for "nothing is wrong with what you asked; ask again": serialization, deadlock, lock not available,
# shutting or starting up, read-only (a primary that was just demoted), too many connections, connection failures.
_ASK_AGAIN = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "25006", "53300"})

# What no waiting of ours mends: the disk is full or fails, the file is read-only or cannot be opened.
_NO_ROOM = frozenset({"53100", "58030"})
_NO_WRITING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


def make_engine(url: URL) -> Engine:
    """An engine with our settings. PostgreSQL URLs may name several hosts (``?host=a:5432&host=b:5432``)."""
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _postgresql(url: URL) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=12,
        max_overflow=READERS - 12,
        pool_pre_ping=True,
        isolation_level="AUTOCOMMIT",  # we say BEGIN ourselves: the driver would wait for the answer to its own
        connect_args={name: value for name, value in _LIBPQ.items() if name not in url.query},
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        # claiming relies on a second statement seeing a newer state than the first
        text = "BEGIN ISOLATION LEVEL READ COMMITTED"
        if not conn.get_execution_options().get("hub_writer"):
            run_text(conn, text)
            return
        cursor = run_text(conn, f"{text}; SELECT clock_timestamp()")  # in one round trip
        cursor.nextset()
        ((conn.info[BEGAN_AT],),) = cursor.fetchall()

    return engine


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
        run_text(conn, "BEGIN IMMEDIATE" if conn.get_execution_options().get("hub_writer") else "BEGIN")

    return engine


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


def not_writable(error: BaseException | None) -> str | None:
    """The database's word for why nothing can be written until somebody makes room; None for any other error.

    What was raised before counts too: SQLite may have undone the transaction by itself, and then going back to a savepoint fails
    in its own words.
    """
    while error is not None:
        match error.orig if isinstance(error, DBAPIError) else error:
            case psycopg.Error() as fault if fault.sqlstate in _NO_ROOM:
                return type(fault).__name__
            case sqlite3.Error() as fault if getattr(fault, "sqlite_errorcode", 0) & 0xFF in _NO_WRITING:
                return fault.sqlite_errorname
        error = error.__context__
    return None


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
