"""Limits of evidence: every holder that a message names counts, and so does every question that was refused."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from adapters.holdings import organisation
from hub import tables as t
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.evidence.rules import load_rules
from schemas import problems as p
from schemas.ecert_types import ecert_types
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import CONSUMER, HIRING, PURPOSE, STRANGER, Peers, World

__all__ = ["simulators", "world"]  # fixtures
LAW = {"kind": "law", "reference": "第三条"}


def limited(database: Database, simulators: Peers, **limits: int) -> World:
    rules = load_rules()
    simulators.library.fail("none")
    changed = rules.limits.model_copy(update=limits)
    return World(database, simulators, rules.model_copy(update={"limits": changed})).set_up()


def refused(world: World, *arguments: Any) -> HubProblem:
    with pytest.raises(HubProblem) as caught:
        world.ask(*arguments)
    return caught.value


def company(index: int) -> dict[str, str]:
    held = organisation("370102", index)
    return {
        "kind": "organisation", "role": "organisation", "name": held.name, "code": held.code, "codeType": "001",
    }  # fmt: skip


def hiring(world: World, subject: int, *others: dict[str, str]) -> Any:
    return world.request(
        subject, itemCode=HIRING, purpose="hiring-registration", basis=LAW, others=list(others), deadlineS=4
    )


def test_every_holder_that_a_message_names_is_counted(database: Database, simulators: Peers) -> None:
    world = limited(database, simulators, subjects=5)
    world.ask(hiring(world, 71, company(1), {**world.holder(72), "role": "guardian"}))
    world.ask(hiring(world, 71, company(2)))
    world.ask(hiring(world, 71, company(3)))  # one subject, four others
    assert len({row.subject_index for row in world.rows(t.subject_queries)}) == 5
    world.ask(hiring(world, 71, company(3)))  # nobody new
    problem = refused(world, hiring(world, 71, company(4)))
    assert (problem.kind, problem.detail) == (p.EVIDENCE_THROTTLED, "many-subjects")
    assert [row.object for row in world.audited("evidence.enumeration")] == [CONSUMER]
    world.close()


def test_the_limit_of_a_holder_counts_in_whatever_role(database: Database, simulators: Peers) -> None:
    world = limited(database, simulators, subject_requests=2)
    for subject in (73, 74):
        world.ask(hiring(world, subject, company(5)))
    assert refused(world, hiring(world, 75, company(5))).detail == "subject-limit"
    assert refused(world, hiring(world, 75, company(5))).detail == "subject-limit"
    world.ask(hiring(world, 75, company(6)))  # what was beyond a limit counts for nobody
    world.close()


def test_refused_questions_are_limited_and_folded(database: Database, simulators: Peers) -> None:
    world = limited(database, simulators, subject_requests=3)
    words = [refused(world, world.request(76)).detail for _ in range(6)]
    assert words == ["no-consent"] * 3 + ["subject-limit"] * 3
    (use,) = world.rows(t.data_uses)
    assert (use.outcome, use.times) == ("evidence-basis-refused", 3)
    held = world.holder(76)
    holder = m.Holder(name=held["name"], code=held["code"], code_type="111")
    uses, _ = world.authorizations.uses(world.caller(), m.UsesRequest(holder=holder, holder_proof="p"), before=None)
    assert [(one.times, one.outcome) for one in uses] == [(3, "evidence-basis-refused")]
    world.close()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"purpose": "school-licensing"}, "evidence-purpose-refused"),  # not registered for it
        ({"purpose": "hiring-registration"}, "evidence-purpose-refused"),  # registered, and not of this item
        ({"callback": "library"}, "message-invalid"),
    ],
)
def test_questions_refused_for_purpose_or_callback_count_too(
    database: Database, simulators: Peers, wrong: dict[str, str], code: str
) -> None:
    world = limited(database, simulators, subject_requests=3)
    words = [refused(world, world.request(77, **wrong)) for _ in range(5)]
    assert [one.kind.code for one in words] == [code] * 3 + ["evidence-throttled"] * 2
    assert sum(row.questions for row in world.rows(t.refused_questions)) == 3
    assert sum(row.questions for row in world.rows(t.subject_queries)) == 3
    held = world.holder(77)
    holder = m.Holder(name=held["name"], code=held["code"], code_type="111")
    uses, _ = world.authorizations.uses(world.caller(), m.UsesRequest(holder=holder, holder_proof="p"), before=None)
    assert [(one.times, one.outcome, one.ecert_type) for one in uses] == [(3, code, "-")]
    assert all(one.outcome_zh and one.outcome_en for one in uses)
    world.close()


def test_refused_questions_count_for_their_caller(database: Database, simulators: Peers) -> None:
    world = limited(database, simulators, caller_requests=3)
    gone = {"kind": "authorization", "reference": "auth_nobodys"}
    words = [refused(world, world.request(77 + n)).detail for n in range(2)]
    words += [refused(world, world.request(79, subject=None, basis=gone)).detail for _ in range(2)]
    assert words[:3] == ["no-consent", "no-consent", "authorization-not-usable"]
    assert words[3] in ("caller-limit", "authorization-not-usable")  # a minute may have ended
    assert sum(row.questions for row in world.rows(t.refused_questions)) in (3, 4)
    world.close()


def redeemed(world: World, index: int) -> str:
    held = world.holder(index)
    holder = m.Holder(name=held["name"], code=held["code"], code_type="111")
    scope = m.Scope(ecert_types=tuple(ecert_types()), purpose=PURPOSE, region="370000")
    issued = world.authorizations.issue(
        world.caller(STRANGER), m.AuthorizationRequest(holder=holder, holder_proof="login-1", scope=scope)
    ).result()
    assert isinstance(issued, m.AuthorizationIssued)
    wanted = m.Wanted(ecert_types=("id-card",), purpose=PURPOSE, region="370102")
    answer = world.authorizations.redeem(
        world.caller(), m.RedemptionRequest(message_id=f"r-{index}", code=issued.code, wanted=wanted)
    ).result()
    assert isinstance(answer, m.AuthorizationRedeemed)
    return answer.authorization_id


def test_whoever_an_authorization_names_is_the_only_applicant(world: World) -> None:
    basis = {"kind": "authorization", "reference": redeemed(world, 81)}
    problem = refused(world, world.request(81, basis=basis, subject=None, others=[world.holder(82)]))
    assert (problem.kind, [fault.path for fault in problem.faults]) == (p.MESSAGE_INVALID, ["/others"])
    guardian = {**world.holder(82), "role": "guardian"}
    assert world.ask(world.request(81, basis=basis, subject=None, others=[guardian])).complete
    with world.db.read() as conn:
        noted = conn.execute(sa.select(sa.func.count()).select_from(t.subject_queries)).scalar_one()
    assert noted == 2


def test_an_organisation_whose_authorization_it_is_may_be_left_out(world: World) -> None:
    held = organisation("370102", 9)
    holder = m.Holder(name=held.name, code=held.code, code_type="001")
    scope = m.Scope(ecert_types=("business-licence",), purpose=PURPOSE, region="370000")
    issued = world.authorizations.issue(
        world.caller(STRANGER), m.AuthorizationRequest(holder=holder, holder_proof="login-1", scope=scope)
    ).result()
    assert isinstance(issued, m.AuthorizationIssued)
    wanted = m.Wanted(ecert_types=("business-licence",), purpose=PURPOSE, region="370102")
    taken = world.authorizations.redeem(
        world.caller(), m.RedemptionRequest(message_id="r-org", code=issued.code, wanted=wanted)
    ).result()
    assert isinstance(taken, m.AuthorizationRedeemed)
    basis = {"kind": "authorization", "reference": taken.authorization_id}
    problem = refused(world, world.request(81, basis=basis, subject=None))  # of another type: an answer, not an error
    assert problem.detail == "no-authorization"
