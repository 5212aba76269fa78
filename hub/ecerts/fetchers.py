"""Where revocation data comes from: lists in ``crls/`` of the state folder, and downloads from hosts that an administrator named.

A certificate in a document names its own URLs, so they are an attacker's to choose: only hosts of the setting
``revocation_hosts`` are asked, answers are bounded in size and time, and what was fetched (or not) is kept for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import structlog

from certs.x509.revocation import RevocationSource

TIMEOUT_S = 3.0
MAX_BYTES = 32 * 1024 * 1024
KEEP_S = 600.0
KEEP_FAILURE_S = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes | None
    until: float


class RevocationFetchers:
    """The hub's own answers to the verifier's questions; shared by every thread. Never raises: it brings nothing instead."""

    def __init__(self, folder: Path, hosts: frozenset[str]) -> None:
        self._folder = folder
        self._hosts = hosts
        self._kept: dict[tuple[str, bytes], _Kept] = {}
        self._lock = threading.Lock()
        self._files: tuple[float, list[bytes]] = (float("-inf"), [])

    def source(self) -> RevocationSource:
        return RevocationSource(crl=self.crl, ocsp=self.ocsp, certificate=self.certificate)

    def crl(self, issuer: bytes, urls: Sequence[str]) -> Iterable[bytes]:
        yield from self._local()
        for url in urls:
            data = self._fetch(url)
            if data is not None:
                yield data

    def ocsp(self, request: bytes, urls: Sequence[str]) -> Iterable[bytes]:
        for url in urls:
            data = self._fetch(url, request)
            if data is not None:
                yield data

    def certificate(self, urls: Sequence[str]) -> Iterable[bytes]:
        for url in urls:
            data = self._fetch(url)
            if data is not None:
                yield data

    def _local(self) -> list[bytes]:
        read_at, lists = self._files
        if time.monotonic() - read_at > KEEP_FAILURE_S:
            files = sorted(self._folder.glob("*.crl")) if self._folder.is_dir() else []
            lists = [file.read_bytes() for file in files if file.stat().st_size <= MAX_BYTES]
            self._files = (time.monotonic(), lists)
        return lists

    def _fetch(self, url: str, request: bytes = b"") -> bytes | None:
        if not self._allowed(url):
            return None
        key = (url, request)
        kept = self._kept.get(key)
        if kept is not None and kept.until > time.monotonic():
            return kept.data
        data = _download(url, request)
        with self._lock:
            if len(self._kept) > 1_000:
                self._kept.clear()
            self._kept[key] = _Kept(data, time.monotonic() + (KEEP_FAILURE_S if data is None else KEEP_S))
        return data

    def _allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host = parts.netloc if parts.netloc in self._hosts else parts.hostname
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and host in self._hosts


def _download(url: str, request: bytes) -> bytes | None:
    ends = time.monotonic() + TIMEOUT_S
    headers = {"Content-Type": "application/ocsp-request"} if request else {}
    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.request(
                "POST" if request else "GET", url, data=request or None, headers=headers, timeout=TIMEOUT_S, stream=True,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status_code != 200:
                    log.warning("revocation data not to be had", host=urlsplit(url).hostname, status=answer.status_code)
                    return None
                data = bytearray()
                for chunk in answer.iter_content(65_536):
                    data += chunk
                    if len(data) > MAX_BYTES or time.monotonic() > ends:
                        return None
                return bytes(data)
    except requests.RequestException as error:
        log.warning("revocation data not to be had", host=urlsplit(url).hostname, error=type(error).__name__)
        return None
