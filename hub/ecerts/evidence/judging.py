"""What a source's answer, or its silence, means for one document. The same for the first call and for those that follow it up."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol

from pydantic_core import from_json, to_json

from adapters.contract import (
    AdapterError,
    EcertDocument,
    EcertStanding,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PersonAnswer,
)
from certs.ofd.metadata import read_ecert_fields
from certs.render import report_to_json
from hub.deliveries.breaker import Sign
from hub.deliveries.model import Word
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence.planning import Question
from hub.ecerts.expressions import CONDITION_UNMET
from hub.ecerts.solver import Standing
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, EnrolmentRecord, PersonMatch
from schemas.transfers import EvidenceState

# what a source's refusal means; every other word: the person hands the document in otherwise
BY_NOTICE: Final = "revoked-by-notice"
AFTER_ANSWER: Final = "revoked-after-answer"
REFUSED_AS: Final = {
    "not-found": Standing.NO_MATCH,
    "revoked": Standing.REVOKED,
    "expired": Standing.EXPIRED,
    "suspended": Standing.SUSPENDED,
    "not-activated": Standing.PENDING,
    "type-unpublished": Standing.NO_SOURCE,
}
Held = EcertDocument | PersonAnswer | EnrolmentRecord  # what an answer can rest on
HELD: Final = (EcertDocument, PersonAnswer, EnrolmentRecord)
_STATUS_AS: Final = {
    EcertStatus.REVOKED: Standing.REVOKED,
    EcertStatus.EXPIRED: Standing.EXPIRED,
    EcertStatus.SUSPENDED: Standing.SUSPENDED,
}
_DATES: Final = ("issued_on", "valid_from", "valid_until")
# eight digits, or parts set apart: 2020111 may be two days
_DATE: Final = re.compile(
    r"(?:([0-9]{4})([0-9]{2})([0-9]{2})|([0-9]{4})[-./年]([0-9]{1,2})[-./月]([0-9]{1,2})日?)", re.ASCII
)
_DAY: Final = re.compile(r"([0-9]{4})\D?([0-9]{1,2})\D?([0-9]{1,2})\D?", re.ASCII)


class Notices(Protocol):
    """Extension notices: which one deems a certificate valid although it ran out."""

    def deemed_valid(self, ecert_type: str, region: str, expired_on: date, at: datetime) -> str | None: ...

    def cover(self, ecert_type: str, region: str, at: datetime) -> bool: ...


@dataclass(frozen=True, slots=True)
class Made:
    """A call as the endpoint's health sees it: when, how it ended (as an attempt would), and what that says of the endpoint."""

    began: datetime
    ended: datetime
    word: Word
    sign: Sign


@dataclass(frozen=True, slots=True)
class Sealed:
    """An answer as its row keeps it. ``identifier_index``: by which notices know the certificate."""

    content_sha256: str
    document_sealed: bytes
    identifier_index: str | None


@dataclass(frozen=True, slots=True)
class Got:
    """One document after it was asked for. ``ask_again``: a later answer may be another one."""

    standing: Standing
    reason: str | None = None
    notice: str | None = None
    ask_again: bool = False
    answer: Canonical | None = None  # EcertDocument, PersonAnswer or EnrolmentRecord, where it may be relied on
    report: str | None = None  # JSON
    checked_at: datetime | None = None
    reused: bool = False  # a document that was kept; its status was asked again
    made: Made | None = None  # None: the endpoint was not called, or a delivery called it
    sealed: Sealed | None = None  # of ``answer``
    keep: Mapping[str, object] | None = None  # the row that keeps it for further requests, where that is allowed


@dataclass(frozen=True, slots=True)
class Judge:
    """Used by all threads; works with no transaction open."""

    checker: EcertChecker
    notices: Notices

    def to_ask(self, question: Question, region: str, at: datetime) -> Canonical:
        """What the source is asked. A certificate that ran out is fetched only where a notice may deem it valid."""
        asked = question.asked
        if isinstance(asked, EcertQuery) and self.notices.cover(question.document.type, region, at):
            return asked.model_copy(update={"expired_too": True})
        return asked

    def answered(self, question: Question, answer: Canonical, region: str, at: datetime) -> Got:
        match answer:
            case EcertDocument():
                return self._ecert(question, answer, region, at)
            case PersonAnswer():
                if answer.match is PersonMatch.MATCHED:
                    return Got(Standing.HELD, answer=answer, checked_at=at)
                return Got(Standing.NO_MATCH, f"person-{answer.match.value}", checked_at=at)
            case EnrolmentRecord():
                return _enrolment(question, answer, at)
        raise TypeError(f"no evidence: {type(answer).__name__}")

    def _ecert(self, question: Question, document: EcertDocument, region: str, at: datetime) -> Got:
        query = question.body
        if not isinstance(query, EcertQuery):
            raise TypeError(f"{question.document} is no certificate")
        # a certificate that only ran out may be deemed valid: its status is judged below, not by the checker
        expired = document.status is EcertStatus.EXPIRED
        checked = document.model_copy(update={"status": EcertStatus.VALID}) if expired else document
        verdict = self.checker.check(checked, query, at)
        report = to_json(report_to_json(verdict.report)).decode()
        if verdict.retry:
            return Got(Standing.PENDING, verdict.reason, ask_again=True, report=report, checked_at=at)
        if verdict.state is not EvidenceState.SATISFIED:
            standing = _STATUS_AS.get(document.status, Standing.NOT_VERIFIED)
            return Got(standing, verdict.reason, report=report, checked_at=at)
        unmet = question.condition.unmet(verdict.inside) if question.condition is not None else None
        if unmet is not None:  # before its end: a renewed one would not count either
            standing = Standing.NO_MATCH if unmet == CONDITION_UNMET else Standing.NOT_VERIFIED
            return Got(standing, unmet, report=report, checked_at=at)
        ended = end_of(document, verdict.inside)
        if not expired and (ended is None or shanghai_day(at) <= ended):
            return Got(Standing.HELD, answer=document, report=report, checked_at=at)
        notice = self.notices.deemed_valid(question.document.type, region, ended, at) if ended is not None else None
        if notice is None:
            return Got(Standing.EXPIRED, "expired", report=report, checked_at=at)
        return Got(Standing.DEEMED_VALID, "expired", notice, answer=document, report=report, checked_at=at)

    def failed(self, error: AdapterError, at: datetime) -> Got:
        match error:
            case PeerRefused(code=code):
                standing = REFUSED_AS.get(code, Standing.ASK_THE_PERSON)
                return Got(standing, f"source-{code}"[:100], checked_at=at)
            case OutcomeUnknown(code=code) | PeerMisconfigured(code=code):
                return Got(Standing.UNREACHABLE, code[:100], ask_again=True, checked_at=at)
        return Got(_waiting(error.code), error.code[:100], ask_again=True, checked_at=at)


def _waiting(code: str) -> Standing:
    """It answered that it cannot now: pending. It did not answer at all: unreachable."""
    unreachable = code.startswith(("connect", "tls-", "name-", "timeout", "token-awaited", "unreachable", "http-5"))
    return Standing.UNREACHABLE if unreachable else Standing.PENDING


def _enrolment(question: Question, record: EnrolmentRecord, at: datetime) -> Got:
    if record.id_number != question.holder.code:
        return Got(Standing.NOT_VERIFIED, "enrolment-number-mismatch", checked_at=at)
    if record.student_name != question.holder.name:
        return Got(Standing.NO_MATCH, "student-name-mismatch", checked_at=at)
    return Got(Standing.HELD, answer=record, checked_at=at)


def same_certificate(kept: EcertMetadata, now: EcertStanding) -> bool:
    """Whether what was kept is still the one that the source would hand out, and valid."""
    return (
        now.status is EcertStatus.VALID and kept.identifier is not None and kept.identifier == now.metadata.identifier
    )


def days_of(values: Mapping[str, str]) -> dict[str, date]:
    """Those of these fields that are days and can be read in one way only."""
    found = ((name, _DATE.fullmatch(values[name].strip())) for name in _DATES if name in values)
    days = {}
    for name, match in found:
        if match is not None:
            with contextlib.suppress(ValueError):  # 30 February
                days[name] = date(*(int(part) for part in match.groups() if part is not None))
    return days


def end_of(document: EcertDocument, inside: Mapping[str, str]) -> date | None:
    """The last day of validity: as sealed in the file (``inside``), else as the source says. None: for ever, or not to be read."""
    text = inside.get("valid_until") or document.metadata.valid_until or ""
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return date(*(int(part) for part in found.groups()))
    except ValueError:
        return None


# --- as it is sealed ------------------------------------------------------------------------------------------------------


def to_bytes(answer: Canonical) -> bytes:
    """A line of JSON; the file of a certificate follows it."""
    if isinstance(answer, EcertDocument):
        values = answer.model_dump(mode="json", by_alias=False, exclude={"content"})
        return to_json({"ecert": values}) + b"\n" + answer.content
    name = "person" if isinstance(answer, PersonAnswer) else "enrolment"
    return to_json({name: answer.model_dump(mode="json", by_alias=False)})


def from_bytes(data: bytes) -> Held:
    line, _, content = data.partition(b"\n")
    ((name, values),) = from_json(line).items()
    if name == "ecert":
        if "content" in values:  # as it was sealed before there was a second part
            content = base64.b64decode(values["content"])
        return EcertDocument.model_validate({**values, "content": content})
    return (PersonAnswer if name == "person" else EnrolmentRecord).model_validate(values)


def fields_of(answer: Held) -> dict[str, str]:
    """Every field by its canonical name: of a certificate, only what is sealed in the file, because only that was checked."""
    if isinstance(answer, EcertDocument):
        return read_ecert_fields(answer.content)
    values = answer.model_dump(mode="json", by_alias=False, exclude_none=True)
    return {name: str(value) for name, value in values.items()}


def content_digest(answer: Canonical) -> str:
    return hashlib.sha256(answer.content if isinstance(answer, EcertDocument) else to_bytes(answer)).hexdigest()


def type_code_of(document_type: str) -> str | None:
    kind = ecert_types().get(document_type)
    return None if kind is None else kind.code
