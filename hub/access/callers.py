"""Who may call, and what for: systems, keys and rights, read from the database and kept for two seconds.

A right is (system, service, region) and covers the regions below it. Nothing is allowed that was not granted. A change
(a grant, a revocation, a new key) is seen by every process of every node after :data:`KEEP_S` at the latest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certs.keys import PublicKey
from certs.x509.signing_cert import SigningCert
from certs.xml.key_info import KnownCertificates
from hub.access import store
from hub.db import Database
from schemas.problems import ACCESS_DENIED, CALLER_UNKNOWN, HubProblem
from schemas.regions import REGIONS

KEEP_S = 2.0


class Service(StrEnum):
    """What a right can be for. docs/how-to/connect-a-system.md says which operation needs which."""

    TRANSFER_SUBMIT = "transfer.submit"  # submit and withdraw; the region is that of the receiving side
    TRANSFER_QUERY = "transfer.query"  # see the cases that the system submitted or takes part in
    TRANSFER_DECIDE = "transfer.decide"  # decide the steps that are its own
    VERIFICATION = "verification"  # have a document verified
    EVIDENCE = "evidence"  # fetch e-certificates by way of the hub
    ECERT_COLLECT = "ecert.collect"  # hand in e-certificates for the provincial library
    ECERT_REVOKE = "ecert.revoke"  # say which e-certificates hold no longer; the region is that of their issuer
    AUTHORIZATION_ISSUE = "authorization.issue"  # for holders: codes, consents, revocation, uses
    AUTHORIZATION_REDEEM = "authorization.redeem"  # at a counter: take an authorization code
    AUTHORIZATION_VOUCH = "authorization.vouch"  # say who the holder is, with no login that the hub could verify


class Method(StrEnum):
    """How the caller proved who it is."""

    TLS = "tls"
    HTTP_SIGNATURE = "http-signature"
    WSSE = "wsse"


class KeyKind(StrEnum):
    """What a registered key is for."""

    TLS = "tls"
    HTTP = "http"
    WSSE = "wsse"


@dataclass(frozen=True, slots=True)
class Nonce:
    """What must not be seen again before ``expires_at``: the digest of (key, nonce) or of what was signed."""

    digest: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """A connected system that has proved who it is, by one message. ``rights`` are (service, region) pairs as granted.

    ``nonces`` are those of the message: whoever commits its effects commits them too (:func:`hub.access.replay.used`).
    """

    system_id: str
    key_id: str
    method: Method
    rights: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    nonces: tuple[Nonce, ...] = field(default=(), repr=False)

    def may(self, service: Service, region: str) -> bool:
        """Whether ``service`` was granted for ``region`` (GB/T 2260) or a region above it; an unknown region never."""
        if (service.value, region) in self.rights:
            return region in REGIONS
        return any(name == service.value and REGIONS.covers(above, region) for name, above in self.rights)

    def require(self, service: Service, region: str) -> None:
        """HubProblem(ACCESS_DENIED) unless :meth:`may`."""
        if not self.may(service, region):
            raise HubProblem(ACCESS_DENIED, f"{service.value} {region}")

    def require_somewhere(self, service: Service) -> None:
        """HubProblem(ACCESS_DENIED) unless ``service`` was granted for any region."""
        if not self.may_somewhere(service):
            raise HubProblem(ACCESS_DENIED, service.value)

    def may_somewhere(self, service: Service) -> bool:
        """Whether ``service`` was granted for any region."""
        return any(granted == service.value for granted, _ in self.rights)


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A key of an enabled system that was not revoked. ``public_key`` of a certificate is that of its subject."""

    id: str
    system_id: str
    kind: KeyKind
    key_id: str
    material: bytes = field(repr=False)
    public_key: PublicKey = field(repr=False)
    allow_sha1: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None

    def require_current(self, now: datetime) -> RegisteredKey:
        """This key, or HubProblem(CALLER_UNKNOWN) outside its validity."""
        if self.not_before is not None and now < self.not_before:
            raise HubProblem(CALLER_UNKNOWN, "key-not-yet-valid")
        if self.not_after is not None and now >= self.not_after:
            raise HubProblem(CALLER_UNKNOWN, "key-expired")
        return self


@dataclass(frozen=True, slots=True)
class _Snapshot:
    read_at: float
    keys: Mapping[tuple[KeyKind, str], RegisteredKey]
    rights: Mapping[str, frozenset[tuple[str, str]]]
    certificates: KnownCertificates  # of wsse keys
    sha1_certificates: KnownCertificates  # of those that may sign with SHA-1
    wsse_by_certificate: Mapping[bytes, RegisteredKey]


class CallerDirectory:
    """Keys and rights of every system; shared by every thread of the process."""

    def __init__(self, db: Database, *, keep_s: float = KEEP_S) -> None:
        self._db = db
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._parsed: dict[str, PublicKey] = {}  # by key row: the material of a row never changes
        self._snapshot: _Snapshot | None = None

    def key(self, kind: KeyKind, key_id: str) -> RegisteredKey | None:
        return self._current().keys.get((kind, key_id))

    def wsse_keys(self) -> tuple[KnownCertificates, KnownCertificates]:
        """The certificates that may sign SOAP messages, and those of them that may do so with SHA-1."""
        snapshot = self._current()
        return snapshot.certificates, snapshot.sha1_certificates

    def wsse_key(self, certificate: bytes) -> RegisteredKey | None:
        return self._current().wsse_by_certificate.get(certificate)

    def caller(self, key: RegisteredKey, method: Method, nonces: tuple[Nonce, ...] = ()) -> Caller:
        rights = self._current().rights.get(key.system_id, frozenset())
        return Caller(key.system_id, key.key_id, method, rights, nonces)

    def forget(self) -> None:
        """Read again at the next question."""
        self._snapshot = None

    def _current(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is not None and time.monotonic() - snapshot.read_at < self._keep_s:
            return snapshot
        with self._lock:
            snapshot = self._snapshot
            if snapshot is None or time.monotonic() - snapshot.read_at >= self._keep_s:
                snapshot = self._snapshot = self._read(snapshot)
            return snapshot

    def _read(self, before: _Snapshot | None) -> _Snapshot:
        with self._db.read() as conn:
            enabled = {system.id for system in store.systems(conn) if system.enabled}
            rows = [row for row in store.keys(conn) if row.system_id in enabled and row.revoked_at is None]
            rights: dict[str, set[tuple[str, str]]] = {}
            for right in store.rights(conn):
                rights.setdefault(right.system_id, set()).add((right.service, right.region))
        keys = [self._registered(row) for row in rows]
        wsse = {key.material: key for key in keys if key.kind is KeyKind.WSSE}
        if before is not None and before.wsse_by_certificate == wsse:
            known, known_sha1 = before.certificates, before.sha1_certificates
        else:
            known = KnownCertificates(wsse)
            known_sha1 = KnownCertificates(material for material, key in wsse.items() if key.allow_sha1)
        return _Snapshot(
            read_at=time.monotonic(),
            keys={(key.kind, key.key_id): key for key in keys},
            rights={system: frozenset(pairs) for system, pairs in rights.items()},
            certificates=known,
            sha1_certificates=known_sha1,
            wsse_by_certificate=wsse,
        )

    def _registered(self, row: store.KeyRow) -> RegisteredKey:
        kind = KeyKind(row.kind)
        public_key = self._parsed.get(row.id)
        if public_key is None:
            public_key = read_material(kind, row.material)
            self._parsed[row.id] = public_key
        return RegisteredKey(
            row.id,
            row.system_id,
            kind,
            row.key_id,
            row.material,
            public_key,
            row.allow_sha1,
            row.not_before,
            row.not_after,
        )


def read_material(kind: KeyKind, material: bytes) -> PublicKey:
    """The public key of a registered key; certs.errors.BadKey if it cannot be read."""
    return PublicKey.from_spki_der(material) if kind is KeyKind.HTTP else SigningCert.from_der(material).public_key
