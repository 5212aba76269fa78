"""Kills a real process at a write boundary: with SIGKILL, right before or right after its n-th commit that wrote something.

``killed_at("after", 7)`` gives the environment (``killed_at("after", 1, "transfer.accept:accepted")`` counts only commits whose
audit entries have that action and outcome), :func:`start` the process: any module with a ``main`` that opens a
:class:`hub.db.Database`, the whole hub included (``hub.cli serve``). The product knows nothing of it: this module wraps the
writer's commit and then calls ``main``. *Before*: all is done but the commit, so nothing may be there. *After*: all is there, but
nobody was told. Claims that take nothing and other commits without an audit entry are not counted.

Each process is forked from one that has nothing but the imports behind it (and no thread, connection or file of ours): it starts
in a tenth of a second, where an interpreter of its own would import for two.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import Connection

import hub.db
from hub.audit.chain import AuditChain
from hub.db import AuditEntry, AuditMark, Database

VARIABLE = "HUB_TEST_KILL"
ROOT = Path(__file__).resolve().parents[2]
When = Literal["before", "after"]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "hub.commands.serve",
        "hub.commands.evidence",
        "tests.integration.collect_world",
        "tests.integration.delivery_child",
        "tests.integration.login_world",
        "tests.integration.presenting_child",
        "tests.integration.revoke_child",
    ]
)


class Child:
    """A process, with what the tests use of :class:`subprocess.Popen`."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], errors: Path | None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hub-killing-")
        self._printed = Path(self._folder.name) / "printed"
        what = (module, list(arguments), dict(environment), self._printed, errors)
        self._process = _FORKS.Process(target=_live, args=what, daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process.name), timeout or 0)

    def communicate(self, timeout: float | None = None) -> str:
        """What it printed until its end."""
        self.wait(timeout)
        return self.printed

    @property
    def printed(self) -> str:
        return self._printed.read_text(encoding="utf-8") if self._printed.exists() else ""

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def killed_at(when: When, number: int, word: str = "") -> dict[str, str]:
    """The environment that kills the process at its ``number``-th commit (of those with ``word``), counted from 1."""
    return {VARIABLE: f"{when}:{number}:{word}"}


def start(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    errors: Path | None = None,
) -> Child:
    """``main`` of a module with these arguments, in a process that dies as the environment says, if it does.

    ``errors``: a file to which standard error is appended; without it, it is the test's own.
    """
    return Child(module, arguments, {**os.environ, **(environment or {})}, errors)


def was_killed(process: Child) -> bool:
    return process.returncode == -signal.SIGKILL


def _live(module: str, arguments: list[str], environment: dict[str, str], printed: Path, errors: Path | None) -> None:
    """In the new process."""
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((sys.stdout, printed), (sys.stderr, errors)):
        if path is not None:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, stream.fileno())
            os.close(file)
    if spec := os.environ.get(VARIABLE):
        moment, which, wanted = spec.split(":", 2)
        _install(moment, int(which), wanted)
    sys.argv = [module, *arguments]
    import_module(module).main()


def _install(when: str, number: int, word: str) -> None:
    commit, append = Database._commit, AuditChain.append
    count = 0
    words: set[str] = set()

    def noted(self: AuditChain, conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> AuditMark | None:
        words.clear()
        words.update(f"{entry.action}:{entry.outcome}" for entry in entries)
        return append(self, conn, now, entries)

    def counted(self: Database, transaction: hub.db.RootTransaction, mark: AuditMark | None) -> None:
        nonlocal count
        counts = mark is not None and (not word or word in words)
        count += counts
        fatal = counts and count == number
        if fatal and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, transaction, mark)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    Database._commit = counted  # type: ignore[method-assign]
    AuditChain.append = noted  # type: ignore[method-assign]
