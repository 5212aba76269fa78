"""From when until when a certificate says that it holds: a day, for ever, or something that cannot be read.

Real feeds write days in many ways. What cannot be read is never taken for "for ever": a certificate that ran out years ago would
hold. What stands in the sealed file counts, and only where it is silent what the source's interface says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from hub.ecerts.catalogue import shanghai_day
from hub.working_days import SHANGHAI
from schemas.ecerts import EcertMetadata

# what issuers write where nothing ends; an empty field is the same
FOR_EVER: Final = frozenset(
    {"", "长期", "永久", "长期有效", "永久有效", "永远有效", "无限期", "无期限", "无固定期限", "不限"}
)
_DAY: Final = (
    r"(?P<year>[0-9]{4})(?:(?P<m2>[0-9]{2})(?P<d2>[0-9]{2})|"
    r"\s?[-./年]\s?(?P<m>[0-9]{1,2})\s?[-./月]\s?(?P<d>[0-9]{1,2})\s?日?)"
)
_TIME: Final = (
    r"(?:[T\s]?(?P<hour>[0-9]{2})[:时]?(?P<minute>[0-9]{2})"
    r"(?:[:分]?(?P<second>[0-9]{2})秒?|分)?(?:[.,][0-9]{1,9})?\s?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_TEXT: Final = re.compile(_DAY + _TIME + r"\s?(?:止|截止|起)?", re.ASCII)


class Unreadable(ValueError):
    """A text that is neither a day nor "for ever"."""


class Validity(StrEnum):
    """How a certificate stands on a day; all but the first two are reason words."""

    IN_FORCE = "in-force"
    ENDED = "validity-ended"
    NOT_YET = "not-yet-valid"
    UNREADABLE = "validity-unreadable"


@dataclass(frozen=True, slots=True)
class Period:
    """``begins`` and ``ends``: the first and the last day in Shandong; None: no such bound."""

    begins: date | None
    ends: date | None

    def on(self, day: date) -> Validity:
        if self.ends is not None and day > self.ends:
            return Validity.ENDED
        return Validity.NOT_YET if self.begins is not None and day < self.begins else Validity.IN_FORCE


def period_of(inside: Mapping[str, str], metadata: EcertMetadata) -> Period | None:
    """As sealed in the file (``inside``), else as the source says; None if a bound cannot be read."""
    try:
        return Period(
            read_day(_stated("valid_from", inside, metadata)), read_day(_stated("valid_until", inside, metadata))
        )
    except Unreadable:
        return None


def end_of(inside: Mapping[str, str], metadata: EcertMetadata) -> date | None:
    """The last day, for what is bounded by it. None: for ever, or not to be read, which nothing rests on."""
    try:
        return read_day(_stated("valid_until", inside, metadata))
    except Unreadable:
        return None


def _stated(name: str, inside: Mapping[str, str], metadata: EcertMetadata) -> str:
    return (inside.get(name) or "").strip() or getattr(metadata, name) or ""


def validity(inside: Mapping[str, str], metadata: EcertMetadata, at: datetime) -> Validity:
    period = period_of(inside, metadata)
    return Validity.UNREADABLE if period is None else period.on(shanghai_day(at))


def read_day(text: str) -> date | None:
    """The day, of a date-time the day in Shandong; None: for ever. Raises Unreadable."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain in FOR_EVER:
        return None
    found = _TEXT.fullmatch(plain)
    if found is None:
        raise Unreadable
    part = found.groupdict()
    try:
        day = date(int(part["year"]), int(part["m2"] or part["m"]), int(part["d2"] or part["d"]))
        return _in_shandong(day, part) if part["zone"] else day
    except OverflowError:  # at an end of the calendar
        return day
    except ValueError:
        raise Unreadable from None


def _in_shandong(day: date, part: Mapping[str, str | None]) -> date:
    zone = part["zone"] or "Z"
    offset = timedelta()
    if zone != "Z":
        size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        offset = size if zone[0] == "+" else -size
    hour, minute = int(part["hour"] or 0), int(part["minute"] or 0)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=timezone(offset)).astimezone(SHANGHAI).date()
