"""One way to run a fuzz target: coverage-guided by atheris, from seeds, for as long as ``-max_total_time`` says.

A target is a module ``tests.fuzz.fuzz_<parser>`` with ``one_input(data)``, which raises on a fault and on nothing else, and
``SEEDS``. ``python -m tests.fuzz.fuzz_<parser> -max_total_time=60`` runs it; ``make fuzz`` runs all of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def run(one_input: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Never returns: libFuzzer ends the process, with a status other than 0 if a fault was found."""
    import atheris

    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        atheris.Setup([*sys.argv, "-timeout=10", "-rss_limit_mb=2048", corpus], one_input)
        atheris.Fuzz()
