"""Where revocation data may come from, and what a bad source can do: nothing but bring nothing."""

from __future__ import annotations

from collections.abc import Iterator
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


def test_what_failed_is_asked_again_later(
    wire: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetchers, "KEEP_FAILURE_S", 0.0)
    wire.get(URL, status=503)
    wire.get(URL, body=b"list")
    asked = source(tmp_path, "crl.example.cn")
    assert list(asked.crl(ISSUER, [URL])) == []
    assert list(asked.crl(ISSUER, [URL])) == [b"list"]
