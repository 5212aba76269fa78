"""The hub's trust folder: anchors in ``trust/`` of the state folder, issuers' certificates beside them in ``issuers/``.

Both are read again when a file changes, so that ``hub trust add`` takes effect in a running hub within a few seconds.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import structlog

from certs.errors import CertsError
from certs.trust import TrustStore, read_certificate
from certs.verify import Fetchers
from certs.x509.signing_cert import SigningCert
from hub.config import Settings
from hub.ecerts.fetchers import RevocationFetchers

LOOK_EVERY_S = 3.0
log = structlog.get_logger(__name__)


class TrustFolder:
    """Shared by every thread. A folder that became unusable leaves the last usable state in force, and is logged once."""

    def __init__(self, state_dir: Path, revocation: RevocationFetchers) -> None:
        self._folders = (state_dir / "trust", state_dir / "issuers")
        self._revocation = revocation
        self._lock = threading.Lock()
        self._stamp: tuple[tuple[str, int], ...] | None = None
        self._looked_at = float("-inf")
        self._said = ""  # why it cannot be used
        self._store = TrustStore()
        self._fetchers = Fetchers(revocation.source())
        self._read()

    @classmethod
    def of(cls, settings: Settings) -> TrustFolder:
        """That of the state folder; CertsError if it cannot be used."""
        hosts = frozenset(host.strip() for host in settings.revocation_hosts.split(",") if host.strip())
        return cls(settings.state_dir, RevocationFetchers(settings.state_dir / "crls", hosts))

    def store(self) -> TrustStore:
        self._refresh()
        return self._store

    def fetchers(self) -> Fetchers:
        self._refresh()
        return self._fetchers

    def _refresh(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        with self._lock:
            if time.monotonic() - self._looked_at < LOOK_EVERY_S:
                return
            try:
                self._read()
            except (CertsError, OSError) as error:
                said = error.code if isinstance(error, CertsError) else type(error).__name__
                if said != self._said:  # the message names files
                    log.error("trust folder cannot be used", code=said)  # noqa: TRY400
                self._said = said

    def _read(self) -> None:
        """CertsError or OSError if the store cannot be used; then it is read again at the next look, changed or not."""
        try:
            stamp = tuple(
                (file.name, file.stat().st_mtime_ns)
                for folder in self._folders
                if folder.is_dir()
                for file in sorted(folder.iterdir())
            )
            if stamp != self._stamp:
                store = TrustStore.load(self._folders[0])
                fetchers = Fetchers(self._revocation.source(), read_issuers(self._folders[1]))
                self._store, self._fetchers, self._stamp = store, fetchers, stamp
            self._said = ""
        finally:  # not before: until then other threads wait instead of judging by what was in force
            self._looked_at = time.monotonic()


def read_issuers(folder: Path) -> tuple[SigningCert, ...]:
    """Certificates of intermediate issuers, PEM or DER, one a file. Not trusted by themselves: they only help to find a path."""
    found = []
    for file in sorted(folder.glob("*")) if folder.is_dir() else []:
        found.append(read_certificate(file.read_bytes(), f"issuers/{file.name}"))
    return tuple(found)
