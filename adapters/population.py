"""Synthetic students, guardians and schools for simulators, tests and the demo: the same for the same seed, everywhere.

Nobody here is real: the ID numbers begin with 3798 or 3799, divisions that do not exist and never did, with right check characters.
Names hold what real registries hold: rare characters outside GB 2312 and outside the BMP, and names with a middle dot.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from schemas.ecerts import EnrolmentRecord, EnrolmentStatus
from schemas.fields import IdType, Sex
from schemas.numbers import assign_resident_id
from schemas.regions import REGIONS
from schemas.transfers import Consent, Guardian, GuardianRelation, Placement, Student, TransferRequest

STUDENTS: Final = 10_000  # of each county
_NO_DIVISION: Final = {code: str(379800 + number) for number, code in enumerate(REGIONS.by_code)}
_REGION_OF: Final = {division: code for code, division in _NO_DIVISION.items()}
_ORDERS, _DAYS = 499, 17  # order numbers for each sex; days of the year that share an order number
SCHOOL_YEAR: Final = 2026  # grades are those of the year that begins in this autumn

_SURNAMES: Final = (*"王李张刘陈杨赵黄周吴徐孙马胡朱郭何罗高林郑梁谢宋唐许韩冯邓曹彭曾", "欧阳", "司马")
_GIVEN: Final = (
    "子轩", "梓涵", "浩然", "欣怡", "宇航", "诗涵", "俊杰", "雨桐", "博文", "佳怡", "天佑", "思远",
    "明哲", "若曦", "嘉懿", "煜城", "懿轩", "烨伟", "雪怡", "文博", "晓彤", "建国", "秀英", "志强",
)  # fmt: skip
_PARENTS: Final = (*"伟芳娜敏静强磊军洋勇艳杰涛明超霞平刚", "桂英")
# GBK lacks the first, GB 2312 most, the BMP three; a middle dot stands in names of other peoples of China.
RARE_NAMES: Final = ("䶮子轩", "𠮷田光", "王㛃", "李𬭎", "赵堃喆", "陈\U00030edd", "古丽米热·买买提", "邓镕")

_SCHOOLS: Final = (
    ("21", "实验小学", 1, 6),
    ("21", "第二小学", 1, 6),
    ("31", "第一初级中学", 7, 9),
    ("34", "第一中学", 10, 12),
)
_STATUSES: Final = {7: EnrolmentStatus.SUSPENDED, 13: EnrolmentStatus.DISCIPLINE, 18: EnrolmentStatus.GRADUATING}

_WHY_NOT: Final = {
    EnrolmentStatus.SUSPENDED: "该生处于休学状态, 不予转学",
    EnrolmentStatus.DISCIPLINE: "该生处于处分期, 不予转学",
    EnrolmentStatus.GRADUATING: "毕业年级不予转学",
    EnrolmentStatus.LEFT: "该生已离校",
}


@dataclass(frozen=True, slots=True)
class School:
    """A school and the grades that it has."""

    code: str
    name: str
    region: str
    first_grade: int
    last_grade: int

    def placement(self, grade: int, class_name: str | None = None) -> Placement:
        return Placement(
            region=self.region, school_code=self.code, school_name=self.name, grade=grade, class_name=class_name
        )


@dataclass(frozen=True, slots=True)
class Family:
    """One student with a guardian, enrolled at a school."""

    index: int
    student: Student
    guardian: Guardian
    school: School
    grade: int
    status: EnrolmentStatus

    @property
    def why_not(self) -> str | None:
        """Why the student may not transfer now, in a registry's words; None if nothing is in the way."""
        return _WHY_NOT.get(self.status)

    @property
    def record(self) -> EnrolmentRecord:
        """The record as the school's registry keeps it."""
        return EnrolmentRecord(
            enrolment_number=self.student.enrolment_number,
            student_name=self.student.name,
            id_number=self.student.id_number,
            school_code=self.school.code,
            grade=self.grade,
            status=self.status,
            entry_month=f"{SCHOOL_YEAR - self.grade + self.school.first_grade}09",
            ethnicity_code="01",
            day_or_boarding="1",
        )


def schools(region: str) -> tuple[School, ...]:
    """Four schools of a county or zone: two primary, one junior high, one senior high."""
    name = REGIONS.get(region).name
    return tuple(
        School(f"{kind}37{region[2:]}{number:02d}", f"{name}{title}", region, first, last)
        for number, (kind, title, first, last) in enumerate(_SCHOOLS, start=1)
    )


def family(region: str, index: int, *, seed: int = 1) -> Family:
    """Student number ``index`` (0 to 9999) of a county. Of every 20, numbers 7, 13 and 18 may not transfer (see ``status``)."""
    if not 0 <= index < STUDENTS:
        raise ValueError("a county has students 0 to 9999")
    chance = random.Random(f"{seed}/{region}/{index}")  # noqa: S311 - it must be foreseeable
    school = schools(region)[index % 4]
    grade = chance.randint(school.first_grade, school.last_grade)
    status = _STATUSES.get(index % 20, EnrolmentStatus.ENROLLED)
    if status is EnrolmentStatus.GRADUATING:
        grade = school.last_grade
    born = _born(SCHOOL_YEAR - 6 - grade, index, chance)
    mother = chance.random() < 0.5
    surname = chance.choice(_SURNAMES)
    name = RARE_NAMES[index // 9 % len(RARE_NAMES)] if index % 9 == 4 else surname + chance.choice(_GIVEN)
    male = chance.random() < 0.5
    student_id = _id_number(region, born, index, male)
    guardian_born = _born(born.year - chance.randint(24, 38), index, chance)
    return Family(
        index,
        Student(
            name=name,
            id_type=IdType.RESIDENT_ID,
            id_number=student_id,
            enrolment_number=f"G{student_id}",
            sex=Sex.MALE if male else Sex.FEMALE,
            birth_date=born,
            household_region=region,
        ),
        Guardian(
            name=(chance.choice(_SURNAMES) if mother else surname) + chance.choice(_PARENTS),
            relation=GuardianRelation.MOTHER if mother else GuardianRelation.FATHER,
            id_number=_id_number(region, guardian_born, index, not mother),
            phone=f"1990000{index:04d}",
        ),
        school,
        grade,
        status,
    )


def find_family(id_number: str, *, seed: int = 1) -> Family | None:
    """The family of which this is the student's or the guardian's ID number; None for a stranger."""
    region = _REGION_OF.get(id_number[:6])
    try:
        born, order = date.fromisoformat(id_number[6:14]), int(id_number[14:17])
    except ValueError:
        return None
    begins = date(born.year if born.month >= 9 else born.year - 1, 9, 1)
    index = (born - begins).days // _DAYS * _ORDERS + (order - 1) // 2  # see _born and _id_number
    if region is None or not 0 <= index < STUDENTS:
        return None
    found = family(region, index, seed=seed)
    return found if id_number in (found.student.id_number, found.guardian.id_number) else None


def _born(year: int, index: int, chance: random.Random) -> date:
    """A day of the school year that begins in ``year``; students who share an order number never share a day."""
    return date(year, 9, 1) + timedelta(days=index // _ORDERS * _DAYS + chance.randrange(_DAYS))


def _id_number(region: str, born: date, index: int, male: bool) -> str:
    """Unique without a table: the county stands in the division, the index in the day and the order number."""
    return assign_resident_id(_NO_DIVISION[region], born, 2 * (index % _ORDERS) + (1 if male else 2))


def transfer(
    message_id: str,
    releasing_region: str,
    index: int,
    receiving_region: str,
    *,
    submitted_at: datetime | None = None,
    seed: int = 1,
) -> TransferRequest:
    """A transfer of that student to the school of the same kind in the other county (in the same county: the next one)."""
    moving = family(releasing_region, index, seed=seed)
    same_kind = [
        school for school in schools(receiving_region) if school.first_grade <= moving.grade <= school.last_grade
    ]
    target = next((school for school in same_kind if school.code != moving.school.code), None)
    if target is None:  # a county has one junior and one senior high school here
        own = same_kind[0]
        target = School(f"{own.code[:8]}99", f"{own.name}东校区", own.region, own.first_grade, own.last_grade)
    now = submitted_at or datetime.now(UTC)
    return TransferRequest(
        message_id=message_id,
        student=moving.student,
        guardian=moving.guardian,
        releasing=moving.school.placement(moving.grade, "1班"),
        receiving=target.placement(moving.grade),
        reason="监护人工作调动, 随迁就读",
        consent=Consent(given_at=now - timedelta(hours=1), reference=f"TY-{message_id}"),
        submitted_at=now,
    )
