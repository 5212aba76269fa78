"""This adapter, for the contract suite."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import cast

from adapters import library_calls, samples
from adapters.contract import (
    Adapter,
    Capability,
    CollectAction,
    CollectedAsker,
    CollectedEcert,
    CollectedQuery,
    Collection,
    Deadline,
    EcertCollector,
    PeerMisconfigured,
    PeerRefused,
    RetryLater,
)
from adapters.ecert_share import mapping, simulator
from adapters.harness import Call, Harness, Refusal, RoundTrip, Setup
from schemas.base import Canonical
from schemas.ecerts import EcertMetadata, EcertQuery, UseCause


def setup(folder: Path) -> Setup:
    known = simulator.endpoint("http://127.0.0.1", folder)
    return Setup(
        "adapters.ecert_share.simulator", ("--keys", str(folder)), settings=known.settings, secrets=known.secrets
    )


def query() -> EcertQuery:
    """The guardian's title of the residence."""
    return library_calls.guardians(
        "real-estate-title",
        UseCause(
            case_id="01J9ZQ3N6W4Q7C2M8KXB5TVE1R",
            item_code="11370800MB285591843370117002011",
            item_name="跨县（市、区）转学",
            purpose="跨县（市、区）转学: 不动产权证书",
            system_name="教育政务互通枢纽",
            legal_basis="TY-2026-88",
        ),
    )


def collection(key: str) -> Collection:
    """One certificate with its file's bytes, one that is revoked."""
    content = base64.b64encode(b"PK\x03\x04 not sealed: the library of the simulator keeps digests only")
    ecert = CollectedEcert(action=CollectAction.ISSUE, metadata=samples.metadata(), digest="0" * 64, content=content)
    return Collection(idempotency_key=key, ecerts=(ecert, ecert.model_copy(update={"action": CollectAction.REVOKE})))


def _collect(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(EcertCollector, adapter).collect(collection(key), deadline)


def _collected(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(CollectedAsker, adapter).collected(CollectedQuery(type_code=samples.metadata().type_code), deadline)


def _round_trip(name: str, *, pinyin: bool) -> RoundTrip:
    def encode(metadata: Canonical) -> bytes:
        record = mapping.metadata_to_wire(cast(EcertMetadata, metadata), pinyin=pinyin)
        return json.dumps(record, ensure_ascii=False, indent=1).encode()

    def decode(content: bytes) -> EcertMetadata:
        for record in mapping.records_from_wire(json.loads(content)):
            return mapping.metadata_from_wire(record)
        raise ValueError("no record")

    return RoundTrip(name, f"{name}.json", (samples.metadata(), samples.bare_metadata()), encode, decode)


def _collect_trip() -> RoundTrip:
    def encode(ecert: Canonical) -> bytes:
        record = mapping.collected_to_wire(cast(CollectedEcert, ecert))
        return json.dumps(record, ensure_ascii=False, indent=1).encode()

    def decode(content: bytes) -> CollectedEcert:
        record = json.loads(content)
        if not isinstance(record, dict):
            raise ValueError("no record")  # noqa: TRY004  that is what a round trip refuses with
        return mapping.collected_from_wire(record)

    return RoundTrip("collected", "collected.json", collection("k").ecerts, encode, decode)


def _envelope(status: object, data: object = None) -> bytes:
    """The message quotes what it should not: a peer's text must never reach an error of ours."""
    head = {"status": status, "message": f"{samples.private()[3]} {samples.private()[4]}"}
    return json.dumps({"head": head, "data": data}, ensure_ascii=False).encode()


HARNESS = Harness(
    setup=setup,
    calls=(
        *library_calls.fetching(query()),
        # has no effect here: a new adapter fails at its token, before anything is pushed. See test_collecting.
        Call("collect", Capability.COLLECT, _collect),
        Call("collected", Capability.COLLECTED, _collected),
        *library_calls.presenting(query(), has_effect=False),  # as with the push: the token comes first
    ),
    round_trips=(
        _collect_trip(),
        _round_trip("metadata-english", pinyin=False),
        _round_trip("metadata-pinyin", pinyin=True),
    ),
    private=samples.private(),
    collection=collection,
    refusals=(
        Refusal("not-provided", "fetch-ecert", _envelope("2"), PeerMisconfigured, "service-not-provided"),
        Refusal("authentication", "fetch-ecert", _envelope(11), PeerMisconfigured, "authentication-failed"),
        Refusal("not-found", "fetch-ecert", _envelope("10"), PeerRefused, "not-found"),
        Refusal("revoked", "fetch-ecert", _envelope(21), PeerRefused, "revoked"),
        Refusal("expired", "fetch-ecert", _envelope("22"), PeerRefused, "expired"),
        Refusal("restricted", "fetch-ecert", _envelope("23"), PeerRefused, "restricted"),
        Refusal("no-permission", "fetch-ecert", _envelope("100"), PeerRefused, "no-permission"),
        Refusal("other", "fetch-ecert", _envelope("99"), RetryLater, "library-fault"),
        Refusal("unheard-of", "fetch-ecert", _envelope("777"), RetryLater, "status-777"),
        Refusal("no-token", "fetch-ecert", _envelope("0", {}), RetryLater, "answer-unreadable"),
        Refusal("no-head", "fetch-ecert", b'{"data":{}}', RetryLater, "answer-unreadable"),
        Refusal("no-interface", "probe", b"<html>", PeerMisconfigured, "http-404", status=404),
    ),
)
