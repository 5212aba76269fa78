"""XML in and out: faults with line, path and reason; limits; and what the hub writes is valid by its own XSD."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pydantic import BaseModel

import schemas.wsdl
from schemas import problems, safe_xml
from schemas.faults import ExchangeFault
from schemas.problems import FieldFault, HubProblem
from schemas.transfers import (
    CaseFlag,
    CaseState,
    EvidenceState,
    EvidenceView,
    StepState,
    StepView,
    TransferAccepted,
    TransferView,
    WithdrawalRequest,
)
from schemas.xml_documents import (
    _NOT_XML,
    NAMESPACE,
    OPERATIONS,
    fault_to_xml,
    operation_of,
    parse_xml,
    read,
    to_xml,
)
from tests.unit.schemas import documents as d

FOLDER = Path(schemas.wsdl.__file__).parent
SECRET = "SECRET370102199001011234"

BROKEN = f"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>
<e:WithdrawTransferRequest xmlns:e="{NAMESPACE}">
  <e:messageId> {SECRET}</e:messageId>
  <e:caseId>{SECRET * 5}</e:caseId>
  <e:{SECRET}>{SECRET}</e:{SECRET}>
  <e:why/>
</e:WithdrawTransferRequest></Body></Envelope>""".encode()


def test_faults_say_line_path_and_reason_inside_an_envelope_and_quote_nothing() -> None:
    element = safe_xml.parse(BROKEN)[0][0]
    with pytest.raises(HubProblem) as caught:
        parse_xml(element)
    root = "/WithdrawTransferRequest"
    assert {(fault.line, fault.path, fault.rule) for fault in caught.value.faults} == {
        (3, f"{root}/reason", "missing"),
        (4, f"{root}/messageId", "wrong-format"),
        (5, f"{root}/caseId", "too-long"),
        (6, f"{root}/?", "unknown-field"),
        (7, f"{root}/why", "unknown-field"),
    }
    texts = [f"{f.reason_zh}{f.reason_en}{f.cure_zh}{f.cure_en}" for f in caught.value.faults]
    assert SECRET not in "".join(texts) + str(caught.value)


def test_a_name_that_could_hold_data_is_not_repeated() -> None:
    element = etree.fromstring(
        f'<QueryTransferRequest xmlns="{NAMESPACE}"><张三370102199001011234/></QueryTransferRequest>'
    )
    with pytest.raises(HubProblem) as caught:
        parse_xml(element)
    assert {fault.path for fault in caught.value.faults} == {"/QueryTransferRequest/?", "/QueryTransferRequest/caseId"}


def test_semantic_faults_have_the_line_of_their_element() -> None:
    text = etree.tostring(
        d.as_xml(d.replaced(d.transfer(), ("student", "sex"), "2"), "SubmitTransferRequest"), pretty_print=True
    )
    line = next(n for n, row in enumerate(text.splitlines(), 1) if b"<sex>" in row)
    with pytest.raises(HubProblem) as caught:
        parse_xml(safe_xml.parse(text))
    (fault,) = caught.value.faults
    assert (fault.path, fault.line, fault.rule) == ("/SubmitTransferRequest/student/sex", line, "sex-mismatch")


@pytest.mark.parametrize(
    "tag", ["SubmitTransfer", f"{{{NAMESPACE}}}SubmitTransferResponse", "{urn:x}SubmitTransferRequest"]
)
def test_unknown_operations(tag: str) -> None:
    with pytest.raises(HubProblem) as caught:
        operation_of(etree.Element(tag))
    assert caught.value.kind is problems.OPERATION_UNKNOWN


def test_too_many_elements_and_too_long_texts_are_refused_before_the_xsd() -> None:
    many = etree.Element(f"{{{NAMESPACE}}}QueryTransferRequest")
    for _ in range(250):
        etree.SubElement(many, "x")
    long = d.as_xml([("caseId", "x" * 10_001)], "QueryTransferRequest")
    for element in (many, long):
        with pytest.raises(HubProblem) as caught:
            parse_xml(element)
        assert caught.value.kind is problems.MESSAGE_TOO_LARGE


def test_a_comment_inside_a_value_does_not_cut_it() -> None:
    element = etree.fromstring(
        f'<QueryTransferRequest xmlns="{NAMESPACE}"><caseId>a<!-- -->b</caseId></QueryTransferRequest>'
    )
    request = parse_xml(element)
    assert request.model_dump() == {"caseId": "ab"}


def test_encodings_of_old_stations_give_the_same_request() -> None:
    element = d.as_xml(d.transfer(), "SubmitTransferRequest")
    expected = parse_xml(element)
    for encoding in ("utf-8", "utf-16", "gb18030"):
        data = etree.tostring(element, encoding=encoding, xml_declaration=True)
        assert parse_xml(safe_xml.parse(data)) == expected


def test_threads_may_parse_at_once() -> None:
    good = etree.tostring(d.as_xml(d.transfer(), "SubmitTransferRequest"))
    bad = good.replace(b"<sex>1", b"<sex>7")

    def work(number: int) -> str:
        try:
            parse_xml(safe_xml.parse(bad if number % 2 else good))
        except HubProblem as problem:
            return ",".join(str(fault.rule) for fault in problem.faults)
        return ""

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(80))) == ["", "not-in-list"] * 40


# --- writing ------------------------------------------------------------------------------------------------------------

TIMES = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))
ANY_TEXT = st.text(st.characters(codec="utf-8").filter(lambda c: not _NOT_XML.match(c)), max_size=30)
STEPS = st.fixed_dictionaries({
    "name": ANY_TEXT, "title": ANY_TEXT, "party": ANY_TEXT, "state": st.sampled_from(StepState), "opened_at": st.none() | TIMES,
    "limit_at": st.none() | TIMES, "decided_at": st.none() | TIMES, "reason": st.none() | ANY_TEXT,
}).map(lambda values: StepView(**values))  # fmt: skip
EVIDENCE = st.fixed_dictionaries({
    "requirement": ANY_TEXT, "title": ANY_TEXT, "state": st.sampled_from(EvidenceState), "reason": st.none() | ANY_TEXT,
}).map(lambda values: EvidenceView(**values))  # fmt: skip
VIEWS = st.fixed_dictionaries({
    "case_id": ANY_TEXT, "message_id": ANY_TEXT, "flow": ANY_TEXT, "state": st.sampled_from(CaseState),
    "flags": st.lists(st.sampled_from(CaseFlag), max_size=3).map(tuple), "accepted_at": TIMES, "limit_at": TIMES,
    "limit_provisional": st.booleans(), "closed_at": st.none() | TIMES, "outcome_reason": st.none() | ANY_TEXT,
    "steps": st.lists(STEPS, max_size=3).map(tuple), "evidence": st.lists(EVIDENCE, max_size=3).map(tuple),
}).map(lambda values: TransferView(**values))  # fmt: skip
ACCEPTED = st.fixed_dictionaries({
    "case_id": ANY_TEXT, "message_id": ANY_TEXT, "state": st.sampled_from(CaseState), "accepted_at": TIMES, "limit_at": TIMES,
    "limit_provisional": st.booleans(),
}).map(lambda values: TransferAccepted(**values))  # fmt: skip
TRANSFER_XSD = etree.XMLSchema(file=str(FOLDER / "transfer.xsd"))
FAULTS_XSD = etree.XMLSchema(file=str(FOLDER / "faults.xsd"))


@settings(deadline=None)
@given(st.one_of(st.tuples(st.just("QueryTransfer"), VIEWS), st.tuples(st.just("SubmitTransfer"), ACCEPTED)))
def test_whatever_the_hub_answers_is_valid_and_comes_back_the_same(answer: tuple[str, BaseModel]) -> None:
    name, model = answer
    data = etree.tostring(to_xml(model, OPERATIONS[name].response_element), encoding="utf-8")
    element = safe_xml.parse(data)
    assert TRANSFER_XSD.validate(element), TRANSFER_XSD.error_log
    assert read(element, type(model)) == model


def test_requests_go_out_as_they_come_in() -> None:
    """An adapter or a test may send what the hub receives: to_xml and parse_xml are each other's inverse."""
    for name, make in d.DOCUMENTS.items():
        request = parse_xml(d.as_xml(make(), OPERATIONS[name].request_element))
        assert parse_xml(to_xml(request, OPERATIONS[name].request_element)) == request


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("code", sorted(problems.KINDS))
def test_every_problem_is_a_valid_typed_fault(code: str, language: str) -> None:
    found = FieldFault("/a/b", "原因", "reason", 3, None, "办法", "cure", "missing")
    problem = HubProblem(problems.KINDS[code], "detail\x00", faults=[found], retry_after_s=5)
    detail = ExchangeFault.of(problem, "problem-1", "zh" if language == "zh" else "en")
    element = safe_xml.parse(etree.tostring(fault_to_xml(detail)))
    assert FAULTS_XSD.validate(element), FAULTS_XSD.error_log
    again = read(element, ExchangeFault)
    assert (again.code, again.retryable, again.faults) == (code, problem.kind.retryable, detail.faults)
    assert again.title == (problem.kind.title_zh if language == "zh" else problem.kind.title_en)
    assert again.detail == "detail\ufffd"


def test_limits_of_time_are_those_of_the_xsd() -> None:
    view = TransferAccepted(
        case_id="c", message_id="m", state=CaseState.OPEN, accepted_at=datetime(2026, 9, 1, 8, tzinfo=UTC),
        limit_at=datetime(2026, 9, 1, tzinfo=UTC) + timedelta(days=21), limit_provisional=False,
    )  # fmt: skip
    element = to_xml(view, "SubmitTransferResponse")
    assert element.findtext(f"{{{NAMESPACE}}}acceptedAt") == "2026-09-01T08:00:00Z"
    assert element.findtext(f"{{{NAMESPACE}}}limitProvisional") == "false"


def test_read_gives_our_problem_for_what_is_not_the_model() -> None:
    with pytest.raises(HubProblem):
        read(d.as_xml([("messageId", "m")], "WithdrawTransferRequest"), WithdrawalRequest)
