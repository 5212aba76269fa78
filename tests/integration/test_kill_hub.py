"""The whole hub, killed with -9 at each write boundary of both its paths, with real callers and real registries around it.

A caller sends each transfer until it is acknowledged, as a municipal system does. Afterwards: what was acknowledged is there under
the same case id and completed, the registry saw one business effect for each step of each case, and the audit log is whole.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from adapters.population import transfer
from adapters.registry import manifest
from certs.trust import Anchor, TrustStore
from certs.x509.signing_cert import SigningCert
from hub import tables as t
from hub.access.parties_file import load_parties, read_parties
from hub.audit.chain import verify_chain
from hub.config import Settings
from hub.demo.callers import Answer, RestCaller
from hub.demo.cast import Cast, gather, start_simulators, write_parties_file
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys
from schemas.transfers import TransferRequest
from tests.integration import killing
from tests.integration.killing import When

LIXIA = "370102"
# Every kind of commit on the way of a transfer: taking it in, claiming, recording, judging, deciding, ending.
BOUNDARIES = [
    "transfer.accept:accepted",
    "delivery.attempt:begun",
    "delivery.attempt:delivered",
    "evidence.judge:satisfied",
    "transfer.decision:accepted",
    "case.completed:completed",
]
LIFE_S = 60.0  # until which a life must have met its boundary; most end after two or three seconds
STEPS = ("releasing-school", "county-bureau", "move-record")


@dataclass
class Town:
    """One county's registry, the library and the identity service; the hub between them lives and dies."""

    folder: Path
    settings: Settings
    cast: Cast
    caller: RestCaller
    waiting: list[TransferRequest] = field(default_factory=list)  # not acknowledged yet
    acknowledged: dict[str, str] = field(default_factory=dict)  # case id by message id
    number: int = 100

    def start(self, kill: dict[str, str]) -> killing.Child:
        given = {f"HUB_{name.upper()}": str(getattr(self.settings, name)) for name in self.settings.model_fields_set}
        return killing.start("hub.cli", ["serve"], environment=given | kill, errors=self.folder / "hub.log")

    def next_request(self) -> TransferRequest:
        self.number += 1
        while self.number % 20 in (7, 13, 18) or self.number % 50 >= 40:
            self.number += 1
        return transfer(f"kill-{self.number}", LIXIA, self.number, LIXIA)

    def send_what_waits(self) -> None:
        """Once round; what is not acknowledged goes on waiting, to be sent again byte for byte."""
        for request in list(self.waiting):
            try:
                answer = self.caller.submit(request)
            except (requests.RequestException, ValueError):  # nobody there, or killed while it answered
                return
            self._note(request, answer)

    def _note(self, request: TransferRequest, answer: Answer) -> None:
        if answer.case_id is None:
            assert answer.code in ("hub-busy", "hub-fault"), answer.code
            return
        self.waiting.remove(request)
        known = self.acknowledged.setdefault(request.message_id, answer.case_id)
        assert known == answer.case_id


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[Town]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = Settings(
        state_dir=tmp_path / "state", database_url=database_url, port=port, lease_s=5, retry_base_s=0.2, retry_cap_s=1,
        probe_interval_s=0, workers=8, node="killed", log_level="warning", breaker_failures=50, retry_limit=100,
    )  # fmt: skip
    own = OwnKeys.ensure(settings.state_dir)
    cast = gather(tmp_path)
    cast.parties = {"lixia": cast.parties["lixia"]}
    start_simulators(cast, settings.effective_public_url, own)
    vault = open_vault(settings)
    db = open_database(settings, vault)
    parties = read_parties(write_parties_file(cast, own))
    db.write(
        lambda tx: load_parties(tx, "test", parties, folder=tmp_path, vault=vault, find_manifest=manifest, lease_s=60)
    )
    db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(timeout_s=3)))
    db.close()
    root = SigningCert.from_pem((tmp_path / "anchors" / "root.pem").read_bytes())
    anchor = Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC))
    TrustStore().with_anchor(anchor).save(settings.state_dir / "trust")
    for target, names in (("issuers", ["issuing.pem"]), ("crls", ["root.crl", "issuing.crl"])):
        (settings.state_dir / target).mkdir()
        for name in names:
            shutil.copy(tmp_path / "anchors" / name, settings.state_dir / target / name)
    yield Town(tmp_path, settings, cast, RestCaller(settings.effective_public_url, cast.parties["lixia"]))
    cast.stop()


def live(town: Town, kill: dict[str, str], seconds: float) -> bool:
    """One life of the hub, with two new transfers; whether it was killed within so long. Else it is still to be ended."""
    town.waiting += [town.next_request(), town.next_request()]
    hub = town.start(kill)
    end = time.monotonic() + seconds
    try:
        while hub.poll() is None and time.monotonic() < end:
            town.send_what_waits()
            time.sleep(0.05)
        return hub.poll() is not None and killing.was_killed(hub)
    finally:
        if hub.poll() is None:
            hub.kill()
        hub.wait()


def finish(town: Town, seconds: float) -> set[str]:
    """A last life without a kill, until every acknowledged case has ended; gives the states."""
    hub = town.start({})
    states: dict[str, str] = {}
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            town.send_what_waits()
            time.sleep(0.3)
            try:
                states = town.caller.cases()
            except requests.RequestException:  # not up yet
                continue
            if not town.waiting and not {"open", "waiting"} & set(states.values()):
                break
        return {states.get(case_id, "lost") for case_id in town.acknowledged.values()}
    finally:
        hub.terminate()
        hub.wait(timeout=30)


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(town: Town) -> None:
    moments: tuple[When, ...] = ("before", "after")
    killed = [
        (word, when, live(town, killing.killed_at(when, 1, word), LIFE_S)) for word in BOUNDARIES for when in moments
    ]
    log = (town.folder / "hub.log").read_text(encoding="utf-8")[-3000:]
    assert [one for one in killed if not one[2]] == [], f"a boundary was not reached: the test did not test it\n{log}"
    assert finish(town, 90) == {"completed"}, (town.folder / "hub.log").read_text(encoding="utf-8")[-3000:]
    assert len(town.acknowledged) == 2 * len(killed)
    effects = town.cast.simulators["lixia"].effects()
    assert effects == {f"{case}.{step}": 1 for case in town.acknowledged.values() for step in STEPS}
    vault = open_vault(town.settings)
    db = open_database(town.settings, vault)
    with db.read() as conn:
        assert verify_chain(conn, vault.audit_key).faults == ()
        cases = conn.execute(sa.select(sa.func.count()).select_from(t.cases)).scalar_one()
    db.close()
    assert cases == len(town.acknowledged)
