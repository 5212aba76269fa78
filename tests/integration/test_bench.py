"""The bench's rows at a tiny size: that they run and measure what they say, not how fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.bench_fetch import fetch_rows
from tests.bench.bench_hub import Size, accept_rows, deliver_rows, memory_rows
from tests.bench.load import Load, percentile
from tests.bench.table import Result, line, shortfalls
from tests.databases import PostgresServer, postgres_server

TINY = Size(seconds=0.5, connections=4, most=20)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[PostgresServer | None]:
    if request.param == "sqlite":
        yield None
        return
    with postgres_server() as server:
        yield server


def test_accepted_beside_both_floors_and_delivered_once_each(database: PostgresServer | None) -> None:
    results = [*accept_rows(database, TINY), *deliver_rows(database, TINY)]
    assert all(one.figure > 0 for one in results)
    accepted = next(one for one in results if one.goal == 0.2)
    assert accepted.ratio is not None
    assert accepted.cpu_us is not None
    assert accepted.cpu_us > 0
    assert all(line(one) for one in results)


def test_memory_at_rest_and_fetching() -> None:
    results = [*memory_rows(None, TINY), *fetch_rows(TINY)]
    assert all(one.figure > 0 for one in results)


def test_goals_are_judged() -> None:
    short = Result("short", 100.0, "1/s", floor=1000.0, goal=0.2)
    met = Result("met", 300.0, "1/s", floor=1000.0, goal=0.2)
    over, plain = Result("over", 201.0, "MB", most=200.0), Result("plain", 1.0, "1/s")
    assert shortfalls([short, met, over, plain]) == ["short", "over"]


def test_only_good_answers_count_and_percentiles_are_of_what_came() -> None:
    load = Load([0.1] * 4, seconds=2.0)
    load.statuses.update([202, 202, 500, 429])
    assert load.rate == 1.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([], 0.99) == 0.0
