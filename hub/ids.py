"""Identifiers: a prefix that says what it is, and 26 characters that sort by time (ULID, Crockford base 32)."""

from __future__ import annotations

import secrets
import threading
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [
    high + low for high in _ALPHABET for low in _ALPHABET
]  # 10 bits at a time: an accepted message makes six or more ids
_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """``case_01jd…``: 48 bits of milliseconds and 80 random bits; safe in a URL. Those of one process sort in order of birth."""
    number = _next()
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])}"


def first_id(prefix: str, at: datetime) -> str:
    """Every id of this prefix that was made before sorts before it."""
    number = max(0, int(at.timestamp() * 1000)) << _RANDOM_BITS
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])}"


def _next() -> int:
    """Monotonic ULID: within a millisecond the next number is one of the 2^32 that follow, so it is no easier to guess."""
    global _last  # noqa: PLW0603
    number = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        if number >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
            number = _last + 1 + secrets.randbits(32)
        _last = number
        return number
