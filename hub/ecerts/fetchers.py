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
MAX_SMALL = 64 * 1024  # of a certificate or an OCSP answer
KEPT_BYTES = 128 * 1024 * 1024  # of all that is kept; the oldest goes first
KEPT_ENTRIES = 1_000
KEEP_S = 600.0
KEEP_FAILURE_S = 30.0
log = structlog.get_logger(__name__)


_Key = tuple[str, bytes, int]  # URL, request, largest: what is too large for a certificate may be a list


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes | None
    until: float


class RevocationFetchers:
    """The hub's own answers to the verifier's questions; shared by every thread. Never raises: it brings nothing instead."""

    def __init__(self, folder: Path, hosts: frozenset[str]) -> None:
        self._folder = folder
        self._hosts = hosts
        self._kept: dict[_Key, _Kept] = {}  # in the order in which they came
        self._size = 0  # bytes of them
        self._under_way: dict[_Key, threading.Event] = {}
        self._lock = threading.Lock()  # of the three above
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
            data = self._fetch(url, MAX_SMALL, request)
            if data is not None:
                yield data

    def certificate(self, urls: Sequence[str]) -> Iterable[bytes]:
        for url in urls:
            data = self._fetch(url, MAX_SMALL)
            if data is not None:
                yield data

    def _local(self) -> list[bytes]:
        read_at, lists = self._files
        if time.monotonic() - read_at > KEEP_FAILURE_S:
            files = sorted(self._folder.glob("*.crl")) if self._folder.is_dir() else []
            lists = [data for file in files if (data := _list_of(file)) is not None]
            self._files = (time.monotonic(), lists)
        return lists

    def _fetch(self, url: str, largest: int = 0, request: bytes = b"") -> bytes | None:
        """One download at a time of each: whoever else asks waits for it. ``largest`` bytes, MAX_BYTES if none is said."""
        if not self._allowed(url):
            return None
        key = (url, request, largest or MAX_BYTES)
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept.until > time.monotonic():
                    return kept.data
                done = self._under_way.get(key)
                if done is None:
                    done = self._under_way[key] = threading.Event()
                    break
            done.wait()
        data: bytes | None = None
        try:
            data = _download(url, request, key[2])
        finally:
            with self._lock:
                self._keep(key, _Kept(data, time.monotonic() + (KEEP_FAILURE_S if data is None else KEEP_S)))
                del self._under_way[key]
            done.set()
        return data

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._drop(key)
        self._kept[key] = kept
        self._size += len(kept.data or b"")
        while self._size > KEPT_BYTES or len(self._kept) > KEPT_ENTRIES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._size -= len(before.data or b"")

    def _allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host = parts.netloc if parts.netloc in self._hosts else parts.hostname
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and host in self._hosts


def _list_of(file: Path) -> bytes | None:
    """None where it is too large, or cannot be read: it may just be replaced."""
    try:
        return file.read_bytes() if file.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        log.warning("revocation list cannot be read", error=type(error).__name__)
        return None


def _download(url: str, request: bytes, largest: int) -> bytes | None:
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
                    if len(data) > largest or time.monotonic() > ends:
                        return None
                return bytes(data)
    except requests.RequestException as error:
        log.warning("revocation data not to be had", host=urlsplit(url).hostname, error=type(error).__name__)
        return None
