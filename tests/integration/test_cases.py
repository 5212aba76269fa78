"""Cases from opening to end, on both databases: steps, refusal, withdrawal, late and doubled decisions, limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.access import endpoints
from hub.access.registration import RegistrationError
from hub.cases.limits import flag_limits, recompute_provisional
from hub.db import Tx
from hub.deliveries.model import Kind
from schemas.problems import (
    ACCESS_DENIED,
    CASE_CLOSED,
    CASE_OPEN_ALREADY,
    CASE_UNKNOWN,
    DECISION_CONTRADICTS,
    DECISION_NOT_AWAITED,
    DECISION_WRONG_PARTY,
    MESSAGE_ID_CONFLICT,
    NO_ROUTE,
    WITHDRAWAL_TOO_LATE,
    HubProblem,
    ProblemKind,
)
from schemas.transfers import CaseFlag, CaseState, DecisionOutcome, StepState
from tests.integration.case_fixtures import world
from tests.integration.case_world import LIXIA, SHINAN, World

__all__ = ["world"]  # fixtures


def refused(act: Callable[[], object]) -> ProblemKind:
    with pytest.raises(HubProblem) as caught:
        act()
    return caught.value.kind


# --- the good way -------------------------------------------------------------------------------------------------------


def test_inside_a_county_school_then_bureau_then_the_record_moves(world: World) -> None:
    case_id, _ = world.to_waiting()
    for step in ("releasing-school", "county-bureau", "move-record"):
        assert [s.name for s in world.view(case_id).steps if s.state is StepState.OPEN] == [step]
        world.decide(world.decision(case_id, step), "source")
    view = world.view(case_id)
    assert view.state is CaseState.COMPLETED
    assert all(step.state is StepState.APPROVED for step in view.steps)
    assert world.events(case_id)[0] == "case.accepted"
    assert world.events(case_id)[-1] == "case.completed"


def test_across_cities_each_side_decides_its_own_steps(world: World) -> None:
    case_id, _ = world.to_waiting(SHINAN, LIXIA)
    order = [
        ("receiving-bureau", "source"), ("releasing-school", "shinan"), ("releasing-bureau", "shinan"),
        ("release-record", "shinan"), ("admit-record", "source"),
    ]  # fmt: skip
    for step, system in order:
        other = "shinan" if system == "source" else "source"
        assert refused(lambda: world.decide(world.decision(case_id, step), other)) is DECISION_WRONG_PARTY  # noqa: B023
        world.decide(world.decision(case_id, step), system)
    assert world.view(case_id, "shinan").state is CaseState.COMPLETED


def test_a_refused_act_is_left_to_the_entry_of_its_refusal(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.decide(world.decision(case_id, "releasing-school"), "source")
    opposite = world.decision(case_id, "releasing-school", DecisionOutcome.REFUSED)
    assert refused(lambda: world.decide(opposite, "source")) is DECISION_CONTRADICTS
    with world.db.read() as conn:
        entries = conn.execute(sa.select(t.audit.c.outcome).where(t.audit.c.action == "transfer.decision"))
        assert entries.scalars().all() == ["accepted"]


def test_all_evidence_is_asked_for_at_once(world: World) -> None:
    accepted = world.submit(world.request())
    assert {subject for kind, subject in world.deliveries(accepted.case_id) if kind != "event"} == {
        "student-identity", "guardian-identity", "household", "residence-title", "enrolment-record",
    }  # fmt: skip


def test_a_decision_in_the_reply_counts_like_one_by_callback(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.finish(case_id, Kind.STEP, "releasing-school", world.decision(case_id, "releasing-school"))
    assert world.view(case_id).steps[1].state is StepState.OPEN


def test_steps_of_a_group_are_open_side_by_side(world: World) -> None:
    flow = next(flow for flow in world.flows.values() if flow.id == "transfer-within-county")
    first, second, third = (group.step[0] for group in flow.group)
    parallel = flow.model_copy(
        update={"group": (flow.group[0].model_copy(update={"step": (first, second)}), flow.group[2])}
    )
    world.rooms.flows[flow.key]  # the flow that is replaced
    world.flows[flow.key] = parallel  # type: ignore[index]
    case_id, _ = world.to_waiting()
    assert [s.name for s in world.view(case_id).steps if s.state is StepState.OPEN] == [second.name, first.name]
    world.decide(world.decision(case_id, first.name), "source")
    assert world.view(case_id).steps[-1].state is StepState.PENDING
    world.decide(world.decision(case_id, second.name), "source")
    assert next(s for s in world.view(case_id).steps if s.name == third.name).state is StepState.OPEN


def test_an_endpoint_with_subscriptions_that_overlap_is_told_once(world: World) -> None:
    def subscribe(tx: Tx) -> None:
        row = {"id": "sub-2", "endpoint_id": "monitor", "event_type": "case.accepted", "region": "370000"}
        tx.conn.execute(sa.insert(t.subscriptions).values(row | {"source_only": False}))

    world.db.write(subscribe)
    world.rooms.directory.forget()
    case_id = world.submit(world.request()).case_id
    d = t.deliveries
    told = sa.select(sa.func.count()).where(d.c.case_id == case_id, d.c.kind == Kind.EVENT.value)
    with world.db.read() as conn:
        assert conn.execute(told).scalar_one() == 1


# --- the same again -----------------------------------------------------------------------------------------------------


def test_the_same_message_gets_the_same_answer(world: World) -> None:
    request = world.request()
    first = world.submit(request)
    world.later(hours=3)
    assert world.submit(request) == first


def test_another_message_under_the_same_id_is_a_conflict(world: World) -> None:
    request = world.request()
    world.submit(request)
    assert refused(lambda: world.submit(request.model_copy(update={"reason": "别的"}))) is MESSAGE_ID_CONFLICT


def test_message_ids_are_each_systems_own(world: World) -> None:
    request, other = world.request(), world.request(SHINAN, SHINAN)
    first = world.submit(request)
    second = world.submit(other.model_copy(update={"message_id": request.message_id}), "shinan")
    assert first.case_id != second.case_id


def test_a_student_has_one_open_transfer(world: World) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    again = request.model_copy(update={"message_id": "another"})
    assert refused(lambda: world.submit(again)) is CASE_OPEN_ALREADY
    world.withdraw(case_id)
    world.submit(again.model_copy(update={"message_id": "after-withdrawal"}))


def test_the_same_message_many_times_at_once_opens_one_case(world: World) -> None:
    request = world.request()
    from hub.intake.operations import digest_of

    caller = world.caller("source")
    futures = [world.cases.submit_transfer(caller, request, digest=digest_of(request)) for _ in range(50)]
    assert len({future.result().case_id for future in futures}) == 1


# --- decisions ----------------------------------------------------------------------------------------------------------


def test_a_refusal_ends_the_case_with_its_reason(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.decide(world.decision(case_id, "releasing-school", DecisionOutcome.REFUSED), "source")
    view = world.view(case_id)
    assert (view.state, view.outcome_reason) == (CaseState.REFUSED, "releasing-school: 同意")
    assert [step.state for step in view.steps] == [StepState.REFUSED, StepState.CANCELLED, StepState.CANCELLED]


def test_a_doubled_decision_changes_nothing(world: World) -> None:
    case_id, _ = world.to_waiting()
    decision = world.decision(case_id, "releasing-school")
    first = world.decide(decision, "source")
    assert world.decide(decision, "source").steps == first.steps
    assert world.decide(world.decision(case_id, "releasing-school"), "source").steps == first.steps
    assert world.events(case_id).count("step.decided") == 1


def test_a_decision_that_contradicts_the_first_is_refused(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.decide(world.decision(case_id, "releasing-school"), "source")
    other = world.decision(case_id, "releasing-school", DecisionOutcome.REFUSED)
    assert refused(lambda: world.decide(other, "source")) is DECISION_CONTRADICTS


def test_a_decision_before_its_turn_is_refused(world: World) -> None:
    case_id, _ = world.to_waiting()
    assert refused(lambda: world.decide(world.decision(case_id, "county-bureau"), "source")) is DECISION_NOT_AWAITED


def test_a_late_decision_finds_the_case_closed(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.withdraw(case_id)
    assert refused(lambda: world.decide(world.decision(case_id, "releasing-school"), "source")) is CASE_CLOSED


def test_a_stranger_learns_nothing(world: World) -> None:
    case_id, _ = world.to_waiting()
    assert refused(lambda: world.view(case_id, "stranger")) is CASE_UNKNOWN
    assert refused(lambda: world.withdraw(case_id, "stranger")) is CASE_UNKNOWN
    stranger = world.caller("stranger", region="370200")
    decision = world.decision(case_id, "releasing-school")
    assert refused(lambda: world.cases.decide(stranger, decision, digest="x").result()) is CASE_UNKNOWN


# --- withdrawal ---------------------------------------------------------------------------------------------------------


def test_a_withdrawal_tells_the_party_that_was_asked(world: World) -> None:
    case_id, _ = world.to_waiting()
    from hub.deliveries.claims import ClaimRequest  # noqa: F401  documents who would have sent it

    with world.db.engine.begin() as conn:
        import sqlalchemy as sa

        from hub import tables as t

        conn.execute(sa.update(t.deliveries).where(t.deliveries.c.kind == "step").values(state="delivered"))
    assert world.withdraw(case_id).state is CaseState.WITHDRAWN
    assert world.deliveries(case_id)["cancel", "releasing-school"] == "queued"


def test_a_withdrawal_before_anything_was_sent_tells_nobody(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.withdraw(case_id)
    assert ("cancel", "releasing-school") not in world.deliveries(case_id)
    assert world.deliveries(case_id)["step", "releasing-school"] == "refused"


def test_once_the_record_moves_it_is_too_late(world: World) -> None:
    case_id, _ = world.to_waiting()
    for step in ("releasing-school", "county-bureau"):
        world.decide(world.decision(case_id, step), "source")
    assert refused(lambda: world.withdraw(case_id)) is WITHDRAWAL_TOO_LATE


def test_a_case_is_withdrawn_once(world: World) -> None:
    case_id, _ = world.to_waiting()
    world.withdraw(case_id)
    assert refused(lambda: world.withdraw(case_id)) is CASE_CLOSED


# --- rights and routes --------------------------------------------------------------------------------------------------


def test_a_right_is_for_its_region(world: World) -> None:
    request = world.request()
    caller = world.caller("source", region=SHINAN)
    assert refused(lambda: world.cases.submit_transfer(caller, request, digest="x")) is ACCESS_DENIED


def test_a_region_without_a_registry_is_told_at_once_and_undoes_nobody_else(world: World) -> None:
    good, bad = world.request(), world.request("370302", "370302")
    from hub.intake.operations import digest_of

    caller = world.caller("source")
    futures = [world.cases.submit_transfer(caller, one, digest=digest_of(one)) for one in (good, bad)]
    assert futures[0].result().state is CaseState.OPEN
    assert refused(futures[1].result) is NO_ROUTE


# --- the clock ----------------------------------------------------------------------------------------------------------


def test_near_and_past_the_limit_is_flagged_once(world: World) -> None:
    case_id, _ = world.to_waiting()
    assert world.db.write(lambda tx: flag_limits(world.rooms, tx)) == 0
    world.later(days=17)  # 12 working days: fewer than 3 remain
    assert world.db.write(lambda tx: flag_limits(world.rooms, tx)) > 0
    assert CaseFlag.NEAR_LIMIT in world.view(case_id).flags
    assert world.db.write(lambda tx: flag_limits(world.rooms, tx)) == 0
    world.later(days=6)
    world.db.write(lambda tx: flag_limits(world.rooms, tx))
    assert CaseFlag.PAST_LIMIT in world.view(case_id).flags
    assert world.view(case_id).state is CaseState.WAITING  # it stays open
    assert [world.events(case_id).count(f"case.{word}-limit") for word in ("near", "past")] == [1, 1]
    assert world.events(case_id).count("step.past-limit") == 1


def test_a_limit_past_the_published_calendar_is_recomputed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub import working_days

    def unpublished(day: object) -> tuple[bool, bool]:
        return True, True

    monkeypatch.setattr(working_days, "is_working_day", unpublished)
    working_days._limit_after.cache_clear()
    case_id = world.submit(world.request()).case_id
    before = world.view(case_id)
    assert CaseFlag.PROVISIONAL_LIMIT in before.flags
    monkeypatch.undo()
    working_days._limit_after.cache_clear()
    assert world.db.write(lambda tx: recompute_provisional(world.rooms, tx)) == 1
    after = world.view(case_id)
    assert CaseFlag.PROVISIONAL_LIMIT not in after.flags
    assert after.limit_at > before.limit_at
    assert "case.limit-recomputed" in world.events(case_id)


# --- what is not to be seen ---------------------------------------------------------------------------------------------


def test_no_personal_data_stands_in_clear_in_any_table(world: World) -> None:
    case_id, request = world.to_waiting()
    world.decide(world.decision(case_id, "releasing-school"), "source")
    secret = [
        request.student.name, request.student.id_number, request.student.enrolment_number,
        request.guardian.name, request.guardian.id_number, request.guardian.phone or "",
    ]  # fmt: skip
    with world.db.read() as conn:
        for table in t.metadata.sorted_tables:
            for row in conn.execute(sa.select(table)):
                for value in row:
                    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    assert not [word for word in secret if word and word in text], table.name


def test_a_number_in_a_partys_own_words_goes_to_nobody_else(world: World) -> None:
    """The words are the case's, and those who take part read them; subscribers and the audit log need no number."""
    case_id, _ = world.to_waiting()
    told = "材料不符: 370102198501011233, 联系 13812345678"
    decision = world.decision(case_id, "releasing-school", DecisionOutcome.REFUSED)
    world.decide(decision.model_copy(update={"reason": told}), "source")
    assert world.view(case_id).outcome_reason == f"releasing-school: {told}"
    with world.db.read() as conn:
        written = repr(conn.execute(sa.select(t.events)).all()) + repr(conn.execute(sa.select(t.audit)).all())
    assert "releasing-school: 材料不符" in written
    assert "370102198501011233" not in written
    assert "13812345678" not in written


# --- who is told ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["case.*", "cn.sd.edu.exchange.case.*", "cn.sd.edu.exchange.case.accepted"])
def test_a_subscription_may_be_written_as_the_events_type_stands_at_the_wire(world: World, written: str) -> None:
    world.db.write(lambda tx: tx.conn.execute(sa.delete(t.subscriptions)))
    world.db.write(lambda tx: endpoints.subscribe(tx, "test", "monitor", written, "370000"))
    world.rooms.directory.forget()
    case_id = world.submit(world.request()).case_id
    assert [kind for kind, _ in world.deliveries(case_id)].count("event") == 1


def test_endpoints_whose_long_names_begin_alike_are_told_each(world: World) -> None:
    names = [f"jinan-lixia-district-education-bureau-events-{n}" for n in (1, 2)]

    def register(tx: Tx) -> None:
        tx.conn.execute(sa.delete(t.subscriptions))
        for name in names:
            values = {"id": name, "system_id": "province", "adapter": "x", "service": "events", "region": "370000"}
            rest = {"base_url": "http://127.0.0.1:1", "max_concurrency": 4, "timeout_s": 5, "created_at": tx.now}
            tx.conn.execute(sa.insert(t.endpoints).values(values | rest))
            endpoints.subscribe(tx, "test", name, "case.accepted", "370000")

    world.db.write(register)
    world.rooms.directory.forget()
    world.submit(world.request())
    with world.db.read() as conn:
        d = t.deliveries.c
        told = conn.execute(sa.select(d.endpoint_id, d.idempotency_key).where(d.kind == "event")).all()
    assert sorted(row.endpoint_id for row in told) == names
    assert len({row.idempotency_key for row in told}) == 2
    assert all(len(row.idempotency_key) <= 64 for row in told)


@pytest.mark.parametrize(
    "written", ["bogus.event", "case", "case.acepted", "cn.sd.edu.other.case.*", "*", "", "case.*.x"]
)
def test_a_subscription_that_means_no_event_is_refused(world: World, written: str) -> None:
    with pytest.raises(RegistrationError, match=r"case\.accepted"):
        world.db.write(lambda tx: endpoints.subscribe(tx, "test", "monitor", written, "370000"))
