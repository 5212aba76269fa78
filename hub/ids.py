"""Identifiers: a prefix that says what it is, and 26 characters that sort by time (ULID, Crockford base 32)."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """``case_01jd…``: 48 bits of milliseconds and 80 random bits; sorts by time of birth, is safe in a URL."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"
