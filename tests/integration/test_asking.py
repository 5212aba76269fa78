"""A party that took a step and told nobody what it decided is asked; on both databases, and a registry that never calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from adapters.contract import Receipt
from adapters.registry import UnknownAdapter, create, manifest
from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.cases.asking import ask_parties
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Kind, State
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from hub.keeping.store import empty_bodies
from schemas.transfers import CaseState, StepState
from tests.integration.case_fixtures import world
from tests.integration.case_world import LIXIA, World
from tests.integration.test_dispatch import until

__all__ = ["world"]  # fixtures
STEP = "releasing-school"  # the first inside a county


def ask(world: World, can_ask: Callable[[str], bool] = lambda adapter: True) -> int:
    return world.db.write(lambda tx: ask_parties(tx, world.rooms, can_ask))


def set_state(world: World, case_id: str, kind: Kind, state: State) -> None:
    d = t.deliveries
    with world.db.engine.begin() as conn:
        conn.execute(
            sa.update(d)
            .where(d.c.case_id == case_id, d.c.kind == kind.value, d.c.state != "delivered")
            .values(state=state.value)
        )


def taken(world: World) -> str:
    """A case whose first step's message its party has taken."""
    case_id, _ = world.to_waiting()
    set_state(world, case_id, Kind.STEP, State.DELIVERED)
    return case_id


def questions(world: World) -> int:
    query = sa.select(sa.func.count()).where(t.deliveries.c.kind == "ask")
    with world.db.read() as conn:
        return int(conn.execute(query).scalar_one())


def test_it_is_asked_after_a_while_and_then_ever_more_seldom(world: World) -> None:
    case_id = taken(world)
    asked_at = []
    for minute in range(0, 24 * 60, 5):
        if ask(world):
            asked_at.append(minute)
            set_state(world, case_id, Kind.ASK, State.DELIVERED)  # it has not decided
        world.later(minutes=5)
    assert asked_at[:6] == [10, 20, 40, 80, 160, 320]
    assert asked_at[-1] - asked_at[-2] == 360
    assert len(asked_at) == 9


def test_nobody_is_asked_twice_at_once_nor_before_the_message_is_there(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.later(minutes=11)
    assert ask(world) == 0  # the message itself is still on its way
    set_state(world, case_id, Kind.STEP, State.DELIVERED)
    world.later(minutes=11)
    assert ask(world) == 1
    world.later(hours=1)
    assert ask(world) == 0  # the question is
    set_state(world, case_id, Kind.ASK, State.SUSPENDED)
    world.later(hours=7)
    assert ask(world) == 0  # an operator decides


def test_a_product_that_cannot_be_asked_is_never_asked(world: World) -> None:
    taken(world)
    world.later(minutes=11)
    assert ask(world, lambda adapter: False) == 0
    world.later(days=3)
    assert ask(world) == 0
    assert not manifest("cloudevents").status_query
    assert manifest("city_soap").status_query


def test_a_long_open_step_is_asked_though_bodies_of_ended_deliveries_go(world: World) -> None:
    case_id = taken(world)
    d, month = t.deliveries, timedelta(days=30)
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(d).where(d.c.case_id == case_id, d.c.state == "delivered").values(finished_at=world.now))
    world.later(days=31)
    with world.db.engine.begin() as conn:
        assert empty_bodies(conn, world.now - month, 100) == 0
    assert ask(world) == 1
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.cases).where(t.cases.c.id == case_id).values(closed_at=world.now))
        assert empty_bodies(conn, world.now - month, 100) >= 1


@pytest.mark.parametrize("fault", ["body", "adapter"])
def test_a_step_that_cannot_be_asked_about_holds_up_no_other(world: World, fault: str) -> None:
    broken, whole = taken(world), taken(world)
    d = t.deliveries
    if fault == "body":
        with world.db.engine.begin() as conn:
            conn.execute(sa.update(d).where(d.c.case_id == broken, d.c.kind == "step").values(body_sealed=b"no more"))
    seen: list[str] = []

    def can_ask(adapter: str) -> bool:
        seen.append(adapter)
        if fault == "adapter" and len(seen) == 1:
            raise UnknownAdapter("没有此适配器", "there is no such adapter")
        return True

    world.later(minutes=11)
    assert ask(world, can_ask) == 1
    assert questions(world) == 1
    asked = {case for case in (broken, whole) if (Kind.ASK.value, STEP) in world.deliveries(case)}
    assert len(asked) == 1
    assert fault == "adapter" or asked == {whole}
    assert ask(world) == 0  # its time comes again, with its next turn


def test_two_nodes_ask_once(world: World) -> None:
    for _ in range(3):
        taken(world)
    world.later(minutes=11)
    nodes = [threading.Thread(target=ask, args=(world,)) for _ in range(4)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
    assert questions(world) == 3


def test_what_it_decided_moves_the_case_and_what_it_has_not_decided_does_not(world: World) -> None:
    case_id = taken(world)
    world.later(minutes=11)
    ask(world)
    world.finish(case_id, Kind.ASK, STEP, Receipt())
    assert world.view(case_id).state is CaseState.WAITING
    world.finish(case_id, Kind.ASK, STEP, world.decision(case_id, STEP))
    (step,) = (step for step in world.view(case_id).steps if step.name == STEP)
    assert step.state is StepState.APPROVED


@pytest.mark.parametrize(("code", "flagged"), [("refused-by-operator", False), ("registry-9001", True)])
def test_a_question_that_is_refused_refuses_no_case(world: World, code: str, flagged: bool) -> None:
    case_id = taken(world)
    world.later(minutes=11)
    ask(world)
    world.finish(case_id, Kind.ASK, STEP, None, state=State.REFUSED, code=code)
    assert world.view(case_id).state is CaseState.WAITING
    assert ("case.needs-operator" in world.events(case_id)) is flagged


def test_the_end_of_the_case_ends_the_question(world: World) -> None:
    case_id = taken(world)
    world.later(minutes=11)
    ask(world)
    world.withdraw(case_id)
    assert world.deliveries(case_id)["ask", STEP] == "refused"


@pytest.mark.parametrize("knows", [True, False], ids=["decided, and told nobody", "lost the message"])
def test_a_registry_that_never_calls_is_asked_until_the_case_is_done(world: World, knows: bool) -> None:
    arguments = ["--region", LIXIA, "--token", "secret", "--decide-after", "0.2"]  # and no --hub
    with SimulatorProcess("adapters.county_rest.simulator", arguments) as county:
        sealed = world.vault.seal(json.dumps({"access_token": "secret"}).encode(), "endpoints:jinan-registry")
        values = {"adapter": "county_rest", "base_url": county.url, "secrets_sealed": sealed, "region": LIXIA}
        with world.db.engine.begin() as conn:
            conn.execute(sa.update(t.endpoints).where(t.endpoints.c.id == "jinan-registry").values(values))
        adapters = AdapterCache(world.vault, create)
        dispatcher = Dispatcher(
            world.db,
            Attempter(world.vault, adapters, world.handlers, RetryPolicy(base_s=0.02, cap_s=0.1)),
            Recorder(world.handlers, BreakerPolicy(5, 1), "test"),
            node="test", workers=2, lease=timedelta(seconds=30),
        )  # fmt: skip
        case_id, _ = world.to_waiting()
        for kind in (Kind.PERSON, Kind.ECERT, Kind.ENROLMENT, Kind.EVENT):
            set_state(world, case_id, kind, State.DELIVERED)
        if not knows:  # it acknowledged, and has forgotten
            set_state(world, case_id, Kind.STEP, State.DELIVERED)
        dispatcher.start()
        try:
            for _ in range(3 if knows else 4):
                until(lambda: "queued" not in world.deliveries(case_id).values())
                until(lambda: "attempting" not in world.deliveries(case_id).values())
                threading.Event().wait(0.4)  # it decides
                world.later(hours=7)
                set_state(world, case_id, Kind.EVENT, State.DELIVERED)
                assert ask(world) == 1
            until(lambda: world.view(case_id).state is CaseState.COMPLETED)
        finally:
            dispatcher.stop()
            adapters.close()
        assert set(county.effects().values()) == {1}  # each step was taken once
        assert len(county.effects()) == 3
