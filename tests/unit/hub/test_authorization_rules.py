"""Authorization codes and the rules around them: what a code looks like, how it stands, what a scope covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.ecerts.authorizations.codes import new_code, read_code
from hub.ecerts.authorizations.model import MAX_ATTEMPTS, Holder, Scope, Standing, Wanted, outside, standing
from hub.ecerts.authorizations.words import OUTCOMES
from hub.ecerts.solver import Standing as Known
from schemas.problems import EVIDENCE_BASIS_REFUSED

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def test_a_code_is_read_as_it_is_shown_and_hides_itself() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert read_code(code.shown) == code
        assert read_code("".join(chr(0xFF10 + int(digit)) for digit in code.text)) == code  # full-width digits
        assert code.text not in repr(code)


@given(st.integers(0, 18), st.integers(1, 9))
def test_one_wrong_digit_is_no_code(place: int, by: int) -> None:
    code = new_code().text
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert read_code(wrong) is None


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_none(text: str) -> None:
    code = read_code(text)
    assert code is None or (len(code.text) == 20 and code.text.isascii())


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, Standing.REDEEMABLE),
    ({"now": NOW + timedelta(seconds=179, microseconds=999_999)}, Standing.REDEEMABLE),
    ({"now": NOW + timedelta(seconds=180)}, Standing.EXPIRED),
    ({"attempts": MAX_ATTEMPTS - 1}, Standing.REDEEMABLE),
    ({"attempts": MAX_ATTEMPTS}, Standing.UNKNOWN),
    ({"redeemed": True}, Standing.REDEEMED),
    ({"revoked": True, "redeemed": True}, Standing.REVOKED),
    ({"right_code": False}, Standing.UNKNOWN),
    ({"right_code": False, "revoked": True}, Standing.UNKNOWN),
])  # fmt: skip
def test_how_a_code_stands(changes: dict[str, Any], expected: Standing) -> None:
    facts: dict[str, Any] = {"attempts": 0, "right_code": True, "expires_at": NOW + timedelta(seconds=180),
                             "redeemed": False, "revoked": False, "now": NOW}  # fmt: skip
    assert standing(**{**facts, **changes}) is expected


SCOPE = Scope(
    ecert_types=("id-card", "degree"),
    purpose="teacher-qualification",
    region="370100",
    item="370105001001",
    audience="hall",
)
WANTED = Wanted(ecert_types=("degree",), purpose="teacher-qualification", region="370102", item="370105001001")


@pytest.mark.parametrize(("changes", "system", "expected"), [
    ({}, "hall", None),
    ({}, "other", "scope-audience"),
    ({"ecert_types": ("enrolment-record",)}, "hall", "scope-ecert-types"),
    ({"ecert_types": ("degree", "diploma")}, "hall", "scope-ecert-types"),
    ({"purpose": "other"}, "hall", "scope-purpose"),
    ({"item": None}, "hall", "scope-item"),
    ({"item": "370105001002"}, "hall", "scope-item"),
    ({"region": "370202"}, "hall", "scope-region"),
    ({"region": "370000"}, "hall", "scope-region"),
])  # fmt: skip
def test_what_a_scope_covers(changes: dict[str, Any], system: str, expected: str | None) -> None:
    assert outside(SCOPE, WANTED.model_copy(update=changes), system) == expected


def test_a_scope_without_item_or_audience_is_for_any() -> None:
    assert outside(SCOPE.model_copy(update={"item": None, "audience": None}), WANTED, "anybody") is None


@pytest.mark.parametrize("word", [*(one.value for one in Known), EVIDENCE_BASIS_REFUSED.code])
def test_every_outcome_of_a_use_is_told_in_words(word: str) -> None:
    assert all(OUTCOMES[word])


@pytest.mark.parametrize(("code_type", "code"), [
    ("111", "370102198501011234"), ("001", "91370100MA0000000A"), ("777", "370102198501011233"), ("111", "x"),
])  # fmt: skip
def test_a_holders_number_is_checked_and_not_told(code_type: str, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Holder(name="王建国", code_type=code_type, code=code)
    assert code not in str(caught.value) or code == "x"
