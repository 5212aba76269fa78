"""What simulated certificate libraries share: options, an authority that seals their files, and people who show codes.

A code is ``PERSON:`` (who agrees), ``DENY:`` (who does not) or ``LATE:`` (it ran out), and an ID number of the synthetic
population. What follows a # tells one code of a person from another. How each is answered is each dialect's own matter.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.contract import PresentationState
from adapters.holdings import PERSON, Holder, Holdings
from adapters.sealing import SEAL_CENTRE, Authority
from adapters.simulation import argument_parser


def library_parser(description: str) -> argparse.ArgumentParser:
    """The options that every library has."""
    parser = argument_parser(description)
    parser.add_argument("--keys", type=Path, required=True, help="folder of the keys; made where it is empty")
    parser.add_argument(
        "--export-anchors", type=Path, help="folder for root.pem, issuing.pem and their CRLs, for the hub"
    )
    parser.add_argument("--authorize-after", type=float, default=0.5, help="seconds until a person authorizes")
    return parser


def holdings_of(given: argparse.Namespace, *, organisation: str = SEAL_CENTRE) -> Holdings:
    """What the library holds, sealed by the authority in the keys' folder, whose anchors are exported where that is asked for."""
    now = datetime.now(UTC)
    authority = Authority(given.keys / "authority", now, organisation=organisation)
    if given.export_anchors:
        authority.export_anchors(given.export_anchors, now)
    return Holdings(authority, seed=given.seed)


class CodeUnknown(Exception):
    """Nobody's code."""


class CodeExpired(Exception):
    """A code that was shown too late."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A person was asked, and answers on the phone after a while."""

    holder: Holder
    agrees: bool
    type_codes: frozenset[str]
    answered_at: float  # on the monotonic clock

    @property
    def state(self) -> PresentationState:
        if time.monotonic() < self.answered_at:
            return PresentationState.PENDING
        return PresentationState.AUTHORIZED if self.agrees else PresentationState.FAILED

    def covers(self, type_code: str) -> bool:
        """Whether certificates of this type are told by it now."""
        return self.state is PresentationState.AUTHORIZED and type_code in self.type_codes


def read_code(holdings: Holdings, code: str) -> tuple[Holder, bool]:
    """Whose code it is, and whether that person agrees. CodeUnknown or CodeExpired."""
    word, _, number = code.partition(":")
    holder = holdings.holder(number.partition("#")[0], PERSON)
    if holder is None or word not in ("PERSON", "DENY", "LATE"):
        raise CodeUnknown
    if word == "LATE":
        raise CodeExpired
    return holder, word == "PERSON"
