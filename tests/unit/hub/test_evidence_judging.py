"""What a certificate that came means, by what its check found: its validity as sealed, and its status at the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pytest

from adapters.contract import EcertDocument
from certs.policy import load_policy
from certs.trust import TrustStore
from certs.verify import Fetchers, verify
from hub.deliveries.model import Kind
from hub.ecerts.authorizations import model as m
from hub.ecerts.check import EcertVerdict
from hub.ecerts.entries import Evidence
from hub.ecerts.evidence.judging import Judge
from hub.ecerts.evidence.planning import Question
from hub.ecerts.solver import Standing
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause
from schemas.transfers import EvidenceState

AT = datetime(2026, 9, 1, tzinfo=UTC)
REPORT = verify(b"none", policy=load_policy("strict"), at=AT, trust=TrustStore(), fetchers=Fetchers())
QUERY = EcertQuery(
    type_code="t", holder_code="x", holder_code_type="111", holder_name="n",
    use_cause=UseCause(case_id="c", item_code="i", item_name="i", purpose="p", system_name="s", legal_basis="b"),
)  # fmt: skip
HOLDER = m.Holder.model_construct(name="n", code_type="111", code="x")
QUESTION = Question(Evidence("degree"), "library", Kind.EVIDENCE_ECERT, HOLDER, QUERY)


@dataclass(frozen=True)
class Found:
    """A checker that found this."""

    reason: str | None = None
    inside: Mapping[str, str] = field(default_factory=dict)

    def check(self, document: EcertDocument, query: EcertQuery, at: datetime) -> EcertVerdict:
        state = EvidenceState.SATISFIED if self.reason is None else EvidenceState.REFUSED
        return EcertVerdict(state, self.reason, REPORT, inside=self.inside)


@dataclass(frozen=True)
class NoNotices:
    def deemed_valid(self, ecert_type: str, region: str, expired_on: date, at: datetime) -> str | None:
        return None

    def cover(self, ecert_type: str, region: str, at: datetime) -> bool:
        return True


def judged(found: Found, *, status: EcertStatus = EcertStatus.VALID, **metadata: str) -> tuple[str, str | None, bool]:
    document = EcertDocument(
        content=b"x", media_type="application/ofd", metadata=EcertMetadata(type_code="t", **metadata), status=status
    )
    got = Judge(found, NoNotices()).answered(QUESTION, document, "370102", AT)  # type: ignore[arg-type]
    assert not got.ask_again
    assert (got.answer is not None) == (got.standing is Standing.HELD)
    return got.standing.value, got.reason, got.answer is not None


@pytest.mark.parametrize(
    "text", ["2020-12-31 23:59:59", "2020-12-31T23:59:59", "20201231235959", "2020年12月31日止", "2020-12-31"]
)
def test_what_ended_is_expired_however_its_end_is_written(text: str) -> None:
    assert judged(Found(inside={"valid_until": text})) == ("expired", "expired", False)
    assert judged(Found(), valid_until=text) == ("expired", "expired", False)


def test_an_end_that_cannot_be_read_is_not_for_ever() -> None:
    for inside in ({"valid_until": "见背面"}, {"valid_from": "某日"}, {"valid_until": "2020-02-30"}):
        assert judged(Found(inside=inside)) == ("not-verified", "validity-unreadable", False)
    for text in ("长期", "永久", "", "2026-09-01"):
        assert judged(Found(inside={"valid_until": text})) == ("held", None, True)


def test_before_its_first_day_a_certificate_is_not_relied_on() -> None:
    assert judged(Found(), valid_from="2030-01-01") == ("pending-at-the-issuer", "not-yet-valid", False)
    assert judged(Found(), valid_from="2026-09-01") == ("held", None, True)


@pytest.mark.parametrize("status", [EcertStatus.EXPIRED, EcertStatus.REVOKED, EcertStatus.VALID])
@pytest.mark.parametrize("reason", ["hash-failure", "sig-crypto-failure", "indeterminate-no-poe", "holder-mismatch"])
def test_a_file_that_may_not_be_relied_on_proves_no_status(status: EcertStatus, reason: str) -> None:
    assert judged(Found(reason), status=status) == ("not-verified", reason, False)


def test_a_status_counts_where_the_seal_held() -> None:
    assert judged(Found("status-revoked"), status=EcertStatus.REVOKED) == ("revoked", "status-revoked", False)
    assert judged(Found("status-suspended"), status=EcertStatus.SUSPENDED)[0] == "suspended"
    assert judged(Found(), status=EcertStatus.EXPIRED, valid_until="2020-01-01") == ("expired", "expired", False)
