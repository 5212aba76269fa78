"""``python -m tests.fuzz --seconds 60``: every target in this folder, each for so long; ends with 1 if any found a fault."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the targets one after the other, each in a process of its own."""
    arguments = argparse.ArgumentParser(prog="make fuzz")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("targets", nargs="*", help="for example fuzz_safe_xml; all where none is named")
    options = arguments.parse_args()
    failed: list[str] = []
    for target in options.targets or sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py")):
        command = [sys.executable, "-m", f"tests.fuzz.{target}", f"-max_total_time={options.seconds}", "-verbosity=0"]
        done = subprocess.run([*command, "-print_final_stats=1"], check=False, capture_output=True, text=True)
        runs = next((line for line in done.stderr.splitlines() if "number_of_executed_units" in line), "").split(":")[
            -1
        ]
        print(f"{target:24} {'ok' if done.returncode == 0 else 'FAULT'}  {runs.strip()} inputs", flush=True)
        if done.returncode != 0:
            failed.append(target)
            print(done.stderr[-4000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
