"""``make bench``: every figure beside its floor of the same run. ``python -m tests.bench --help``.

Durable databases: SQLite with synchronous=FULL, PostgreSQL with fsync. A figure that falls short of its goal is said so; the exit
code stays 0, as a busy machine is no fault. docs/operations/performance.md explains the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import bench_certs, bench_messages
from tests.bench.bench_evidence import evidence_rows
from tests.bench.bench_fetch import fetch_rows
from tests.bench.bench_hub import Size, accept_rows, deliver_rows, memory_rows
from tests.bench.table import Result, heading, line, shortfalls
from tests.databases import PostgresServer, postgres_server

ROWS = ("accept", "deliver", "memory", "fetch", "evidence", "certs", "messages")
DATABASES = ("sqlite", "postgresql")


def plain(rows: list[bench_messages.Row]) -> list[Result]:
    """Rows of one thread, without percentiles."""
    return [Result(row.name, row.figure, row.unit, floor=row.floor) for row in rows]


def measure(only: str | None, database: str | None, size: Size) -> Iterator[list[Result]]:
    """The chosen rows, a group at a time."""
    on_hub: dict[str, Callable[[PostgresServer | None, Size], list[Result]]] = {
        "accept": accept_rows, "deliver": deliver_rows, "memory": memory_rows, "evidence": evidence_rows,
    }  # fmt: skip
    chosen = [name for name in ROWS if only in (None, name)]
    if any(name in on_hub for name in chosen):
        if database in (None, "sqlite"):
            for name in chosen:
                if name in on_hub:
                    yield on_hub[name](None, size)
        if database in (None, "postgresql"):
            with postgres_server(fsync=True) as postgres:
                for name in chosen:
                    if name in on_hub:
                        yield on_hub[name](postgres, size)
    if "fetch" in chosen:
        yield fetch_rows(size)
    if "certs" in chosen:
        yield plain(bench_certs.rows())
    if "messages" in chosen:
        yield plain(bench_messages.rows())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--database", choices=DATABASES, help="only this one")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load for each row")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    print(heading(), flush=True)
    results: list[Result] = []
    for group in measure(given.only, given.database, Size(given.seconds, given.connections)):
        results += group
        for one in group:
            print(line(one), flush=True)
    for name in shortfalls(results):
        print(f"short of its goal: {name}")
    if given.json:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "processors": os.cpu_count(),
                  "rows": [one.as_json() for one in results]}  # fmt: skip
        given.json.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
