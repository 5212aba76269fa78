"""Revocation notices on both databases: what they invalidate, whom they tell, and that no fetch under way slips past one."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.holdings import Holdings
from adapters.registry import manifest
from hub import tables as t
from hub.access.callers import Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.audit.chain import AuditChain
from hub.db import Database, Tx
from hub.ecerts.evidence import revoking
from hub.ecerts.evidence.judging import Got
from hub.ecerts.evidence.revoking import Revocations
from schemas import problems as p
from schemas.ecert_types import ecert_types
from schemas.evidence import EvidenceAnswer
from schemas.problems import HubProblem
from schemas.revocations import RevocationAccepted, RevocationNotice
from tests.conftest import AUDIT_KEY
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import CONSUMER, PURPOSE, STRANGER, Peers, World

__all__ = ["simulators", "world"]  # fixtures
ISSUER = "province"
DEGREE = ecert_types()["degree"].code


def identifier(world: World, index: int, key: str = "degree") -> str:
    """What the library calls this certificate of family ``index``, without asking the hub."""
    holdings = Holdings(None)  # type: ignore[arg-type]  # nothing is sealed here
    held = world.holder(index)
    holder = holdings.holder(held["code"], held["codeType"])
    assert holder is not None
    return str(holdings.of(holder, ecert_types()[key])[-1].metadata.identifier)


def notice(*identifiers: str, **changes: Any) -> RevocationNotice:
    values: dict[str, Any] = {
        "messageId": f"rev-{hashlib.sha256(''.join(identifiers).encode()).hexdigest()[:12]}",
        "identifiers": identifiers,
        "reason": "annulled",
        "revokedAt": datetime.now(UTC) - timedelta(hours=1),
        "source": "鲁学位撤〔2026〕4号",
    }
    return RevocationNotice.model_validate({**values, **changes})


def take(world: World, message: RevocationNotice, *, nonce: str | None = None, digest: str = "d") -> RevocationAccepted:
    made = Revocations(world.db, world.parts.follow_ups)
    return made.take(world.caller(ISSUER, nonce=nonce), message, digest=digest)


def degree(world: World, answer: EvidenceAnswer) -> tuple[str, str | None]:
    """How the degree stands in this request, and why; a diploma would do instead."""
    (row,) = [r for r in world.rows(t.evidence_documents) if (r.request_id, r.document) == (answer.id, "degree")]
    assert row.document_sealed is None or row.standing == "held"
    return row.standing, row.reason


def kept_types(world: World) -> set[str]:
    return {row.type_code for row in world.rows(t.kept_ecerts)}


# --- what a notice does -------------------------------------------------------------------------------------------------------


def test_a_notice_invalidates_at_once_and_tells_those_who_relied_on_it(world: World) -> None:
    answer = world.asked(1, answer="documents")
    assert DEGREE in kept_types(world)
    before = len(world.peers.hook.effects())
    accepted = take(world, notice(identifier(world, 1)))
    numbers = (accepted.certificates, accepted.relied_on, accepted.answers, accepted.systems, accepted.systems_told)
    assert numbers == (1, 1, 1, 1, 1)
    assert DEGREE not in kept_types(world)
    now = world.read(answer.id)
    assert not now.complete
    assert degree(world, now) == ("revoked", "revoked-after-answer")
    assert ("revoked", "revoked-after-answer") in {(g.state, g.reason) for one in now.requirements for g in one.missing}
    assert "degree" not in {one.document for one in now.documents or ()}
    # a later answer does not believe the source, which still calls it valid
    later = world.ask(world.request(1))
    assert degree(world, later) == ("revoked", "revoked-by-notice")
    assert later.complete  # by the diploma, which was asked for instead
    assert {by for one in later.requirements for by in one.by} == {"id-card", "diploma", "putonghua-level"}
    assert DEGREE not in kept_types(world)
    (row,) = world.audited("evidence.revocation")
    assert (row.actor, row.object, row.outcome) == (f"system:{ISSUER}", accepted.id, "told")
    assert json.loads(row.detail)["told"] == "1/1"
    # the event, as its receiver has it
    (event,) = [one for one in world.rows(t.events) if one.type == "evidence.revoked"]
    said = json.loads(event.data)
    assert said["evidenceId"] == answer.id
    assert (said["document"], said["notice"], said["reason"]) == ("degree", accepted.id, "annulled")
    assert said["source"] == "鲁学位撤〔2026〕4号"
    assert identifier(world, 1) not in event.data
    with world.worker():
        end = time.monotonic() + 10
        while len(world.peers.hook.effects()) == before:
            assert time.monotonic() < end
            time.sleep(0.05)
    delivered = [one for one in world.rows(t.deliveries) if one.kind == "event"]
    assert [one.state for one in delivered] == ["delivered"]


def test_the_same_notice_again_gets_the_same_answer_and_tells_nobody_twice(world: World) -> None:
    world.asked(2)
    message = notice(identifier(world, 2))
    nonce = hashlib.sha256(b"n").hexdigest()
    first = take(world, message, nonce=nonce)
    assert take(world, message) == first
    assert len([one for one in world.rows(t.events) if one.type == "evidence.revoked"]) == 1
    with pytest.raises(HubProblem) as conflict:
        take(world, message, digest="other")
    assert conflict.value.kind is p.MESSAGE_ID_CONFLICT
    with pytest.raises(HubProblem) as replayed:
        take(world, notice(identifier(world, 3)), nonce=nonce)
    assert replayed.value.kind is p.MESSAGE_REPLAYED
    assert len(world.rows(t.revocation_notices)) == 1


def test_a_batch_counts_and_names_nobody(world: World) -> None:
    world.asked(4)
    world.asked(5)
    world.ask(world.request(5))
    named = [
        identifier(world, 4),
        identifier(world, 5),
        identifier(world, 5),
        identifier(world, 6),
        "OTHER-PROVINCE/77",
    ]
    accepted = take(world, notice(*named))
    numbers = (accepted.certificates, accepted.relied_on, accepted.answers, accepted.systems, accepted.systems_told)
    assert numbers == (4, 2, 3, 1, 1)
    assert CONSUMER not in accepted.model_dump_json()
    for table in (t.revocation_notices, t.revoked_ecerts, t.events, t.audit):
        text = repr([tuple(row) for row in world.rows(table)])
        assert identifier(world, 4) not in text, table.name


def test_whose_certificates_a_system_may_take_back(world: World) -> None:
    """By the issuer in the identifier; where it does not tell a region of ours, the right must be the province's."""
    made = Revocations(world.db, world.parts.follow_ups)
    ours = identifier(world, 7)  # issued in 370102
    for region, named, allowed in (
        ("370200", ours, False),
        ("370102", ours, True),
        ("370100", ours, True),
        ("370100", "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9", False),
        ("370100", "OTHER-PROVINCE/77", False),
        ("370000", "OTHER-PROVINCE/77", True),
    ):
        message = notice(named, messageId=f"r-{region}-{len(named)}")
        if allowed:
            made.take(world.caller(STRANGER, region=region), message, digest="d")
            continue
        with pytest.raises(HubProblem) as refused:
            made.take(world.caller(STRANGER, region=region), message, digest="d")
        assert refused.value.kind is p.ACCESS_DENIED
        assert Service.ECERT_REVOKE.value in refused.value.detail


def test_a_day_that_has_not_come_is_refused(world: World) -> None:
    with pytest.raises(HubProblem) as refused:
        take(world, notice(identifier(world, 7), revokedAt=datetime.now(UTC) + timedelta(days=1)))
    (fault,) = refused.value.faults
    assert (fault.path, fault.rule) == ("/revokedAt", "out-of-range")
    assert "not after now" in (fault.cure_en or "")
    assert world.rows(t.revoked_ecerts) == []


# --- certificates that the hub had not met ---------------------------------------------------------------------------------


def test_an_unknown_certificate_is_remembered_for_its_time(world: World) -> None:
    accepted = take(world, notice(identifier(world, 8)))
    keep = timedelta(seconds=world.parts.rules.times.revoked_keep_s)
    assert accepted.remembered_until - accepted.received_at == keep
    assert (accepted.certificates, accepted.relied_on) == (1, 0)
    answer = world.asked(8, answer="predicate")
    assert degree(world, answer) == ("revoked", "revoked-by-notice")
    assert {use.outcome for use in world.rows(t.data_uses) if use.ecert_type == "degree"} == {"revoked"}
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.revoked_ecerts).values(forget_at=tx.now)))
    time.sleep(0.01)
    assert Revocations(world.db, world.parts.follow_ups).purge() == 1
    assert world.ask(world.request(8)).complete


def test_a_wrong_notice_is_taken_back(world: World) -> None:
    named = identifier(world, 9)
    take(world, notice(named))
    follow_ups = world.parts.follow_ups
    assert world.db.write(lambda tx: revoking.reinstate(tx, follow_ups, named.lower(), "operator:x", "误报"))
    assert not world.db.write(lambda tx: revoking.reinstate(tx, follow_ups, named, "operator:x", "误报"))
    assert world.asked(9).complete
    assert [row.outcome for row in world.audited("evidence.reinstate")] == ["reinstated", "unknown"]


# --- who relies, and for how long ----------------------------------------------------------------------------------------------


def age(world: World, days: int) -> None:
    def write(tx: Tx) -> None:
        then = tx.now - timedelta(days=days)
        tx.conn.execute(sa.update(t.evidence_requests).values(asked_at=then, answered_at=then))

    world.db.write(write)


@pytest.mark.parametrize("purged", [False, True])
def test_an_answer_counts_until_its_purpose_has_run_out(world: World, purged: bool) -> None:
    """Also after the answer itself was dropped: the caller has it, and is told where its message said."""
    days = world.parts.rules.purpose[PURPOSE].relied_days
    world.asked(10, callback="hook")
    world.asked(11)
    if purged:
        world.service.purge(now=world.db.clock() + timedelta(days=30))
    age(world, days - 1)
    assert take(world, notice(identifier(world, 10))).systems_told == 1
    age(world, days + 1)
    late = take(world, notice(identifier(world, 11)))
    assert (late.answers, late.systems_told) == (0, 0)
    rows = [row for row in world.rows(t.evidence_documents) if row.document == "degree"]
    assert {(row.standing, row.document_sealed) for row in rows} == {("revoked", None)}


def test_a_notice_stands_although_the_endpoint_to_be_told_was_removed(world: World) -> None:
    """It was never delivered to, so it could be removed; the caller's subscriptions are told instead."""
    named = EndpointSpec("hook-2", CONSUMER, "cloudevents", "events", "370000", world.peers.hook.url,
                         {"signing_key_file": str(world.peers.own.http), "signing_key_id": "exchange-hub"})  # fmt: skip
    world.db.write(lambda tx: add_endpoint(tx, "test", world.vault, manifest("cloudevents"), named, lease_s=60))
    world.asked(18, callback="hook-2")
    world.db.write(lambda tx: tx.conn.execute(sa.delete(t.endpoints).where(t.endpoints.c.id == "hook-2")))
    accepted = take(world, notice(identifier(world, 18)))
    assert (accepted.systems, accepted.systems_told) == (1, 1)
    assert {row.endpoint_id for row in world.rows(t.deliveries)} == {"hook"}


def test_a_caller_that_nobody_can_tell_is_counted_as_such(world: World) -> None:
    world.db.write(lambda tx: tx.conn.execute(sa.delete(t.subscriptions)))
    world.asked(12)
    accepted = take(world, notice(identifier(world, 12)))
    assert (accepted.systems, accepted.systems_told) == (1, 0)


# --- fetches under way -----------------------------------------------------------------------------------------------------------


@dataclass
class Waiting:
    """A judge that has judged, and waits before it says so."""

    inner: Any
    judged: threading.Event
    go: threading.Event

    def answered(self, question: Any, *arguments: Any) -> Got:
        got: Got = self.inner.answered(question, *arguments)
        if str(question.document) == "degree":
            self.judged.set()
            assert self.go.wait(20)
        return got

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_fetch_under_way_hands_out_and_keeps_nothing_that_was_revoked_meanwhile(world: World) -> None:
    judged, go = threading.Event(), threading.Event()
    fetcher = world.service._fetcher
    fetcher._judge = Waiting(fetcher._judge, judged, go)  # type: ignore[assignment]
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(world.asked, 13, answer="documents", deadlineS=20)
        assert judged.wait(20)
        assert take(world, notice(identifier(world, 13))).answers == 0
        go.set()
        answer = asking.result()
    assert degree(world, answer) == ("revoked", "revoked-by-notice")
    assert "degree" not in {one.document for one in answer.documents or ()}
    assert DEGREE not in kept_types(world)
    assert "putonghua-level" in {one.document for one in answer.documents or ()}


def test_a_later_answer_of_an_issuer_is_not_believed(world: World) -> None:
    world.peers.library.fail("down")
    pending = world.asked(14, deadlineS=1)
    assert pending.state == "pending"
    take(world, notice(identifier(world, 14)))
    world.peers.library.fail("none")
    with world.worker():
        done = world.until(pending.id, "answered")
    assert degree(world, done) == ("revoked", "revoked-by-notice")
    assert {row.outcome for row in world.audited("evidence.follow-up")} == {"held", "revoked"}


@dataclass
class Nodes:
    """Two nodes on one database: one that fetches, one that takes notices."""

    fetching: World
    taking: World


@pytest.fixture
def nodes(database_url: str, simulators: Peers) -> Iterator[Nodes]:
    simulators.library.fail("none")
    databases = [Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append) for _ in range(2)]
    made = Nodes(World(databases[0], simulators).set_up(), World(databases[1], simulators))
    yield made
    for one in (made.fetching, made.taking):
        one.close()
        one.db.close()


def held_open(work: Callable[..., Any], reached: threading.Event, go: threading.Event) -> Callable[..., Any]:
    """``work`` in its transaction, which is not committed before ``go``."""

    def run(*arguments: Any) -> Any:
        result = work(*arguments)
        reached.set()
        assert go.wait(10)
        return result

    return run


def is_waiting(future: Future[Any]) -> bool:
    time.sleep(0.7)
    return not future.done()


def test_a_notice_waits_for_an_answer_that_is_being_committed_and_sees_it(nodes: Nodes) -> None:
    reached, go = threading.Event(), threading.Event()
    service = nodes.fetching.service
    service._finish_many = held_open(service._finish_many, reached, go)  # type: ignore[method-assign]
    nodes.fetching.consent(15)
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(nodes.fetching.ask, nodes.fetching.request(15))
        assert reached.wait(20)
        taking = pool.submit(take, nodes.taking, notice(identifier(nodes.taking, 15)))
        assert is_waiting(taking)
        go.set()
        assert asking.result().complete  # it was true when it was committed …
        assert taking.result().answers == 1  # … and its caller is told
    assert DEGREE not in kept_types(nodes.taking)


def test_an_answer_waits_for_a_notice_that_is_being_committed_and_sees_it(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go = threading.Event(), threading.Event()
    monkeypatch.setattr(revoking, "revoke", held_open(revoking.revoke, reached, go))
    judged, release = threading.Event(), threading.Event()
    fetcher = nodes.fetching.service._fetcher
    fetcher._judge = Waiting(fetcher._judge, judged, release)  # type: ignore[assignment]
    nodes.fetching.consent(16)
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(nodes.fetching.ask, nodes.fetching.request(16, deadlineS=20))
        assert judged.wait(20)
        taking = pool.submit(take, nodes.taking, notice(identifier(nodes.taking, 16)))
        assert reached.wait(20)
        release.set()
        assert is_waiting(asking)
        go.set()
        assert taking.result().answers == 0
        assert degree(nodes.taking, asking.result()) == ("revoked", "revoked-by-notice")
    assert DEGREE not in kept_types(nodes.taking)
