"""The provincial library's adapter against its simulator: a real server in its own process."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.contract import (
    Deadline,
    Endpoint,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PresentationRequest,
    PresentationState,
    PresentedQuery,
    RetryLater,
    ShownKind,
)
from adapters.ecert_share import simulator
from adapters.ecert_share.client import EcertShare
from adapters.ecert_share.library import Link, LinkExpired, _open
from adapters.ecert_share.mapping import holder_query_to_wire
from adapters.holdings import organisation
from adapters.population import RARE_NAMES, Family, family
from adapters.simulator_process import SimulatorProcess
from adapters.wire import WireResponse
from certs.ofd.metadata import read_ecert_fields
from certs.policy import load_policy
from certs.report import Indication, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, verify
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, EcertStatus, UseCause

MODULE = "adapters.ecert_share.simulator"
REGION = "370202"
TITLE = ecert_types()["real-estate-title"].code
CAUSE = UseCause(
    case_id="01J9ZQ3N6W4Q7C2M8KXB5TVE1R",
    item_code=None,
    item_name="跨县（市、区）转学",
    purpose="跨县（市、区）转学: 不动产权证书",
    system_name="教育政务互通枢纽",
    legal_basis="TY-2026-88",
)
CAUSE_TEXT = '{"certificateCopyCause":"test"}'


def soon() -> Deadline:
    return Deadline.after(10)


def query(of: Family, key: str = "real-estate-title", **changes: object) -> EcertQuery:
    asked = EcertQuery(
        type_code=ecert_types()[key].code,
        holder_code=of.guardian.id_number,
        holder_code_type=of.guardian.id_type,
        holder_name=of.guardian.name,
        use_cause=CAUSE,
    )
    return asked.model_copy(update=changes)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def library(keys: Path) -> Iterator[SimulatorProcess]:
    arguments = ["--keys", str(keys), "--export-anchors", str(keys / "anchors"), "--authorize-after", "0.3"]
    with SimulatorProcess(MODULE, arguments) as process:
        yield process


@pytest.fixture
def adapter(library: SimulatorProcess, keys: Path) -> Iterator[EcertShare]:
    library.fail("none")
    made = EcertShare(simulator.endpoint(library.url, keys))
    yield made
    made.close()


def judge(content: bytes, keys: Path) -> tuple[Indication, SubIndication | None]:
    anchors = keys / "anchors"
    trusted = [SigningCert.from_pem((anchors / f"{name}.pem").read_bytes()) for name in ("root", "issuing")]
    lists = [path.read_bytes() for path in anchors.glob("*.crl")]
    now = datetime.now(UTC)
    report = verify(
        content,
        policy=load_policy("strict"),
        at=now,
        trust=TrustStore.of(trusted, ["seal", "seal-maker"], now),
        fetchers=Fetchers(RevocationSource(crl=lambda _issuer, _urls: lists)),
    )
    return report.indication, report.sub_indication


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


# --- tokens, keys, links --------------------------------------------------------------------------------------------------------


def operations(process: SimulatorProcess) -> list[str]:
    return [one["path"].rsplit("/", 1)[1] for one in process.requests()]


def test_a_token_is_kept_and_renewed_once_when_the_library_no_longer_takes_it(tmp_path: Path) -> None:
    arguments = ["--keys", str(tmp_path), "--token-seconds", "0.4", "--token-says", "7200"]
    with SimulatorProcess(MODULE, arguments) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        made.probe(soon())
        made.probe(soon())
        assert operations(process) == ["getAccessToken", "getCertRemarkInfo", "getCertRemarkInfo"]
        time.sleep(0.5)
        made.probe(soon())
        assert operations(process)[3:] == ["getCertRemarkInfo", "getAccessToken", "getCertRemarkInfo"]
        made.close()


def test_a_token_that_ends_soon_by_its_own_word_is_not_used(tmp_path: Path) -> None:
    with SimulatorProcess(MODULE, ["--keys", str(tmp_path), "--token-says", "20"]) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        made.probe(soon())
        made.probe(soon())
        assert operations(process) == ["getAccessToken", "getCertRemarkInfo"] * 2
        made.close()


def test_a_library_that_never_takes_our_token_is_asked_twice_at_most(tmp_path: Path) -> None:
    arguments = ["--keys", str(tmp_path), "--token-seconds", "0", "--token-says", "7200"]
    with SimulatorProcess(MODULE, arguments) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        with pytest.raises(PeerMisconfigured, match="authentication-failed"):
            made.probe(soon())
        assert operations(process) == ["getAccessToken", "getCertRemarkInfo"] * 2
        made.close()


def test_a_token_that_ends_between_the_calls_of_one_fetch_is_renewed(tmp_path: Path) -> None:
    """Before its time: the library said two hours. Query, link and file are one fetch, and it succeeds."""
    arguments = ["--keys", str(tmp_path), "--one-token"]
    with SimulatorProcess(MODULE, arguments) as process:
        first, second = (EcertShare(simulator.endpoint(process.url, tmp_path)) for _ in range(2))
        first.probe(soon())
        asked = query(family(REGION, 2))
        data = holder_query_to_wire(asked, "公共服务")
        (record,) = first.library.query("queryCertInfoByHolderCode", data, soon())
        second.probe(soon())  # another node obtains a token: the first one's is good no longer
        identifier = str(record["certificateIdentifier"])
        before = len(operations(process))
        link = first.library.link(identifier, data["useCause"], 600, soon())
        assert first.library.load(link, soon()).startswith(b"PK")
        assert operations(process)[before:-1] == ["downloadUrl", "getAccessToken", "downloadUrl"]
        first.close()
        second.close()


def test_many_threads_obtain_one_token(tmp_path: Path) -> None:
    """Where a new token ends the former one, two threads that each obtain one would end each other's for ever."""
    with SimulatorProcess(MODULE, ["--keys", str(tmp_path), "--one-token"]) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        with ThreadPoolExecutor(12) as pool:
            for one in [pool.submit(made.probe, soon()) for _ in range(24)]:
                one.result()
        assert operations(process).count("getAccessToken") == 1
        made.close()


def with_changes(known: Endpoint, settings: dict[str, str], secrets: dict[str, str] | None = None) -> Endpoint:
    return Endpoint(
        known.id, known.region, known.base_url, {**known.settings, **settings}, {**known.secrets, **(secrets or {})}
    )


def test_a_wrong_access_key_or_foreign_sm2_key(library: SimulatorProcess, keys: Path) -> None:
    known = simulator.endpoint(library.url, keys)
    made = EcertShare(with_changes(known, {}, {"access_key": "wrong"}))
    with pytest.raises(PeerMisconfigured, match="authentication-failed"):
        made.probe(soon())
    made = EcertShare(with_changes(known, {}, {"sm2_private_key": "11" * 32}))
    with pytest.raises(RetryLater, match="not for our key"):
        made.fetch_ecert(query(family(REGION, 1)), soon())


@pytest.mark.parametrize(
    ("settings", "secrets", "code"),
    [
        ({"access_id": ""}, {}, "settings-access"),
        ({}, {"access_key": ""}, "settings-access"),
        ({"sm2_public_key": "04" + "0" * 128}, {}, "settings-keys"),
        ({"sm2_public_key": "zz"}, {}, "settings-keys"),
        ({}, {"sm2_private_key": "00" * 32}, "settings-keys"),
        ({"link_seconds": "soon"}, {}, "settings-link"),
        ({"link_seconds": "0"}, {}, "settings-link"),
        ({"download_origins": "ftp://x"}, {}, "address-invalid"),
    ],
)
def test_settings_that_cannot_work(
    tmp_path: Path, settings: dict[str, str], secrets: dict[str, str], code: str
) -> None:
    with pytest.raises(PeerMisconfigured) as refused:
        EcertShare(with_changes(simulator.endpoint("http://127.0.0.1:9", tmp_path), settings, secrets))
    assert refused.value.code == code


def test_an_expired_link_is_asked_for_again_once(tmp_path: Path) -> None:
    with SimulatorProcess(MODULE, ["--keys", str(tmp_path), "--stale-links", "3"]) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        with pytest.raises(RetryLater, match="a new link is refused"):
            made.fetch_ecert(query(family(REGION, 1)), soon())
        assert made.fetch_ecert(query(family(REGION, 1)), soon()).content.startswith(b"PK")
        with pytest.raises(LinkExpired):
            made.library.load(Link(f"{process.url}/files/nothing"), soon())
        made.close()


def test_a_link_to_another_host_is_never_followed(tmp_path: Path) -> None:
    with SimulatorProcess(MODULE, ["--keys", str(tmp_path), "--files-url", "http://127.0.0.2:9"]) as process:
        known = simulator.endpoint(process.url, tmp_path)
        made = EcertShare(known)
        with pytest.raises(PeerMisconfigured, match="download-elsewhere"):
            made.fetch_ecert(query(family(REGION, 1)), soon())
        allowed = EcertShare(with_changes(known, {"download_origins": "http://127.0.0.2:9"}))
        with pytest.raises(RetryLater, match="connection-refused"):
            allowed.fetch_ecert(query(family(REGION, 1)), soon())


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://user@127.0.0.1:1/x", "http://[", "http://127.0.0.1:99999/", "//x", ""]
)
def test_addresses_that_are_none(adapter: EcertShare, url: str) -> None:
    with pytest.raises(PeerMisconfigured, match="download-elsewhere"):
        adapter.library.load(Link(url), soon())


def test_the_pinyin_dialect(tmp_path: Path) -> None:
    with SimulatorProcess(MODULE, ["--keys", str(tmp_path), "--pinyin"]) as process:
        made = EcertShare(simulator.endpoint(process.url, tmp_path))
        metadata = made.fetch_ecert(query(family(REGION, 1)), soon()).metadata
        assert metadata.holder_name == family(REGION, 1).guardian.name
        assert metadata.extra["KZ_ZL"].startswith("市南区")
        made.close()


def test_the_authority_outlives_a_restart(tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        arguments = ["--keys", str(tmp_path), "--export-anchors", str(tmp_path / "anchors"), "--prepare", "2"]
        with SimulatorProcess(MODULE, arguments) as process:
            made = EcertShare(simulator.endpoint(process.url, tmp_path))
            contents.append(made.fetch_ecert(query(family(REGION, 1)), soon()).content)
            made.close()
    assert [judge(content, tmp_path)[0] for content in contents] == [Indication.PASSED] * 2


# --- a peer that talks nonsense ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (None, "certData missing"),
        ({"certData": "zz"}, "ciphertext"),
        ({"certData": 5}, "ciphertext"),
        ({"certData": "04" * 200}, "not for our key"),
    ],
)
def test_ciphertext_that_is_none(
    adapter: EcertShare, monkeypatch: pytest.MonkeyPatch, data: object, member: str
) -> None:
    monkeypatch.setattr(type(adapter.library), "_post", lambda *_args: (0, data))
    monkeypatch.setattr(type(adapter.library), "_access_token", lambda *_args: ("t", False))
    with pytest.raises(RetryLater, match=member):
        adapter.fetch_ecert(query(family(REGION, 1)), soon())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"head":{}}',
        b'{"head":{"status":"-1"}}',
        b'{"head":{"status":[0]}}',
        b'{"head":{"status":"' + "０".encode() + b'"}}',
        b'{"head":5}',
        b'{"head":{"status":' + b"9" * 5000 + b"}}",
    ],
)
def test_replies_that_are_none(body: bytes) -> None:
    with pytest.raises(RetryLater, match="answer-unreadable"):
        _open(WireResponse(200, {}, body))


@pytest.mark.parametrize("status", ["0", 0])
def test_a_status_may_be_a_text_or_a_number(status: object) -> None:
    assert _open(WireResponse(200, {}, json.dumps({"head": {"status": status}, "data": 7}).encode())) == (0, 7)


def test_the_wire_form_of_ciphertext(adapter: EcertShare) -> None:
    """Hexadecimal, C1 65 octets that begin with 04, then C2, then C3 of 32 octets."""
    sealed = bytes.fromhex(adapter.library._seal({"a": "二"}))
    assert sealed[0] == 4
    assert len(sealed) == 65 + len(json.dumps({"a": "二"}, ensure_ascii=False, separators=(",", ":")).encode()) + 32


def test_requests_bear_no_personal_data_in_their_addresses(library: SimulatorProcess, adapter: EcertShare) -> None:
    adapter.fetch_ecert(query(family(REGION, 1)), soon())
    assert family(REGION, 1).guardian.id_number not in json.dumps(library.requests())
    assert base64.b64encode(family(REGION, 1).guardian.id_number.encode()).decode() not in json.dumps(
        library.requests()
    )
