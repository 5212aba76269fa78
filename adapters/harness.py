"""What an adapter hands to the contract suite (tests/contract): its simulator, its calls, its wire forms, its refusals.

Each adapter folder has a ``harness.py`` with one ``HARNESS``. It is data and small functions; the tests stand in one place.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.contract import Adapter, AdapterError, Capability, Collection, Deadline, Message
from certs.keys import PrivateKey, SignatureAlgorithm
from schemas.base import Canonical


@dataclass(frozen=True, slots=True)
class Setup:
    """How to start the simulator, and what an endpoint that speaks with it needs."""

    module: str
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    base_path: str = ""  # behind the simulator's address


@dataclass(frozen=True, slots=True)
class Call:
    """One use of one capability. ``run`` gets an idempotency key of its own, which only ``deliver`` uses.

    ``has_effect``: whether the peer may have done something when no answer comes. ``reads_answer``: whether the body of a 2xx
    answer decides anything (a web hook's does not).
    """

    name: str
    capability: Capability
    run: Callable[[Adapter, str, Deadline], Canonical]
    has_effect: bool = False
    reads_answer: bool = True
    uses_network: bool = True


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A canonical message and its wire form as bytes. ``fixture`` holds the first sample's, byte for byte."""

    name: str
    fixture: str
    samples: tuple[Canonical, ...]
    encode: Callable[[Canonical], bytes]
    decode: Callable[[bytes], Canonical]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A peer's answer word for word, and the error that it must become."""

    name: str
    call: str  # name of a Call
    body: bytes
    error: type[AdapterError]
    code: str
    status: int = 200
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Harness:
    """``setup`` gets an empty folder in which it may write keys. ``private`` are texts that must never be seen outside."""

    setup: Callable[[Path], Setup]
    calls: tuple[Call, ...]
    round_trips: tuple[RoundTrip, ...]
    private: tuple[str, ...]
    message: Callable[[str], Message] | None = None  # what ``deliver`` is given, for a key; none if it delivers nothing
    refusals: tuple[Refusal, ...] = ()
    collection: Callable[[str], Collection] | None = (
        None  # what ``collect`` is given, for a key; none if it collects nothing
    )


def write_key_pair(
    folder: Path, name: str, algorithm: SignatureAlgorithm, key: PrivateKey | None = None
) -> tuple[str, str]:
    """A private key (a new one unless given) and its public key as PEM files; gives both paths."""
    key = key or PrivateKey.generate(algorithm)
    private, public = folder / f"{name}.key.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.to_pem())
    lines = base64.encodebytes(key.public_key.spki).decode()
    public.write_text(f"-----BEGIN PUBLIC KEY-----\n{lines}-----END PUBLIC KEY-----\n")
    return str(private), str(public)
