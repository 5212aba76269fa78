"""Asks each endpoint, now and then and with no effect, whether it is up; keeps what it saw and when its certificate ends."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from sqlalchemy.exc import SQLAlchemyError

from adapters.contract import Adapter, AdapterError, Capability, Deadline, PeerMisconfigured
from hub.db import AuditEntry, Database, DatabaseBusy, Tx
from hub.health import store
from hub.health.store import Seen

PROBE_TIMEOUT_S = 5.0
CERTIFICATE_EVERY_S = 3600.0
SIDE_BY_SIDE = 16
log = structlog.get_logger(__name__)


class UnknownEndpoint(Exception):
    """No endpoint has this id."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe saw; ``code`` is the error's, empty if the endpoint is well."""

    seen: Seen
    code: str = ""


_LOGGED: Final = {
    Seen.WELL: "endpoint is well again",
    Seen.ILL: "endpoint is ill",
    Seen.MISCONFIGURED: "endpoint is misconfigured: somebody must mend it",
}


class Prober:
    """One thread that starts a round every ``interval_s``; probes of a round run side by side."""

    def __init__(self, db: Database, adapter_of: Callable[[str], Adapter], interval_s: float) -> None:
        self._db = db
        self._adapter_of = adapter_of
        self._interval_s = interval_s
        self._looked: dict[tuple[str, str], float] = {}  # when an endpoint's certificate was last looked at
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def start(self) -> None:
        if self._interval_s > 0:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=PROBE_TIMEOUT_S + 1)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.round()
            except (SQLAlchemyError, DatabaseBusy) as error:  # the database is away: the next round may find it again
                log.warning("probes not kept", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001  a bug; but if this thread ends, nothing is ever probed again
                log.critical("bug", where="prober", error=type(error).__name__)

    def round(self) -> None:
        """Probe every endpoint that is not paused, once."""
        with self._db.read() as conn:
            rows = [(row["id"], row["base_url"]) for row in store.endpoints(conn) if row["paused_at"] is None]
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="probe") as pool:
            list(pool.map(lambda row: self.probe(*row), rows))

    def probe_now(self, endpoint_id: str, actor: str) -> Probed:
        """An operator asks. If the endpoint is well, what waits behind an open breaker is tried at once.

        UnknownEndpoint if there is no such endpoint.
        """
        with self._db.read() as conn:
            url = store.base_url(conn, endpoint_id)
        if url is None:
            raise UnknownEndpoint(endpoint_id)
        for place in [place for place in list(self._looked) if place[0] == endpoint_id]:  # others probe meanwhile
            self._looked.pop(place, None)
        probed = self.probe(endpoint_id, url)

        def keep(tx: Tx) -> None:
            if probed.seen is Seen.WELL and store.release_breaker(tx.conn, endpoint_id, tx.now):
                tx.wake_workers = True
            entry = AuditEntry(actor, "endpoint.probe", endpoint_id, probed.seen.value, {"code": probed.code})
            tx.audit.append(entry)

        self._db.write(keep)
        return probed

    def probe(self, endpoint_id: str, base_url: str) -> Probed:
        """One probe, and what it saw is kept."""
        probed = self._ask(endpoint_id)
        not_after = self._certificate_end(endpoint_id, base_url)

        def keep(tx: Tx) -> None:
            if store.record_probe(tx.conn, endpoint_id, tx.now, probed.seen, probed.code, not_after):
                entry = AuditEntry("node", "endpoint.health", endpoint_id, probed.seen.value, {"code": probed.code})
                tx.audit.append(entry)
                log.warning(_LOGGED[probed.seen], endpoint=endpoint_id, code=probed.code or None)

        self._db.write(keep)
        return probed

    def _ask(self, endpoint_id: str) -> Probed:
        try:
            adapter = self._adapter_of(endpoint_id)
            if Capability.PROBE in adapter.manifest.capabilities:
                adapter.probe(Deadline.after(PROBE_TIMEOUT_S))
        except PeerMisconfigured as fault:
            return Probed(Seen.MISCONFIGURED, fault.code)
        except AdapterError as fault:
            return Probed(Seen.ILL, fault.code)
        except Exception as fault:  # noqa: BLE001  a bug of an adapter: told, and the other endpoints are still probed
            log.error("bug", where="probe", endpoint=endpoint_id, error=type(fault).__name__)  # noqa: TRY400
            return Probed(Seen.ILL, f"bug-{type(fault).__name__}")
        return Probed(Seen.WELL)

    def _certificate_end(self, endpoint_id: str, base_url: str) -> datetime | None:
        """As :func:`certificate_end`, at most once in CERTIFICATE_EVERY_S; None in between."""
        now, place = time.monotonic(), (endpoint_id, base_url)
        if now - self._looked.get(place, float("-inf")) < CERTIFICATE_EVERY_S:
            return None
        ends = certificate_end(base_url)
        if ends is not None:  # else it is looked at again with the next probe
            self._looked[place] = now
        return ends


def certificate_end(url: str) -> datetime | None:
    """When the server's TLS certificate ends; None for plain HTTP or where no handshake succeeds. Trust is not judged here."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=PROBE_TIMEOUT_S) as raw,
            context.wrap_socket(raw, server_hostname=parts.hostname) as tls,
        ):
            der = tls.getpeercert(binary_form=True)
    except (OSError, ValueError):  # also a name that no server can have
        return None
    if der is None:
        return None
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc.astimezone(UTC)
    except ValueError:
        return None
