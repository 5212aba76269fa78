"""The sharing interface's mapping: both dialects of metadata, every status code, the limits of useCause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters.ecert_share
from adapters.contract import PeerRefused, PresentationState, RetryLater
from adapters.ecert_share import mapping
from adapters.ecert_share.client import _day, _media_type, _newest
from adapters.ecert_share.mapping import Outcome
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause

FIXTURES = Path(adapters.ecert_share.__file__).parent / "fixtures"
ENGLISH = json.loads((FIXTURES / "record_english.json").read_text(encoding="utf-8"))
PINYIN = json.loads((FIXTURES / "record_pinyin.json").read_text(encoding="utf-8"))
CAUSE = UseCause(
    case_id="01J9ZQ3N6W4Q7C2M8KXB5TVE1R",
    item_code="11370800MB285591843370117002011",
    item_name="跨县（市、区）转学",
    purpose="跨县（市、区）转学: 户口簿",
    system_name="教育政务互通枢纽",
    legal_basis="TY-2026-88",
)


# --- metadata ---------------------------------------------------------------------------------------------------------------


def test_both_dialects_say_the_same_and_keep_raw_values() -> None:
    english, pinyin = mapping.metadata_from_wire(ENGLISH), mapping.metadata_from_wire(PINYIN)
    assert english.issued_on == "2021-1-5"  # as it came, although it is no date
    assert english.valid_until is None
    assert english.extra == {"KZ_ZL": "市南区示例路1号"}
    assert pinyin.extra == {"KZ_ZL": "市南区示例路1号", "CZZTDMLX": "公民身份号码"}
    assert english.model_copy(update={"extra": {}}) == pinyin.model_copy(update={"extra": {}})


@pytest.mark.parametrize("pinyin", [False, True])
def test_metadata_round_trips_with_rare_characters(pinyin: bool) -> None:
    metadata = mapping.metadata_from_wire(ENGLISH).model_copy(update={"holder_name": "䶮𬭩𰻝"})
    wire = mapping.metadata_to_wire(metadata, pinyin=pinyin)
    assert mapping.metadata_from_wire(json.loads(json.dumps(wire))) == metadata


def test_every_canonical_field_has_a_name_in_both_dialects() -> None:
    assert {row[0] for row in mapping.METADATA} == set(EcertMetadata.model_fields) - {"extra"}
    names = [wire for _, *wires in mapping.METADATA for wire in wires]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("record", [{}, {"certificateName": "x"}, {"certificateType": ""}, {"certificateType": ["x"]}])
def test_a_record_without_its_type_is_a_value_error(record: mapping.Record) -> None:
    with pytest.raises(ValueError):
        mapping.metadata_from_wire(record)


@pytest.mark.parametrize("data", [None, "x", [None], [["x"]], 5, [ENGLISH, "x"]])
def test_what_is_no_record(data: mapping.Json) -> None:
    with pytest.raises(ValueError):
        mapping.records_from_wire(data)


def test_one_record_or_a_list() -> None:
    assert mapping.records_from_wire(ENGLISH) == (ENGLISH,)
    assert mapping.records_from_wire([ENGLISH, PINYIN]) == (ENGLISH, PINYIN)
    assert mapping.records_from_wire([]) == ()


# --- status tables ----------------------------------------------------------------------------------------------------------

EXPECTED = {
    0: (Outcome.OK, "ok"),
    2: (Outcome.MISCONFIGURED, "service-not-provided"),
    10: (Outcome.REFUSED, "not-found"),
    11: (Outcome.MISCONFIGURED, "authentication-failed"),
    12: (Outcome.REFUSED, "field-empty"),
    13: (Outcome.REFUSED, "type-unpublished"),
    21: (Outcome.REFUSED, "revoked"),
    22: (Outcome.REFUSED, "expired"),
    23: (Outcome.REFUSED, "restricted"),
    99: (Outcome.RETRY, "library-fault"),
    100: (Outcome.REFUSED, "no-permission"),
    101: (Outcome.RETRY, "state-configuration"),
    102: (Outcome.REFUSED, "bad-value"),
    103: (Outcome.REFUSED, "bad-holder-type"),
    105: (Outcome.REFUSED, "catalogue-105"),
    106: (Outcome.REFUSED, "catalogue-106"),
    107: (Outcome.REFUSED, "catalogue-107"),
    108: (Outcome.REFUSED, "catalogue-108"),
    109: (Outcome.REFUSED, "number-missing"),
    110: (Outcome.REFUSED, "holder-code-missing"),
    111: (Outcome.REFUSED, "holder-missing"),
    113: (Outcome.REFUSED, "bad-type-code"),
}


def test_the_status_table_is_complete() -> None:
    """Domain page §2 lists these and no others."""
    assert {code: (row.outcome, row.word) for code, row in mapping.STATUSES.items()} == EXPECTED


def test_a_status_in_no_table_is_asked_again_and_names_itself() -> None:
    assert mapping.status_of(777).outcome is Outcome.RETRY
    assert mapping.status_of(777).word == "status-777"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("0", EcertStatus.VALID),
        (0, EcertStatus.VALID),
        ("1", EcertStatus.NOT_ACTIVATED),
        ("2", EcertStatus.SUSPENDED),
        ("3", EcertStatus.REVOKED),
        ("8", EcertStatus.UNKNOWN),
        (None, EcertStatus.VALID),
    ],
)
def test_standing_of_a_record(code: mapping.Json, status: EcertStatus) -> None:
    assert mapping.standing_from_wire({"certificateStatus": code}) is status


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("1", PresentationState.PENDING),
        (2, PresentationState.AUTHORIZED),
        ("3", PresentationState.FAILED),
        (None, PresentationState.FAILED),
    ],
)
def test_authorization_states(code: mapping.Json, state: PresentationState) -> None:
    assert mapping.authorization_state(code) is state


# --- useCause ---------------------------------------------------------------------------------------------------------------


def test_use_cause_with_an_item_code_keeps_case_code_and_purpose() -> None:
    text = mapping.use_cause_to_wire(CAUSE, "公共服务")
    assert len(text) <= mapping.USE_CAUSE_LIMIT
    fields = json.loads(text)
    assert fields["certificateEventCode"] == CAUSE.item_code
    assert fields["certificateCopyCause"].startswith(f"{CAUSE.case_id} {CAUSE.purpose}")
    assert fields["certificateSystemName"] == CAUSE.system_name


def test_of_the_words_the_legal_basis_outlasts_what_codes_say_already() -> None:
    basis = "《中华人民共和国教师法》"
    cause = CAUSE.model_copy(update={"case_id": "case-1", "item_code": "370105001001", "item_name": "高" * 40,
                                     "purpose": "教师资格认定", "legal_basis": basis})  # fmt: skip
    assert (
        json.loads(mapping.use_cause_to_wire(cause, "公共服务"))["certificateCopyCause"]
        == f"case-1 教师资格认定 {basis}"
    )


def test_use_cause_that_fits_is_whole() -> None:
    fields = json.loads(mapping.use_cause_to_wire(CAUSE.model_copy(update={"item_code": None}), "公共服务"))
    assert fields == {
        "certificateSystemName": CAUSE.system_name,
        "certificateCallCategory": "公共服务",
        "certificateMatterName": CAUSE.item_name,
        "certificateCopyCause": f"{CAUSE.case_id} {CAUSE.purpose} {CAUSE.legal_basis}",
    }


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=250)


@given(name=_TEXT, purpose=_TEXT, system=_TEXT, basis=_TEXT, category=_TEXT)
def test_use_cause_never_exceeds_its_limit_nor_loses_the_case(
    name: str, purpose: str, system: str, basis: str, category: str
) -> None:
    cause = CAUSE.model_copy(
        update={"item_name": name, "purpose": purpose, "system_name": system, "legal_basis": basis}
    )
    text = mapping.use_cause_to_wire(cause, category)
    fields = json.loads(text)
    assert len(text) <= mapping.USE_CAUSE_LIMIT
    assert fields["certificateCopyCause"].startswith(CAUSE.case_id)
    assert fields["certificateEventCode"] == CAUSE.item_code


def test_use_cause_that_can_never_fit_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="200"):
        mapping.use_cause_to_wire(CAUSE.model_copy(update={"case_id": "x" * 200}), "")


def test_holder_query() -> None:
    query = EcertQuery(
        type_code="T", holder_code="H", holder_code_type="111", holder_name="N", number=None, use_cause=CAUSE
    )
    wire = mapping.holder_query_to_wire(query, "")
    assert set(wire) == {"holderCode", "holderTypeCode", "certTypeCode", "useCause"}
    assert wire["holderTypeCode"] == "111"
    assert mapping.holder_query_to_wire(query.model_copy(update={"number": "7"}), "")["certNo"] == "7"


# --- which one --------------------------------------------------------------------------------------------------------------


def record(day: str, status: str) -> mapping.Record:
    return {"certificateType": "T", "certificateIdentifier": day, "issueDate": day, "certificateStatus": status}


def test_the_newest_valid_one_is_taken() -> None:
    records = (
        record("2019-1-5", "0"),
        record("20210105", "0"),
        record("2020年12月31日", "0"),
        record("2024-01-01", "3"),
    )
    assert _newest(records)[0].identifier == "20210105"


@pytest.mark.parametrize(
    ("code", "word"), [("3", "revoked"), ("2", "suspended"), ("1", "not-activated"), ("9", "unknown")]
)
def test_where_none_is_valid_the_newest_ones_standing_is_the_reason(code: str, word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        _newest((record("2019-1-1", "2"), record("2020-1-1", code)))
    assert refused.value.code == word


def test_an_empty_list_is_not_found_and_a_broken_one_is_unreadable() -> None:
    with pytest.raises(PeerRefused, match="not-found"):
        _newest(())
    with pytest.raises(RetryLater, match="answer-unreadable"):
        _newest(({},))


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("2021-1-5", (2021, 1, 5)),
        ("20210105", (2021, 1, 5)),
        ("2021年1月5日", (2021, 1, 5)),
        ("2021-01-05 10:00:00", (2021, 1, 5)),
        ("长期", (0, 0, 0)),
        (None, (0, 0, 0)),
        ("１-２-３", (0, 0, 0)),
    ],
)
def test_days_for_sorting(raw: str | None, day: tuple[int, ...]) -> None:
    assert _day(raw) == day


def test_media_types() -> None:
    assert _media_type(b"PK\x03\x04...") == "application/ofd"
    assert _media_type(b"%PDF-1.7") == "application/pdf"
    with pytest.raises(RetryLater):
        _media_type(b"<html>")
