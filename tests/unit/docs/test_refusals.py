"""Why codes and grounds are refused: the table in the code, the words that the code uses, and the page say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.refusals import BASIS_REFUSALS, CODE_REFUSALS, LIBRARY, basis_refused, code_refused
from hub.ecerts.evidence.planning import GUARDIANSHIP_NOT_SHOWN
from hub.intake.problems import problem_body
from schemas.problems import WhoActs
from tests.unit.test_docs_errors import WHO

PAGE = Path(__file__).parents[3] / "docs" / "protocol" / "authorizations.md"
REFUSALS = {**CODE_REFUSALS, **BASIS_REFUSALS}


@pytest.mark.parametrize("word", REFUSALS)
def test_every_reason_word_is_documented_as_it_is(word: str) -> None:
    one = REFUSALS[word]
    row = f"| `{word}` | `{one.path}` | {WHO[one.who]} | {one.zh}; {one.cure_zh}<br>{one.en}: {one.cure_en} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), f"put into authorizations.md:\n{row}"


def test_every_word_of_a_code_is_in_the_table() -> None:
    scopes = {f"scope-{name}" for name in ("audience", "ecert-types", "purpose", "item", "region")}
    standings = {one.value for one in m.Standing} - {m.Standing.REDEEMABLE.value}
    assert set(CODE_REFUSALS) == standings | scopes | {"malformed", LIBRARY}
    assert GUARDIANSHIP_NOT_SHOWN in BASIS_REFUSALS


@pytest.mark.parametrize(("word", "who", "path"), [
    ("scope-purpose", WhoActs.CALLER, "/wanted/purpose"),
    ("malformed", WhoActs.CALLER, "/code"),
    ("expired", WhoActs.APPLICANT, "/code"),
    ("redeemed-already", WhoActs.APPLICANT, "/code"),
    ("library-E7", WhoActs.APPLICANT, "/code"),
])  # fmt: skip
def test_a_refused_code_says_where_why_and_who(word: str, who: WhoActs, path: str) -> None:
    for language in ("zh", "en"):
        body = problem_body(code_refused(word), "p", "zh" if language == "zh" else "en")
        assert (body["code"], body["detail"], body["who"]) == ("authorization-code-refused", word, who.value)
        (fault,) = body["faults"]  # type: ignore[misc]
        assert fault["path"] == path
        assert fault["reason"].isascii() is fault["cure"].isascii() is (language == "en")


def test_a_refused_ground_does_too() -> None:
    body = problem_body(basis_refused("consent-required"), "p", "en")
    assert (body["detail"], body["who"]) == ("consent-required", "caller")
    assert body["faults"] == [{"path": "/basis/kind", "reason": "the item needs the holder's consent or authorization",
                               "cure": "use a consent or an authorization as basis"}]  # fmt: skip
