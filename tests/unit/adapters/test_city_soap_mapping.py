"""The city registry's mapping: golden documents, tables both ways, and nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters.city_soap
from adapters import samples
from adapters.city_soap import mapping, soap
from adapters.contract import (
    AttachedEcert,
    DeliveryStatus,
    EnrolmentQuery,
    Receipt,
    StepAction,
    StepCancelled,
)
from schemas.ecerts import EnrolmentStatus
from schemas.safe_xml import parse
from schemas.transfers import Decision, DecisionOutcome, GuardianRelation

FIXTURE = Path(adapters.city_soap.__file__).parent / "fixtures" / "step.xml"
STEP = samples.full_step("key-1")
DECISION = Decision(
    message_id="YJ-1",
    case_id=STEP.case_id,
    step=STEP.step,
    outcome=DecisionOutcome.REFUSED,
    reason="学籍信息不一致",
    decided_at=datetime(2026, 9, 2, 16, 30, 0, 123456, tzinfo=UTC),
    decided_by="青岛市教育局",
)


def wire_of(record: mapping.Wire, operation: str = "TuisongZhuanxue") -> mapping.Wire:
    """Through zeep, bytes and the safe parser, as the city sees it."""
    envelope = soap.request_envelope(operation, record)
    body = parse(soap.serialize(envelope, "utf-8"))[-1]
    found, back = soap.request_record(body)
    assert found == operation
    return back


def test_golden_document_both_ways() -> None:
    _, record = soap.request_record(parse(FIXTURE.read_bytes())[-1])
    assert mapping.step_from_wire(record) == STEP
    assert wire_of(mapping.step_to_wire(STEP)) == record


def test_times_are_beijing_time_at_the_wire_and_keep_their_microseconds() -> None:
    record = mapping.step_to_wire(STEP)
    assert record["sqsj"] == "2026-11-02T09:30:00.250000+08:00"
    assert mapping.step_from_wire(wire_of(record)).transfer.submitted_at == STEP.transfer.submitted_at


@pytest.mark.parametrize(
    ("action", "acting_for", "code", "change"),
    [
        (StepAction.REVIEW, "receiving-bureau", "1", "13"),
        (StepAction.REVIEW, "releasing-school", "1", "27"),
        (StepAction.REVIEW, "county-bureau", "1", "13"),
        (StepAction.RELEASE, "release-record", "2", "27"),
        (StepAction.ADMIT, "admit-record", "3", "13"),
    ],
)
def test_action_and_change_codes_of_this_vendor(action: StepAction, acting_for: str, code: str, change: str) -> None:
    record = mapping.step_to_wire(STEP.model_copy(update={"action": action, "acting_for": acting_for}))
    assert (record["czlxm"], record["ydlbm"]) == (code, change)
    assert mapping.step_from_wire(wire_of(record)).action is action


@pytest.mark.parametrize("grade", range(1, 13))
def test_grades(grade: int) -> None:
    expected = {1: "11", 6: "16", 7: "21", 9: "23", 10: "31", 12: "33"}
    code = mapping.GRADES[str(grade)]
    assert expected.get(grade, code) == code
    placement = STEP.transfer.releasing.model_copy(update={"grade": grade})
    step = STEP.model_copy(update={"transfer": STEP.transfer.model_copy(update={"releasing": placement})})
    assert mapping.step_from_wire(wire_of(mapping.step_to_wire(step))) == step


def test_every_word_of_a_table_has_a_code() -> None:
    assert set(mapping.RELATIONS) == {one.value for one in GuardianRelation}
    assert set(mapping.ENROLMENT_STATES) == {one.value for one in EnrolmentStatus}
    assert set(mapping.OUTCOMES) == {one.value for one in DecisionOutcome}
    assert set(mapping.STATUSES) == {one.value for one in DeliveryStatus}
    assert set(mapping.ACTIONS) == {one.value for one in StepAction}
    for table in (mapping.RELATIONS, mapping.ENROLMENT_STATES, mapping.OUTCOMES, mapping.GRADES, mapping.ACTIONS):
        assert len(set(table.values())) == len(table)


def test_raw_evidence_survives_even_where_it_is_empty_or_odd() -> None:
    evidence = AttachedEcert(
        requirement="household",
        type_code="x",
        number="",
        holder_name="  Ⅷ 某 ",
        verdict="PASSED",
        verified_at="2021-1-5",
        report_digest="0",
    )
    step = STEP.model_copy(update={"evidence": (evidence, evidence), "enrolment": None})
    back = mapping.step_from_wire(wire_of(mapping.step_to_wire(step)))
    assert back == step


@given(st.text(st.characters(min_codepoint=0x3400, max_codepoint=0x3134F), min_size=1, max_size=50))
def test_rare_characters_survive_in_both_encodings(name: str) -> None:
    """Every ideograph up to extension G is in the four-byte area of GB18030."""
    name = "".join(c for c in name if c.isalpha()) or "𰻝"
    student = STEP.transfer.student.model_copy(update={"name": name})
    step = STEP.model_copy(update={"transfer": STEP.transfer.model_copy(update={"student": student})})
    envelope = soap.request_envelope("TuisongZhuanxue", mapping.step_to_wire(step))
    for encoding in soap.ENCODINGS:
        _, record = soap.request_record(parse(soap.serialize(envelope, encoding))[-1])
        assert mapping.step_from_wire(record).transfer.student.name == name


def test_messages_beside_the_step_round_trip() -> None:
    cancelled = StepCancelled(idempotency_key="k.x", case_id="c", step="s", reason="case withdrawn")
    record = mapping.cancelled_to_wire(cancelled)
    assert mapping.cancelled_from_wire(wire_of(record, "ZuofeiHuanjie")) == cancelled
    query = EnrolmentQuery(enrolment_number="L123456789", id_number="A1234567", case_id="c")
    assert mapping.enrolment_query_from_wire(mapping.enrolment_query_to_wire(query)) == query
    assert STEP.enrolment is not None
    assert mapping.enrolment_from_wire(mapping.enrolment_to_wire(STEP.enrolment)) == STEP.enrolment
    assert mapping.decision_from_wire(mapping.decision_to_wire(DECISION)) == DECISION


def reply(operation: str, record: mapping.Wire) -> mapping.Wire:
    """A reply of the city through bytes, the safe parser and zeep."""
    return soap.reply_record(operation, parse(soap.serialize(soap.reply_envelope(operation, record), "gb18030"))[-1])


def test_a_reply_is_a_receipt_or_a_decision() -> None:
    receipt = reply("TuisongZhuanxue", {"lsh": "k", "jgm": "0000", "slbh": "SL-1"})
    assert mapping.answer_from_wire(receipt) == Receipt(peer_reference="SL-1")
    assert mapping.answer_from_wire(reply("ZuofeiHuanjie", {"lsh": "k", "jgm": "0000"})) == Receipt()
    decided = reply("TuisongZhuanxue", {"lsh": "k", "jgm": "0000", "blyj": mapping.decision_to_wire(DECISION)})
    assert mapping.answer_from_wire(decided) == DECISION


@pytest.mark.parametrize(("code", "status"), [("0", "unknown"), ("1", "received"), ("2", "decided")])
def test_status_codes(code: str, status: str) -> None:
    answer = mapping.status_from_wire(reply("ChaxunZhuangtai", {"lsh": "k", "jgm": "0000", "blztm": code}))
    assert answer.status is DeliveryStatus(status)


@pytest.mark.parametrize(
    "change",
    [
        {"blztm": "7"},
        {"blztm": None},
        {"blztm": "2", "blyj": {**mapping.decision_to_wire(DECISION), "yjdm": "9"}},
        {"blztm": "2", "blyj": {**mapping.decision_to_wire(DECISION), "blsj": "yesterday"}},
    ],
)
def test_values_that_are_in_no_table_are_value_errors(change: mapping.Wire) -> None:
    with pytest.raises(ValueError):
        mapping.status_from_wire({"lsh": "k", "jgm": "0000", **change})


def test_a_broken_request_is_a_value_error() -> None:
    record = mapping.step_to_wire(STEP)
    for broken in ({"xs": None}, {"zmcl": "x"}, {"czlxm": "9"}, {"njm": ["x"]}, {"lsh": {}}, {"sqsj": "2026"}):
        with pytest.raises(ValueError):
            mapping.step_from_wire({**record, **broken, **({"zcxx": broken} if "njm" in broken else {})})


def test_a_reply_that_breaks_the_xsd_is_refused_before_zeep_sees_it() -> None:
    for record in ({"jgm": "0000"}, {"lsh": "k", "jgm": ""}, {"lsh": "k", "jgm": "0000", "sfzjh": "x"}):
        with pytest.raises(soap.SoapFailure):
            reply("TuisongZhuanxue", record)
    of_another = parse(soap.serialize(soap.reply_envelope("FuwuZhuangtai", {"jgm": "0000"}), "utf-8"))
    with pytest.raises(soap.SoapFailure):
        soap.reply_record("TuisongZhuanxue", of_another[-1])


def test_text_that_xml_cannot_hold_is_a_soap_failure() -> None:
    evidence = AttachedEcert(
        requirement="r", type_code="t", number="a\x00b", holder_name=None, verdict="PASSED", verified_at="x", report_digest="x"
    )  # fmt: skip
    with pytest.raises(soap.SoapFailure):
        soap.request_envelope(
            "TuisongZhuanxue", mapping.step_to_wire(STEP.model_copy(update={"evidence": (evidence,)}))
        )


@pytest.mark.parametrize("code", sorted(soap.RESULTS))
def test_faults_carry_their_code_and_the_seconds_to_wait(code: str) -> None:
    body = parse(soap.serialize(soap.fault_envelope(code, "系统繁忙", ours=True, wait_s=7), "utf-8"))[-1]
    assert soap.fault_code(body) == (code, 7)
    assert soap.result_of(code).code == code


def test_a_fault_without_detail_and_a_code_that_nobody_lists() -> None:
    envelope = soap.fault_envelope("1001", "x", ours=False)
    fault = envelope[-1][0]
    fault.remove(fault[-1])
    assert soap.fault_code(envelope[-1]) == ("", None)
    assert soap.result_of("").outcome is soap.Outcome.UNKNOWN
    assert soap.result_of("4711").outcome is soap.Outcome.UNKNOWN
