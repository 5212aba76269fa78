"""The field's numbers, each with its own rule, usable alone: ``check_*`` returns the parsed value or raises FieldError.

python-stdnum computes the check characters. Its validators are not used whole: ``cn.ric`` accepts birth dates in the future,
refuses residence permits (81/82/83) and anyone whose county was founded after his birth; ``cn.uscc`` refuses the
letter-leading codes of GB 32100. There is no clock here: who knows what day it is says so.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_37_36

from schemas import rules
from schemas.code_tables import PROVINCES, RESIDENCE_PERMITS
from schemas.regions import PROVINCE, REGIONS
from schemas.rules import FieldError, Rule, shape

_CREDIT: Final = "[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}"  # GB 32100: no I, O, S, V, Z

RESIDENT_ID: Final = shape("ResidentId", "[0-9]{17}[0-9Xx]", "17 位数字加 1 位数字或 X", "17 digits and a digit or X")
ENROLMENT_NUMBER: Final = shape(
    "EnrolmentNumber", "G[0-9]{17}[0-9Xx]|L[0-9A-Z]{9,18}",
    "G 加 18 位公民身份号码, 或 L 加 9 至 18 位数字或大写字母", "G and a resident ID number, or L and 9 to 18 digits or capitals",
)  # fmt: skip
SCHOOL_CODE: Final = shape(
    "SchoolCode", "(21|31|34|36|51)[0-9]{8}",
    "10 位数字, 以 21、31、34、36 或 51 开头", "10 digits that begin with 21, 31, 34, 36 or 51",
)  # fmt: skip
REGION_CODE: Final = shape("RegionCode", "[0-9]{6}", "6 位数字", "6 digits")
CREDIT_CODE: Final = shape("CreditCode", _CREDIT, "18 位统一社会信用代码", "a credit code of 18 characters")
ITEM_CODE: Final = shape(
    "ItemCode", _CREDIT + "[0-9]{13}([0-9]{2})?",
    "18 位信用代码加 13 位数字, 办理项再加 2 位", "a credit code and 13 digits; 2 more for a handling item",
)  # fmt: skip
BASIC_CODE: Final = shape("BasicCode", "[0-9]{12}", "12 位数字的事项基本编码", "a basic code of 12 digits")
CATALOGUE_CODE: Final = shape(
    "CatalogueCode", "[0-9]{12}|[0-9A-Z]{18}[0-9]{13}([0-9]{2})?",
    "12 位基本编码、31 位实施编码或 33 位办理项编码", "a basic code of 12, an implementation code of 31 or a handling item's of 33",
)  # fmt: skip
TYPE_CODE: Final = shape("TypeCode", _CREDIT + "[0-9]{3}", "18 位信用代码加 3 位数字", "a credit code and 3 digits")
ECERT_IDENTIFIER: Final = shape(
    "EcertIdentifier",
    r"1\.2\.156\.3005\.2\.[0-9A-Z]{21}\.[0-9A-Z]{6,18}\.[0-9A-Z]{1,32}\.[0-9]{3}\.[0-9A-Z]",
    "1.2.156.3005.2.类型.机构.流水号.版本.校验位", "1.2.156.3005.2.type.issuer.serial.version.check",
)  # fmt: skip
TEACHER_NUMBER: Final = shape("TeacherNumber", "(19|20)[0-9]{15}", "17 位数字", "17 digits")
SCHOOL_LICENCE: Final = shape("SchoolLicence", "[0-9]{15}", "15 位数字", "15 digits")

# How the number of each foreign or travel document looks, loosely: issuers change these shapes, the hub only routes them.
_PASSPORT: Final = shape("Passport", "[0-9A-Z]{5,20}", "5 至 20 位数字或字母", "5 to 20 digits or letters")
_TAIWAN: Final = shape("TaiwanPermit", r"[0-9]{8}([0-9]{2}(\([0-9A-Z]\))?)?", "8 或 10 位数字", "8 or 10 digits")
_HK_MACAO: Final = shape(
    "HongKongMacaoPermit", "[HM][0-9]{8}([0-9]{2})?", "H 或 M 加 8 或 10 位数字", "H or M and 8 or 10 digits"
)
_LOOSE_BY_TYPE: Final = {**dict.fromkeys(("411", "412", "413", "414"), _PASSPORT), "511": _TAIWAN, "516": _HK_MACAO}


# --- persons --------------------------------------------------------------------------------------------------------------


_EIGHTEEN: Final = re.compile(r"(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")


class NumberSex(StrEnum):
    """What digit 17 says; the same codes as GB/T 2261.1."""

    MALE = "1"
    FEMALE = "2"


@dataclass(frozen=True, slots=True)
class ResidentId:
    """A resident ID number (GB 11643) or the number of a residence permit (prefix 81, 82 or 83), X in upper case."""

    number: str
    birth_date: date
    sex: NumberSex

    def __repr__(self) -> str:
        return "ResidentId(…)"  # an ID number must not reach a log through a repr


def check_resident_id(number: str, *, today: date | None = None) -> ResidentId:
    """Parse ``number``. With ``today``, a birth date after it is refused; without, the caller owes that check."""
    if not RESIDENT_ID.matches(number):
        raise FieldError(rules.RESIDENT_ID_FORMAT)
    number = number.upper()
    if number[-1] != ric.calc_check_digit(number):
        raise FieldError(rules.RESIDENT_ID_CHECK)
    if number[:2] not in PROVINCES and number[:2] not in RESIDENCE_PERMITS:
        raise FieldError(rules.RESIDENT_ID_REGION)
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise FieldError(rules.RESIDENT_ID_DATE) from None
    if born.year < 1900:
        raise FieldError(rules.RESIDENT_ID_DATE)
    if today is not None and born > today:
        raise FieldError(rules.BIRTH_DATE_FUTURE)
    return ResidentId(number, born, NumberSex.MALE if int(number[16]) % 2 else NumberSex.FEMALE)


def check_names_nobody(text: str) -> str:
    """For what is kept in clear (message ids, numbers of cases): refused if a resident ID number stands in it."""
    for found in _EIGHTEEN.finditer(text):
        try:
            check_resident_id(found[0])
        except FieldError:
            continue
        raise FieldError(rules.PERSONAL_NUMBER)
    return text


_GAP: Final = "[ \\-]{0,3}"  # as people group digits
_SPACED: Final = re.compile(rf"(?<![0-9])(?=([1-9](?:{_GAP}[0-9]){{16}}{_GAP}[0-9Xx])(?![0-9A-Za-z]))")
_MOBILE: Final = re.compile(r"(?<![0-9A-Za-z._])(?<![0-9]-)1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9A-Za-z])")
_DASHES: Final = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))


def check_text_names_nobody(text: str) -> str:
    """The same for a text that a person writes (the source of a notice): seen through gaps and full-width digits; no mobile number.

    Not for ids, which are made of regions, days and counts: read without their hyphens they would be somebody's by chance.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
    check_names_nobody(plain)
    for found in _SPACED.finditer(plain):
        check_names_nobody(re.sub("[ -]", "", found[1]))
    if _MOBILE.search(plain):
        raise FieldError(rules.PERSONAL_NUMBER)
    return text


def assign_resident_id(region: str, birth_date: date, order: int) -> str:
    """The number that ``region`` (6 digits) gives to ``order`` (1 to 999; odd: male). For simulators and tests."""
    if not REGION_CODE.matches(region) or not 1 <= order <= 999:
        raise FieldError(rules.RESIDENT_ID_FORMAT)
    body = f"{region}{birth_date:%Y%m%d}{order:03d}"
    return check_resident_id(body + ric.calc_check_digit(body + "0")).number


def check_id_number(id_type: str, number: str) -> str:
    """``number`` by the rule of its type (111 strictly, foreign and travel documents loosely); returned in upper case."""
    if id_type == "111":
        return check_resident_id(number).number
    loose = _LOOSE_BY_TYPE.get(id_type)
    if loose is not None and not loose.matches(number.upper()):
        raise FieldError(rules.ID_NUMBER_FORMAT)
    return number.upper()


def check_enrolment_number(number: str) -> str:
    """学籍号: ``G`` + a valid resident ID number, or ``L`` + 9 to 18 digits or capitals (registries differ in its length)."""
    if not ENROLMENT_NUMBER.matches(number):
        raise FieldError(rules.ENROLMENT_FORMAT)
    if number.startswith("G"):
        return "G" + check_resident_id(number[1:]).number
    return number


# --- places, schools, items -----------------------------------------------------------------------------------------------


def check_region_code(code: str) -> str:
    """A code of Shandong must stand in the table; of another province, its first two digits must."""
    if not REGION_CODE.matches(code):
        raise FieldError(rules.REGION_UNKNOWN)
    known = code in REGIONS if code[:2] == PROVINCE[:2] else code[:2] in PROVINCES
    if not known:
        raise FieldError(rules.REGION_UNKNOWN)
    return code


def check_household_region(code: str) -> str:
    """A household (户籍) may be registered under a code that no longer exists: only the province is checked."""
    if not REGION_CODE.matches(code) or code[:2] not in PROVINCES:
        raise FieldError(rules.REGION_UNKNOWN)
    return code


def check_school_code(code: str) -> str:
    """学校标识码: type 2 (see SCHOOL_TYPES), province 2, serial 6."""
    if not SCHOOL_CODE.matches(code):
        raise FieldError(rules.SCHOOL_CODE_FORMAT)
    if code[2:4] not in PROVINCES:
        raise FieldError(rules.SCHOOL_CODE_PROVINCE)
    return code


def check_credit_code(code: str) -> str:
    """Unified social credit code (GB 32100-2015), letter-leading ones included."""
    if not CREDIT_CODE.matches(code):
        raise FieldError(rules.CREDIT_CODE_FORMAT)
    if code[17] != credit_code_check(code[:17]):
        raise FieldError(rules.CREDIT_CODE_CHECK)
    return code


def credit_code_check(body: str) -> str:
    """The check character of the first 17 characters of a credit code."""
    if not CREDIT_CODE.matches(body + "0"):
        raise FieldError(rules.CREDIT_CODE_FORMAT)
    return uscc.calc_check_digit(body)


def check_item_code(code: str) -> str:
    """Implementation code (31 = credit code 18 + level 1 + basic 12) or handling item (33 = 31 + 2)."""
    _with_credit_code(code, ITEM_CODE, rules.ITEM_CODE_FORMAT)
    return code


def check_type_code(code: str) -> str:
    """E-certificate type: the definer's credit code (18) + 3 digits."""
    _with_credit_code(code, TYPE_CODE, rules.TYPE_CODE_FORMAT)
    return code


def _with_credit_code(code: str, expected: rules.Shape, broken: Rule) -> None:
    if not expected.matches(code):
        raise FieldError(broken)
    check_credit_code(code[:18])


def check_teacher_number(number: str) -> str:
    """Teacher-qualification number: year 4, province 2, office 3, type 1, sex 1, serial 6 (sources disagree on the sex)."""
    if not TEACHER_NUMBER.matches(number) or number[4:6] not in PROVINCES:
        raise FieldError(rules.TEACHER_NUMBER_FORMAT)
    return number


def check_school_licence(number: str) -> str:
    """Private-school licence number (民办学校办学许可证号)."""
    if not SCHOOL_LICENCE.matches(number):
        raise FieldError(rules.SCHOOL_LICENCE_FORMAT)
    return number


# --- e-certificate identifiers --------------------------------------------------------------------------------------------


class CheckVerdict(StrEnum):
    """What the check character says. FAILED is a warning with a reason: at least one vendor computes it otherwise."""

    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EcertIdentifier:
    """GB/T 36904: ``1.2.156.3005.2.<type>.<issuer>.<serial>.<version>.<check>``.

    ``issuer`` is a credit code or, at some issuers, a region code; ``version`` counts from 1.
    """

    type_code: str
    issuer: str
    serial: str
    version: str
    check_character: str

    @classmethod
    def parse(cls, text: str) -> EcertIdentifier:
        """The parts of ``text``; raises FieldError (identifier-format) for a wrong structure, never for the check."""
        if not ECERT_IDENTIFIER.matches(text):
            raise FieldError(rules.IDENTIFIER_FORMAT)
        return cls(*text.split(".")[5:])

    @classmethod
    def assign(cls, type_code: str, issuer: str, serial: str, version: int = 1) -> EcertIdentifier:
        """A new identifier with its right check character."""
        draft = cls(type_code, issuer, serial, f"{version:03d}", "0")
        return cls.parse(str(draft)).with_check()

    def with_check(self) -> EcertIdentifier:
        """The same identifier with the right check character."""
        return replace(self, check_character=self._expected())

    @property
    def check(self) -> CheckVerdict:
        return CheckVerdict.PASSED if self.check_character == self._expected() else CheckVerdict.FAILED

    @property
    def warning(self) -> Rule | None:
        """The reason when ``check`` is FAILED."""
        return rules.IDENTIFIER_CHECK if self.check is CheckVerdict.FAILED else None

    def _expected(self) -> str:
        body = self.type_code + self.issuer + self.serial + self.version  # ISO 7064 MOD 37,36, dots and root left out
        return mod_37_36.calc_check_digit(body)

    def __str__(self) -> str:
        parts = (self.type_code, self.issuer, self.serial, self.version, self.check_character)
        return ".".join(("1.2.156.3005.2", *parts))
