"""The provincial library's adapter against its simulator, a real server in its own process: every operation."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.contract import (
    Deadline,
    OutcomeUnknown,
    PeerRefused,
    PresentationRequest,
    PresentationState,
    PresentedQuery,
    ShownKind,
)
from adapters.ecert_share.client import EcertShare
from adapters.holdings import organisation
from adapters.population import RARE_NAMES, family
from adapters.simulator_process import SimulatorProcess
from certs.ofd.metadata import read_ecert_fields
from certs.report import Indication, SubIndication
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertStatus
from tests.unit.adapters.ecert_share_process import CAUSE, REGION, TITLE, adapter, keys, library, query, soon
from tests.unit.adapters.sealed_files import judge

__all__ = ["adapter", "keys", "library"]  # fixtures
CAUSE_TEXT = '{"certificateCopyCause":"test"}'


# --- fetching ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["id-card", "household-register", "real-estate-title", "teacher-qualification", "diploma"]
)
def test_a_sealed_certificate_is_fetched_and_says_inside_what_the_library_says(
    adapter: EcertShare, keys: Path, key: str
) -> None:
    asked = query(family(REGION, 1), key)
    document = adapter.fetch_ecert(asked, soon())
    assert document.status is EcertStatus.VALID
    assert document.media_type == "application/ofd"
    assert judge(document.content, keys) == (Indication.PASSED, None)
    inside = read_ecert_fields(document.content)
    stated = document.metadata.model_dump(by_alias=False, exclude={"extra"}, exclude_none=True)
    assert {name: inside[name] for name in stated} == stated
    assert (stated["holder_name"], stated["holder_code"], stated["type_code"]) == (
        asked.holder_name,
        asked.holder_code,
        asked.type_code,
    )


def test_an_organisation_s_licence(adapter: EcertShare, keys: Path) -> None:
    holder = organisation(REGION, 3)
    asked = query(family(REGION, 3), "business-licence", holder_code=holder.code, holder_code_type="001")
    document = adapter.fetch_ecert(asked, soon())
    assert document.metadata.holder_name == holder.name
    assert judge(document.content, keys) == (Indication.PASSED, None)


def test_rare_characters_pass_through_ciphertext_and_document(adapter: EcertShare) -> None:
    """Students 4, 13, 22 … have names outside GB 2312, GBK and the BMP."""
    seen = set()
    for index in range(4, 9 * len(RARE_NAMES), 9):
        student = family(REGION, index).student
        asked = query(family(REGION, index), "id-card", holder_code=student.id_number, holder_name=student.name)
        if index % 50 in range(40, 50):
            continue
        document = adapter.fetch_ecert(asked, soon())
        assert document.metadata.holder_name == read_ecert_fields(document.content)["holder_name"] == student.name
        seen.add(student.name)
    assert len(seen) >= 6


def test_the_newest_valid_version_is_taken(adapter: EcertShare) -> None:
    document = adapter.fetch_ecert(query(family(REGION, 5)), soon())
    assert document.metadata.identifier is not None
    assert document.metadata.identifier.split(".")[-2] == "002"


@pytest.mark.parametrize(
    ("index", "word"),
    [(43, "revoked"), (44, "expired"), (45, "restricted"), (46, "not-found"), (48, "suspended"), (49, "not-activated")],
)
def test_states_at_the_source_are_refusals_with_their_word(adapter: EcertShare, index: int, word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        adapter.fetch_ecert(query(family(REGION, index)), soon())
    assert refused.value.code == word


@pytest.mark.parametrize(
    ("index", "verdict"),
    [
        (40, (Indication.INDETERMINATE, SubIndication.NO_CERTIFICATE_CHAIN_FOUND)),
        (41, (Indication.FAILED, SubIndication.HASH_FAILURE)),
        (42, (Indication.PASSED, None)),
    ],
)
def test_spoilt_files_are_told_by_their_verification(
    adapter: EcertShare, keys: Path, index: int, verdict: tuple[Indication, SubIndication | None]
) -> None:
    document = adapter.fetch_ecert(query(family(REGION, index)), soon())
    assert judge(document.content, keys) == verdict
    same_holder = read_ecert_fields(document.content)["holder_code"] == document.metadata.holder_code
    assert same_holder is (index != 42)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"holder_code": "370202199001010000"}, "not-found"),
        ({"type_code": "11100000000013127D999"}, "type-unpublished"),
        ({"holder_code_type": "777"}, "bad-holder-type"),
        ({"holder_code": ""}, "holder-code-missing"),
        ({"number": "no such number"}, "not-found"),
        ({"use_cause": CAUSE.model_copy(update={"case_id": "x" * 200})}, "use-cause-too-long"),
    ],
)
def test_refusals_of_the_question(adapter: EcertShare, changes: dict[str, object], word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        adapter.fetch_ecert(query(family(REGION, 1), **changes), soon())
    assert refused.value.code == word
    assert family(REGION, 1).guardian.id_number not in str(refused.value)


def test_probe(adapter: EcertShare) -> None:
    adapter.probe(soon())


# --- the other operations -----------------------------------------------------------------------------------------------------


def test_every_query_and_file_operation(adapter: EcertShare) -> None:
    one, at = adapter.library, soon()
    document = adapter.fetch_ecert(query(family(REGION, 2)), at)
    identifier = document.metadata.identifier or ""
    (record,) = one.query("queryCertInfo", {"certIdentifier": identifier, "useCause": CAUSE_TEXT}, at)
    assert record["certificateHolder"] == family(REGION, 2).guardian.name
    shown = {"qrcode": f"CERT:{identifier}", "useCause": CAUSE_TEXT}
    assert one.query("queryCertInfoByQRcode", shown, at) == (record,)
    assert one.file(identifier, CAUSE_TEXT, 60, at) == document.content
    copy = one.file(identifier, "窗口核对", 60, at, file_type="png")
    assert copy.startswith(b"\x89PNG")
    assert "窗口核对".encode() in copy
    by_holder = {
        "holderCode": family(REGION, 2).guardian.id_number,
        "holderTypeCode": "111",
        "certTypeCode": TITLE,
        "useCause": CAUSE_TEXT,
    }
    (link,) = one.links_by_holder(by_holder, at)
    assert one.load(link, at) == document.content
    assert one.remark_info("", TITLE, at)["certName"] == "不动产权证书"


@pytest.mark.parametrize(
    ("index", "status"),
    [
        (2, EcertStatus.VALID),
        (49, EcertStatus.NOT_ACTIVATED),
        (48, EcertStatus.SUSPENDED),
        (43, EcertStatus.REVOKED),
        (44, EcertStatus.REVOKED),
    ],
)
def test_verify_info_encrypts_what_it_asks(adapter: EcertShare, index: int, status: EcertStatus) -> None:
    guardian = family(REGION, index).guardian
    stated = {"holderCode": guardian.id_number, "holder": guardian.name}
    assert adapter.library.verify_info(TITLE, stated, CAUSE_TEXT, soon()) is status


@pytest.mark.parametrize(
    ("stated", "word"),
    [
        ({"holder": "x"}, "insufficient-data"),
        ({"holderCode": "x"}, "not-found"),
        ({}, "field-empty"),
        ({"holderCode": family(REGION, 2).guardian.id_number, "holder": "他人"}, "partly-wrong"),
    ],
)
def test_verify_info_that_cannot_say(adapter: EcertShare, stated: dict[str, str], word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        adapter.library.verify_info(TITLE, stated, CAUSE_TEXT, soon())
    assert refused.value.code == word


def test_verify_file(adapter: EcertShare) -> None:
    content = adapter.fetch_ecert(query(family(REGION, 2)), soon()).content
    assert adapter.library.verify_file(TITLE, content, CAUSE_TEXT, soon()) is EcertStatus.VALID
    with pytest.raises(PeerRefused, match="not-found"):
        adapter.library.verify_file(TITLE, b"nothing", CAUSE_TEXT, soon())


def test_a_person_authorizes(adapter: EcertShare) -> None:
    one, guardian = adapter.library, family(REGION, 2).guardian
    trx = one.begin_authorization(f"PERSON:{guardian.id_number}", (TITLE,), soon())
    asked = {"trxId": trx, "certTypeCode": TITLE, "useCause": CAUSE_TEXT}
    assert one.authorization(trx, soon()) is PresentationState.PENDING
    with pytest.raises(PeerRefused, match="no-permission"):
        one.query("queryCertInfosByVerifyTrx", asked, soon())
    end = soon()
    while one.authorization(trx, end) is PresentationState.PENDING:
        time.sleep(0.05)
    assert one.authorization(trx, soon()) is PresentationState.AUTHORIZED
    (record,) = one.query("queryCertInfosByVerifyTrx", asked, soon())
    assert record["certificateHolder"] == guardian.name
    with pytest.raises(PeerRefused, match="no-permission"):
        one.query("queryCertInfosByVerifyTrx", {**asked, "certTypeCode": ecert_types()["id-card"].code}, soon())


def test_a_person_says_no(adapter: EcertShare) -> None:
    trx = adapter.library.begin_authorization(f"DENY:{family(REGION, 2).guardian.id_number}", (TITLE,), soon())
    end = soon()
    while adapter.library.authorization(trx, end) is PresentationState.PENDING:
        time.sleep(0.05)
    assert adapter.library.authorization(trx, soon()) is PresentationState.FAILED


def shown(code: str, kind: ShownKind = ShownKind.AUTHORIZATION_CODE) -> PresentationRequest:
    return PresentationRequest(kind=kind, shown_code=code, type_codes=(TITLE,), use_cause=CAUSE)


def test_an_e_certificate_is_shown(adapter: EcertShare) -> None:
    asked = query(family(REGION, 3))
    identifier = adapter.fetch_ecert(asked, soon()).metadata.identifier
    begun = adapter.begin_presentation(shown(f"CERT:{identifier}#1", ShownKind.ECERT), soon())
    assert adapter.presentation_status(begun, soon()).state is PresentationState.AUTHORIZED
    found = adapter.fetch_presented(PresentedQuery(reference=begun.reference, type_code=TITLE, use_cause=CAUSE), soon())
    assert found.metadata.identifier == identifier
    assert found.content == adapter.fetch_ecert(asked, soon()).content
    for reference in (begun.reference, "invented"):
        other = PresentedQuery(reference=reference, type_code=ecert_types()["id-card"].code, use_cause=CAUSE)
        with pytest.raises(PeerRefused):
            adapter.fetch_presented(other, soon())


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        ("PERSON:379800201501010011", ShownKind.AUTHORIZATION_CODE, "not-found"),
        (f"LATE:{family(REGION, 2).guardian.id_number}", ShownKind.AUTHORIZATION_CODE, "expired"),
        ("CERT:1.2.3", ShownKind.ECERT, "not-found"),
    ],
)
def test_a_shown_code_that_is_not_taken(adapter: EcertShare, code: str, kind: ShownKind, word: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        adapter.begin_presentation(shown(code, kind), soon())
    assert refused.value.code == word
    assert code not in str(refused.value)


@pytest.mark.parametrize("mode", ["hang-after", "reset-after", "http-500", "truncated"])
def test_whether_a_person_was_asked_may_not_be_known(adapter: EcertShare, library: SimulatorProcess, mode: str) -> None:
    """The library cannot be asked without the transaction that it did not tell: nobody is asked a second time."""
    adapter.probe(soon())  # the token is there: what follows is the one call
    library.fail(mode, times=1)
    before = len(library.requests())
    with pytest.raises(OutcomeUnknown):
        adapter.begin_presentation(shown(f"PERSON:{family(REGION, 2).guardian.id_number}"), Deadline.after(1))
    library.fail("none")
    assert len(library.requests()) == before + 1
