"""Transfers that are well formed and cannot be true: said when they come, not when somebody has worked on them.

Only what is certain is a fault: an unusual age, an early consent or a change of grade is none. What was taken before is never
judged by this again. Rights over the receiving region, and which regions are the hub's, are looked at in :mod:`hub.cases`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from hub.working_days import SHANGHAI
from schemas import rules
from schemas.parsing import fault
from schemas.problems import FieldFault
from schemas.transfers import Placement, TransferRequest

CLOCKS: Final = timedelta(minutes=5)  # by so much clocks of two systems may differ, as those of signed messages may
# The highest grade that a school of a type can have. A primary school may run junior classes (附设初中班), and 31 is nine-year
# schools too; 34 is those of all twelve grades, and schools of sport and arts (36) have pupils of every age: they say nothing.
_HIGHEST_GRADE: Final = {"21": 9, "31": 9}


def implausible(request: TransferRequest, now: datetime) -> tuple[FieldFault, ...]:
    """Every fault, by JSON pointer; ``now`` is when the message came."""
    sides = (("/releasing", request.releasing), ("/receiving", request.receiving))
    return (*_dates(request, now), *(found for path, side in sides for found in _placement(path, side)))


def _dates(request: TransferRequest, now: datetime) -> Iterator[FieldFault]:
    given, submitted = request.consent.given_at, request.submitted_at
    if submitted - now > CLOCKS:
        yield fault("/submittedAt", rules.SUBMITTED_IN_FUTURE)
    if given - now > CLOCKS:
        yield fault("/consent/givenAt", rules.CONSENT_IN_FUTURE)
    elif given - submitted > CLOCKS:
        yield fault("/consent/givenAt", rules.CONSENT_AFTER_SUBMISSION)
    elif given.astimezone(SHANGHAI).date() < request.student.birth_date:
        yield fault("/consent/givenAt", rules.CONSENT_BEFORE_BIRTH)


def _placement(path: str, side: Placement) -> Iterator[FieldFault]:
    highest = _HIGHEST_GRADE.get(side.school_code[:2])
    if highest is not None and side.grade > highest:
        note = (f"至多 {highest} 年级", f"at most grade {highest}")
        yield fault(f"{path}/grade", rules.GRADE_NOT_IN_STAGE, note=note)
    if side.school_code[2:4] != side.region[:2]:
        yield fault(f"{path}/schoolCode", rules.SCHOOL_REGION_MISMATCH)
