"""JSON in: whatever the bytes, a model or a problem of ours, with faults by pointer and no value in any text."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.parsing import JsonLimits, parse_json
from schemas.problems import HubProblem
from schemas.transfers import Decision, TransferRequest, WithdrawalRequest
from tests.unit.schemas import documents as d

GOOD = {"messageId": "m-1", "caseId": "case_1", "reason": "不再转学"}
SECRET = "370102199001011234"


def refusal(data: bytes, limits: JsonLimits | None = None) -> HubProblem:
    with pytest.raises(HubProblem) as caught:
        parse_json(WithdrawalRequest, data, limits=limits or JsonLimits())
    return caught.value


def test_a_byte_order_mark_may_stand_before_the_document() -> None:
    assert parse_json(WithdrawalRequest, b"\xef\xbb\xbf" + json.dumps(GOOD).encode()).case_id == "case_1"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "message-unreadable"),
        (b"{", "message-unreadable"),
        (b"\xff\xfe{}", "message-unreadable"),
        ("{}".encode("utf-16"), "message-unreadable"),
        (b'{"reason": "\\ud800", "messageId": "m", "caseId": "c"}', "message-unreadable"),
        (b"null", "message-invalid"),
        (b"[]", "message-invalid"),
        (b"1" * 5000, "message-unreadable"),
        (b'{"messageId": NaN}', "message-invalid"),
        (b'{"messageId": "a", "messageId": "b"}', "message-invalid"),
        (b"[" * 20 + b"]" * 20, "message-too-large"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "message-too-large"),
        (b"[" * 100_000, "message-too-large"),
        (b'{"a":' * 100_000, "message-too-large"),
        (b" " * (1024 * 1024 + 1), "message-too-large"),
    ],
)
def test_refused_with_its_code(data: bytes, code: str) -> None:
    assert refusal(data).kind.code == code


def test_depth_is_counted_exactly() -> None:
    limits = JsonLimits(max_depth=3)
    assert refusal(b"[[[1]]]", limits).kind.code == "message-invalid"
    assert refusal(b"[[[[1]]]]", limits).kind.code == "message-too-large"
    assert refusal(b"[[[[]]]]", limits).kind.code == "message-too-large"


def test_the_place_of_a_syntax_error_is_told() -> None:
    (fault,) = refusal(b'{\n  "messageId": }').faults
    assert (fault.line, fault.column) == (2, 16)


TEXT = '{\n "messageId": "m",\n "reason": "不再转学",\n "caseId": "c"}'


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (TEXT.encode("gb18030"), 3, 13),
        (b"\xef\xbb\xbf" + TEXT.encode("gb18030"), 3, 13),
        (TEXT.encode("utf-16"), 1, 1),
        (TEXT.encode("utf-16-le"), 1, 1),
        (TEXT.encode("utf-32"), 1, 1),
        ('{\n "不": "\ud800"}'.encode("utf-8", "surrogatepass"), 2, 8),
        (b'{\n "reason": "\\ud800"}', 2, None),
        (b'{\n "reason": "\\udc00\\ud800"}', 2, None),
    ],
)
def test_another_encoding_is_told_with_its_line_and_what_to_do(data: bytes, line: int, column: int | None) -> None:
    problem = refusal(data)
    (fault,) = problem.faults
    assert (problem.kind.code, fault.rule, fault.line) == ("message-unreadable", "encoding", line)
    assert column is None or fault.column == column
    assert problem.detail_zh.startswith(f"第 {line} 行")
    assert f"at line {line} " in problem.detail_en
    for cure in (fault.cure_zh, fault.cure_en):
        assert 'encoding="GB18030"' in str(cure)


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b'{"reason": NaN}', 1, 12),
        (b'{\n "caseId": "NaN \\" NaN",\n "reason": [1, -Infinity]}', 3, 16),
        (b"Infinity", 1, 1),
    ],
)
def test_a_number_that_json_has_not_is_told_with_its_place(data: bytes, line: int, column: int) -> None:
    (fault,) = refusal(data).faults
    assert (fault.path, fault.rule, fault.line, fault.column) == ("", "wrong-type", line, column)
    assert "NaN" in str(fault.cure_zh)
    assert "NaN" in str(fault.cure_en)


def test_a_wrong_type_says_which_is_right() -> None:
    placed = {"region": 370102, "schoolCode": "2137010201", "schoolName": "实验小学", "grade": "4"}
    with pytest.raises(HubProblem) as caught:
        parse_json(TransferRequest, json.dumps({"student": "王", "releasing": placed}).encode())
    cures = {fault.path: fault.cure_en or "" for fault in caught.value.faults if fault.rule == "wrong-type"}
    for path, expected in (
        ("/student", "an object"),
        ("/releasing/region", "text"),
        ("/releasing/grade", "an integer"),
    ):
        assert cures[path].endswith(f"here {expected}"), cures


@pytest.mark.parametrize("data", [b'{"reason": }', b"", b'{"reason": 1' + b"1" * 5000 + b"}"])
def test_what_is_no_json_has_its_rule(data: bytes) -> None:
    (fault,) = refusal(data).faults
    assert (fault.rule, fault.line) == ("json-malformed", 1)
    assert fault.column


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ({"reason": None}, "/reason", "wrong-type"),
        ({"reason": 5}, "/reason", "wrong-type"),
        ({"reason": ["x"]}, "/reason", "wrong-type"),
        ({"case_id": "c"}, "/case_id", "unknown-field"),
        ({SECRET: "c"}, "/?", "unknown-field"),
        ({"G" + SECRET: "c"}, "/?", "unknown-field"),
        ({"messageId": SECRET + " "}, "/messageId", "wrong-format"),
        ({"reason": SECRET * 40}, "/reason", "too-long"),
    ],
)
def test_faults_by_pointer_and_without_the_value(change: dict[str, object], path: str, rule: str) -> None:
    problem = refusal(json.dumps({**GOOD, **change}).encode())
    assert [(fault.path, fault.rule) for fault in problem.faults] == [(path, rule)]
    assert SECRET not in repr(problem) + str(problem) + repr(problem.faults) + str(problem.__cause__)
    for fault in problem.faults:
        assert all((fault.reason_zh, fault.reason_en, fault.cure_zh, fault.cure_en))


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("student", "birthDate"), 1425859200, "/student/birthDate"),
        (("student", "birthDate"), "1425859200", "/student/birthDate"),
        (("submittedAt",), 1788220800, "/submittedAt"),
        (("submittedAt",), "2026-09-01T08:00:00", "/submittedAt"),
        (("receiving", "grade"), "5", "/receiving/grade"),
        (("receiving", "grade"), 5.0, "/receiving/grade"),
        (("receiving", "grade"), True, "/receiving/grade"),
    ],
)
def test_json_types_are_strict(path: tuple[str, ...], value: object, pointer: str) -> None:
    document = json.loads(d.as_json(d.transfer()))
    target = document
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    with pytest.raises(HubProblem) as caught:
        parse_json(TransferRequest, json.dumps(document).encode())
    assert [fault.path for fault in caught.value.faults] == [pointer]


def test_null_means_absent_where_a_field_is_optional() -> None:
    document = json.loads(d.as_json(d.decision()))
    assert parse_json(Decision, json.dumps({**document, "reason": None}).encode()).reason is None


def test_times_are_utc_inside_and_an_x_is_upper_case() -> None:
    request = parse_json(TransferRequest, d.as_json(d.transfer()))
    assert request.consent.given_at.isoformat() == "2026-09-01T00:00:00+00:00"
    assert parse_json(TransferRequest, request.model_dump_json(by_alias=True).encode()) == request


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "x"]) | st.text(), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_a_model_or_our_problem(value: object) -> None:
    assert refused_or_parsed(json.dumps(value).encode()) in (
        None,
        "message-invalid",
        "message-unreadable",
        "message-too-large",
    )


@given(st.binary(max_size=200))
@example(b"\x00")
def test_any_bytes_give_our_problem(data: bytes) -> None:
    assert refused_or_parsed(data) in ("message-invalid", "message-unreadable")


def refused_or_parsed(data: bytes) -> str | None:
    try:
        parse_json(WithdrawalRequest, data)
    except HubProblem as problem:
        return problem.kind.code
    return None
