"""On what ground evidence is fetched: the consent that was named, the clause that was cited, and records of their own basis."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.holdings import organisation
from hub import tables as t
from hub.ecerts.evidence import fetching, store
from hub.ecerts.evidence.planning import find_grounds, questions
from hub.ecerts.solver import solve
from schemas import problems as p
from schemas.ecerts import EcertQuery, UseCause
from schemas.evidence import Basis, BasisKind
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import CONSUMER, HIRING, World

__all__ = ["simulators", "world"]  # fixtures
SUSPENSION = "370105003002"  # id-card@guardian | household-register@guardian, and the enrolment record


def test_a_consent_that_is_named_is_the_one_that_counts(world: World) -> None:
    narrow = world.consent(1, types=("id-card",))
    whole = world.consent(1)
    named = {"kind": "consent", "reference": whole.consent_id}
    assert world.ask(world.request(1, basis=named)).complete
    partly = world.ask(world.request(1, basis={"kind": "consent", "reference": narrow.consent_id}))
    assert {one.name: one.satisfied for one in partly.requirements} == {
        "identity": True, "household": True, "education": False, "putonghua": False
    }  # fmt: skip
    with pytest.raises(HubProblem) as caught:
        world.ask(world.request(1, basis={"kind": "consent", "reference": "nobody's"}))
    assert (caught.value.kind, caught.value.detail) == (p.EVIDENCE_BASIS_REFUSED, "no-such-consent")
    uses = world.rows(t.data_uses)
    assert {use.cited for use in uses} == {whole.consent_id, narrow.consent_id, "nobody's"}
    assert world.ask(world.request(1)).complete  # not named: any that covers it


def test_the_clause_that_was_cited_is_kept_for_the_audit_and_for_the_holder(world: World) -> None:
    held = organisation("370102", 1)
    company = {"kind": "organisation", "role": "organisation", "name": held.name, "code": held.code, "codeType": "001"}
    who = world.holder(7)  # whoever writes a number or a holder's name into it does not get it into the log
    clause = f"某条例第三条 {who['code']} {who['name']} 身份证{who['code'][:6]} {who['code'][6:]} 电话13912345678"
    law = {"kind": "law", "reference": clause}
    changes: dict[str, Any] = {"itemCode": HIRING, "purpose": "hiring-registration", "others": [company], "basis": law}
    assert world.ask(world.request(7, **changes)).complete
    detail = json.loads(world.audited("evidence.request")[0].detail)
    assert detail["cited"].startswith("某条例第三条")
    assert "law:" in detail["basis"]
    for use in world.rows(t.data_uses):
        assert use.cited.startswith("某条例第三条")
        assert who["code"] not in use.cited
        assert who["code"][6:] not in use.cited
        assert "139" not in use.cited
        assert who["name"] not in use.cited
    assert who["code"] not in repr(world.rows(t.audit))
    assert who["code"][6:] not in repr(world.rows(t.audit))
    assert "13912345678" not in repr(world.rows(t.audit))
    assert who["name"] not in repr(world.rows(t.audit))
    with pytest.raises(HubProblem):
        world.ask(world.request(7, basis=law))  # an item that asks for a consent
    assert json.loads(world.audited("evidence.request")[-1].detail)["cited"].startswith("某条例第三条")


def asked_of_the_library(world: World, request: Any) -> UseCause:
    """Why, as the source is told."""
    with world.db.read() as conn:
        row, rows = store.request(conn, request.id), store.documents(conn, request.id)
    assert row is not None
    file = world.parts.follow_ups.views.open(row, rows, world.parts.follow_ups.items.current())
    assert file is not None
    document = next(one for one in file.grounds if one.type in ("degree", "business-licence"))
    body = questions(file.request, file.item, file.grounds, file.endpoints, [document])[document].body
    assert isinstance(body, EcertQuery)
    return body.use_cause


def test_the_source_is_told_the_legal_basis_and_the_purpose_in_words(world: World) -> None:
    consent = world.consent(8)
    cause = asked_of_the_library(world, world.ask(world.request(8)))
    assert cause.legal_basis == f"《中华人民共和国教师法》; 同意由申请人在门户作出; 持有人同意 {consent.consent_id}"
    assert cause.purpose == "教师资格认定"
    held = organisation("370102", 1)
    company = {"kind": "organisation", "role": "organisation", "name": held.name, "code": held.code, "codeType": "001"}
    law = {"kind": "law", "reference": f"某条例第三条 {world.holder(9)['code']}"}
    changes: dict[str, Any] = {"itemCode": HIRING, "purpose": "hiring-registration", "others": [company], "basis": law}
    cause = asked_of_the_library(world, world.ask(world.request(9, **changes)))
    assert cause.legal_basis.startswith("占位依据")
    assert "; 引用 某条例第三条 " in cause.legal_basis
    assert world.holder(9)["code"] not in cause.legal_basis
    assert cause.purpose == "招用毕业生企业登记"


@pytest.mark.parametrize("kind", ["law", "authorization"])
def test_what_is_not_a_consent_names_its_ground(kind: str) -> None:
    with pytest.raises(ValueError, match="missing"):
        Basis.model_validate({"kind": kind})
    assert Basis(kind=BasisKind.CONSENT).reference is None


def grounds(world: World, item_code: str, index: int, other: int) -> set[str]:
    item = world.parts.follow_ups.items.current().item(item_code, world.db.clock())
    assert item is not None
    request = world.request(index, itemCode=item_code, others=[{**world.holder(other), "role": "guardian"}])
    with world.db.read() as conn:
        found = find_grounds(
            world.authorizations.bases, conn, request=request, item=item, system_id=CONSUMER, at=world.db.clock()
        )
    return {str(document) for document in found.grounds}


def test_a_record_needs_a_basis_that_names_it(world: World) -> None:
    """Another holder's consent to another document opens nobody's school record."""
    world.consent(11)  # the guardian's, for every certificate
    assert grounds(world, SUSPENSION, 10, 11) == {"id-card@guardian", "household-register@guardian"}
    world.consent(
        11, types=("enrolment-record",)
    )  # somebody else's own: whose guardian may do so is in test_evidence_guardians
    assert grounds(world, SUSPENSION, 10, 11) == {"id-card@guardian", "household-register@guardian"}
    world.consent(12, types=("enrolment-record",))  # the student's own
    assert grounds(world, SUSPENSION, 12, 13) == {"enrolment-record"}


def test_an_identity_check_rests_on_what_allows_the_same_persons_card(world: World) -> None:
    item = "370105005001"  # id-card | identity-check
    world.consent(15, types=("id-card",))
    assert grounds(world, item, 15, 16) == {"id-card", "identity-check"}
    assert grounds(world, item, 16, 15) == set()  # not on somebody else's


def test_a_file_leaves_only_for_a_purpose_that_lets_it_out(world: World) -> None:
    held = organisation("370102", 1)
    company = {"kind": "organisation", "role": "organisation", "name": held.name, "code": held.code, "codeType": "001"}
    law = {"kind": "law", "reference": "某条"}
    answer = world.ask(
        world.request(
            17, itemCode=HIRING, purpose="hiring-registration", others=[company], basis=law, answer="documents"
        )
    )
    assert answer.complete
    assert {one.document for one in answer.documents or ()} == {"business-licence@organisation"}
    assert {one.document: one.fields for one in answer.fields or ()} == {"identity-check": {"match": "matched"}}


def test_a_plan_that_is_not_the_best_is_logged_and_marked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver itself: test_evidence_solver.py."""
    monkeypatch.setattr(fetching, "solve", lambda *given: replace(solve(*given), exact=False))
    assert world.asked(18).complete
    assert json.loads(world.audited("evidence.answer")[-1].detail)["plan"] == "not-exact"
