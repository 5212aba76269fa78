"""Processes that act at the same moment: each says that it is ready, waits at a gate, and prints what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration import killing

READY = "ready\n"


def at_the_gate(gate: str) -> None:
    """In a process of the crowd: until the gate opens."""
    print(READY, end="", flush=True)
    with open(gate, encoding="utf-8"):  # a named pipe opens when somebody opens its other end
        return


def all_at_once(module: str, arguments: Sequence[Sequence[str]], folder: Path) -> list[str]:
    """``main`` of a module once for each list of arguments, with the gate behind them; gives what each printed."""
    gate = folder / "gate"
    os.mkfifo(gate)
    crowd = [killing.start(module, [*one, str(gate)]) for one in arguments]
    try:
        end = time.monotonic() + 60
        while not all(one.printed == READY for one in crowd):
            assert time.monotonic() < end
            time.sleep(0.01)
        with gate.open("w"):
            return [one.communicate(timeout=100).removeprefix(READY) for one in crowd]
    finally:
        for one in crowd:
            one.kill()
