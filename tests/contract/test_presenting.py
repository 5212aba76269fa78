"""What every adapter owes whose library issues codes that holders show: asked once, agreed to, fetched by the transaction alone."""

from __future__ import annotations

import itertools
import time
from typing import cast

import pytest

from adapters import samples
from adapters.contract import (
    Adapter,
    Capability,
    Deadline,
    OutcomeUnknown,
    PeerRefused,
    PresentationAsker,
    PresentationBeginner,
    PresentationBegun,
    PresentationRequest,
    PresentationState,
    PresentedFetcher,
    PresentedQuery,
    RetryLater,
)
from adapters.population import family
from adapters.simulation_faults import Mode
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertStatus, UseCause
from tests.contract.conftest import Subject
from tests.contract.test_adapter_contract import AMPLE_S, LIMIT_S, failure

CARD, DEGREE = ecert_types()["id-card"].code, ecert_types()["degree"].code
NUMBER = family(samples.REGION, samples.STUDENT).guardian.id_number
CAUSE = UseCause(case_id="c-1", item_code="370105001001", item_name="教师资格认定", purpose="teacher-qualification",
                 system_name="枢纽", legal_basis="authorization:pres_1")  # fmt: skip
_codes = itertools.count(1)


@pytest.fixture
def library(subject: Subject, adapter: Adapter) -> Adapter:
    needed = {Capability.BEGIN_PRESENTATION, Capability.PRESENTATION_STATUS, Capability.FETCH_PRESENTED}
    declared = needed & subject.manifest.capabilities
    if not declared:
        pytest.skip("no code of its library is shown")
    assert declared == needed, "one is of no use without the others"
    return adapter


def request(word: str = "PERSON") -> PresentationRequest:
    return PresentationRequest(
        shown_code=f"{word}:{NUMBER}#contract-{next(_codes)}", type_codes=(CARD,), use_cause=CAUSE
    )


def begin(library: Adapter, asked: PresentationRequest, seconds: float = AMPLE_S) -> PresentationBegun:
    return cast(PresentationBeginner, library).begin_presentation(asked, Deadline.after(seconds))


def state(library: Adapter, begun: PresentationBegun) -> PresentationState:
    return cast(PresentationAsker, library).presentation_status(begun, Deadline.after(AMPLE_S)).state


def answered(library: Adapter, begun: PresentationBegun) -> PresentationState:
    end = time.monotonic() + AMPLE_S
    while (found := state(library, begun)) is PresentationState.PENDING:
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def fetch(library: Adapter, begun: PresentationBegun, type_code: str = CARD) -> object:
    query = PresentedQuery(reference=begun.reference, type_code=type_code, use_cause=CAUSE)
    return cast(PresentedFetcher, library).fetch_presented(query, Deadline.after(AMPLE_S))


def test_what_was_agreed_to_is_fetched_and_nothing_else(library: Adapter) -> None:
    begun = begin(library, request())
    assert state(library, begun) is PresentationState.PENDING
    early = failure(lambda: fetch(library, begun))
    assert (type(early), early.code) == (PeerRefused, "no-permission")
    assert answered(library, begun) is PresentationState.AUTHORIZED
    document = cast(PresentedFetcher, library).fetch_presented(
        PresentedQuery(reference=begun.reference, type_code=CARD, use_cause=CAUSE), Deadline.after(AMPLE_S)
    )
    assert (document.metadata.holder_code, document.status) == (NUMBER, EcertStatus.VALID)
    assert document.metadata.type_code == CARD
    other = failure(lambda: fetch(library, begun, DEGREE))
    assert (type(other), other.code) == (PeerRefused, "no-permission")


def test_who_says_no_has_said_no(library: Adapter) -> None:
    begun = begin(library, request("DENY"))
    assert answered(library, begun) is PresentationState.FAILED
    assert type(failure(lambda: fetch(library, begun))) is PeerRefused


@pytest.mark.parametrize(("word", "code"), [("LATE", "expired"), ("NOBODY", "not-found")])
def test_a_code_that_is_not_taken(library: Adapter, word: str, code: str) -> None:
    asked = request(word)
    error = failure(lambda: begin(library, asked))
    assert (type(error), error.code) == (PeerRefused, code)
    assert asked.shown_code not in f"{error}{error!r}"


def test_a_transaction_that_the_library_does_not_know(library: Adapter) -> None:
    for reference in ("invented", "trx:invented"):
        begun = PresentationBegun(reference=reference)
        assert type(failure(lambda begun=begun: state(library, begun))) is PeerRefused  # type: ignore[misc]
        assert type(failure(lambda begun=begun: fetch(library, begun))) is PeerRefused  # type: ignore[misc]


@pytest.mark.parametrize("mode", [Mode.HANG_BEFORE, Mode.RESET, Mode.HANG_AFTER, Mode.RESET_AFTER, Mode.TRUNCATED])
def test_whether_the_holder_was_asked_is_unknown_and_nobody_asks_twice(
    subject: Subject, library: Adapter, mode: Mode
) -> None:
    begin(library, request())  # a token, where one is needed, is there: the next thing sent is the code
    before = len(subject.simulator.requests())
    subject.simulator.fail(mode, times=1)
    assert type(failure(lambda: begin(library, request(), LIMIT_S))) is OutcomeUnknown
    assert len(subject.simulator.requests()) == before + 1


def test_told_to_wait_nobody_was_asked(subject: Subject, library: Adapter) -> None:
    begin(library, request())
    asked = request()
    subject.simulator.fail(Mode.STATUS_503_RETRY_AFTER, times=1, retryAfter=3)
    assert type(failure(lambda: begin(library, asked))) is RetryLater
    assert begin(library, asked), "the code is as good as before"


def test_code_and_transaction_hide_themselves() -> None:
    asked = request()
    assert asked.shown_code not in repr(asked)
    assert "secret" not in repr(PresentationBegun(reference="secret"))
    assert "secret" not in repr(PresentedQuery(reference="secret", type_code=CARD, use_cause=CAUSE))
