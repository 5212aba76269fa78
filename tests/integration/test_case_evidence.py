"""The evidence of a case, on both databases: what is not good ends it with its reason, what is not required does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import PersonAnswer
from adapters.population import family
from hub.cases.flow import Flow, load_flows
from hub.db import Database, Tx
from hub.deliveries.model import Kind, State
from hub.ecerts.revocations import store as revocations
from hub.ecerts.revocations.index import identifier_index
from schemas.ecerts import EnrolmentRecord, EnrolmentStatus, PersonMatch
from schemas.transfers import CaseState, EvidenceState
from tests.integration.case_fixtures import world
from tests.integration.case_world import LIXIA, World

__all__ = ["world"]  # fixtures


@pytest.mark.parametrize(
    ("match", "reason"), [(PersonMatch.MISMATCHED, "person-name-mismatch"), (PersonMatch.NOT_FOUND, "person-not-found")]
)
def test_a_person_who_does_not_match_ends_the_case(world: World, match: PersonMatch, reason: str) -> None:
    case_id = world.submit(world.request()).case_id
    world.finish(case_id, Kind.PERSON, "student-identity", PersonAnswer(match=match))
    view = world.view(case_id)
    assert (view.state, view.outcome_reason) == (CaseState.REFUSED, f"evidence student-identity: {reason}")
    assert set(world.deliveries(case_id).values()) <= {"refused", "queued"}  # the others are never sent; events are
    assert "evidence.refused" in world.events(case_id)


def test_an_altered_document_ends_the_case(world: World) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    good = world.document(request, "household-register")
    from certs.ofd.write import pack, unpack

    members = unpack(good.content)
    members["Doc_0/Pages/Page_0/Content.xml"] = members["Doc_0/Pages/Page_0/Content.xml"].replace(
        "演示".encode(), "演出".encode()
    )
    world.finish(case_id, Kind.ECERT, "household", good.model_copy(update={"content": pack(members)}))
    household = next(e for e in world.view(case_id).evidence if e.requirement == "household")
    assert (household.state, household.reason) == (EvidenceState.REFUSED, "hash-failure")
    assert world.view(case_id).state is CaseState.REFUSED


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("holder_name", "别人", "holder-mismatch"),
        ("holder_code", "370102199001010000", "holder-code-mismatch"),
        ("number", "另一号", "number-mismatch"),
        ("issuer_code", "11370000000000001X", "issuer-mismatch"),
        ("type_code", "11100000000013127D001", "type-mismatch"),
    ],
)
def test_a_genuine_document_that_says_something_else_ends_the_case(
    world: World, field: str, value: str, reason: str
) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    world.finish(case_id, Kind.ECERT, "household", world.document(request, "household-register", **{field: value}))
    assert world.view(case_id).outcome_reason == f"evidence household: {reason}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer_name": "某区公安局"}, "sealed-by-another"),  # the seal is that of 演示教育局
        ({"issuer_name": "", "issuer_code": ""}, "issuer-missing"),
    ],
)
def test_a_genuine_document_under_somebody_elses_seal_ends_the_case(
    world: World, changes: dict[str, str], reason: str
) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    document = world.document(request, "household-register", **changes)
    stated = document.metadata.model_copy(update={"issuer_code": None})
    world.finish(case_id, Kind.ECERT, "household", document.model_copy(update={"metadata": stated}))
    view = world.view(case_id)
    assert view.outcome_reason == f"evidence household: {reason}"
    household = next(e for e in view.evidence if e.requirement == "household")
    assert (household.state, household.reason) == (EvidenceState.REFUSED, reason)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("valid_until", "2020-12-31 23:59:59", "validity-ended"),
        ("valid_until", "2020年12月31日止", "validity-ended"),
        ("valid_until", "见背面", "validity-unreadable"),
        ("valid_from", "2099-01-01", "not-yet-valid"),
    ],
)
def test_a_certificate_outside_its_own_validity_ends_the_case(
    world: World, field: str, value: str, reason: str
) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    world.finish(case_id, Kind.ECERT, "household", world.document(request, "household-register", **{field: value}))
    assert world.view(case_id).outcome_reason == f"evidence household: {reason}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": EnrolmentStatus.SUSPENDED}, "enrolment-suspended"),
        ({"student_name": "别人"}, "student-name-mismatch"),
        ({"school_code": "2137010299"}, "releasing-school-mismatch"),
        ({"enrolment_number": "L3700000000"}, "enrolment-number-mismatch"),
    ],
)
def test_a_record_that_does_not_allow_it_ends_the_case(world: World, changes: dict[str, object], reason: str) -> None:
    request = world.request()
    case_id = world.submit(request).case_id
    record = family(LIXIA, world._index(request)).record
    changed: EnrolmentRecord = record.model_copy(update=changes)
    world.finish(case_id, Kind.ENROLMENT, "enrolment-record", changed)
    assert world.view(case_id).outcome_reason == f"evidence enrolment-record: {reason}"


def test_a_document_that_a_notice_revoked_ends_the_case(world: World) -> None:
    """Its seal holds and its source calls it valid; its issuer has said otherwise."""
    request = world.request()
    case_id = world.submit(request).case_id
    good = world.document(request, "household-register")
    metadata = good.metadata.model_copy(update={"identifier": "1.2.156.3005.2.x"})

    def revoke(tx: Tx) -> None:
        row = revocations.NoticeRow("rev_1", None, None, "d", "lost", "1号", tx.now, tx.now, "{}")
        revocations.add_notice(tx.conn, row)
        index = identifier_index(world.rooms.vault, "1.2.156.3005.2.X")
        revocations.remember(tx.conn, [index], "rev_1", tx.now + timedelta(days=1))

    world.db.write(revoke)
    world.finish(case_id, Kind.ECERT, "household", good.model_copy(update={"metadata": metadata}))
    assert world.view(case_id).outcome_reason == "evidence household: revoked-by-notice"


def test_the_sources_own_refusal_is_the_reason(world: World) -> None:
    case_id = world.submit(world.request()).case_id
    world.finish(case_id, Kind.ECERT, "household", None, state=State.REFUSED, code="not-found")
    assert world.view(case_id).outcome_reason == "evidence household: source-not-found"


def test_a_case_goes_on_without_what_it_does_not_require(database: Database) -> None:
    def optional(flow: Flow) -> Flow:
        needs = [need.model_copy(update={"required": need.requirement != "residence-title"}) for need in flow.evidence]
        return flow.model_copy(update={"evidence": tuple(needs)})

    world = World(database, flows={key: optional(flow) for key, flow in load_flows().items()})
    request = world.request()
    case_id = world.submit(request).case_id
    world.finish(case_id, Kind.ECERT, "residence-title", None, state=State.REFUSED, code="not-found")
    assert world.view(case_id).state is CaseState.OPEN
    world.evidence(case_id, request, but=["residence-title"])
    assert world.view(case_id).state is CaseState.WAITING


def test_a_suspended_fetch_waits_for_an_operator(world: World) -> None:
    case_id = world.submit(world.request()).case_id
    world.finish(case_id, Kind.ECERT, "household", None, state=State.SUSPENDED, code="attempts-exhausted")
    assert world.view(case_id).state is CaseState.OPEN
    assert "case.needs-operator" in world.events(case_id)
