"""How often passwords may be tried: per name, so that whoever guesses at one name locks nobody else out.

Names that nobody has share a few buckets, by their hash: the number of buckets, and with it the number of guesses over all names,
is bounded, and an unknown name is throttled as a known one is. A one-time link always leads in. Kept in this process: over N
nodes a name may be tried N times as often.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

TRIES = 8  # wrong passwords at once
EVERY_S = 30.0  # then one in so many seconds
UNKNOWN_BUCKETS = 64


class TooManyTries(Exception):
    """The password was not looked at. ``first`` once for each time that a name comes to its limit."""

    def __init__(self, wait_s: int, *, first: bool) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s
        self.first = first


class Throttle:
    """``begin`` before the password is looked at, ``forgive`` when it was right. Shared by every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float, bool]] = {}  # tries left, as of, whether told that none is left

    def begin(self, name: str, *, known: bool) -> None:
        """Takes one try; TooManyTries if none is left."""
        key, now = _bucket(name, known), self._clock()
        with self._lock:
            left, at, told = self._buckets.get(key, (float(TRIES), now, False))
            left = min(float(TRIES), left + (now - at) / EVERY_S)
            if left < 1.0:
                self._buckets[key] = (left, now, True)
                raise TooManyTries(max(1, round((1.0 - left) * EVERY_S + 0.5)), first=not told)
            self._buckets[key] = (left - 1.0, now, told and left < TRIES / 2)

    def forgive(self, name: str) -> None:
        """The password was right: the name begins anew."""
        with self._lock:
            self._buckets.pop(_bucket(name, True), None)


def _bucket(name: str, known: bool) -> str:
    if known:
        return "known:" + name
    return f"unknown:{hashlib.sha256(name.encode()).digest()[0] % UNKNOWN_BUCKETS}"
