"""The field's numbers: what each rule takes, what it refuses with which word, and that no value is ever quoted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from schemas import numbers as n
from schemas.rules import RULES, FieldError


def id_of(body: str) -> str:
    return body + ric.calc_check_digit(body + "0")


BOY = id_of("37010220150309123")
CREDIT = "11370800MB28559184"
WRONG_CHECK = BOY[:-1] + ("1" if BOY[-1] != "1" else "2")

ACCEPTED: list[tuple[Callable[[str], object], str]] = [
    (n.check_resident_id, BOY),
    (n.check_resident_id, "11010519491231002X"),  # the example of GB 11643
    (n.check_resident_id, "11010519491231002x"),
    (n.check_resident_id, "810000199408230021"),  # residence permits: Hong Kong, Macao, Taiwan
    (n.check_resident_id, "830000199201300022"),
    (n.check_resident_id, id_of("82000019991231001")),
    (n.check_resident_id, id_of("37168319350101001")),  # a county founded after the birth
    (n.check_enrolment_number, "G" + BOY),
    (n.check_enrolment_number, "L123456789"),
    (n.check_enrolment_number, "L" + "A1" * 9),
    (n.check_school_code, "2137000001"),
    (n.check_school_code, "5111000001"),
    (n.check_region_code, "370102"),
    (n.check_region_code, "370000"),
    (n.check_region_code, "371471"),
    (n.check_region_code, "410105"),
    (n.check_household_region, "371203"),  # Laiwu is no more, and still stands in household registers
    (n.check_credit_code, CREDIT),
    (n.check_credit_code, "11100000MB0143028R"),
    (n.check_item_code, "11370800MB285591843370117002011"),
    (n.check_item_code, "11370800MB28559184337011700201101"),
    (n.check_type_code, "11100000000013127D001"),
    (n.check_type_code, "11100000MB03271699001"),
    (n.check_teacher_number, "20213700412345678"),
    (n.check_school_licence, "137010270000011"),
]
REFUSED: list[tuple[Callable[[str], object], str, str]] = [
    (n.check_resident_id, "", "resident-id-format"),
    (n.check_resident_id, "370102150309123", "resident-id-format"),  # 15 digits
    (n.check_resident_id, BOY + "\n", "resident-id-format"),
    (n.check_resident_id, "３" + BOY[1:], "resident-id-format"),
    (n.check_resident_id, BOY[:-1] + ("1" if BOY[-1] != "1" else "2"), "resident-id-check"),
    (n.check_resident_id, id_of("99010220150309123"), "resident-id-region"),
    (n.check_resident_id, id_of("37010220150230123"), "resident-id-date"),
    (n.check_resident_id, id_of("37010200000000123"), "resident-id-date"),
    (n.check_resident_id, id_of("37010218991231123"), "resident-id-date"),
    (n.check_enrolment_number, BOY, "enrolment-number-format"),
    (n.check_enrolment_number, "L12345678", "enrolment-number-format"),
    (n.check_enrolment_number, "G" + BOY[:-1] + ("1" if BOY[-1] != "1" else "2"), "resident-id-check"),
    (n.check_school_code, "2237000001", "school-code-format"),
    (n.check_school_code, "213700001", "school-code-format"),
    (n.check_school_code, "2199000001", "school-code-province"),
    (n.check_region_code, "371203", "region-unknown"),
    (n.check_region_code, "990000", "region-unknown"),
    (n.check_region_code, "37010", "region-unknown"),
    (n.check_credit_code, CREDIT[:-1] + "5", "credit-code-check"),
    (n.check_credit_code, CREDIT.replace("B", "O"), "credit-code-format"),
    (n.check_credit_code, CREDIT.lower(), "credit-code-format"),
    (n.check_item_code, "11370800MB28559184337011700201", "item-code-format"),
    (n.check_item_code, "11370800MB285591853370117002011", "credit-code-check"),
    (n.check_type_code, "11100000000013127D", "type-code-format"),
    (n.check_type_code, "11100000000013127E001", "credit-code-check"),
    (n.check_teacher_number, "2021370041234567", "teacher-number-format"),
    (n.check_teacher_number, "20219900412345678", "teacher-number-format"),
    (n.check_school_licence, "13701027000001", "school-licence-format"),
    (n.EcertIdentifier.parse, "1.2.156.3005.2", "identifier-format"),
    (
        n.EcertIdentifier.parse,
        "1.2.156.3005.3.11100000000013338W032.11220000013544541J.2430599.001.F",
        "identifier-format",
    ),
]


@pytest.mark.parametrize(("check", "text"), ACCEPTED)
def test_accepted(check: Callable[[str], object], text: str) -> None:
    check(text)


@pytest.mark.parametrize(("check", "text", "code"), REFUSED)
def test_refused_with_its_word_and_without_the_value(check: Callable[[str], object], text: str, code: str) -> None:
    with pytest.raises(FieldError) as caught:
        check(text)
    assert caught.value.rule is RULES[code]
    if len(text) > 4:
        assert text not in str(caught.value)


@pytest.mark.parametrize("text", [BOY, f"case-{BOY}", f"G{BOY}", f"高明 {BOY}", f"{BOY[:-1]}{BOY[-1].lower()}.1"])
def test_what_is_kept_in_clear_names_nobody(text: str) -> None:
    with pytest.raises(FieldError) as refused:
        n.check_names_nobody(text)
    assert refused.value.rule.code == "personal-number"
    assert BOY not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["sdjs-2026-000017", "20260901123456789012", BOY[:-1], f"1{BOY}", f"{BOY}7", WRONG_CHECK, CREDIT]
)
def test_other_numbers_may_be_kept_in_clear(text: str) -> None:
    assert n.check_names_nobody(text) == text


FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


@pytest.mark.parametrize(
    "text",
    [
        f"关于撤销（{BOY}）学位证书的决定",
        f"见 {BOY[:6]} {BOY[6:14]} {BOY[14:]}",
        f"见{BOY[:6]}-{BOY[6:]}号",
        f"2026-12 {BOY[:6]}　{BOY[6:]}",
        BOY.translate(FULL_WIDTH),
        "电话13912345678",
        "电话 139-1234-5678",
        "+86 139 1234 5678",
        "手机１３９１２３４５６７８。",
    ],
)
def test_a_text_of_peoples_that_is_kept_in_clear_names_nobody(text: str) -> None:
    with pytest.raises(FieldError) as refused:
        n.check_text_names_nobody(text)
    assert refused.value.rule.code == "personal-number"
    assert BOY not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["历教撤决〔2026〕4号", "collect dlv_01k3zq8m5v13912345678", "2026-09-03 10:15 第 12345678 号", "0531-13912345678-2", CREDIT,
     "12912345678", "139123456789", WRONG_CHECK],
)  # fmt: skip
def test_numbers_of_decisions_may_be_kept_in_clear(text: str) -> None:
    assert n.check_text_names_nobody(text) == text


def test_stdnum_alone_would_be_wrong() -> None:
    """Why it is wrapped; when this fails, python-stdnum has changed and the wrapping can be thought over."""
    assert not ric.is_valid("810000199408230021")
    assert ric.is_valid(id_of("37010220990307451"))  # born in 2099
    assert not uscc.is_valid("A1110000000000000" + n.credit_code_check("A1110000000000000"))


@pytest.mark.parametrize("first", "ANY")
def test_letter_leading_credit_codes_of_gb_32100(first: str) -> None:
    body = f"{first}1110000000000012"[:17]
    n.check_credit_code(body + n.credit_code_check(body))


def test_birth_in_the_future_needs_a_day_to_compare_with() -> None:
    born = id_of("37010220990307451")
    assert n.check_resident_id(born).birth_date == date(2099, 3, 7)
    with pytest.raises(FieldError, match="birth-date-future"):
        n.check_resident_id(born, today=date(2026, 9, 1))
    assert n.check_resident_id(BOY, today=date(2015, 3, 9))


def test_what_a_number_says() -> None:
    parsed = n.check_resident_id("11010519491231002x")
    assert (parsed.number[-1], parsed.birth_date, parsed.sex) == ("X", date(1949, 12, 31), n.NumberSex.FEMALE)
    assert "1949" not in repr(parsed)


@given(
    region=st.sampled_from(["370102", "110105", "810000", "830000"]),
    born=st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    order=st.integers(1, 999),
)
def test_assigned_numbers_are_valid_and_say_what_went_in(region: str, born: date, order: int) -> None:
    parsed = n.check_resident_id(n.assign_resident_id(region, born, order))
    assert (parsed.birth_date, parsed.sex) == (born, "1" if order % 2 else "2")


@given(position=st.integers(0, 16), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_is_always_found(position: int, digit: str) -> None:
    wrong = BOY[:position] + digit + BOY[position + 1 :]
    if wrong != BOY:
        with pytest.raises(FieldError, match="resident-id-check"):
            n.check_resident_id(wrong)


@given(st.text(max_size=80))
def test_any_text_is_accepted_or_refused_by_our_error(text: str) -> None:
    for check in {check for check, _ in ACCEPTED} | {n.EcertIdentifier.parse}:
        with suppress(FieldError):  # anything else escapes and fails the test
            check(text)


@pytest.mark.parametrize(
    ("id_type", "number", "fits"),
    [
        ("111", BOY, True),
        ("111", "E12345678", False),
        ("414", "E12345678", True),
        ("411", "e12345678", True),
        ("414", "E1", False),
        ("511", "12345678", True),
        ("511", "A2345678", False),
        ("516", "H12345678", True),
        ("516", "M1234567890", True),
        ("516", "12345678", False),
        ("999", "911124198108030024", True),
    ],
)
def test_numbers_by_their_type(id_type: str, number: str, fits: bool) -> None:
    if fits:
        assert n.check_id_number(id_type, number) == number.upper()
    else:
        with pytest.raises(FieldError):
            n.check_id_number(id_type, number)


# Identifiers of real certificates; the check character covers all but the root.
REAL = [
    "1.2.156.3005.2.11100000000013338W032.11220000013544541J.2430599.001.F",
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
    "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
]


@pytest.mark.parametrize("text", REAL)
def test_real_identifiers(text: str) -> None:
    parsed = n.EcertIdentifier.parse(text)
    assert parsed.check is n.CheckVerdict.PASSED
    assert parsed.warning is None
    assert str(parsed) == text
    again = n.EcertIdentifier.assign(parsed.type_code, parsed.issuer, parsed.serial, int(parsed.version))
    assert again == parsed


def test_a_wrong_check_character_is_a_warning_with_a_reason() -> None:
    parsed = n.EcertIdentifier.parse(REAL[0][:-1] + "G")
    assert parsed.check is n.CheckVerdict.FAILED
    assert parsed.warning is RULES["identifier-check"]
    assert str(parsed.with_check()) == REAL[0]


@pytest.mark.parametrize("arguments", [("short", "340100", "1"), ("1" * 21, "340100", "1.2"), ("1" * 21, "340100", "")])
def test_no_identifier_is_assigned_from_wrong_parts(arguments: tuple[str, str, str]) -> None:
    with pytest.raises(FieldError, match="identifier-format"):
        n.EcertIdentifier.assign(*arguments)
    with pytest.raises(FieldError, match="identifier-format"):
        n.EcertIdentifier.assign("1" * 21, "340100", "1", 1000)
