"""What an answer says of itself, so that it can be shown to somebody else: on what it rests, and why it refuses."""

from __future__ import annotations

from hub.ecerts.evidence.views import Answered
from schemas.evidence import EvidenceAnswer, MissingView
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

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
