"""The small parts of intake: rate limits, cursors, languages, refusal words."""

from __future__ import annotations

import json

import pytest

from adapters.population import family
from hub.intake.cursors import Cursors
from hub.intake.limits import MAX_BUCKETS, RateLimiter
from hub.intake.openapi import EXAMPLE_DECISION, EXAMPLE_TRANSFER, EXAMPLE_WITHDRAWAL, WithdrawalBody
from hub.intake.operations import digest_of
from hub.intake.problems import preferred_language
from hub.intake.refusals import reason_word
from schemas.parsing import parse_json
from schemas.problems import PAGE_CURSOR_INVALID, SIGNATURE_REFUSED, HubProblem
from schemas.transfers import Decision, TransferRequest
from schemas.xml_documents import parse_xml, to_xml


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2.0, 5.0, clock=clock)
    assert [limiter.take("a") for _ in range(5)] == [0.0] * 5
    assert limiter.take("a") == pytest.approx(0.5)
    assert limiter.take("b") == 0.0
    clock.now += 1.0
    assert [limiter.take("a") for _ in range(2)] == [0.0, 0.0]
    assert limiter.take("a") > 0.0
    clock.now += 3600.0
    assert sum(limiter.take("a") == 0.0 for _ in range(50)) == 5  # no more than the burst, however long it waited


def test_a_flood_of_names_does_not_fill_the_memory() -> None:
    clock = Clock()
    limiter = RateLimiter(1.0, 1.0, clock=clock)
    for number in range(3 * MAX_BUCKETS):
        clock.now += 0.01
        assert limiter.take(str(number)) == 0.0
    assert len(limiter._buckets) <= MAX_BUCKETS
    assert limiter.take(str(3 * MAX_BUCKETS - 1)) > 0.0


def test_a_rate_of_zero_limits_nothing() -> None:
    limiter = RateLimiter(0.0, 1.0)
    assert all(limiter.take("a") == 0.0 for _ in range(100))


def test_a_cursor_is_good_for_its_scope_and_key_only() -> None:
    cursors = Cursors(b"k" * 32)
    cursor = cursors.make("case_1", scope="a")
    assert cursors.read(cursor, scope="a") == "case_1"
    altered = [
        cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        for index in range(len(cursor) - 1)
    ]
    for reader, text, scope in (
        (cursors, cursor, "b"), (Cursors(b"j" * 32), cursor, "a"), (cursors, "", "a"), (cursors, "é", "a"),
        (cursors, "====", "a"), *((cursors, text, "a") for text in altered),
    ):  # fmt: skip
        with pytest.raises(HubProblem) as caught:
            reader.read(text, scope=scope)
        assert caught.value.kind is PAGE_CURSOR_INVALID


@pytest.mark.parametrize(("header", "language"), [
    (None, "zh"), ("", "zh"), ("en", "en"), ("en-US,en;q=0.9", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
    ("en;q=0.5,zh;q=0.9", "zh"), ("fr", "zh"), ("fr, en;q=0.1", "en"), ("*", "zh"), ("en;q=0", "zh"),
    ("en;q=rubbish", "zh"), (";;;,,,", "zh"), ("en;q=nan", "zh"),
])  # fmt: skip
def test_the_language_that_is_asked_for(header: str | None, language: str) -> None:
    assert preferred_language(header) == language


@pytest.mark.parametrize(("detail", "word"), [
    ("signature-stale", "signature-stale"), ("", ""), ("2 fault(s)", ""), ("case_01jd", ""), ("王小明", ""),
])  # fmt: skip
def test_only_a_stable_word_of_a_detail_is_logged(detail: str, word: str) -> None:
    assert reason_word(HubProblem(SIGNATURE_REFUSED, detail, ("早于 300 秒前", "older than 300 s"))) == word


def test_the_examples_of_the_description_are_valid() -> None:
    for model, example in (
        (TransferRequest, EXAMPLE_TRANSFER), (WithdrawalBody, EXAMPLE_WITHDRAWAL), (Decision, EXAMPLE_DECISION),
    ):  # fmt: skip
        parse_json(model, json.dumps(example).encode())


def test_the_example_is_a_transfer_that_the_simulators_complete() -> None:
    """docs/how-to/connect-a-system.md sees it through: a student whom the simulated registry lets go."""
    known, example = family("370102", 0), parse_json(TransferRequest, json.dumps(EXAMPLE_TRANSFER).encode())
    assert known.why_not is None
    assert example.student == known.student.model_copy(update={"household_region": None})
    assert example.guardian == known.guardian.model_copy(update={"phone": None})
    assert example.releasing == known.school.placement(known.grade)


def test_a_message_has_one_digest_on_both_wires_and_whatever_its_spelling() -> None:
    message = parse_json(TransferRequest, json.dumps(EXAMPLE_TRANSFER).encode())
    shuffled = parse_json(TransferRequest, json.dumps(dict(reversed(EXAMPLE_TRANSFER.items())), indent=3).encode())
    from_xml = parse_xml(to_xml(message, "SubmitTransferRequest"))
    assert isinstance(from_xml, TransferRequest)
    assert digest_of(message) == digest_of(shuffled) == digest_of(from_xml)
    assert digest_of(message) != digest_of(message.model_copy(update={"reason": "x"}))
