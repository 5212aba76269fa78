"""What an answer says of itself, so that it can be shown to somebody else: on what it rests, and why it refuses."""

from __future__ import annotations

import hashlib
import json

import pytest

from certs.jws import check_jws
from certs.keys import PublicKey
from hub.ecerts.evidence.revoking import reinstate
from hub.ecerts.evidence.views import Answered
from schemas.evidence import EvidenceAnswer, MissingView
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import HIRING, PURPOSE, REGION, World
from tests.integration.test_revocations import identifier, notice, take

__all__ = ["simulators", "world"]  # fixtures
STRANGE, ALTERED, SOMEBODY_ELSES, REVOKED, RESTRICTED, SUSPENDED = 40, 41, 42, 43, 45, 48


def gaps(answer: EvidenceAnswer) -> dict[str, MissingView]:
    return {gap.document: gap for one in answer.requirements for gap in one.missing}


def says_nothing_personal(world: World, index: int, answer: EvidenceAnswer) -> None:
    text, held = Answered.of(answer).body.decode(), world.holder(index)
    assert held["name"] not in text
    assert held["code"] not in text


# --- why it refuses -----------------------------------------------------------------------------------------------------


def test_a_refusal_says_which_file_was_judged_when_and_by_which_clause(world: World) -> None:
    answer = world.asked(ALTERED, answer="documents")
    gap = gaps(answer)["degree"]
    assert (gap.state, gap.reason, gap.indication) == ("not-verified", "hash-failure", "FAILED")
    assert answer.asked_at <= gap.checked_at <= answer.answered_at  # type: ignore[operator]
    assert len(gap.sha256 or "") == 64
    (finding,) = [one for one in gap.findings if one.axis == "content"]
    assert finding.clause.startswith("GB/T")
    assert finding.detail_zh
    assert finding.detail_en
    assert finding.signer is not None
    assert finding.signer.subject
    assert finding.signer.signed_at is not None
    says_nothing_personal(world, ALTERED, answer)
    assert world.read(answer.id) == answer


def test_a_file_that_could_not_be_judged_says_what_is_missing(world: World) -> None:
    gap = gaps(world.asked(STRANGE))["degree"]
    assert gap.indication == "INDETERMINATE"
    assert {one.axis for one in gap.findings} == {"path"}


def test_a_genuine_file_that_is_refused_has_no_finding_against_it(world: World) -> None:
    gap = gaps(world.asked(SOMEBODY_ELSES))["degree"]
    assert (gap.indication, gap.findings) == ("PASSED", ())
    assert len(gap.sha256 or "") == 64


def test_what_the_source_does_not_hand_out_has_a_time_and_no_file(world: World) -> None:
    gap = gaps(world.asked(REVOKED))["degree"]
    assert gap.checked_at is not None
    assert (gap.sha256, gap.indication, gap.findings) == (None, None, ())


@pytest.mark.parametrize(
    ("index", "who", "zh"),
    [
        (SOMEBODY_ELSES, "applicant", "核对姓名"),
        (STRANGE, "administrator", "管理员"),
        (ALTERED, "peer", "签章后被改动"),
    ],
)
def test_who_is_to_act_follows_from_the_reason(world: World, index: int, who: str, zh: str) -> None:
    gap = gaps(world.asked(index))["degree"]
    assert (gap.state, gap.who_acts) == ("not-verified", who)
    assert zh in gap.message_zh


# --- on what it rests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fields", "documents", "predicate"])
def test_an_answer_says_on_what_it_rests(world: World, form: str) -> None:
    consent = world.consent(1).consent_id
    answer = world.ask(world.request(1, answer=form, basis={"kind": "consent", "reference": consent}))
    rests = answer.rests
    assert rests is not None
    assert (rests.item, rests.region, rests.purpose, rests.case_reference) == (
        "370105001001@2",
        REGION,
        PURPOSE,
        "case-1",
    )
    assert rests.legal_basis
    by = {one.document: one for one in rests.documents}
    assert by.keys() == {"id-card", "degree", "putonghua-level"}
    for one in by.values():
        assert (one.basis.kind, one.basis.reference, one.basis.cited) == ("consent", consent, consent)
        assert one.source is not None
        assert (one.source.system, one.source.name) == ("province", "province")
        assert (one.status, one.indication, one.policy) == ("valid", "PASSED", "strict")
        assert answer.asked_at <= one.status_asked_at <= answer.answered_at  # type: ignore[operator]
    assert world.read(answer.id) == answer
    if form == "predicate":
        key = PublicKey.from_pem(world.peers.own.http_public.read_bytes())
        said = json.loads(check_jws(answer.predicate or "", key).payload)
        assert said["rests"] == rests.model_dump(mode="json", by_alias=True, exclude_none=True)
        says_nothing_personal(world, 1, answer)


def test_what_rests_on_the_law_says_what_was_cited_without_whose_it_is(world: World) -> None:
    held = {**world.holder(1), "kind": "person", "role": "applicant"}
    clause = f"《就业促进法》第十一条 {held['name']} {held['code']}"
    answer = world.ask(
        world.request(1, itemCode=HIRING, purpose="hiring-registration", basis={"kind": "law", "reference": clause})
    )
    (card,) = answer.rests.documents if answer.rests else ()
    assert (card.basis.kind, card.basis.reference) == ("law", "370105002002@2")
    assert (card.basis.cited or "").startswith("《就业促进法》第十一条")
    text = answer.rests.model_dump_json() if answer.rests else ""
    assert held["name"] not in text
    assert held["code"] not in text


def test_nothing_met_rests_on_no_document(world: World) -> None:
    answer = world.asked(ALTERED)
    assert answer.rests is not None
    assert answer.rests.documents == ()


def test_an_identity_check_has_a_source_and_no_file(world: World) -> None:
    world.consent(2, types=("identity-check",), purpose="hiring-registration")
    answer = world.ask(world.request(2, itemCode=HIRING, purpose="hiring-registration"))
    (check,) = answer.rests.documents if answer.rests else ()
    assert (check.document, check.source.system if check.source else None) == ("identity-check", "province")
    assert (check.status, check.indication, check.policy) == (None, None, None)
    assert check.status_asked_at is not None


# --- a notice of revocation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["documents", "predicate"])
def test_what_a_notice_revoked_names_the_decision_and_since_when(world: World, form: str) -> None:
    answer = world.asked(1, answer=form)
    assert answer.changed_at is None
    message = notice(identifier(world, 1, "putonghua-level"))
    accepted = take(world, message)
    now = world.read(answer.id)
    gap = gaps(now)["putonghua-level"]
    assert (gap.state, gap.reason) == ("revoked", "revoked-after-answer")
    said = gap.revocation
    assert said is not None
    assert (said.notice, said.source, said.reason) == (accepted.id, message.source, "annulled")
    assert said.revoked_at == message.revoked_at
    assert now.changed_at == accepted.received_at
    assert len(gap.sha256 or "") == 64
    assert now.rests is not None
    assert "putonghua-level" not in {one.document for one in now.rests.documents}
    # the audit log: one entry for the notice, one for the answer
    (of_notice,) = world.audited("evidence.revocation")
    detail = json.loads(of_notice.detail)
    assert detail["revokedAt"] == message.revoked_at.isoformat()
    assert detail["sourceDigest"] == hashlib.sha256(message.source.encode()).hexdigest()
    (of_answer,) = world.audited("evidence.revoked")
    assert (of_answer.object, of_answer.outcome) == (answer.id, "told")
    assert json.loads(of_answer.detail)["notice"] == accepted.id
    # what comes later, while the source still calls it valid, names the same decision, also when it is read again
    later = world.ask(world.request(1, answer=form))
    assert gaps(later)["putonghua-level"].reason == "revoked-by-notice"
    assert gaps(later)["putonghua-level"].revocation == said
    assert later.changed_at is None
    assert world.read(later.id) == later
    # a notice that was wrong is taken back; what it did to answers stays, and so does its name
    world.db.write(
        lambda tx: reinstate(
            tx, world.parts.follow_ups, identifier(world, 1, "putonghua-level"), "operator:test", "wrong"
        )
    )
    assert gaps(world.read(later.id))["putonghua-level"].revocation == said


def test_what_is_followed_up_and_revoked_meanwhile_names_the_decision(world: World) -> None:
    world.consent(2)
    world.peers.library.fail("down")
    pending = world.ask(world.request(2, deadlineS=2))
    world.peers.library.fail("none")
    accepted = take(world, notice(identifier(world, 2, "putonghua-level")))
    with world.worker():
        done = world.until(pending.id, "answered")
    said = gaps(done)["putonghua-level"].revocation
    assert (said.notice if said else None) == accepted.id


# --- alternatives, and dates ----------------------------------------------------------------------------------------------------


def test_the_gaps_of_every_alternative_are_told_and_which_is_nearest(world: World) -> None:
    world.consent(REVOKED, types=("id-card", "degree", "putonghua-level"))
    answer = world.ask(world.request(REVOKED))
    (education,) = [one for one in answer.requirements if one.name == "education"]
    assert education.accepts == "degree | diploma[KZ_XL=本科|硕士研究生|博士研究生]"
    assert [(gap.document, gap.state, gap.nearest) for gap in education.missing] == [
        ("diploma", "ask-the-person", True),
        ("degree", "revoked", False),
    ]
    whole = world.asked(3)
    assert {one.accepts for one in whole.requirements} >= {
        "degree | diploma[KZ_XL=本科|硕士研究生|博士研究生]",
        "id-card",
    }
    # a date leaves as it is sealed, and beside it as a day that a program can read
    by = {seen.document: seen for seen in whole.fields or ()}
    assert (by["degree"].dates or {}).keys() == {"issued_on"}
    assert "issued_on" in by["degree"].fields
