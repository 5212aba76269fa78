"""A holder takes a consent or authorization back while a request still runs: nothing more is asked for or handed out on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.contract import RetryLater
from hub import tables as t
from hub.ecerts.authorizations import model as m
from hub.ecerts.evidence import fetching
from hub.ecerts.evidence.fetching import Fetcher
from hub.ecerts.evidence.following import FollowUps
from schemas.ecert_types import ecert_types
from schemas.evidence import EvidenceAnswer
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import PURPOSE, REGION, World

__all__ = ["simulators", "world"]  # fixtures


def withdraw(world: World, index: int, consent_id: str) -> None:
    world.authorizations.revoke_consent(world.caller(), consent_id, m.Holder.model_validate(world.holder(index)))


def pending(world: World, index: int, **changes: Any) -> EvidenceAnswer:
    """A request of which no source has answered yet."""
    world.peers.library.fail("down")
    answer = world.ask(world.request(index, deadlineS=2, **changes))
    assert answer.state == "pending"
    world.peers.library.fail("none")
    return answer


def settled(world: World, answer: EvidenceAnswer) -> EvidenceAnswer:
    with world.worker():
        return world.until(answer.id, "answered")


def reasons(answer: EvidenceAnswer) -> set[tuple[str, str | None]]:
    return {(gap.state, gap.reason) for one in answer.requirements for gap in one.missing}


def nothing_came(world: World, done: EvidenceAnswer, word: str) -> None:
    assert not done.complete
    assert reasons(done) == {("ask-the-person", word)}
    assert not done.fields
    assert all("撤回" in gap.message_zh or "结束" in gap.message_zh for one in done.requirements for gap in one.missing)
    rows = world.rows(t.evidence_documents)
    assert all(row.document_sealed is None and row.content_sha256 is None and not row.followed_up for row in rows)
    assert not world.rows(t.kept_ecerts)
    assert "held" not in {use.outcome for use in world.rows(t.data_uses)}
    states = {row.state for row in world.rows(t.deliveries) if row.kind.startswith("evidence-")}
    assert states <= {"refused", "delivered"}, "nothing goes on asking"


def test_what_waits_is_not_asked_for_any_more(world: World) -> None:
    consent = world.consent(1)
    answer = pending(world, 1)
    withdraw(world, 1, consent.consent_id)
    calls = world.library_calls()
    done = settled(world, answer)
    nothing_came(world, done, "withdrawn")
    assert world.library_calls() == calls
    assert {row.state for row in world.rows(t.deliveries) if row.kind.startswith("evidence-")} == {"refused"}


def test_a_withdrawal_while_the_call_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source has answered, the outcome is not recorded yet, and the withdrawal is committed in between."""
    consent = world.consent(2)
    answer = pending(world, 2)
    prepare: Callable[..., object] = FollowUps.prepare

    def slow(self: FollowUps, *given: Any) -> object:
        prepared = prepare(self, *given)
        withdraw(world, 2, consent.consent_id)
        return prepared

    monkeypatch.setattr(FollowUps, "prepare", slow)
    nothing_came(world, settled(world, answer), "withdrawn")


def test_a_withdrawal_while_the_first_call_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    consent = world.consent(3)
    run: Callable[..., object] = Fetcher.run

    def slow(self: Fetcher, *given: Any) -> object:
        fetched = run(self, *given)
        withdraw(world, 3, consent.consent_id)
        return fetched

    monkeypatch.setattr(Fetcher, "run", slow)
    nothing_came(world, world.ask(world.request(3)), "withdrawn")


@pytest.mark.parametrize(("change", "word"), [
    ({"use_until": True}, "basis-ended"),
    ({"revoked_at": True}, "withdrawn"),
])  # fmt: skip
def test_an_authorization_that_has_ended_or_was_taken_back(world: World, change: dict[str, bool], word: str) -> None:
    scope = m.Scope(ecert_types=tuple(ecert_types()), purpose=PURPOSE, region="370000")
    asked = m.AuthorizationRequest(holder=m.Holder.model_validate(world.holder(4)), holder_proof="p", scope=scope)
    issued = world.authorizations.issue(world.caller(), asked).result()
    assert isinstance(issued, m.AuthorizationIssued)
    wanted = m.Wanted(ecert_types=("degree",), purpose=PURPOSE, region=REGION)
    message = m.RedemptionRequest(message_id=f"m-{secrets.token_hex(6)}", code=issued.code, wanted=wanted)
    assert isinstance(world.authorizations.redeem(world.caller(), message).result(), m.AuthorizationRedeemed)
    answer = pending(world, 4, basis={"kind": "authorization", "reference": issued.authorization_id})
    past = {name: world.db.clock() - timedelta(seconds=1) for name in change}
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.authorizations).values(past)))
    nothing_came(world, settled(world, answer), word)


def test_what_had_been_answered_stays_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    consent = world.consent(5)
    call: Callable[..., Any] = fetching.call

    def without_putonghua(adapter: Any, body: Any, deadline: Any) -> Any:
        if body.type_code == ecert_types()["putonghua-level"].code:
            raise RetryLater("unreachable")
        return call(adapter, body, deadline)

    monkeypatch.setattr(fetching, "call", without_putonghua)
    answer = world.ask(world.request(5))
    assert answer.state == "pending"
    assert answer.fields
    withdraw(world, 5, consent.consent_id)
    done = settled(world, answer)
    assert done.fields == answer.fields
    assert reasons(done) == {("ask-the-person", "withdrawn")}
    held = {use.ecert_type for use in world.rows(t.data_uses) if use.outcome == "held"}
    assert held == {one.document for one in answer.fields}


def test_a_run_that_died_is_not_taken_up_on_what_was_withdrawn(world: World) -> None:
    consent = world.consent(6)
    answer = pending(world, 6)
    values = {"state": "open", "owned_until": world.db.clock() - timedelta(minutes=1)}
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.evidence_requests).values(values)))
    withdraw(world, 6, consent.consent_id)
    assert world.service.keep_house() == 1
    assert reasons(world.read(answer.id)) == {("ask-the-person", "withdrawn")}
