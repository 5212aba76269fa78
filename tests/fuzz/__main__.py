"""``python -m tests.fuzz --seconds 120``: every target in this folder, so long in all; ends with 1 if any found a fault."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent


def main() -> int:
    """Run the targets one after the other, each in a process of its own, with an equal share of what time is left."""
    arguments = argparse.ArgumentParser(prog="make fuzz")
    arguments.add_argument("--seconds", type=int, default=120, help="for all targets together")
    arguments.add_argument("targets", nargs="*", help="for example fuzz_safe_xml; all where none is named")
    options = arguments.parse_args()
    targets = options.targets or sorted(path.stem for path in FOLDER.glob("fuzz_*.py"))
    end, failed = time.monotonic() + options.seconds, 0
    for number, target in enumerate(targets):
        share = (end - time.monotonic()) / (len(targets) - number)
        failed += not fuzz(target, share)
    return 1 if failed else 0


def fuzz(target: str, seconds: float) -> bool:
    """Whether a target found nothing. What it found is printed whole: make a test of it. Loading counts as its time."""
    begin = time.monotonic()
    loading = [sys.executable, "-c", f"import tests.fuzz.{target}"]
    subprocess.run(loading, check=True, capture_output=True)  # how long it takes to begin on this machine
    left = max(1, round(seconds - 2 * (time.monotonic() - begin)))
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"tests.fuzz.{target}", f"-max_total_time={left}", "-verbosity=0"]
        command += ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = sorted(Path(folder).iterdir())
        lines = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        runs = int(lines[0].split(":")[-1]) if lines else 0
        word = "ok" if done.returncode == 0 else "FAULT"
        print(f"{target:24} {word:5} {runs:>9,} inputs in {time.monotonic() - begin:5.1f} s", flush=True)
        if done.returncode != 0:
            print(done.stderr[-4000:])
            for file in found:
                print(f"input: {file.read_bytes()!r}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
