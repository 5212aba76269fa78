"""This adapter, for the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from adapters import library_calls, samples
from adapters.contract import PeerMisconfigured, PeerRefused, RetryLater
from adapters.ecert_usefor import mapping, simulator
from adapters.harness import Harness, Refusal, RoundTrip, Setup
from adapters.json_wire import read_object, write_object
from schemas.ecerts import EcertMetadata, UseCause

KEY = "useforappkey0001"
QUERY: Final = library_calls.guardians(
    "id-card",
    UseCause(case_id="c-1", item_code=None, item_name="转学", purpose="转学", system_name="枢纽", legal_basis="TY-1"),
)


def setup(folder: Path) -> Setup:
    arguments = ("--app-key", KEY, "--keys", str(folder), "--authorize-after", "0.2")
    known = simulator.endpoint("http://127.0.0.1", KEY)
    return Setup("adapters.ecert_usefor.simulator", arguments, settings=known.settings, secrets=known.secrets)


def _answer(code: str, data: object = None) -> bytes:
    """The message quotes what it should not: a peer's text must never reach an error of ours."""
    return write_object({"code": code, "msg": samples.private()[4], "data": data})


HARNESS = Harness(
    setup=setup,
    calls=(
        *library_calls.fetching(QUERY),
        *library_calls.presenting(QUERY, has_effect=True),  # the code may be used up when no answer comes
    ),
    round_trips=(
        RoundTrip(
            "metadata",
            "metadata.json",
            (samples.metadata(), samples.bare_metadata()),
            lambda m: write_object(mapping.metadata_to_wire(cast(EcertMetadata, m))),
            lambda b: mapping.metadata_from_wire(read_object(b)),
        ),
    ),
    private=(*samples.private(), KEY),
    refusals=(
        Refusal("not-found", "fetch-ecert", _answer("1001"), PeerRefused, "not-found"),
        Refusal("no-permission", "fetch-ecert", _answer("1002"), PeerRefused, "no-permission"),
        Refusal("unpublished", "ecert-status", _answer("1003"), PeerRefused, "type-unpublished"),
        Refusal("restricted", "fetch-ecert", _answer("1004"), PeerRefused, "restricted"),
        Refusal("code-of-nobody", "begin-presentation", _answer("1101"), PeerRefused, "not-found"),
        Refusal("code-ran-out", "begin-presentation", _answer("1102"), PeerRefused, "expired"),
        Refusal("code-used", "begin-presentation", _answer("1103"), PeerRefused, "code-used"),
        Refusal("key", "probe", _answer("2001"), PeerMisconfigured, "authentication-failed"),
        Refusal("unheard-of", "probe", _answer("77"), RetryLater, "code-unlisted"),
        Refusal(
            "revoked",
            "ecert-status",
            _answer("0", {"CertificateType": "x", "Extend": {}, "CertificateStatus": "2"}),
            PeerRefused,
            "revoked",
        ),
    ),
)
