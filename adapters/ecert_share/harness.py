"""This adapter, for the contract suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from adapters import samples
from adapters.contract import (
    Adapter,
    Capability,
    Deadline,
    EcertFetcher,
    EcertStatusAsker,
    PeerMisconfigured,
    PeerRefused,
    RetryLater,
)
from adapters.ecert_share import mapping, simulator
from adapters.harness import Call, Harness, Refusal, RoundTrip, Setup
from adapters.population import family
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertQuery, UseCause


def setup(folder: Path) -> Setup:
    known = simulator.endpoint("http://127.0.0.1", folder)
    return Setup(
        "adapters.ecert_share.simulator", ("--keys", str(folder)), settings=known.settings, secrets=known.secrets
    )


def query() -> EcertQuery:
    """The guardian's title of the residence."""
    guardian = family(samples.REGION, samples.STUDENT).guardian
    return EcertQuery(
        type_code=ecert_types()["real-estate-title"].code,
        holder_code=guardian.id_number,
        holder_code_type=guardian.id_type,
        holder_name=guardian.name,
        use_cause=UseCause(
            case_id="01J9ZQ3N6W4Q7C2M8KXB5TVE1R",
            item_code="11370800MB285591843370117002011",
            item_name="跨县（市、区）转学",
            purpose="跨县（市、区）转学: 不动产权证书",
            system_name="教育政务互通枢纽",
            legal_basis="TY-2026-88",
        ),
    )


def _probe(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return adapter.probe(deadline)


def _fetch(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(EcertFetcher, adapter).fetch_ecert(query(), deadline)


def _status(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(EcertStatusAsker, adapter).ecert_status(query(), deadline)


def _metadata() -> tuple[EcertMetadata, ...]:
    full = EcertMetadata(
        identifier="1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
        type_code="11100000MB03271699022",
        type_name="不动产登记证明",
        number=f"鲁（2021）第1号 {samples.RARE_TEXT}",
        holder_name=samples.RARE_TEXT,
        holder_code="379800201501010011",
        holder_code_type="111",
        issuer_name="历下区自然资源局",
        issuer_code="11370102000000000X",
        issued_on="2021-1-5",  # as it came
        valid_from="20210105",
        valid_until="长期",
        extra={"KZ_ZL": samples.RARE_TEXT},
    )
    return full, EcertMetadata(type_code="11100000MB03271699001")


def _round_trip(name: str, *, pinyin: bool) -> RoundTrip:
    def encode(metadata: Canonical) -> bytes:
        record = mapping.metadata_to_wire(cast(EcertMetadata, metadata), pinyin=pinyin)
        return json.dumps(record, ensure_ascii=False, indent=1).encode()

    def decode(content: bytes) -> EcertMetadata:
        for record in mapping.records_from_wire(json.loads(content)):
            return mapping.metadata_from_wire(record)
        raise ValueError("no record")

    return RoundTrip(name, f"{name}.json", _metadata(), encode, decode)


def _envelope(status: object, data: object = None) -> bytes:
    """The message quotes what it should not: a peer's text must never reach an error of ours."""
    head = {"status": status, "message": f"{samples.private()[3]} {samples.private()[4]}"}
    return json.dumps({"head": head, "data": data}, ensure_ascii=False).encode()


HARNESS = Harness(
    setup=setup,
    calls=(
        Call("probe", Capability.PROBE, _probe),
        Call("fetch-ecert", Capability.FETCH_ECERT, _fetch),
        Call("ecert-status", Capability.ECERT_STATUS, _status),
    ),
    round_trips=(
        _round_trip("metadata-english", pinyin=False),
        _round_trip("metadata-pinyin", pinyin=True),
    ),
    private=samples.private(),
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
