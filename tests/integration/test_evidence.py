"""The evidence service, on both databases, in front of the real simulators: what is answered, what leaves, and what is kept."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.holdings import organisation
from certs.jws import check_jws
from certs.keys import PublicKey
from hub import tables as t
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.catalogue import Catalogue
from hub.ecerts.entries import Item
from hub.ecerts.evidence import store
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.evidence.views import Answered
from hub.health.overview import overview
from schemas import problems as p
from schemas.ecert_types import ecert_types
from schemas.evidence import EvidenceAnswer
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import CONSUMER, HIRING, STRANGER, Peers, World

__all__ = ["simulators", "world"]  # fixtures
ALTERED, REVOKED, EXPIRED, NOT_FOUND, SUSPENDED = 41, 43, 44, 46, 48


def states(answer: EvidenceAnswer) -> dict[str, set[str]]:
    return {one.name: {gap.state for gap in one.missing} for one in answer.requirements}


def refused(world: World, *arguments: Any) -> HubProblem:
    with pytest.raises(HubProblem) as caught:
        world.ask(*arguments)
    return caught.value


# --- answers ------------------------------------------------------------------------------------------


def test_every_requirement_is_satisfied_and_only_the_purposes_fields_leave(world: World) -> None:
    answer = world.asked(1)
    assert (answer.state, answer.complete) == ("answered", True)
    assert all(one.satisfied and one.by for one in answer.requirements)
    assert answer.documents is None
    assert answer.predicate is None
    allowed = load_rules().purpose["teacher-qualification"].fields
    for seen in answer.fields or ():
        assert seen.fields
        assert seen.fields.keys() <= set(allowed[seen.document])
    card = next(seen for seen in answer.fields or () if seen.document == "id-card")
    assert card.fields["holder_code"] == world.holder(1)["code"]
    # one document serves identity and household: nothing more is fetched than is needed
    assert {seen.document for seen in answer.fields or ()} == {"id-card", "degree", "putonghua-level"}


def test_documents_come_with_their_report(world: World) -> None:
    answer = world.asked(2, answer="documents")
    assert answer.fields is None
    for document in answer.documents or ():
        content = base64.b64decode(document.content)
        assert content.startswith(b"PK")
        assert hashlib.sha256(content).hexdigest() == document.sha256 == document.report["digest_sha256"]
        assert document.report["indication"] == "PASSED"


def test_a_predicate_is_signed_and_says_no_more_than_yes(world: World) -> None:
    answer = world.asked(3, answer="predicate")
    assert answer.fields is None
    assert answer.documents is None
    key = PublicKey.from_pem(world.peers.own.http_public.read_bytes())
    token = answer.predicate or ""
    said = json.loads(check_jws(token, key).payload)
    assert said["requirements"] == {"identity": "yes", "household": "yes", "education": "yes", "putonghua": "yes"}
    assert said["aud"] == CONSUMER
    assert said["iat"] < said["exp"] <= said["iat"] + 86_400
    held = world.holder(3)
    assert held["code"] not in json.dumps(said)
    assert held["name"] not in json.dumps(said, ensure_ascii=False)


@pytest.mark.parametrize(
    ("index", "state", "answer"),
    [
        (ALTERED, "not-verified", "unknown"),
        (REVOKED, "revoked", "no"),
        (EXPIRED, "expired", "no"),
        (NOT_FOUND, "no-match", "no"),
        (SUSPENDED, "suspended", "no"),
    ],
)
def test_what_is_not_there_is_told_with_who_acts(world: World, index: int, state: str, answer: str) -> None:
    found = world.asked(index, answer="predicate")
    assert (found.state, found.complete) == ("answered", False)
    assert states(found) == {name: {state} for name in ("identity", "household", "education", "putonghua")}
    assert all(
        gap.who_acts in ("applicant", "peer") and gap.reason for one in found.requirements for gap in one.missing
    )
    key = PublicKey.from_pem(world.peers.own.http_public.read_bytes())
    said = json.loads(check_jws(found.predicate or "", key).payload)
    assert set(said["requirements"].values()) == {answer}
    assert said["holds"] == {}


def test_partial_results_are_results(world: World) -> None:
    world.consent(4, types=("id-card", "degree"))
    answer = world.ask(world.request(4))
    by = {one.name: one.satisfied for one in answer.requirements}
    assert by == {"identity": True, "household": True, "education": True, "putonghua": False}
    gap = next(one for one in answer.requirements if one.name == "putonghua").missing[0]
    assert (gap.state, gap.reason, gap.who_acts) == ("ask-the-person", "not-authorized", "applicant")
    assert answer.state == "answered"


def test_an_alternative_replaces_what_failed_within_the_deadline(world: World) -> None:
    """The library knows no degree for anybody whose type is unpublished: here the source fails for exactly one type."""
    world.consent(5, types=("id-card", "diploma", "putonghua-level"))
    answer = world.ask(world.request(5))
    assert answer.complete
    assert next(one for one in answer.requirements if one.name == "education").by == ("diploma",)


# --- grounds ------------------------------------------------------------------------------------------


def test_without_a_basis_nothing_is_fetched(world: World) -> None:
    before = world.library_calls()
    problem = refused(world, world.request(6))
    assert (problem.kind, problem.detail) == (p.EVIDENCE_BASIS_REFUSED, "no-consent")
    problem = refused(world, world.request(6, basis={"kind": "law", "reference": "某条"}))
    assert (problem.kind, problem.detail) == (p.EVIDENCE_BASIS_REFUSED, "consent-required")
    problem = refused(world, world.request(6, basis={"kind": "authorization", "reference": "auth_x"}))
    assert problem.kind is p.EVIDENCE_BASIS_REFUSED
    assert world.library_calls() == before
    assert [row.outcome for row in world.audited("evidence.request")] == ["evidence-basis-refused"] * 3
    assert len(world.rows(t.data_uses)) == 3  # the holder sees refused questions too


def test_the_law_is_enough_where_the_catalogue_says_so(world: World) -> None:
    company = {"kind": "organisation", "role": "organisation", "name": "", "code": "", "codeType": "001"}
    held = organisation("370102", 1)
    company |= {"name": held.name, "code": held.code}
    request = world.request(
        7,
        itemCode=HIRING,
        purpose="hiring-registration",
        others=[company],
        basis={"kind": "law", "reference": "第三条"},
    )
    answer = world.ask(request)
    assert answer.complete
    seen = {one.document: one.fields for one in answer.fields or ()}
    assert seen["business-licence@organisation"]["holder_code"] == held.code
    assert seen.keys() == {"business-licence@organisation", "identity-check"}  # one field instead of the whole card
    assert seen["identity-check"] == {"match": "matched"}


def test_a_purpose_must_be_registered_and_a_right_granted(world: World) -> None:
    world.consent(8, purpose="school-licensing")
    assert refused(world, world.request(8, purpose="school-licensing")).kind is p.EVIDENCE_PURPOSE_REFUSED
    assert refused(world, world.request(8), world.caller(STRANGER)).kind is p.EVIDENCE_PURPOSE_REFUSED
    assert refused(world, world.request(8), world.caller(region="370200")).kind is p.ACCESS_DENIED
    assert refused(world, world.request(8, itemCode="999999999999")).kind is p.ITEM_UNKNOWN
    assert refused(world, world.request(8, callback="library")).kind is p.MESSAGE_INVALID


@pytest.mark.parametrize("answer", ["documents", "fields", "predicate"])
def test_a_purpose_of_another_item_is_refused(world: World, answer: str) -> None:
    """Else whoever may ask for teachers' evidence takes ID cards under an item that needs no consent."""
    calls = world.library_calls()
    law = {"kind": "law", "reference": "第三条"}
    problem = refused(world, world.request(8, itemCode=HIRING, basis=law, answer=answer))
    assert (problem.kind, problem.detail) == (p.EVIDENCE_PURPOSE_REFUSED, "not-of-this-item")
    assert problem.who is p.WhoActs.CALLER  # the item lists another that it can ask with
    (fault,) = problem.faults
    assert fault.path == "/purpose"
    assert "hiring-registration" in (fault.cure_zh or "")
    assert "hiring-registration" in (fault.cure_en or "")
    assert world.library_calls() == calls


def test_the_law_covers_the_identity_check_and_not_the_card_instead(world: World) -> None:
    """The check says no, and the card, which the catalogue does not name, is not fetched in its place."""
    calls = world.library_calls()
    law = {"kind": "law", "reference": "第三条"}
    stranger = world.holder(7) | {"name": "张某某"}
    answer = world.ask(world.request(7, itemCode=HIRING, purpose="hiring-registration", subject=stranger, basis=law))
    handler = next(one for one in answer.requirements if one.name == "handler-identity")
    assert not handler.satisfied
    assert world.library_calls() == calls
    rows = {row.document: (row.standing, row.reason) for row in world.rows(t.evidence_documents)}
    assert rows["id-card"] == ("ask-the-person", "not-authorized")


def test_an_authorization_that_was_redeemed_says_whose_it_is(world: World) -> None:
    held = world.holder(9)
    holder = m.Holder(name=held["name"], code=held["code"], code_type="111")
    scope = m.Scope(ecert_types=tuple(ecert_types()), purpose="teacher-qualification", region="370000")
    issued = world.authorizations.issue(
        world.caller(STRANGER), m.AuthorizationRequest(holder=holder, holder_proof="login-1", scope=scope)
    ).result()
    assert isinstance(issued, m.AuthorizationIssued)
    wanted = m.Wanted(ecert_types=("id-card",), purpose="teacher-qualification", region="370102")
    redeemed = world.authorizations.redeem(
        world.caller(), m.RedemptionRequest(message_id="r-1", code=issued.code, wanted=wanted)
    ).result()
    assert isinstance(redeemed, m.AuthorizationRedeemed)
    basis = {"kind": "authorization", "reference": redeemed.authorization_id}
    assert world.ask(world.request(9, basis=basis, subject=None)).complete
    # another holder's question does not rest on it, nor another caller's
    assert refused(world, world.request(10, basis=basis)).kind is p.EVIDENCE_BASIS_REFUSED
    world.db.write(lambda tx: store.allow_purpose(tx.conn, STRANGER, "teacher-qualification", tx.now, "test"))
    problem = refused(world, world.request(9, basis=basis, subject=None), world.caller(STRANGER))
    assert problem.detail == "authorization-not-usable"


# --- once, and again ------------------------------------------------------------------------------------------


def test_the_same_message_again_gets_the_same_answer(world: World) -> None:
    world.consent(11)
    request = world.request(11, answer="documents")
    first = world.ask(request)
    calls = world.library_calls()
    assert world.ask(request) == first
    assert world.read(first.id) == first
    assert world.library_calls() == calls
    assert refused(world, request.model_copy(update={"case_reference": "another"})).kind is p.MESSAGE_ID_CONFLICT
    # intent before effect, outcome after, with the digest of what was handed out
    intent, outcome = world.audited("evidence.request")[0], world.audited("evidence.answer")[0]
    assert intent.seq < outcome.seq
    assert json.loads(outcome.detail)["digest"] == Answered.of(first).digest
    assert json.loads(world.audited("evidence.read")[0].detail)["digest"] == Answered.of(first).digest
    uses = world.rows(t.data_uses)
    assert {use.ecert_type for use in uses} == {"id-card", "degree", "putonghua-level"}
    assert {use.outcome for use in uses} == {"held"}


def test_the_same_message_gets_its_answer_also_when_its_item_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.consent(27)
    request = world.request(27)
    first = world.ask(request)
    items = world.parts.follow_ups.items
    now, yesterday = items.current(), world.db.clock().date() - timedelta(days=1)
    ended = Catalogue(
        one.model_copy(update={"effective_until": yesterday}) if isinstance(one, Item) else one for one in now.entries()
    )
    monkeypatch.setattr(items, "current", lambda: ended)
    assert world.ask(request) == first
    assert refused(world, world.request(27)).kind is p.ITEM_UNKNOWN


def test_the_same_message_many_times_at_once_is_one_request(world: World) -> None:
    world.consent(28)
    request = world.request(28)
    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(world.ask, request) for _ in range(8)]]
    assert len({answer.id for answer in answers}) == 1
    assert {answer.state.value for answer in answers} <= {"open", "answered"}
    assert len([one for one in answers if one.state == "answered"]) >= 1
    assert len(world.rows(t.data_uses)) == 3
    assert len(world.audited("evidence.answer")) == 1


def test_a_replayed_signature_and_a_strangers_question_are_refused(world: World) -> None:
    world.consent(12)
    nonce = hashlib.sha256(b"12").hexdigest()
    first = world.ask(world.request(12), world.caller(nonce=nonce))
    assert refused(world, world.request(12), world.caller(nonce=nonce)).kind is p.MESSAGE_REPLAYED
    with pytest.raises(HubProblem) as caught:
        world.service.read(world.caller(STRANGER), first.id)
    assert caught.value.kind is p.EVIDENCE_UNKNOWN


def test_nothing_personal_stands_in_clear(world: World) -> None:
    answer = world.asked(13, answer="documents")
    held = world.holder(13)
    for table in (
        t.evidence_requests,
        t.evidence_documents,
        t.kept_ecerts,
        t.data_uses,
        t.audit,
        t.deliveries,
        t.events,
    ):
        text = repr([tuple(row) for row in world.rows(table)])
        assert held["code"] not in text, table.name
        assert held["name"] not in text, table.name
    with world.db.read() as conn:
        assert len(conn.execute(sa.select(t.evidence_documents.c.document_sealed)).all()) > 0
    assert world.service.purge(now=world.db.clock() + timedelta(days=30)) == 1
    assert all(row.document_sealed is None for row in world.rows(t.evidence_documents))
    with pytest.raises(HubProblem):
        world.service.read(world.caller(), answer.id)


# --- abuse ------------------------------------------------------------------------------------------


def test_one_caller_that_asks_about_many_holders_is_throttled_and_told_of(
    database: Database, simulators: Peers
) -> None:
    rules = load_rules()
    limits = rules.limits.model_copy(update={"subjects": 3})
    world = World(database, simulators, rules.model_copy(update={"limits": limits})).set_up()
    before = world.library_calls()
    for index in range(20, 23):
        assert (
            refused(world, world.request(index)).kind is p.EVIDENCE_BASIS_REFUSED
        )  # no consent: they count all the same
    for index in (23, 24):
        world.consent(index)
        problem = refused(world, world.request(index))
        assert (problem.kind, problem.detail) == (p.EVIDENCE_THROTTLED, "many-subjects")
        assert problem.retry_after_s
    assert [row.object for row in world.audited("evidence.enumeration")] == [CONSUMER]  # one alert
    with database.read() as conn:  # what the console and the metrics show
        (shown,) = overview(conn, database.clock()).throttled
        later = overview(conn, database.clock() + timedelta(hours=2)).throttled
    assert (shown.system_id, shown.subjects) == (CONSUMER, 5)
    assert later == ()
    assert world.library_calls() == before
    world.close()


def test_limits_of_a_caller_and_of_a_subject(database: Database, simulators: Peers) -> None:
    rules = load_rules()
    limits = rules.limits.model_copy(update={"subject_requests": 2, "caller_requests": 3})
    world = World(database, simulators, rules.model_copy(update={"limits": limits})).set_up()
    world.asked(25)
    world.ask(world.request(25))
    assert refused(world, world.request(25)).detail == "subject-limit"
    world.asked(26)
    world.consent(27)
    assert refused(world, world.request(27)).detail == "caller-limit"
    world.close()
