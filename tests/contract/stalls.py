"""How long this process was kept from running: on a shared machine that is nobody's fault, and no time of the code under test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

TICK_S: Final = 0.02
LATE_S: Final = 0.02  # a tick may be so late on a quiet machine


@dataclass(slots=True)
class Stalls:
    """``seconds``: by how much a thread that only sleeps woke too late, in all."""

    seconds: float = 0.0


@contextmanager
def stalls() -> Iterator[Stalls]:
    """Counts while the block runs. What waits for a socket or spins without the lock does not count as stalled."""
    found, ended = Stalls(), threading.Event()

    def tick() -> None:
        before = time.monotonic()
        while not ended.wait(TICK_S):
            now = time.monotonic()
            found.seconds += max(0.0, now - before - TICK_S - LATE_S)
            before = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        yield found
    finally:
        ended.set()
        ticking.join()
