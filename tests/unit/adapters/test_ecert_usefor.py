"""The UseFor dialect against its simulator: every type, every state, authorization codes, and what the dialect does not have."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import (
    Capability,
    Deadline,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PresentationRequest,
    PresentationState,
    PresentedQuery,
    ShownKind,
)
from adapters.ecert_usefor import simulator
from adapters.ecert_usefor.client import EcertUsefor
from adapters.holdings import organisation
from adapters.population import family
from adapters.simulator_process import SimulatorProcess
from certs.ofd.metadata import read_ecert_fields
from certs.report import Indication
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, EcertStatus, UseCause
from tests.unit.adapters.sealed_files import judge

KEY = "useforkey1"
REGION = "370202"
CAUSE = UseCause(
    case_id="c-1", item_code=None, item_name="转学", purpose="转学", system_name="枢纽", legal_basis="TY-1"
)
ORGANISATIONS = {"business-licence", "private-school-licence"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usefor")


@pytest.fixture(scope="module")
def library(keys: Path) -> Iterator[SimulatorProcess]:
    arguments = ["--app-key", KEY, "--keys", str(keys), "--export-anchors", str(keys / "anchors")]
    with SimulatorProcess("adapters.ecert_usefor.simulator", [*arguments, "--authorize-after", "0.2"]) as process:
        yield process


@pytest.fixture
def adapter(library: SimulatorProcess) -> Iterator[EcertUsefor]:
    library.fail("none")
    made = EcertUsefor(simulator.endpoint(library.url, KEY))
    yield made
    made.close()


def soon() -> Deadline:
    return Deadline.after(10)


def query(index: int, key: str = "degree") -> EcertQuery:
    holder = organisation(REGION, index)
    guardian = family(REGION, index).guardian
    of_organisation = key in ORGANISATIONS
    return EcertQuery(
        type_code=ecert_types()[key].code,
        holder_code=holder.code if of_organisation else guardian.id_number,
        holder_code_type="001" if of_organisation else "111",
        holder_name=holder.name if of_organisation else guardian.name,
        use_cause=CAUSE,
    )


@pytest.mark.parametrize("key", sorted(ecert_types()))
def test_every_type_is_fetched_sealed_and_says_inside_what_the_library_says(
    adapter: EcertUsefor, keys: Path, key: str
) -> None:
    asked = query(1, key)
    document = adapter.fetch_ecert(asked, soon())
    assert document.status is EcertStatus.VALID
    assert judge(document.content, keys) == (Indication.PASSED, None)
    inside = read_ecert_fields(document.content)
    said = (document.metadata.holder_code, document.metadata.number, document.metadata.type_code)
    assert (inside["holder_code"], inside["number"], inside["type_code"]) == said
    assert (inside["holder_code"], inside["holder_name"]) == (asked.holder_code, asked.holder_name)


@pytest.mark.parametrize(
    ("index", "word"),
    [(43, "revoked"), (45, "restricted"), (46, "not-found"), (48, "suspended"), (49, "not-activated")],
)
def test_states_at_the_source_are_refusals_with_their_word(adapter: EcertUsefor, index: int, word: str) -> None:
    for ask in (adapter.fetch_ecert, adapter.ecert_status):
        with pytest.raises(PeerRefused) as refused:
            ask(query(index), soon())
        assert refused.value.code == word


def test_one_that_ran_out_is_brought_with_its_date_where_it_is_wanted(adapter: EcertUsefor) -> None:
    asked = query(44, "id-card")
    for ask in (adapter.fetch_ecert, adapter.ecert_status):
        with pytest.raises(PeerRefused, match="expired"):
            ask(asked, soon())
    document = adapter.fetch_ecert(asked.model_copy(update={"expired_too": True}), soon())
    assert document.status is EcertStatus.EXPIRED
    assert (document.metadata.valid_until or "").startswith("2022-")
    assert read_ecert_fields(document.content)["valid_until"] == document.metadata.valid_until


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (40, Indication.INDETERMINATE),  # sealed by an authority that nobody trusts
        (41, Indication.FAILED),  # altered after sealing
        (42, Indication.PASSED),  # rightly sealed, and somebody else's
    ],
)
def test_spoilt_files_are_told_by_their_verification(
    adapter: EcertUsefor, keys: Path, index: int, expected: Indication
) -> None:
    document = adapter.fetch_ecert(query(index), soon())
    assert judge(document.content, keys)[0] is expected
    same = read_ecert_fields(document.content)["holder_code"] == query(index).holder_code
    assert same is (index != 42)


def test_refusals_of_the_question(adapter: EcertUsefor, library: SimulatorProcess) -> None:
    asked = query(1)
    for changes, word in (
        ({"type_code": "11100000000013127D999"}, "type-unpublished"),
        ({"holder_code": "379800201501010011"}, "not-found"),
        ({"number": "another"}, "not-found"),
    ):
        with pytest.raises(PeerRefused) as refused:
            adapter.fetch_ecert(asked.model_copy(update=changes), soon())
        assert refused.value.code == word
    with pytest.raises(PeerMisconfigured, match="authentication-failed"):
        EcertUsefor(simulator.endpoint(library.url, "another")).probe(soon())


# --- authorization codes --------------------------------------------------------------------------------------------------


def shown(code: str, kind: ShownKind = ShownKind.AUTHORIZATION_CODE) -> PresentationRequest:
    return PresentationRequest(kind=kind, shown_code=code, type_codes=(query(2).type_code,), use_cause=CAUSE)


def answered(adapter: EcertUsefor, code: str) -> tuple[str, PresentationState]:
    begun = adapter.begin_presentation(shown(code), soon())
    assert adapter.presentation_status(begun, soon()).state is PresentationState.PENDING
    while (state := adapter.presentation_status(begun, soon()).state) is PresentationState.PENDING:
        time.sleep(0.05)
    return begun.reference, state


def presented(reference: str, key: str = "degree") -> PresentedQuery:
    return PresentedQuery(reference=reference, type_code=ecert_types()[key].code, use_cause=CAUSE)


def test_a_code_opens_what_it_was_shown_for_once(adapter: EcertUsefor) -> None:
    code = f"PERSON:{query(2).holder_code}"
    reference, state = answered(adapter, code)
    assert state is PresentationState.AUTHORIZED
    assert adapter.fetch_presented(presented(reference), soon()) == adapter.fetch_ecert(query(2), soon())
    for other in (presented(reference, "diploma"), presented("invented")):
        with pytest.raises(PeerRefused):
            adapter.fetch_presented(other, soon())
    with pytest.raises(PeerRefused, match="code-used"):
        adapter.begin_presentation(shown(code), soon())


def test_a_person_says_no(adapter: EcertUsefor) -> None:
    reference, state = answered(adapter, f"DENY:{query(2).holder_code}")
    assert state is PresentationState.FAILED
    with pytest.raises(PeerRefused, match="no-permission"):
        adapter.fetch_presented(presented(reference), soon())


def test_what_a_presented_certificate_is_like_is_told_as_by_holder(adapter: EcertUsefor) -> None:
    reference, _ = answered(adapter, f"PERSON:{query(43).holder_code}")
    with pytest.raises(PeerRefused, match="revoked"):
        adapter.fetch_presented(presented(reference), soon())


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        ("PERSON:379800201501010011", ShownKind.AUTHORIZATION_CODE, "not-found"),
        (f"LATE:{query(2).holder_code}", ShownKind.AUTHORIZATION_CODE, "expired"),
        ("CERT:1.2.3", ShownKind.ECERT, "kind-not-provided"),
    ],
)
def test_a_shown_code_that_is_not_taken(adapter: EcertUsefor, code: str, kind: ShownKind, word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        adapter.begin_presentation(shown(code, kind), soon())
    assert refused.value.code == word
    assert code not in str(refused.value)


@pytest.mark.parametrize("mode", ["hang-after", "reset-after", "http-500", "truncated"])
def test_whether_a_code_was_used_may_not_be_known(adapter: EcertUsefor, library: SimulatorProcess, mode: str) -> None:
    library.fail(mode, times=1)
    before = len(library.requests())
    with pytest.raises(OutcomeUnknown):
        adapter.begin_presentation(shown(f"PERSON:{query(3).holder_code}#{mode}"), Deadline.after(1))
    library.fail("none")
    assert len(library.requests()) == before + 1


def test_it_collects_nothing() -> None:
    assert not EcertUsefor.manifest.capabilities & {Capability.COLLECT, Capability.COLLECTED}
