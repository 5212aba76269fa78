"""The evidence service's pure parts: properties of answers, sealing, dates, and the data that ships."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.contract import (
    AdapterError,
    EcertDocument,
    EcertStanding,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PersonAnswer,
    RetryLater,
)
from certs.ofd.metadata import read_ecert_fields
from hub.ecerts.check import EcertChecker, opened
from hub.ecerts.entries import RECORDS, Role
from hub.ecerts.evidence.judging import Judge, days_of, end_of, fields_of, from_bytes, same_certificate, to_bytes
from hub.ecerts.evidence.rules import EvidenceRules, load_rules
from hub.ecerts.solver import Standing
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertStatus, PersonMatch
from schemas.evidence import EvidenceRequest, HolderRole
from schemas.parsing import parse_json
from schemas.problems import HubProblem
from tests.unit.certs.ofd_cases import FIELDS, unsigned

AT = datetime(2026, 9, 1, tzinfo=UTC)
NOBODY = Judge(checker=None, notices=None)  # type: ignore[arg-type]  # errors ask neither
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
METADATA = st.tuples(TEXT, st.none() | TEXT, st.dictionaries(TEXT, TEXT, max_size=3)).map(
    lambda drawn: EcertMetadata(type_code=drawn[0], number=drawn[1], extra=drawn[2])
)
ANSWERS = st.tuples(st.binary(max_size=200), METADATA, st.sampled_from(EcertStatus)).map(
    lambda drawn: EcertDocument(content=drawn[0], media_type="application/ofd", metadata=drawn[1], status=drawn[2])
)


@given(ANSWERS)
@settings(max_examples=50)
def test_what_is_sealed_is_what_was_answered(answer: EcertDocument) -> None:
    assert from_bytes(to_bytes(answer)) == answer


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_a_file_that_is_none_has_no_fields_and_no_end(content: bytes) -> None:
    document = EcertDocument(
        content=content, media_type="application/ofd", metadata=EcertMetadata(type_code="x"), status=EcertStatus.VALID
    )
    assert fields_of(document) == {}
    assert end_of(document, fields_of(document)) is None


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-1-5", date(2026, 1, 5)), ("20260105", date(2026, 1, 5)), ("2026年1月5日", date(2026, 1, 5)), ("长期", None),
        ("2026-02-30", None), ("", None), ("9999-99-99", None),
    ],
)  # fmt: skip
def test_the_end_of_validity_is_read_in_every_form(text: str, end: date | None) -> None:
    metadata = EcertMetadata(type_code="x", valid_until=text)
    document = EcertDocument(content=b"", media_type="application/ofd", metadata=metadata, status=EcertStatus.VALID)
    assert end_of(document, fields_of(document)) == end


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020-1-20", date(2020, 1, 20)), ("2021-01-12", date(2021, 1, 12)), ("20210112", date(2021, 1, 12)),
        ("2021年1月12日", date(2021, 1, 12)), ("2021/1/2", date(2021, 1, 2)), (" 2021.1.2 ", date(2021, 1, 2)),
        ("2020111", None), ("2021-02-30", None), ("长期", None), ("", None), ("0000-00-00", None),
    ],
)  # fmt: skip
def test_a_date_is_normalised_where_it_can_be_read_in_one_way_only(text: str, day: date | None) -> None:
    assert days_of({"issued_on": text, "number": "20210112"}) == ({"issued_on": day} if day else {})


def test_an_archive_that_hangs_at_the_end_of_another_document_is_not_read() -> None:
    appended = b"%PDF-1.7\n" + unsigned()
    assert read_ecert_fields(appended) == FIELDS, "the archive itself can be opened"
    assert opened(appended) is None
    assert opened(unsigned()) is not None


@given(st.text(max_size=200), st.sampled_from([PeerRefused, RetryLater, OutcomeUnknown, PeerMisconfigured]))
def test_every_failure_is_some_standing_and_only_a_refusal_is_final(code: str, kind: type[AdapterError]) -> None:
    got = NOBODY.failed(kind(code), AT)
    assert got.answer is None
    assert len(got.reason or "") <= 100
    assert got.standing not in (Standing.HELD, Standing.DEEMED_VALID, Standing.AVAILABLE)
    assert got.ask_again == (kind is not PeerRefused)


def test_a_kept_certificate_is_used_only_while_it_is_the_one_and_valid() -> None:
    kept = EcertMetadata(type_code="x", identifier="1.2.3")
    assert same_certificate(kept, EcertStanding(metadata=kept, status=EcertStatus.VALID))
    assert not same_certificate(kept, EcertStanding(metadata=kept, status=EcertStatus.SUSPENDED))
    other = EcertStanding(metadata=EcertMetadata(type_code="x", identifier="1.2.4"), status=EcertStatus.VALID)
    assert not same_certificate(kept, other)
    nameless = EcertMetadata(type_code="x")
    assert not same_certificate(nameless, EcertStanding(metadata=nameless, status=EcertStatus.VALID))


def test_a_person_that_is_not_matched_is_no_match() -> None:
    judge = Judge(EcertChecker(None, None, None), None)  # type: ignore[arg-type]
    for match in PersonMatch:
        got = judge.answered(None, PersonAnswer(match=match), "370102", AT)  # type: ignore[arg-type]
        assert (got.standing is Standing.HELD) == (match is PersonMatch.MATCHED)


# --- data and shapes --------------------------------------------------------------------------------------------------------


def test_the_rules_that_ship_name_known_types_and_open_no_photo() -> None:
    rules = load_rules()
    known = ecert_types().keys() | RECORDS.keys()
    for purpose in rules.purpose.values():
        assert purpose.fields.keys() <= known
        assert all("photo" not in name for names in purpose.fields.values() for name in names)
    assert "id-card" not in rules.keep_s  # a person's own cards are never kept
    assert "household-register" not in rules.keep_s
    with pytest.raises(ValidationError, match="unknown evidence types"):
        EvidenceRules.model_validate({**rules.model_dump(), "keep_s": {"passport": 60}})


def test_roles_have_the_same_words_as_the_catalogues() -> None:
    assert {role.value for role in HolderRole} == {role.value for role in Role}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["subject", "code", "kind", "others", "basis", "purpose", "x"]), inner, max_size=5),
)  # fmt: skip


@given(JSON)
def test_whatever_comes_is_a_message_or_a_problem(value: object) -> None:
    with pytest.raises(HubProblem) as caught:
        parse_json(EvidenceRequest, json.dumps(value).encode())
    assert caught.value.kind.status in (400, 413, 422)
