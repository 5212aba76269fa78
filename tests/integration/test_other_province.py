"""A hub whose catalogue sends a region to another province's library: nothing canonical leans on the dialect of the first."""

from __future__ import annotations

import base64
import csv
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.ecert_usefor.simulator import endpoint as usefor_endpoint
from adapters.population import family
from adapters.registry import manifest
from adapters.simulator_process import SimulatorProcess
from certs.trust import Anchor, TrustStore
from certs.x509.signing_cert import SigningCert
from hub import tables as t
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.db import Database, Tx
from hub.ecerts import notices
from hub.ecerts.evidence.revoking import Revocations
from hub.ecerts.items.records import heading
from schemas.evidence import EvidenceAnswer
from tests.integration.evidence_fixtures import simulators
from tests.integration.evidence_world import Peers, World
from tests.integration.test_revocations import identifier, notice

__all__ = ["simulators"]  # fixtures
KEY = "anotherkey1"
THERE = "370202"  # its city's certificates come from the other library, by the catalogue
TYPES = ("id-card", "household-register", "real-estate-title", "degree", "diploma", "putonghua-level")
STRANGE, ALTERED, SOMEBODY_ELSES, REVOKED, EXPIRED, RESTRICTED, NOT_FOUND = range(40, 47)
SUSPENDED, NOT_ACTIVATED = 48, 49


@pytest.fixture(scope="module")
def other(simulators: Peers) -> Iterator[SimulatorProcess]:
    """The other library, whose authority the hub trusts beside the province's own."""
    state, folder = simulators.folder / "state", simulators.folder / "other"
    arguments = ["--app-key", KEY, "--keys", str(folder), "--export-anchors", str(folder / "anchors")]
    with SimulatorProcess("adapters.ecert_usefor.simulator", arguments) as process:
        root = SigningCert.from_pem((folder / "anchors" / "root.pem").read_bytes())
        anchor = Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC))
        TrustStore.load(state / "trust").with_anchor(anchor).save(state / "trust")
        shutil.copy(folder / "anchors" / "issuing.pem", state / "issuers" / "other.pem")
        for name in ("root", "issuing"):
            shutil.copy(folder / "anchors" / f"{name}.crl", state / "crls" / f"other-{name}.crl")
        yield process


class OtherWorld(World):
    """As the world of one library, but that holders live in the other city and its certificates come from the other library."""

    other: SimulatorProcess

    @staticmethod
    def holder(index: int) -> dict[str, str]:
        guardian = family(THERE, index).guardian
        return {"name": guardian.name, "code": guardian.id_number, "codeType": "111"}

    def request(self, index: int, **changes: Any) -> Any:
        return super().request(index, **{"region": THERE, **changes})


def sources(folder: Path) -> Path:
    """Rows of the item catalogue: for these types of this city, that endpoint."""
    path = folder / "sources.csv"
    names = [column.rsplit(" ", 1)[-1] for column in heading()]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(heading())
        for kind in TYPES:
            row = {"record": "source", "version": "1", "effective_from": "2026-01-01", "region": "370200"}
            row |= {"ecert_type": kind, "service": "ecert-library", "endpoint": "usefor", "fields": "name number"}
            table.writerow([row.get(name, "") for name in names])
    return path


@pytest.fixture
def world(database: Database, simulators: Peers, other: SimulatorProcess, tmp_path: Path) -> Iterator[OtherWorld]:
    simulators.library.fail("none")
    other.fail("none")
    made = OtherWorld(database, simulators)
    made.other = other
    made.set_up()
    known = usefor_endpoint(other.url, KEY)
    spec = EndpointSpec("usefor", "province", "ecert_usefor", "ecert-library", "370200", known.base_url,
                        dict(known.settings), dict(known.secrets), timeout_s=4)  # fmt: skip

    def write(tx: Tx) -> None:
        add_endpoint(tx, "test", made.vault, manifest("ecert_usefor"), spec, lease_s=60)

    database.write(write)
    report = made.parts.follow_ups.items.import_file(sources(tmp_path), actor="test")
    assert (report.added, report.faults) == (len(TYPES), ())
    yield made
    made.close()


def gaps(answer: EvidenceAnswer) -> set[tuple[str, str | None]]:
    return {(gap.state, gap.reason) for one in answer.requirements for gap in one.missing}


def asked_of(simulator: SimulatorProcess, prefix: str) -> int:
    return sum(one["path"].startswith(prefix) for one in simulator.requests())


def test_documents_of_the_other_library_are_verified_and_handed_out(world: OtherWorld) -> None:
    first = asked_of(world.peers.library, "/CertShare")
    answer = world.asked(1, answer="documents")
    assert (answer.state, answer.complete) == ("answered", True)
    assert {one.document for one in answer.documents or ()} == {"id-card", "degree", "putonghua-level"}
    for document in answer.documents or ():
        assert document.report["indication"] == "PASSED"
        assert base64.b64decode(document.content).startswith(b"PK")
    assert asked_of(world.other, "/certificate/file") >= 3
    assert asked_of(world.peers.library, "/CertShare") == first  # the province's own was not asked
    assert {row.endpoint_id for row in world.rows(t.kept_ecerts)} == {"usefor"}


def test_a_kept_document_is_used_again_after_its_status_was_asked(world: OtherWorld) -> None:
    world.asked(2)
    loads, queries = asked_of(world.other, "/certificate/file"), asked_of(world.other, "/certificate/query")
    assert world.ask(world.request(2)).complete
    assert asked_of(world.other, "/certificate/file") - loads == 1  # the ID card may not be kept
    assert asked_of(world.other, "/certificate/query") - queries == 3


@pytest.mark.parametrize(
    ("index", "gap"),
    [
        (ALTERED, ("not-verified", "hash-failure")),
        (SOMEBODY_ELSES, ("not-verified", "holder-mismatch")),
        (REVOKED, ("revoked", "source-revoked")),
        (EXPIRED, ("expired", "source-expired")),
        (RESTRICTED, ("ask-the-person", "source-restricted")),
        (NOT_FOUND, ("no-match", "source-not-found")),
        (SUSPENDED, ("suspended", "source-suspended")),
        (NOT_ACTIVATED, ("pending-at-the-issuer", "source-not-activated")),
    ],
)
def test_every_state_is_answered_as_it_is(world: OtherWorld, index: int, gap: tuple[str, str]) -> None:
    answer = world.asked(index)
    assert not answer.complete
    assert gap in gaps(answer), gaps(answer)


def test_a_seal_that_nobody_trusts_satisfies_nothing(world: OtherWorld) -> None:
    answer = world.asked(STRANGE)
    assert not answer.complete
    assert {state for state, _ in gaps(answer)} == {"not-verified"}


def test_one_that_ran_out_is_deemed_valid_by_a_notice(world: OtherWorld) -> None:
    """This library tells when it ran out, with its answer to the query."""
    extension = notices.Notice(
        id="鲁教发〔2026〕1号",
        title="延期",
        source="省教育厅网站",
        ecert_type="id-card",
        region="370000",
        issued_on=date(2020, 2, 1),
        expired_from=date(2022, 1, 1),
        expired_until=date(2022, 12, 31),
        deemed_valid_until=date(2099, 1, 1),
    )
    world.db.write(lambda tx: notices.add(tx, "operator:test", extension))
    answer = world.asked(EXPIRED)
    identity = next(one for one in answer.requirements if one.name == "identity")
    assert identity.satisfied
    assert identity.notices == (extension.id,)


@pytest.mark.parametrize("mode", ["hang-after", "http-500", "fault-in-200", "truncated", "reset"])
def test_faults_of_the_other_library_are_partial_results(world: OtherWorld, mode: str) -> None:
    world.other.fail(mode)
    answer = world.asked(3, deadlineS=2)
    assert not answer.complete
    states = {state for state, _ in gaps(answer)}
    assert states <= {"issuer-unreachable", "pending-at-the-issuer", "ask-the-person"}
    assert states


def test_what_is_pending_there_is_followed_up_and_told(world: OtherWorld) -> None:
    world.other.fail("down")
    answer = world.asked(4, deadlineS=1, callback="hook")
    assert answer.state == "pending"
    world.other.fail("none")
    with world.worker():
        assert world.until(answer.id, "answered").complete
    assert [row.type for row in world.rows(t.events)] == ["evidence.answered"]


def test_a_notice_of_the_other_library_invalidates_what_came_from_it(world: OtherWorld) -> None:
    answer = world.asked(5)
    taken = Revocations(world.db, world.parts.follow_ups).take(
        world.caller("province"), notice(identifier(world, 5)), digest="d"
    )
    assert (taken.answers, taken.systems_told) == (1, 1)
    assert ("revoked", "revoked-after-answer") in gaps(world.read(answer.id))
