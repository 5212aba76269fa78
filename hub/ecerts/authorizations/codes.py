"""Authorization codes: 20 digits = locator 8 + secret 11 + Luhn check 1, as typed at a counter or read from a QR code.

The locator says which authorization is meant, so that wrong secrets can be counted against it; the check digit catches a slip
of the finger before it counts as an attempt. With five attempts, a secret is guessed once in 20 thousand million authorizations.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from stdnum import luhn

LOCATOR, SECRET = 8, 11
_DIGITS: Final = re.compile(r"[0-9]{20}")
_SEPARATORS: Final = re.compile(r"[\s-]")
MAX_TEXT: Final = 40  # with separators


@dataclass(frozen=True, slots=True)
class Code:
    """The whole code never reaches a log, an error or the database: only keyed hashes of its parts do."""

    text: str = field(repr=False)

    @property
    def locator(self) -> str:
        return self.text[:LOCATOR]

    @property
    def shown(self) -> str:
        """In groups of four, for people."""
        return " ".join(self.text[start : start + 4] for start in range(0, len(self.text), 4))


def new_code() -> Code:
    body = f"{secrets.randbelow(10 ** (LOCATOR + SECRET)):0{LOCATOR + SECRET}d}"
    return Code(body + luhn.calc_check_digit(body))


def read_code(text: str) -> Code | None:
    """The code in what was typed or scanned (spaces, hyphens and full-width digits allowed); None if it can be none."""
    digits = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text[:MAX_TEXT]))
    if len(text) > MAX_TEXT or not digits.isascii() or not _DIGITS.fullmatch(digits) or not luhn.is_valid(digits):
        return None
    return Code(digits)
