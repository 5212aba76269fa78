"""A city registry for tests: keys of hub, city and a stranger, and simulators that know them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from adapters.city_soap import soap
from adapters.city_soap.client import CitySoap
from adapters.contract import (
    Deadline,
    DeliveryStatus,
    Endpoint,
    StepAction,
    TransferStep,
)
from adapters.population import family, transfer
from adapters.simulator_process import SimulatorProcess
from certs.issuing.authority import Identity, new_root
from certs.keys import SignatureAlgorithm
from certs.pkcs8 import armour
from certs.xml.wsse_sign import sign_envelope
from schemas.transfers import Decision

MODULE = "adapters.city_soap.simulator"
CITY, COUNTY = "370200", "370202"
NOW = datetime.now(UTC)


def soon() -> Deadline:
    return Deadline.after(10)


class Keys:
    """Key and certificate files of hub, city and a stranger, each of another kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identities: dict[str, Identity] = {}
        kinds = {
            "hub": SignatureAlgorithm.SM2_SM3,
            "city": SignatureAlgorithm.RSA_PKCS1_SHA256,
            "stranger": SignatureAlgorithm.ECDSA_SHA256,
        }
        for name, kind in kinds.items():
            made = new_root(name, kind, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
            self.identities[name] = made
            self.path(f"{name}.pem").write_bytes(armour("CERTIFICATE", made.cert.der))
            self.path(f"{name}.key").write_bytes(made.key.to_pem())

    def path(self, name: str) -> Path:
        return self.folder / name

    def arguments(self, *more: str) -> list[str]:
        files = ("--key-file", "city.key", "--cert-file", "city.pem", "--hub-cert-file", "hub.pem")
        named = [str(self.path(word)) if "." in word else word for word in files]
        return ["--region", CITY, *named, *more]

    def endpoint(self, url: str, **changes: str) -> Endpoint:
        settings = {
            "signing_key_file": str(self.path("hub.key")),
            "signing_cert_file": str(self.path("hub.pem")),
            "peer_certs_file": str(self.path("city.pem")),
            **changes,
        }
        return Endpoint("city", CITY, f"{url}/services/sjjh", settings)

    def sign(self, envelope: etree._Element, name: str = "city", age: timedelta = timedelta()) -> bytes:
        who = self.identities[name]
        created = datetime.now(UTC) - age
        return soap.serialize(sign_envelope(envelope, key=who.key, certificate=who.cert.der, created=created), "utf-8")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def later(keys: Keys) -> Iterator[SimulatorProcess]:
    """Decides after a while; the hub must ask."""
    with SimulatorProcess(MODULE, keys.arguments("--decide-after", "0.3")) as process:
        yield process


@pytest.fixture(scope="module")
def at_once(keys: Keys) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(MODULE, keys.arguments("--decide-after", "0")) as process:
        yield process


def step(index: int, key: str, **changes: object) -> TransferStep:
    made = TransferStep(
        idempotency_key=key,
        case_id=f"CASE-{index}",
        step="releasing-bureau",
        action=StepAction.REVIEW,
        acting_for="releasing-bureau",
        limit_at=NOW,
        transfer=transfer(f"M-{key}", COUNTY, index, "370602"),
        enrolment=family(COUNTY, index).record,
    )
    return made.model_copy(update=changes)


def wait_for_decision(adapter: CitySoap, message: TransferStep) -> Decision:
    end = soon()
    while end.remaining():
        answer = adapter.status(message, end)
        if answer.decision is not None:
            assert answer.status is DeliveryStatus.DECIDED
            return answer.decision
        assert answer.status is DeliveryStatus.RECEIVED
        time.sleep(0.05)
    raise AssertionError("no decision")
