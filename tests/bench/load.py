"""The load generator: a process of its own that sends requests made beforehand over kept connections, and times each answer.

It knows just enough HTTP for that (status line, Content-Length), so that it takes little of the processors
that it shares with the server.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came back: seconds until each answer, how many of each status, and how long it all took."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return sum(count for status, count in self.statuses.items() if status < 300) / self.seconds


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def fire(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Send all requests, or as many as ``seconds`` allow, from another process to 127.0.0.1."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_fire, port, requests, connections, seconds).result()


def _fire(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    import uvloop

    return uvloop.run(_all(port, requests, connections, seconds))


async def _all(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    load, waiting = Load(), iter(requests)
    begin = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            sent = time.perf_counter()
            if sent - begin > seconds:
                break
            writer.write(request)
            load.statuses[await _answer(reader)] += 1
            load.latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - begin
    return load


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    await reader.readexactly(length)
    return int(head[9:12])
