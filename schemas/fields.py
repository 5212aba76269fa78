"""The field types of the canonical models, each with the field's own rule (docs/protocol/fields.md has the table).

Every text type here has an XSD simple type of the same name, pattern and length in ``schemas/wsdl/types.xsd``.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Base64Bytes, BeforeValidator, Field, StringConstraints, WithJsonSchema

from schemas import numbers, rules
from schemas.rules import FieldError, Shape, shape


class IdType(StrEnum):
    """Holder code types of natural persons, as the provincial library numbers them (code_tables.HOLDER_CODE_TYPES)."""

    RESIDENT_ID = "111"  # residence permits of Hong Kong, Macao and Taiwan residents too: the number has the same form
    PASSPORT_DIPLOMATIC = "411"  # the names of 411 to 414 are unconfirmed; the hub treats the four alike
    PASSPORT_SERVICE = "412"
    PASSPORT_PUBLIC_AFFAIRS = "413"
    PASSPORT_ORDINARY = "414"
    TAIWAN_PERMIT = "511"
    HONG_KONG_MACAO_PERMIT = "516"
    OTHER = "999"


class Sex(StrEnum):
    """GB/T 2261.1."""

    UNKNOWN = "0"
    MALE = "1"
    FEMALE = "2"
    UNSTATED = "9"


# Words between single separators; neither end is a separator, and nothing in it is invisible. Written with the characters
# themselves, not \s or \w, because XSD and Rust read those classes differently. Zero-width and direction marks are refused:
# they make two names look alike that are not. Private-use characters stay: old registries keep rare names in them.
INVISIBLE: Final = "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_WORD: Final = rf"[^\p{{Z}}\p{{Cc}}{INVISIBLE}]+"
SINGLE_LINE: Final = shape(
    "SingleLine", rf"{_WORD}([ \u3000]+{_WORD})*".replace(r"\u3000", "\u3000"),
    "一行文字, 首尾无空格, 无控制字符", "one line of text without spaces at its ends and without control characters",
)  # fmt: skip
MULTI_LINE: Final = shape(
    "MultiLine", rf"{_WORD}([ \t\n\r\u3000]+{_WORD})*".replace(r"\u3000", "\u3000"),
    "文字, 首尾无空白, 无控制字符", "text without white space at its ends and without control characters",
)  # fmt: skip
MESSAGE_ID: Final = shape(
    "MessageId", r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}",
    "1 至 64 位字母、数字或 . _ : -, 以字母或数字开头", "1 to 64 letters, digits or . _ : - that begin with a letter or digit",
)  # fmt: skip
ID_NUMBER: Final = shape(
    "IdNumber", r"[0-9A-Za-z()/\-]{4,30}", "4 至 30 位数字、字母或 ( ) / -", "4 to 30 digits, letters or ( ) / -",
)  # fmt: skip
PHONE: Final = shape("PhoneNumber", r"[0-9+\-]{5,20}", "5 至 20 位数字或 + -", "5 to 20 digits or + -")

_ZONE: Final = "(Z|[+\\-](0[0-9]|1[0-3]):[0-5][0-9]|[+\\-]14:00)"
DATE: Final = shape(
    "Date",
    f"(19|20)[0-9]{{2}}-[0-9]{{2}}-[0-9]{{2}}{_ZONE}?",
    "YYYY-MM-DD, 1900 至 2099 年",
    "YYYY-MM-DD, years 1900 to 2099",
)
DATETIME: Final = shape(
    "DateTime",
    "20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?" + _ZONE,
    "YYYY-MM-DDThh:mm:ss+08:00(或 Z), 必须带时区", "YYYY-MM-DDThh:mm:ss+08:00 (or Z); the zone is required",
)  # fmt: skip


def parse_date(value: object) -> date:
    """``YYYY-MM-DD``; a zone behind it (Java writes one) is dropped: a birthday has none."""
    if not isinstance(value, str):
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        raise FieldError(rules.WRONG_TYPE)  # pydantic would take a number for seconds since 1970
    if not DATE.matches(value):
        raise FieldError(rules.DATE_FORMAT)
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise FieldError(rules.DATE_FORMAT) from None


def iso_day(text: str) -> date:
    """``YYYY-MM-DD`` of any year, and nothing else that Python reads as a day, such as 2026-W01-1."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise FieldError(rules.DATE_FORMAT)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FieldError(rules.DATE_FORMAT) from None


def _base64(value: object) -> object:
    """Base64 with or without line breaks (RFC 2045, 6.8). pydantic alone would skip all else and take ``***`` for an empty file."""
    if not isinstance(value, str):
        return value
    text = "".join(value.split()).encode()
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise FieldError(rules.WRONG_FORMAT, note=("base64 编码", "base64")) from None
    return text


FileContent = Annotated[Base64Bytes, BeforeValidator(_base64)]


def parse_datetime(value: object) -> datetime:
    """An xs:dateTime with a zone, years 2000 to 2099; digits beyond microseconds are dropped. Returned in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise FieldError(rules.DATETIME_FORMAT)
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise FieldError(rules.WRONG_TYPE)
    if not DATETIME.matches(value):
        raise FieldError(rules.DATETIME_FORMAT)
    try:
        return datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value)).astimezone(UTC)
    except ValueError:
        raise FieldError(rules.DATETIME_FORMAT) from None


def _xml_text(value: str) -> str:
    if "\ufffe" in value or "\uffff" in value:
        raise FieldError(rules.CHARACTER_NOT_XML)
    return value


def _pattern(form: Shape) -> StringConstraints:
    return StringConstraints(pattern=form.anchored)


UtcDatetime = Annotated[
    datetime,
    BeforeValidator(parse_datetime),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": DATETIME.anchored}),
]
BirthDate = Annotated[
    date,
    BeforeValidator(parse_date),
    WithJsonSchema({"type": "string", "pattern": DATE.anchored, "examples": ["2012-09-01"]}),
]
MessageId = Annotated[str, _pattern(MESSAGE_ID), AfterValidator(numbers.check_names_nobody)]
PersonName = Annotated[str, StringConstraints(pattern=SINGLE_LINE.anchored, max_length=50), AfterValidator(_xml_text)]
ShortText = Annotated[str, StringConstraints(pattern=SINGLE_LINE.anchored, max_length=100), AfterValidator(_xml_text)]
Reference = Annotated[ShortText, AfterValidator(numbers.check_names_nobody)]  # a number of the sender's, kept in clear
Text = Annotated[str, StringConstraints(pattern=MULTI_LINE.anchored, max_length=500), AfterValidator(_xml_text)]
IdNumber = Annotated[str, _pattern(ID_NUMBER), AfterValidator(str.upper)]
EnrolmentNumber = Annotated[str, _pattern(numbers.ENROLMENT_NUMBER), AfterValidator(numbers.check_enrolment_number)]
RegionCode = Annotated[str, _pattern(numbers.REGION_CODE), AfterValidator(numbers.check_region_code)]
HouseholdRegion = Annotated[str, _pattern(numbers.REGION_CODE), AfterValidator(numbers.check_household_region)]
SchoolCode = Annotated[str, _pattern(numbers.SCHOOL_CODE), AfterValidator(numbers.check_school_code)]
Grade = Annotated[int, Field(ge=1, le=12)]  # 1-6 primary, 7-9 junior high, 10-12 senior high
ItemCode = Annotated[str, _pattern(numbers.ITEM_CODE), AfterValidator(numbers.check_item_code)]
PhoneNumber = Annotated[str, _pattern(PHONE)]
