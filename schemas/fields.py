"""The field types of the canonical models, each with the field's own rule (domain facts: see docs/protocol/fields.md)."""

from __future__ import annotations

from datetime import UTC
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints


class IdType(StrEnum):
    """Holder code types of natural persons, as the provincial library numbers them."""

    RESIDENT_ID = "111"
    PASSPORT_FOREIGN = "411"
    TAIWAN_PERMIT = "511"
    HONG_KONG_MACAO_PERMIT = "516"
    OTHER = "999"


class Sex(StrEnum):
    """GB/T 2261.1."""

    UNKNOWN = "0"
    MALE = "1"
    FEMALE = "2"
    UNSTATED = "9"


UtcDatetime = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]
MessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=50)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
IdNumber = Annotated[str, StringConstraints(min_length=1, max_length=30)]
EnrolmentNumber = Annotated[str, StringConstraints(pattern=r"^[GL][0-9A-Z]{9,18}$")]
RegionCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
SchoolCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{10}$")]
Grade = Annotated[int, Field(ge=1, le=12)]  # 1-6 primary, 7-9 junior high, 10-12 senior high
ItemCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{31}([0-9]{2})?$")]
PhoneNumber = Annotated[str, StringConstraints(pattern=r"^[0-9+-]{5,20}$")]
