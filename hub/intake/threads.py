"""Threads for requests that may wait for others: a bound of their own, so that they hold up nothing but their like."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from schemas.problems import HUB_BUSY, HubProblem

R = TypeVar("R")
BUSY_RETRY_S: Final = 2


class Threads:
    """``at_once`` requests at a time; one more is refused at once instead of waiting for its own deadline."""

    def __init__(self, at_once: int, name: str) -> None:
        """``name`` is the detail of the refusal."""
        self._name = name
        self._pool = ThreadPoolExecutor(at_once, name)
        self._places = threading.BoundedSemaphore(at_once)

    async def run(self, work: Callable[[], R]) -> R:
        if not self._places.acquire(blocking=False):
            raise HubProblem(HUB_BUSY, self._name, retry_after_s=BUSY_RETRY_S)
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)
