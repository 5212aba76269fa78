"""The hub as a process of its own under load: messages accepted, messages delivered, memory; beside an echo and a bare insert."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.config import Settings
from hub.engine import make_engine
from hub.own_keys import OwnKeys
from tests.bench.floors import durable_inserts
from tests.bench.hub_process import Party, bench_settings, echo, hub_serve
from tests.bench.load import Load, fire, percentile
from tests.bench.table import Result
from tests.databases import PostgresServer, free_port

NOWHERE = "http://127.0.0.1:9"  # nothing is delivered by an api node
ACCEPT_GOAL, DELIVER_GOAL, MEMORY_GOAL = 0.2, 500.0, 200.0
MOST_PER_S = {"accept": 3_000, "deliver": 900, "echo": 12_000}  # how many messages are made for each second


@dataclass(frozen=True)
class Size:
    """How long each measurement takes at most, over how many connections, and how many messages at most."""

    seconds: float = 5.0
    connections: int = 64
    most: int = 30_000

    def messages(self, row: str) -> int:
        return max(1, min(self.most, int(self.seconds * MOST_PER_S[row])))


@contextmanager
def fresh(postgres: PostgresServer | None) -> Iterator[tuple[Path, str | None]]:
    """An empty folder, and the URL of an empty database if it is not to be SQLite in that folder."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        url = postgres.create(migrated=False) if postgres else None
        try:
            yield Path(folder), url
        finally:
            if postgres and url:
                postgres.drop(url)


def accept_rows(postgres: PostgresServer | None, size: Size) -> list[Result]:
    """Signed transfers over REST, all checks on, by the flows that ship: each opens a case with its first five deliveries."""
    name = "postgresql" if postgres else "sqlite"
    with fresh(postgres) as (folder, url):
        settings = bench_settings(folder, url, delivers=False)
        party = Party.new(folder)
        party.register(settings, NOWHERE)
        messages = party.messages(settings.effective_public_url, size.messages("accept"))
        floor = _echo(folder, messages[0], size)
        with hub_serve(settings) as hub:
            time.sleep(0.5)
            rest = hub.resident_mb
            before = hub.cpu_s
            load = fire(settings.port, messages, size.connections, size.seconds)
            cpu_us = 1e6 * (hub.cpu_s - before) / max(1, len(load.latencies))
            after = hub.resident_mb
        _require(load, {202})
        inserts = durable_inserts(settings.effective_database_url, messages[0], min(2.0, size.seconds))
    insert_rate = 1 / median(inserts)
    return [
        latencies(Result(f"echo, bare FastAPI ({name} run)", floor.rate, "1/s"), floor.latencies),
        latencies(Result(f"durable insert, {name}: one row a commit", insert_rate, "1/s"), inserts),
        latencies(
            Result(f"accepted, {name}; floor: echo", load.rate, "1/s", floor=floor.rate, goal=ACCEPT_GOAL, cpu_us=cpu_us),
            load.latencies,
        ),
        Result(f"accepted, {name}; floor: durable insert", load.rate, "1/s", floor=insert_rate),
        Result(f"memory at rest, {name}, api node", rest, "MB", most=MEMORY_GOAL),
        Result(f"memory after {len(load.latencies)} messages, {name}", after, "MB", most=MEMORY_GOAL),
    ]  # fmt: skip


def _echo(folder: Path, message: bytes, size: Size) -> Load:
    port = free_port()
    with echo(port, folder):
        load = fire(port, [message] * size.messages("echo"), size.connections, size.seconds)
    _require(load, {200})
    return load


def deliver_rows(postgres: PostgresServer | None, size: Size) -> list[Result]:
    """End to end: signed REST message in, case committed, signed REST delivery out to the county's registry, its receipt committed.

    The clock runs from the first message sent to the last delivery recorded; the simulator says that each came once. Percentiles
    are of one delivery, from its commit with the case to its outcome.
    """
    name = "postgresql" if postgres else "sqlite"
    count = size.messages("deliver")
    with fresh(postgres) as (folder, url), ExitStack() as stack:
        settings = bench_settings(folder, url, delivers=True)
        party = Party.new(folder)
        own = OwnKeys.ensure(settings.state_dir)
        registry = stack.enter_context(
            SimulatorProcess(
                "adapters.county_rest.simulator",
                [
                    "--region",
                    "370102",
                    "--token",
                    party.token,
                    "--decide-after",
                    "100000",
                    "--hub-key-file",
                    str(own.http_public),
                ],
            )
        )
        party.register(settings, registry.url)
        messages = party.messages(settings.effective_public_url, count)
        with hub_serve(settings) as hub:
            time.sleep(0.5)
            rest, before, begin = hub.resident_mb, hub.cpu_s, time.perf_counter()
            load = fire(settings.port, messages, size.connections, 4 * size.seconds)
            _require(load, {202})
            sent = len(load.latencies)
            _until_delivered(settings, sent, patience_s=60 + 10 * size.seconds)
            took = time.perf_counter() - begin
            cpu_us = 1e6 * (hub.cpu_s - before) / sent
            after = hub.resident_mb
        effects = registry.effects()
        if len(effects) != sent or set(effects.values()) != {1}:
            raise RuntimeError(f"{sent} messages were sent, {len(effects)} came, {sum(effects.values())} effects")
        spans = _spans(settings)
    return [
        latencies(Result(f"delivered end to end, {name}", sent / took, "1/s", goal=DELIVER_GOAL, cpu_us=cpu_us), spans),
        Result(f"memory before, {name}", rest, "MB", most=MEMORY_GOAL),
        Result(f"memory after {sent} deliveries, {name}", after, "MB", most=MEMORY_GOAL),
    ]  # fmt: skip


def memory_rows(postgres: PostgresServer | None, size: Size) -> list[Result]:
    """``hub serve`` with everything on and nothing to do."""
    with fresh(postgres) as (folder, url):
        settings = bench_settings(folder, url, delivers=True)
        begin = time.perf_counter()
        with hub_serve(settings) as hub:
            started = time.perf_counter() - begin
            time.sleep(min(1.0, size.seconds))
            rest = hub.resident_mb
    name = "postgresql" if postgres else "sqlite"
    return [
        Result(f"start on an empty database, {name}", started, "s"),
        Result(f"memory at rest, {name}", rest, "MB", most=MEMORY_GOAL),
    ]


def _until_delivered(settings: Settings, count: int, *, patience_s: float) -> None:
    engine = make_engine(sa.make_url(settings.effective_database_url))
    question = sa.select(sa.func.count()).select_from(t.deliveries).where(t.deliveries.c.state == "delivered")
    end = time.monotonic() + patience_s
    try:
        while True:
            with engine.connect() as conn:
                done = conn.execute(question).scalar_one()
            if done >= count:
                return
            if time.monotonic() > end:
                raise RuntimeError(f"only {done} of {count} were delivered")
            time.sleep(0.1)
    finally:
        engine.dispose()


def _spans(settings: Settings) -> list[float]:
    d = t.deliveries.c
    engine = make_engine(sa.make_url(settings.effective_database_url))
    try:
        with engine.connect() as conn:
            rows = conn.execute(sa.select(d.created_at, d.finished_at).where(d.finished_at.is_not(None))).all()
    finally:
        engine.dispose()
    return [(finished - created).total_seconds() for created, finished in rows]


def latencies(result: Result, seconds: list[float]) -> Result:
    p50, p95, p99 = (1000 * percentile(seconds, share) for share in (0.50, 0.95, 0.99))
    return result._replace(p50_ms=p50, p95_ms=p95, p99_ms=p99)


def _require(load: Load, statuses: set[int]) -> None:
    if set(load.statuses) != statuses:
        raise RuntimeError(f"the answers were {dict(load.statuses)}, not all of {statuses}")
