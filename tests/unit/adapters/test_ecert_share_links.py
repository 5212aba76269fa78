"""What the provincial library's adapter rests on: tokens, keys, links, and a peer that may talk nonsense."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.contract import Endpoint, PeerMisconfigured, RetryLater
from adapters.ecert_share import simulator
from adapters.ecert_share.client import EcertShare
from adapters.ecert_share.library import Link, LinkExpired, _open
from adapters.ecert_share.mapping import holder_query_to_wire
from adapters.population import family
from adapters.simulator_process import SimulatorProcess
from adapters.wire import WireResponse
from certs.report import Indication
from tests.unit.adapters.ecert_share_process import MODULE, REGION, adapter, keys, library, query, soon
from tests.unit.adapters.sealed_files import judge

__all__ = ["adapter", "keys", "library"]  # fixtures


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
