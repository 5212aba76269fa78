"""Kills a real process at a write boundary: with SIGKILL, right before or right after its n-th commit that wrote something.

``killed_at("after", 7)`` gives the environment (``killed_at("after", 1, "transfer.accept:accepted")`` counts only commits whose
audit entries have that action and outcome), :func:`start` the process: any module that opens a :class:`hub.db.Database`, the
whole hub included (``hub.cli serve``). The product knows nothing of it: this module wraps the writer's commit and then runs the
wanted module as ``__main__``. *Before*: all is done but the commit, so nothing may be there. *After*: all is there, but nobody was
told. Claims that take nothing and other commits without an audit entry are not counted.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from sqlalchemy.engine import Connection

import hub.db
from hub.audit.chain import AuditChain
from hub.db import AuditEntry, AuditMark, Database

VARIABLE = "HUB_TEST_KILL"
ROOT = Path(__file__).resolve().parents[2]
When = Literal["before", "after"]


def killed_at(when: When, number: int, word: str = "") -> dict[str, str]:
    """The environment that kills the process at its ``number``-th commit (of those with ``word``), counted from 1."""
    return {VARIABLE: f"{when}:{number}:{word}"}


def start(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    stderr: IO[bytes] | int | None = None,
) -> subprocess.Popen[str]:
    """``python -m module arguments`` that dies as the environment says, if it does."""
    command = [sys.executable, "-m", "tests.integration.killing", module, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=stderr, text=True
    )


def was_killed(process: subprocess.Popen[str]) -> bool:
    return process.returncode == -signal.SIGKILL


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


if __name__ == "__main__":
    if spec := os.environ.get(VARIABLE):
        moment, which, wanted = spec.split(":", 2)
        _install(moment, int(which), wanted)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
