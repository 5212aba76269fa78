"""How a presentation stands at any time, and what a request for one may hold."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.contract import ShownKind
from hub.ecerts.presentations.library import _reason
from hub.ecerts.presentations.model import FiledRequest, Presented, Shown, State, presentation_of, standing
from schemas.evidence import EvidenceRequest

NOW = datetime(2026, 9, 1, tzinfo=UTC)
STORED = (State.BEGINNING, State.PENDING, State.AUTHORIZED, State.DENIED, State.REFUSED, State.OUTCOME_UNKNOWN,
          State.NOT_BEGUN)  # fmt: skip
EARLIER, LATER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)


def stands(**changes: Any) -> State:
    values: dict[str, Any] = {"kind": ShownKind.AUTHORIZATION_CODE, "state": State.PENDING, "owned_until": LATER,
                              "expires_at": LATER, "use_until": None, "used": False, "revoked": False}  # fmt: skip
    return standing(**{**values, **changes}, now=NOW)


def test_every_combination_is_some_state_and_only_one_may_be_used() -> None:
    times, flags = (EARLIER, NOW, LATER), (False, True)
    for kind, state, owned, expires, until, used, revoked in itertools.product(
        ShownKind, STORED, times, times, (None, *times), flags, flags
    ):
        found = stands(
            kind=kind, state=state, owned_until=owned, expires_at=expires, use_until=until, used=used, revoked=revoked
        )
        usable = state is State.AUTHORIZED and until == LATER and not used and not revoked
        assert (found is State.AUTHORIZED) == usable
        if revoked:
            assert found is State.REVOKED
        elif used:
            assert found is State.USED
        elif state in (State.DENIED, State.REFUSED, State.OUTCOME_UNKNOWN, State.NOT_BEGUN):
            assert found is state, "what has ended stays as it ended"


def test_what_a_dead_process_left_is_clear() -> None:
    assert stands(state=State.BEGINNING) is State.BEGINNING
    assert stands(state=State.BEGINNING, owned_until=NOW) is State.OUTCOME_UNKNOWN
    assert stands(state=State.BEGINNING, owned_until=NOW, kind=ShownKind.ECERT) is State.NOT_BEGUN


@pytest.mark.parametrize("key", ["enrolment-record", "identity-check", "no-such-type"])
def test_only_certificates_can_be_shown(key: str) -> None:
    with pytest.raises(ValidationError):
        Shown.model_validate({"ecertTypes": [key], "purpose": "x", "region": "370102"})


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        ("not-found", ShownKind.AUTHORIZATION_CODE, "unknown"),
        ("bad-value", ShownKind.ECERT, "unknown"),
        ("expired", ShownKind.AUTHORIZATION_CODE, "expired"),
        ("expired", ShownKind.ECERT, "library-expired"),  # the certificate, not the code
        ("restricted", ShownKind.ECERT, "library-restricted"),
        ("x" * 300, ShownKind.ECERT, "library-" + "x" * 92),
    ],
)
def test_the_librarys_words(code: str, kind: ShownKind, word: str) -> None:
    assert _reason(code, kind) == word


def test_a_filed_request_is_the_request_and_hides_the_transaction() -> None:
    request = EvidenceRequest.model_validate(
        {"messageId": "m", "itemCode": "370105001001", "region": "370102", "caseReference": "c", "purpose": "p",
         "basis": {"kind": "authorization", "reference": "pres_1"}, "answer": "fields"}
    )  # fmt: skip
    shown = Presented(presentation_id="pres_1", endpoint_id="library", reference="trx:secret")
    filed = FiledRequest.model_construct(**dict(request), presented=(shown,))
    assert FiledRequest.model_validate_json(filed.model_dump_json()) == filed
    assert FiledRequest.model_validate_json(request.model_dump_json()).presented == (), "rows of before can be opened"
    assert presentation_of(filed, "pres_1") == shown
    assert presentation_of(filed, "auth_1") is None
    assert presentation_of(request, "pres_1") is None
    assert "secret" not in repr(filed)
