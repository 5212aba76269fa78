"""This adapter, for the contract suite."""

from __future__ import annotations

import itertools
import time
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
    PresentationAsker,
    PresentationBeginner,
    PresentationBegun,
    PresentationRequest,
    PresentationState,
    PresentedFetcher,
    PresentedQuery,
    RetryLater,
)
from adapters.ecert_usefor import mapping, simulator
from adapters.harness import Call, Harness, Refusal, RoundTrip, Setup
from adapters.json_wire import read_object, write_object
from adapters.population import family
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertQuery, UseCause

KEY = "useforappkey0001"
_codes = itertools.count(1)  # an authorization code is good once


def setup(folder: Path) -> Setup:
    arguments = ("--app-key", KEY, "--keys", str(folder), "--authorize-after", "0.2")
    known = simulator.endpoint("http://127.0.0.1", KEY)
    return Setup("adapters.ecert_usefor.simulator", arguments, settings=known.settings, secrets=known.secrets)


def query() -> EcertQuery:
    guardian = family(samples.REGION, samples.STUDENT).guardian
    return EcertQuery(
        type_code=ecert_types()["id-card"].code,
        holder_code=guardian.id_number,
        holder_code_type=guardian.id_type,
        holder_name=guardian.name,
        use_cause=UseCause(
            case_id="c-1", item_code=None, item_name="转学", purpose="转学", system_name="枢纽", legal_basis="TY-1"
        ),
    )


def _probe(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return adapter.probe(deadline)


def _fetch(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(EcertFetcher, adapter).fetch_ecert(query(), deadline)


def _status(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(EcertStatusAsker, adapter).ecert_status(query(), deadline)


def _shown(adapter: Adapter, deadline: Deadline) -> PresentationBegun:
    asked = query()
    code = f"PERSON:{asked.holder_code}#{next(_codes)}"
    wanted = PresentationRequest(shown_code=code, type_codes=(asked.type_code,), use_cause=asked.use_cause)
    return cast(PresentationBeginner, adapter).begin_presentation(wanted, deadline)


def _begin(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return _shown(adapter, deadline)


def _standing(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(PresentationAsker, adapter).presentation_status(_shown(adapter, deadline), deadline)


def _presented(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    """Asked until the holder has answered, as the hub does."""
    begun, asker = _shown(adapter, deadline), cast(PresentationAsker, adapter)
    while asker.presentation_status(begun, deadline).state is PresentationState.PENDING:
        time.sleep(0.05)
    asked = query()
    wanted = PresentedQuery(reference=begun.reference, type_code=asked.type_code, use_cause=asked.use_cause)
    return cast(PresentedFetcher, adapter).fetch_presented(wanted, deadline)


def _metadata() -> tuple[EcertMetadata, ...]:
    full = EcertMetadata(
        identifier="1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
        type_code="11100000MB03271699022",
        type_name="不动产登记证明",
        number=f"第1号 {samples.RARE_TEXT}",
        holder_name=samples.RARE_TEXT,
        holder_code="379800201501010011",
        holder_code_type="111",
        issuer_name="示例颁发机构",
        issuer_code="340100",
        issued_on="2021-1-5",
        valid_from="20210105",
        valid_until="长期",
        extra={"KZ_ZL": samples.RARE_TEXT},
    )
    return full, EcertMetadata(type_code="11100000MB03271699001")


def _answer(code: str, data: object = None) -> bytes:
    """The message quotes what it should not: a peer's text must never reach an error of ours."""
    return write_object({"code": code, "msg": samples.private()[4], "data": data})


HARNESS = Harness(
    setup=setup,
    calls=(
        Call("probe", Capability.PROBE, _probe),
        Call("fetch-ecert", Capability.FETCH_ECERT, _fetch),
        Call("ecert-status", Capability.ECERT_STATUS, _status),
        # the code may be used up when no answer comes; the two behind it begin with it
        Call("begin-presentation", Capability.BEGIN_PRESENTATION, _begin, has_effect=True),
        Call("presentation-status", Capability.PRESENTATION_STATUS, _standing, has_effect=True),
        Call("fetch-presented", Capability.FETCH_PRESENTED, _presented, has_effect=True),
    ),
    round_trips=(
        RoundTrip(
            "metadata",
            "metadata.json",
            _metadata(),
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
