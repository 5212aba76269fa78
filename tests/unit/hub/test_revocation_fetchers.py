"""Where revocation data may come from, and what a bad source can do: nothing but bring nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import responses
from responses import matchers

from hub.ecerts import fetchers
from hub.ecerts.fetchers import RevocationFetchers

ISSUER = b"issuer"
URL = "http://crl.example.cn/root.crl"


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def source(folder: Path, *hosts: str) -> RevocationFetchers:
    return RevocationFetchers(folder, frozenset(hosts))


def test_a_named_host_is_asked_and_what_it_said_is_kept(wire: responses.RequestsMock, tmp_path: Path) -> None:
    wire.get(URL, body=b"list")
    asked = source(tmp_path, "crl.example.cn")
    assert list(asked.crl(ISSUER, [URL])) == [b"list"]
    assert list(asked.crl(ISSUER, [URL])) == [b"list"]
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example.cn/root.crl",
        "http://crl.example.cn.evil.cn/root.crl",
        "http://crl.example.cn@evil.cn/root.crl",
        "file:///etc/passwd",
        "ldap://crl.example.cn/cn=root",
        "http://[::1/root.crl",
        "http://169.254.169.254/latest/meta-data",
        "",
    ],
)
def test_a_document_cannot_send_the_hub_anywhere_else(wire: responses.RequestsMock, tmp_path: Path, url: str) -> None:
    assert list(source(tmp_path, "crl.example.cn").crl(ISSUER, [url])) == []
    assert len(wire.calls) == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 500},
        {"status": 302, "headers": {"Location": "http://elsewhere.example.cn/root.crl"}},
        {"body": requests.ConnectionError("refused")},
        {"body": requests.ReadTimeout("slow")},
        {"body": requests.exceptions.ChunkedEncodingError("cut off")},
    ],
)
def test_a_host_that_fails_brings_nothing_and_is_left_alone_for_a_while(
    wire: responses.RequestsMock, tmp_path: Path, fault: dict[str, object]
) -> None:
    wire.get(URL, **fault)
    asked = source(tmp_path, "crl.example.cn")
    assert list(asked.crl(ISSUER, [URL])) == []
    assert list(asked.crl(ISSUER, [URL])) == []
    assert len(wire.calls) == 1


def test_a_list_without_end_is_cut_off(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetchers, "MAX_BYTES", 100_000)
    wire.get(URL, body=b"x" * 300_000)
    assert list(source(tmp_path, "crl.example.cn").crl(ISSUER, [URL])) == []


def test_a_responder_gets_the_question(wire: responses.RequestsMock, tmp_path: Path) -> None:
    header = matchers.header_matcher({"Content-Type": "application/ocsp-request"})
    wire.post("http://ocsp.example.cn:8080/", body=b"answer", match=[header])
    asked = source(tmp_path, "ocsp.example.cn:8080")
    assert list(asked.ocsp(b"question", ["http://ocsp.example.cn:8080/"])) == [b"answer"]
    assert wire.calls[0].request.body == b"question"


def test_lists_of_the_state_folder_are_at_hand_without_any_host(tmp_path: Path) -> None:
    (tmp_path / "root.crl").write_bytes(b"local")
    (tmp_path / "note.txt").write_bytes(b"not a list")
    assert list(source(tmp_path).crl(ISSUER, [])) == [b"local"]
    assert list(source(tmp_path / "missing").crl(ISSUER, [])) == []


def test_a_file_that_cannot_be_read_brings_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.crl").symlink_to(tmp_path / "gone")
    (tmp_path / "b.crl").mkdir()
    (tmp_path / "c.crl").write_bytes(b"list")
    assert list(source(tmp_path).crl(ISSUER, [])) == [b"list"]


def test_what_failed_is_asked_again_later(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetchers, "KEEP_FAILURE_S", 0.0)
    wire.get(URL, status=503)
    wire.get(URL, body=b"list")
    asked = source(tmp_path, "crl.example.cn")
    assert list(asked.crl(ISSUER, [URL])) == []
    assert list(asked.crl(ISSUER, [URL])) == [b"list"]


def test_what_is_kept_is_bounded_by_its_bytes_and_the_oldest_goes(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetchers, "KEPT_BYTES", 1_000)
    urls = [f"http://crl.example.cn/{n}.crl" for n in range(5)]
    for url in urls:
        wire.get(url, body=b"x" * 300)
    asked = source(tmp_path, "crl.example.cn")
    for url in urls:
        assert len(next(iter(asked.crl(ISSUER, [url])))) == 300
    list(asked.crl(ISSUER, [urls[4]]))
    list(asked.crl(ISSUER, [urls[2]]))
    assert len(wire.calls) == 5
    list(asked.crl(ISSUER, [urls[0]]))  # it went
    assert len(wire.calls) == 6
    assert sum(len(kept.data or b"") for kept in asked._kept.values()) == asked._size <= 1_000


def test_a_list_larger_than_all_that_may_be_kept_is_brought_and_not_kept(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetchers, "KEPT_BYTES", 100)
    wire.get(URL, body=b"x" * 300)
    asked = source(tmp_path, "crl.example.cn")
    assert len(next(iter(asked.crl(ISSUER, [URL])))) == 300
    assert (asked._size, asked._kept) == (0, {})


def test_whoever_asks_for_what_is_being_fetched_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def slow(url: str, request: bytes, largest: int) -> bytes:
        calls.append(url)
        threading.Event().wait(0.3)
        return b"list"

    monkeypatch.setattr(fetchers, "_download", slow)
    asked = source(tmp_path, "crl.example.cn")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: list(asked.crl(ISSUER, [URL])), range(8)))
    assert (found, len(calls)) == ([[b"list"]] * 8, 1)


def test_a_bug_of_a_download_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(url: str, request: bytes, largest: int) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(fetchers, "_download", bug)
    asked = source(tmp_path, "crl.example.cn")
    with pytest.raises(ZeroDivisionError):
        list(asked.crl(ISSUER, [URL]))
    assert list(asked.crl(ISSUER, [URL])) == []


def test_a_certificate_is_small_and_a_list_from_the_same_place_may_be_large(
    wire: responses.RequestsMock, tmp_path: Path
) -> None:
    wire.get(URL, body=b"x" * 70_000)
    asked = source(tmp_path, "crl.example.cn")
    assert list(asked.certificate([URL])) == []
    assert len(next(iter(asked.crl(ISSUER, [URL])))) == 70_000
