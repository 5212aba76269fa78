"""Four processes that begin at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def race(arguments: Callable[[int], list[str]]) -> int:
    """How many of their acts succeeded.

    ``arguments(n)``: a module that says ready, waits for a line and prints how many of its acts did; and what it is given.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *arguments(n)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for n in range(4)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(int(process.communicate(timeout=100)[0]) for process in processes)
    finally:
        for process in processes:
            process.kill()
