"""Places for what takes long, so that it holds up nothing but its like, and no caller everybody else; and threads of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from schemas.problems import HUB_BUSY, HubProblem

R = TypeVar("R")
BUSY_RETRY_S: Final = 2


class Places:
    """``count`` at a time, of which one caller has ``each`` at most; one more is refused at once instead of waiting."""

    def __init__(self, name: str, count: int, each: int, *, retry_s: int = BUSY_RETRY_S) -> None:
        """``name`` is the detail of the refusal."""
        self._name, self._count, self._each, self._retry_s = name, count, each, retry_s
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()  # by caller

    def take(self, who: str) -> None:
        """HubProblem(HUB_BUSY) if there is none. What was taken is given back, always."""
        with self._lock:
            if self._taken.total() >= self._count or self._taken[who] >= self._each:
                raise HubProblem(HUB_BUSY, self._name, retry_after_s=self._retry_s)
            self._taken[who] += 1

    def give(self, who: str) -> None:
        with self._lock:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        self.take(who)
        try:
            yield
        finally:
            self.give(who)


class Threads:
    """``at_once`` threads, and ``waiting`` that wait for one; ``each``: of both together, what one caller has at most."""

    def __init__(
        self, at_once: int, name: str, *, waiting: int = 0, each: int | None = None, retry_s: int = BUSY_RETRY_S
    ) -> None:
        self._pool = ThreadPoolExecutor(at_once, name)
        self._places = Places(name, at_once + waiting, each or at_once + waiting, retry_s=retry_s)

    async def run(self, work: Callable[[], R], who: str = "") -> R:
        self._places.take(who)
        try:
            future = self._pool.submit(work)
        except BaseException:
            self._places.give(who)
            raise
        future.add_done_callback(lambda _: self._places.give(who))  # also of one whose caller went away
        return await asyncio.wrap_future(future)
