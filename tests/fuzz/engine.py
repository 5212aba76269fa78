"""One way to run a fuzz target: coverage-guided by atheris, from seeds, for as long as ``-max_total_time`` says.

A target is a module ``tests.fuzz.fuzz_<parser>`` with ``one_input(data)``, which raises on a fault and on nothing else, and
``SEEDS``. ``python -m tests.fuzz.fuzz_<parser> -max_total_time=60`` runs it; ``make fuzz`` runs all of them.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType

OURS = ("certs.", "schemas.")


def run(one_input: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Never returns: libFuzzer ends the process, with a status other than 0 if a fault was found.

    Only our own parsers are instrumented: other people's libraries have a hundred times as much code, which would take
    minutes to prepare and most of the time of every run.
    """
    import atheris

    for function in [found for found in gc.get_objects() if isinstance(found, FunctionType)]:
        if (function.__module__ or "").startswith(OURS):
            atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        longest = max(4096, *(2 * len(seed) for seed in seeds)) if seeds else 4096
        bounds = ["-timeout=10", "-rss_limit_mb=2048", f"-max_len={longest}"]
        atheris.Setup([*sys.argv, *bounds, corpus], one_input)
        atheris.Fuzz()
