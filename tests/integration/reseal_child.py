"""``hub vault reseal`` in a process that dies in the middle: ``reseal_child before|after N``.

*Before*: in the N-th batch, all of it written but not committed. *After*: when the N-th batch is committed, before anybody is told.
"""

from __future__ import annotations

import os
import signal
import sys

from hub.cli import app
from hub.db import Tx
from hub.resealing import store, work


def main() -> None:
    when, number = sys.argv[1], int(sys.argv[2])
    replace, batches = work._replace, 0

    def fatal(column: store.SealedColumn, again: list[tuple[store.SealedValue, bytes]], tx: Tx) -> int:
        nonlocal batches
        batches += 1
        replaced = replace(column, again, tx)
        if batches == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if batches == number:
            tx.after_commit.append(lambda: os.kill(os.getpid(), signal.SIGKILL))
        return replaced

    work._replace = fatal
    app(["vault", "reseal", "--batch", "3"])
