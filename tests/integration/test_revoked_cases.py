"""Certificates revoked under a transfer case, on both databases: what the case does, who is told, and what the issuer learns."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.contract import EcertDocument, TransferStep
from hub import tables as t
from hub.audit.chain import AuditChain, verify_chain
from hub.cases import store
from hub.cases.revoked import tell_cases
from hub.config import Settings
from hub.db import Database
from hub.deliveries.model import Finished, Kind, State
from hub.deliveries.store import body_context
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence.assembly import evidence_parts
from hub.ecerts.evidence.following import FollowUps
from hub.ecerts.evidence.revoking import Notice, Revocations, revoke
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys
from schemas.revocations import RevocationAccepted, RevocationNotice, RevocationReason
from schemas.transfers import CaseState, DecisionOutcome, EvidenceState, StepState, TransferRequest
from tests.conftest import AUDIT_KEY
from tests.integration import killing
from tests.integration.case_fixtures import world
from tests.integration.case_world import BEGIN, LIXIA, SHINAN, World

__all__ = ["world"]  # fixtures
ROOT = "1.2.156.3005.2.11100000000013127D002.11370102000000000X"
HOUSEHOLD, NEWER, TITLE = f"{ROOT}.0000000001.001.A", f"{ROOT}.0000000001.002.B", f"{ROOT}.0000000002.001.C"


@pytest.fixture
def follow_ups(world: World, tmp_path: Path) -> FollowUps:
    return follow_ups_of(world, tmp_path)


def follow_ups_of(world: World, folder: Path) -> FollowUps:
    checker: EcertChecker = world.handlers[Kind.ECERT]._checker  # type: ignore[attr-defined]
    key = OwnKeys.ensure(folder).http
    return evidence_parts(
        world.db, world.vault, world.rooms.directory, checker, key, tell_cases=tell_cases(world.rooms)
    ).follow_ups


def named(world: World, request: TransferRequest, key: str, identifier: str | None) -> EcertDocument:
    document = world.document(request, key)
    return document.model_copy(
        update={"metadata": document.metadata.model_copy(update={"identifier": identifier})}
    )  # what the library's interface says


def opened(world: World, *, but: str = "", releasing: str = LIXIA) -> tuple[str, TransferRequest]:
    """A case whose two certificates have identifiers; ``but``: a requirement that has not come yet."""
    request = world.request(releasing, LIXIA)
    case_id = world.submit(request).case_id
    for requirement, key, identifier in (
        ("household", "household-register", HOUSEHOLD),
        ("residence-title", "real-estate-title", TITLE),
    ):
        if requirement != but:
            world.finish(case_id, Kind.ECERT, requirement, named(world, request, key, identifier))
    world.evidence(case_id, request, but=("household", "residence-title", but))
    return case_id, request


def take(world: World, follow_ups: FollowUps, *identifiers: str, **changes: Any) -> RevocationAccepted:
    values = {"messageId": f"rev-{hashlib.sha256(repr(identifiers).encode()).hexdigest()[:8]}", "identifiers": identifiers,
              "reason": "cancelled", "revokedAt": world.now, "source": "公户注〔2026〕7号"}  # fmt: skip
    notice = RevocationNotice.model_validate({**values, **changes})
    return Revocations(world.db, follow_ups).take(world.caller("province"), notice, digest="d")


def numbers(answer: RevocationAccepted) -> tuple[int, ...]:
    return (answer.certificates, answer.relied_on, answer.cases, answer.systems, answer.systems_told)


def evidence(world: World, case_id: str, requirement: str = "household") -> tuple[EvidenceState, str | None]:
    (one,) = [one for one in world.view(case_id).evidence if one.requirement == requirement]
    return one.state, one.reason


def open_steps(world: World, case_id: str) -> list[str]:
    return [step.name for step in world.view(case_id).steps if step.state is StepState.OPEN]


def asked(world: World, case_id: str) -> list[str]:
    """The keys under which the source of the household register is asked."""
    d = t.deliveries.c
    with world.db.read() as conn:
        query = sa.select(d.idempotency_key).where(d.case_id == case_id, d.kind == "ecert", d.subject == "household")
        return list(conn.execute(query.order_by(d.id)).scalars())


def told(world: World, case_id: str) -> list[dict[str, str]]:
    with world.db.read() as conn:
        return [
            json.loads(data) for type_, _, data in store.events_of(conn, case_id) if type_ == "case.evidence-revoked"
        ]


def sent_step(world: World, case_id: str, step: str) -> TransferStep:
    d = t.deliveries.c
    with world.db.read() as conn:
        row = conn.execute(
            sa.select(d.id, d.body_sealed).where(d.case_id == case_id, d.kind == "step", d.subject == step)
        ).one()
    return TransferStep.model_validate_json(world.vault.open(row.body_sealed, body_context(row.id)))


def subscribe(world: World, system: str, *, source_only: bool) -> None:
    def write(tx: Any) -> None:
        tx.conn.execute(
            sa.insert(t.endpoints).values(
                id=f"{system}-events", system_id=system, adapter="x", service="events", region="370000",
                base_url="http://127.0.0.1:1", max_concurrency=4, timeout_s=5, created_at=tx.now,
            )
        )  # fmt: skip
        tx.conn.execute(
            sa.insert(t.subscriptions).values(id=f"{system}-sub", endpoint_id=f"{system}-events", event_type="case.*",
                                              region="370000", source_only=source_only)
        )  # fmt: skip

    world.db.write(write)
    world.rooms.directory.forget()


# --- before the record moves ------------------------------------------------------------------------------------------------


def test_revoked_evidence_is_fetched_anew_and_the_next_step_waits_for_it(world: World, follow_ups: FollowUps) -> None:
    case_id, request = opened(world)
    assert numbers(take(world, follow_ups, HOUSEHOLD.lower())) == (1, 1, 1, 1, 0)  # nobody of this case has subscribed
    assert evidence(world, case_id) == (EvidenceState.PENDING, None)
    assert len(set(asked(world, case_id))) == 2
    (event,) = told(world, case_id)
    assert (event["requirement"], event["follows"], event["reason"]) == ("household", "fetched-anew", "cancelled")
    assert event["source"] == "公户注〔2026〕7号"
    for text in (HOUSEHOLD, request.guardian.id_number, request.guardian.name):
        assert text not in json.dumps(event, ensure_ascii=False)
    world.decide(world.decision(case_id, "releasing-school"), "source")
    assert open_steps(world, case_id) == []  # it has approved, and nothing goes on on what was revoked
    world.finish(case_id, Kind.ECERT, "household", named(world, request, "household-register", NEWER))
    assert evidence(world, case_id) == (EvidenceState.SATISFIED, None)
    assert open_steps(world, case_id) == ["county-bureau"]
    assert {one.requirement for one in sent_step(world, case_id, "county-bureau").evidence} == {
        "household", "residence-title",
    }  # fmt: skip
    assert numbers(take(world, follow_ups, NEWER)) == (1, 1, 1, 1, 0)  # the newer one is known by its own identifier


def test_no_step_opens_before_its_case_has_all_evidence_anew(world: World, follow_ups: FollowUps) -> None:
    case_id, request = opened(world, but="student-identity")
    assert world.view(case_id).state is CaseState.OPEN
    assert numbers(take(world, follow_ups, HOUSEHOLD, TITLE)) == (2, 2, 1, 1, 0)
    world.evidence(case_id, request, but=("household", "residence-title"))
    assert world.view(case_id).state is CaseState.OPEN
    world.finish(case_id, Kind.ECERT, "household", named(world, request, "household-register", NEWER))
    assert world.view(case_id).state is CaseState.OPEN
    world.finish(case_id, Kind.ECERT, "residence-title", named(world, request, "real-estate-title", None))
    assert open_steps(world, case_id) == ["releasing-school"]


@pytest.mark.parametrize("answer", ["the-same", "none"])
def test_a_case_whose_evidence_cannot_be_had_anew_is_refused_and_its_parties_told(
    world: World, follow_ups: FollowUps, answer: str
) -> None:
    """The source still calls the revoked one valid, or has none any more."""
    case_id, request = opened(world)
    world.db.write(
        lambda tx: tx.conn.execute(sa.update(t.deliveries).values(state="delivered"))
    )  # the step has been sent
    take(world, follow_ups, HOUSEHOLD)
    if answer == "none":
        world.finish(case_id, Kind.ECERT, "household", None, state=State.REFUSED, code="not-found")
    else:
        world.finish(case_id, Kind.ECERT, "household", named(world, request, "household-register", HOUSEHOLD))
    view = world.view(case_id)
    reason = "source-not-found" if answer == "none" else "revoked-by-notice"
    assert (view.state, view.outcome_reason) == (CaseState.REFUSED, f"evidence household: {reason}")
    assert ("cancel", "releasing-school") in world.deliveries(case_id)
    assert open_steps(world, case_id) == []


def test_a_case_whose_source_is_no_longer_registered_is_refused(world: World, follow_ups: FollowUps) -> None:
    case_id, _ = opened(world)
    world.db.write(
        lambda tx: tx.conn.execute(sa.update(t.endpoints).where(t.endpoints.c.id == "library").values(service="events"))
    )
    world.rooms.directory.forget()
    take(world, follow_ups, HOUSEHOLD)
    assert world.view(case_id).outcome_reason == "evidence household: revoked-by-notice"
    assert [one["follows"] for one in told(world, case_id)] == ["stands"]


def test_a_certificate_is_known_by_what_is_sealed_in_it_where_the_interface_does_not_say(
    world: World, follow_ups: FollowUps
) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    sealed = world.document(request, "household-register", identifier=HOUSEHOLD)
    assert sealed.metadata.identifier is None
    world.finish(case_id, Kind.ECERT, "household", sealed)
    assert take(world, follow_ups, HOUSEHOLD).cases == 1


def test_evidence_of_before_identifiers_were_kept_is_not_found(world: World, follow_ups: FollowUps) -> None:
    case_id, _ = opened(world)
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.evidence).values(identifier_index=None)))
    assert numbers(take(world, follow_ups, HOUSEHOLD)) == (1, 0, 0, 0, 0)
    assert evidence(world, case_id) == (EvidenceState.SATISFIED, None)


# --- once the record moves ------------------------------------------------------------------------------------------------


def to_the_move(world: World) -> str:
    case_id, _ = opened(world)
    for step in ("releasing-school", "county-bureau"):
        world.decide(world.decision(case_id, step), "source")
    assert open_steps(world, case_id) == ["move-record"]
    return case_id


def test_once_the_record_moves_nothing_is_undone_and_all_are_told(world: World, follow_ups: FollowUps) -> None:
    case_id = to_the_move(world)
    assert numbers(take(world, follow_ups, HOUSEHOLD, TITLE)) == (2, 2, 1, 1, 0)
    assert evidence(world, case_id) == (EvidenceState.REFUSED, "revoked-by-notice")
    assert len(asked(world, case_id)) == 1
    assert [one["follows"] for one in told(world, case_id)] == ["stands", "stands"]
    world.decide(world.decision(case_id, "move-record"), "source")
    assert world.view(case_id).state is CaseState.COMPLETED


@pytest.mark.parametrize(("days", "cases"), [(59, 1), (61, 0)])
def test_a_completed_case_is_told_as_long_as_its_flow_says(
    world: World, follow_ups: FollowUps, days: int, cases: int
) -> None:
    case_id = to_the_move(world)
    world.decide(world.decision(case_id, "move-record"), "source")
    world.later(days=days)
    assert take(world, follow_ups, HOUSEHOLD).cases == cases
    assert len(told(world, case_id)) == cases
    assert world.view(case_id).state is CaseState.COMPLETED
    with world.db.read() as conn:
        kept = conn.execute(
            sa.select(t.evidence.c.content_sealed).where(t.evidence.c.requirement == "household")
        ).scalar()
    assert (kept is None) == bool(cases)


def test_who_refused_or_took_back_does_not_rely(world: World, follow_ups: FollowUps) -> None:
    taken_back, _ = opened(world)
    world.withdraw(taken_back)
    refused, _ = opened(world)
    world.decide(world.decision(refused, "releasing-school", DecisionOutcome.REFUSED), "source")
    assert numbers(take(world, follow_ups, HOUSEHOLD)) == (1, 0, 0, 0, 0)
    assert evidence(world, refused) == (EvidenceState.SATISFIED, None)


# --- who is told ----------------------------------------------------------------------------------------------------------


def test_the_source_and_those_who_were_asked_are_told(world: World, follow_ups: FollowUps) -> None:
    """A party that only hears of its own cases hears of this one too, once it has been asked; a stranger does not."""
    for system in ("source", "shinan", "stranger"):
        subscribe(world, system, source_only=True)
    first, _ = opened(world, releasing=SHINAN)  # shinan has not been asked yet
    second, _ = opened(world, releasing=SHINAN)
    world.decide(world.decision(second, "receiving-bureau"), "source")
    assert numbers(take(world, follow_ups, HOUSEHOLD)) == (1, 1, 2, 2, 2)
    d, e = t.deliveries.c, t.events.c
    with world.db.read() as conn:
        query = sa.select(d.case_id, d.endpoint_id).join(t.events, e.id == d.subject)
        rows = conn.execute(query.where(e.type == "case.evidence-revoked")).all()
    heard = {(row.case_id, row.endpoint_id) for row in rows}
    assert {endpoint for case, endpoint in heard if case == first} == {"monitor", "source-events"}
    assert {endpoint for case, endpoint in heard if case == second} == {"monitor", "source-events", "shinan-events"}
    with world.db.read() as conn:
        assert verify_chain(conn, AUDIT_KEY).faults == ()


def test_a_notice_waits_for_evidence_that_is_being_committed_and_sees_it(database_url: str, tmp_path: Path) -> None:
    """Two nodes: a case comes to rest on the certificate in the commit that the notice waits for."""
    nodes = [Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append, clock=lambda: BEGIN) for _ in range(2)]
    world = World(nodes[0])
    other = World.__new__(World)
    other.db, other.vault, other.now, other.rooms, other.handlers = (
        nodes[1],
        world.vault,
        BEGIN,
        world.rooms,
        world.handlers,
    )
    follow_ups = follow_ups_of(other, tmp_path)
    request = world.request()
    case_id = world.submit(request).case_id
    handler = world.handlers[Kind.ECERT]
    result = handler.prepare(case_id, "household", named(world, request, "household-register", HOUSEHOLD))
    done = Finished("dlv_test", "any", case_id, Kind.ECERT, "household", State.DELIVERED, "delivered", result)
    reached, go = threading.Event(), threading.Event()

    def record(tx: Any) -> None:
        handler.record(tx, [done])
        reached.set()
        assert go.wait(10)

    try:
        with ThreadPoolExecutor(2) as pool:
            recording = pool.submit(nodes[0].write, record)
            assert reached.wait(10)
            taking = pool.submit(take, other, follow_ups, HOUSEHOLD)
            threading.Event().wait(0.7)
            assert not taking.done()
            go.set()
            recording.result()
            assert taking.result().cases == 1
        assert evidence(world, case_id) == (EvidenceState.PENDING, None)
    finally:
        for node in nodes:
            node.close()


# --- in the one commit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_commit_of_a_notice_a_case_has_heard_all_or_nothing(
    database_url: str, tmp_path: Path, when: killing.When
) -> None:
    """The operator's command, as it is installed, killed with -9: it is put together as the hub is."""
    settings = Settings(state_dir=tmp_path, database_url=database_url)
    vault = open_vault(settings)
    db = open_database(settings, vault)
    world = World(db, vault)
    case_id, _ = opened(world)
    environment = {"HUB_STATE_DIR": str(tmp_path), "HUB_DATABASE_URL": database_url}
    command = ["evidence", "revoked", HOUSEHOLD, "--source", "函件 7", "--reason", "replaced"]
    process = killing.start(
        "hub.cli", command, environment=environment | killing.killed_at(when, 1, "evidence.revocation:told")
    )
    process.communicate(timeout=60)
    assert killing.was_killed(process)
    there = int(when == "after")
    assert len(told(world, case_id)) == there
    assert len(asked(world, case_id)) == 1 + there
    assert evidence(world, case_id)[0] is (EvidenceState.PENDING if there else EvidenceState.SATISFIED)
    again = killing.start("hub.cli", command, environment=environment)
    printed = again.communicate(timeout=60)
    assert again.returncode == 0, printed
    assert f"cases {1 - there}" in printed
    assert len(told(world, case_id)) == 1
    assert len(asked(world, case_id)) == 2
    with db.read() as conn:
        assert verify_chain(conn, vault.audit_key).faults == ()
    db.close()


def test_a_notice_that_fails_leaves_its_cases_as_they_were(world: World, follow_ups: FollowUps) -> None:
    case_id, _ = opened(world)
    notice = Notice((HOUSEHOLD,), RevocationReason.LOST, world.now, "1号", "operator:x", "d")

    def write(tx: Any) -> None:
        assert revoke(tx, follow_ups, notice).cases == 1
        raise RuntimeError("in the same commit")

    with pytest.raises(RuntimeError):
        world.db.write(write)
    assert evidence(world, case_id) == (EvidenceState.SATISFIED, None)
    assert told(world, case_id) == []
    assert len(asked(world, case_id)) == 1
