"""The evidence solver against a brute-force oracle, and what it says of each requirement."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ecerts.entries import Evidence, Item, Requirement, Role, evidence_text
from hub.ecerts.items.records import read_entries
from hub.ecerts.items.table_file import read_table
from hub.ecerts.solver import USABLE, WHO_ACTS, Known, Plan, RequirementState, Standing, solve
from schemas.ecert_types import ecert_types
from schemas.problems import WhoActs

TYPES = sorted(ecert_types())
ALL = [Evidence(name, role) for name in TYPES[:5] for role in (Role.APPLICANT, Role.GUARDIAN)]  # 10: 1,024 subsets


def requirement(name: str, evidence: str, required: bool = True) -> Requirement:
    return Requirement(name=name, title_zh="要求", title_en="requirement", evidence=evidence, required=required)


def documents(text: str) -> tuple[Evidence, ...]:
    return tuple(sorted(requirement("x", text).alternatives[0]))


alternatives = st.lists(st.frozensets(st.sampled_from(ALL), min_size=1, max_size=3), min_size=1, max_size=4)
problems = st.lists(alternatives, min_size=1, max_size=6).map(
    lambda found: [requirement(f"r{n}", evidence_text(tuple(one))) for n, one in enumerate(found)]
)
knowledge = st.dictionaries(
    st.sampled_from(ALL),
    st.builds(
        Known,
        st.one_of(st.sampled_from(sorted(USABLE)), st.sampled_from(list(Standing))),
        st.integers(0, 12),
    ),
)


def cost(
    chosen: Sequence[Evidence], known: dict[Evidence, Known], order: list[Evidence]
) -> tuple[int, int, int, int, int]:
    return (
        sum(known[d].standing is Standing.AVAILABLE for d in chosen),
        len(chosen),
        sum(known[d].fields for d in chosen),
        sum(known[d].standing is Standing.DEEMED_VALID for d in chosen),
        sum(1 << order.index(d) for d in chosen),
    )


def listed(asked: Sequence[Requirement]) -> list[Evidence]:
    return list(dict.fromkeys(d for r in asked for part in r.alternatives for d in sorted(part)))


def brute_force(asked: Sequence[Requirement], known: dict[Evidence, Known]) -> set[Evidence]:
    """Every set of usable documents, the cheapest of those that satisfy whatever can be satisfied."""
    usable = {d for d, one in known.items() if one.standing in USABLE}
    order = [d for d in listed(asked) if d in usable]
    can = [[part for part in r.alternatives if part <= usable] for r in asked]
    goals = [parts for parts in can if parts]
    feasible = (
        chosen
        for size in range(len(order) + 1)
        for chosen in combinations(order, size)
        if all(any(part <= set(chosen) for part in parts) for parts in goals)
    )
    return set(min(feasible, key=lambda chosen: cost(chosen, known, order)))


@settings(max_examples=400, deadline=None)
@given(problems, knowledge)
def test_the_plan_is_the_cheapest_of_all(asked: list[Requirement], known: dict[Evidence, Known]) -> None:
    plan = solve(asked, known)
    assert plan.exact
    assert set(plan.used) == brute_force(asked, known)
    _sound(plan, asked, known)


def _sound(plan: Plan, asked: Sequence[Requirement], known: dict[Evidence, Known]) -> None:
    assert set(plan.fetch) == {d for d in plan.used if known[d].standing is Standing.AVAILABLE}
    assert {d for answer in plan.answers for d in answer.by} == set(plan.used)
    for answer, one in zip(plan.answers, asked, strict=True):
        standing = {
            d: known[d].standing if d in known else Standing.NO_SOURCE for part in one.alternatives for d in part
        }
        if answer.state is RequirementState.UNSATISFIED:
            assert not any(all(standing[d] in USABLE for d in part) for part in one.alternatives)
            assert answer.missing
            assert all(m.standing is standing[m.evidence] and m.who is WHO_ACTS[m.standing] for m in answer.missing)
        else:
            assert frozenset(answer.by) in one.alternatives
            waits = any(standing[d] is Standing.AVAILABLE for d in answer.by)
            assert (answer.state is RequirementState.TO_FETCH) == waits
    assert plan.complete == all(a.state is RequirementState.SATISFIED for a in plan.answers if a.required)


@settings(max_examples=200, deadline=None)
@given(
    problems,
    st.dictionaries(st.sampled_from(ALL), st.sampled_from([s for s in Standing if s is not Standing.AVAILABLE])),
)
def test_planning_again_after_each_failure_ends_with_all_that_can_be_satisfied(
    asked: list[Requirement], truth: dict[Evidence, Standing]
) -> None:
    known = {d: Known(Standing.AVAILABLE) for d in ALL}
    fetched: list[Evidence] = []
    while (plan := solve(asked, known)).fetch:
        for document in plan.fetch:
            fetched.append(document)
            known[document] = Known(truth.get(document, Standing.HELD))
    assert len(fetched) == len(set(fetched)), "nothing is fetched twice"
    good = {d for d in ALL if truth.get(d, Standing.HELD) in USABLE}
    for answer, one in zip(plan.answers, asked, strict=True):
        assert (answer.state is RequirementState.SATISFIED) == any(part <= good for part in one.alternatives)


def test_one_document_serves_two_requirements() -> None:
    asked = [
        requirement("identity", "id-card"),
        requirement("household", "household-register | id-card | real-estate-title"),
    ]
    plan = solve(
        asked, {d: Known(Standing.AVAILABLE) for d in documents("household-register + id-card + real-estate-title")}
    )
    assert [str(d) for d in plan.fetch] == ["id-card"]
    assert [answer.by for answer in plan.answers] == [documents("id-card")] * 2


def test_fewer_documents_before_less_data_and_less_data_before_the_listed_order() -> None:
    asked = [requirement("education", "diploma | degree | teacher-qualification + putonghua-level")]
    known = {d: Known(Standing.AVAILABLE, fields=5) for d in documents("diploma + degree")}
    known |= {d: Known(Standing.AVAILABLE, fields=1) for d in documents("teacher-qualification + putonghua-level")}
    assert solve(asked, known).fetch == documents("diploma")
    known[Evidence("degree")] = Known(Standing.AVAILABLE, fields=4)
    assert solve(asked, known).fetch == documents("degree")


def test_what_is_held_is_used_before_anything_is_fetched() -> None:
    asked = [requirement("education", "diploma | teacher-qualification + putonghua-level")]
    known = {d: Known(Standing.HELD, fields=9) for d in documents("teacher-qualification + putonghua-level")}
    plan = solve(asked, known | {Evidence("diploma"): Known(Standing.AVAILABLE)})
    assert plan.complete
    assert plan.fetch == ()


def test_a_notice_appears_in_the_answer_that_rests_on_it_and_a_valid_document_is_preferred() -> None:
    asked = [requirement("licence", "private-school-licence@organisation | business-licence@organisation")]
    licence, other = (
        Evidence("private-school-licence", Role.ORGANISATION),
        Evidence("business-licence", Role.ORGANISATION),
    )
    deemed = Known(Standing.DEEMED_VALID, notice="鲁教函〔2026〕1号")
    answer = solve(asked, {licence: deemed}).answers[0]
    assert (answer.state, answer.notices) == (RequirementState.SATISFIED, ("鲁教函〔2026〕1号",))
    assert solve(asked, {licence: deemed, other: Known(Standing.HELD)}).answers[0].by == (other,)


@pytest.mark.parametrize(("standing", "who"), [
    (Standing.NO_MATCH, WhoActs.APPLICANT), (Standing.ASK_THE_PERSON, WhoActs.APPLICANT),
    (Standing.PENDING, WhoActs.PEER), (Standing.UNREACHABLE, WhoActs.PEER), (Standing.REVOKED, WhoActs.APPLICANT),
    (Standing.EXPIRED, WhoActs.APPLICANT), (Standing.SUSPENDED, WhoActs.APPLICANT), (Standing.NOT_VERIFIED, WhoActs.PEER),
])  # fmt: skip
def test_why_not_and_who_must_act(standing: Standing, who: WhoActs) -> None:
    plan = solve([requirement("identity", "id-card")], {Evidence("id-card"): Known(standing, reason="a-word")})
    (missing,) = plan.answers[0].missing
    assert (missing.standing, missing.who, missing.reason) == (standing, who, "a-word")
    assert not plan.complete
    (unknown,) = solve([requirement("identity", "id-card")], {}).answers[0].missing
    assert (unknown.standing, unknown.who) == (Standing.NO_SOURCE, WhoActs.ADMINISTRATOR)


def test_the_nearest_alternative_is_told() -> None:
    asked = [requirement("x", "id-card | degree + diploma | putonghua-level")]
    known = {
        Evidence("id-card"): Known(Standing.REVOKED),
        Evidence("degree"): Known(Standing.PENDING),
        Evidence("diploma"): Known(Standing.HELD),
        Evidence("putonghua-level"): Known(Standing.NO_MATCH),
    }
    plan = solve(asked, known)
    assert [m.evidence for m in plan.answers[0].missing] == [Evidence("degree")]
    assert plan.used == (), "nothing is handed out for a requirement that fails"


def test_an_optional_requirement_does_not_keep_an_item_open() -> None:
    asked = [
        requirement("identity", "id-card"),
        requirement("employer", "business-licence@organisation", required=False),
    ]
    assert solve(asked, {Evidence("id-card"): Known(Standing.HELD)}).complete


def test_every_shipped_item_is_solved_with_what_its_sources_issue() -> None:
    path = Path(__file__).parents[3] / "hub" / "ecerts" / "data" / "items.csv"
    for item in read_entries(read_table(path)).entries:
        if isinstance(item, Item):
            every = {d for r in item.requirements for part in r.alternatives for d in part}
            plan = solve(item.requirements, {d: Known(Standing.AVAILABLE) for d in every})
            assert not [a for a in plan.answers if a.state is RequirementState.UNSATISFIED]


def test_beyond_the_bound_a_sound_plan_is_still_given_and_marked() -> None:
    asked = [
        requirement(
            f"r{n}", evidence_text(tuple(frozenset({ALL[(n * k + k) % 10], ALL[(n + 3 * k) % 10]}) for k in (1, 2, 3)))
        )
        for n in range(8)
    ]
    known = {d: Known(Standing.AVAILABLE, fields=n % 4) for n, d in enumerate(ALL)}
    hurried = solve(asked, known, node_limit=0)
    assert not hurried.exact
    _sound(hurried, asked, known)
    assert solve(asked, known).exact
