"""Other rooms that rely on certificates: how they hear of a notice, in its commit, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub.db import Tx


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a notice says. ``indexes``: keyed hashes of the certificates' identifiers. No personal data."""

    notice_id: str
    reason: str
    revoked_at: datetime
    source: str
    indexes: frozenset[str]


@dataclass(frozen=True, slots=True)
class CasesTold:
    """What relied: cases, the certificates (as indexes) that they rested on, their systems, and which of these are told."""

    cases: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    systems_told: frozenset[str] = frozenset()


TellCases = Callable[[Tx, Revoked], CasesTold]


def no_cases(_tx: Tx, _revoked: Revoked) -> CasesTold:
    """Where there are no cases, none relied."""
    return CasesTold()
