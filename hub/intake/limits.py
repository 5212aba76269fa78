"""How much one caller may send, and how large a message may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from schemas.problems import MESSAGE_TOO_LARGE, MESSAGE_UNREADABLE, RATE_LIMITED, HubProblem

BODY_TIMEOUT_S = 30.0  # a body that drips longer than this is given up
MAX_BUCKETS = 10_000  # names that a limiter remembers
MAX_XML_DEPTH = 32  # our messages are 3 deep, their SOAP envelope with a security header about 10


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """A token bucket for each name: ``rate`` a second, ``burst`` at once; a rate of 0 limits nothing.

    Kept in this process: over N nodes a caller may send N times as much, which is what N nodes can take.
    """

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str) -> float:
        """0.0 if one more may pass now, else the seconds until it may."""
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._forget_full(now)
            bucket = self._buckets[name] = _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / self._rate
        bucket.tokens -= 1.0
        return 0.0

    def _forget_full(self, now: float) -> None:
        """A bucket that has filled up again says nothing; if none has (a flood of names), all begin anew."""
        waiting = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.tokens + (now - bucket.at) * self._rate < self._burst
        }
        self._buckets = waiting if len(waiting) < MAX_BUCKETS else {}

    def require(self, name: str) -> None:
        """HubProblem(RATE_LIMITED) with the whole seconds to wait."""
        wait = self.take(name)
        if wait > 0.0:
            raise HubProblem(RATE_LIMITED, retry_after_s=max(1, round(wait + 0.5)))


def _too_large(limit: int) -> HubProblem:
    return HubProblem(MESSAGE_TOO_LARGE, said=(f"至多 {limit} 字节", f"at most {limit} bytes"))


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused before it is read where its length says so, and while it is read else."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise HubProblem(
            MESSAGE_UNREADABLE,
            "body-timeout",
            (f"{BODY_TIMEOUT_S:.0f} 秒内未收完", f"not complete after {BODY_TIMEOUT_S:.0f} s"),
        ) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
