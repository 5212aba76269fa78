"""One line of the bench's table, and the table for a person and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Result(NamedTuple):
    """``goal`` is for the ratio where there is a floor, else for the figure; ``most`` is an upper bound of the figure."""

    name: str
    figure: float
    unit: str
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    floor: float | None = None
    goal: float | None = None
    most: float | None = None
    cpu_us: float | None = None  # processor time of the hub per message

    @property
    def ratio(self) -> float | None:
        return self.figure / self.floor if self.floor else None

    @property
    def verdict(self) -> str:
        """``ok``, ``short``, or empty without a goal."""
        if self.most is not None:
            return "ok" if self.figure <= self.most else "over"
        if self.goal is None:
            return ""
        reached = self.ratio if self.floor is not None else self.figure
        return "ok" if (reached or 0.0) >= self.goal else "short"

    def as_json(self) -> dict[str, object]:
        return {**self._asdict(), "ratio": self.ratio, "verdict": self.verdict}


_COLUMNS = "{:<52} {:>10} {:<4} {:>8} {:>8} {:>8} {:>9} {:>9} {:>6} {:>6} {:<5}"


def heading() -> str:
    return _COLUMNS.format("", "figure", "unit", "p50 ms", "p95 ms", "p99 ms", "cpu µs", "floor", "ratio", "goal", "")


def line(one: Result) -> str:
    figure = f"{one.figure:,.0f}" if one.figure >= 10 else f"{one.figure:.2f}"
    spans = (f"{ms:,.1f}" if ms is not None else "" for ms in (one.p50_ms, one.p95_ms, one.p99_ms))
    cpu = f"{one.cpu_us:,.0f}" if one.cpu_us is not None else ""
    floor = f"{one.floor:,.0f}" if one.floor is not None else ""
    ratio = f"{one.ratio:.2f}" if one.ratio is not None else ""
    goal = f"≤{one.most:g}" if one.most is not None else f"{one.goal:g}" if one.goal is not None else ""
    return _COLUMNS.format(one.name, figure, one.unit, *spans, cpu, floor, ratio, goal, one.verdict)


def shortfalls(results: Iterable[Result]) -> list[str]:
    return [one.name for one in results if one.verdict in ("short", "over")]
