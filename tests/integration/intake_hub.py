"""A hub's intake over real uvicorn on a free port, with its database, and callers that sign for real."""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Connection

from adapters.contract import SERVICES, Capability, Manifest
from adapters.registry import create
from certs.http.signatures import sign_request
from certs.issuing.authority import Identity, new_root
from certs.keys import PrivateKey, SignatureAlgorithm
from hub.access import registration
from hub.access.callers import CallerDirectory, KeyKind, Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.access.key_files import read_key_file
from hub.access.tls_auth import server_options
from hub.audit.chain import AuditChain
from hub.cases.flow import load_flows
from hub.cases.progress import Rooms
from hub.cases.routing import Directory
from hub.cases.service import CaseService
from hub.config import Settings
from hub.db import AuditEntry, Database, Tx
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.logins.service import Logins
from hub.intake import assembly
from hub.intake.cursors import Cursors
from hub.intake.ecert_rest import ecert_router
from hub.intake.openapi import EXAMPLE_TRANSFER
from hub.intake.soap import AnswerSigner
from hub.migrate import upgrade
from hub.vault import Vault
from schemas.regions import REGIONS, RegionLevel

SYSTEM, OTHER_SYSTEM = "qd-registry", "jn-registry"
NOW = datetime.now(UTC)
ROOT = new_root("测试根证书", SignatureAlgorithm.RSA_PKCS1_SHA256, not_before=NOW - timedelta(days=1),
                not_after=NOW + timedelta(days=30))  # fmt: skip


def issue(name: str, algorithm: SignatureAlgorithm = SignatureAlgorithm.RSA_PKCS1_SHA256, days: int = 20) -> Identity:
    return ROOT.issue(name, algorithm, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=days))


def pem(identity: Identity) -> bytes:
    return ssl.DER_cert_to_PEM_cert(identity.cert.der).encode()


REGISTRY = Manifest(
    id="test-registry", product="test", product_zh="测试", protocol="rest-json", services=frozenset(SERVICES),
    capabilities=frozenset({Capability.PROBE}),
    idempotent=True, status_query=False, timeout_s=5, max_concurrency=4, encoding="utf-8", service_hours=None,
    settings={}, needed=frozenset(), secrets={}, tier="bronze", exemptions={}, path=Path(),
)  # fmt: skip
_numbers = itertools.count(1)
_COUNTIES = [region.code for region in REGIONS if region.level is RegionLevel.COUNTY]
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def student_number() -> str:
    """A resident ID number that no other test has: a boy born on the example's day (GB 11643 check character)."""
    number = next(_numbers)
    body = f"{_COUNTIES[number // 500 % len(_COUNTIES)]}20160901{number % 500 * 2 + 1:03d}"
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


@dataclass
class RunningHub:
    url: str
    db: Database
    settings: Settings
    directory: CallerDirectory
    cases: CaseService
    audited: list[AuditEntry]
    app: FastAPI

    def entries(self, action: str = "intake.refused") -> list[AuditEntry]:
        self.db.write(lambda tx: None)  # everything queued before is committed
        return [entry for entry in self.audited if entry.action == action]

    def register(self, system_id: str, kind: KeyKind, material: bytes, *, rights: bool = True, **options: Any) -> str:
        def write(tx: Any) -> str:
            if system_id not in {s.id for s in registration.store.systems(tx.conn)}:
                registration.add_system(tx, "test", system_id, system_id)
            if rights:
                registration.grant(tx, "test", system_id, [service.value for service in Service], "370000")
            return registration.add_key(tx, "test", system_id, read_key_file(kind, material), **options)

        named = self.db.write(write)
        self.directory.forget()
        return named


def register_parties(tx: Tx, vault: Vault) -> None:
    """The province's library and identity service, and one registry for Qingdao and one for Jinan."""
    for system_id in (SYSTEM, OTHER_SYSTEM, "province"):
        registration.add_system(tx, "test", system_id, system_id)
    for endpoint_id, system_id, service, region in (
        ("library", "province", "ecert-library", "370000"), ("identity", "province", "identity", "370000"),
        ("qd", SYSTEM, "registry", "370200"), ("jn", OTHER_SYSTEM, "registry", "370100"),
    ):  # fmt: skip
        spec = EndpointSpec(endpoint_id, system_id, REGISTRY.id, service, region, "http://127.0.0.1:9")
        add_endpoint(tx, "test", vault, REGISTRY, spec, lease_s=60)


@contextmanager
def running_hub(state: Path, *, sign_answers: bool = False, **options: Any) -> Iterator[RunningHub]:
    """``options`` are settings. The hub serves until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(state_dir=state, port=port, **options)
    audited: list[AuditEntry] = []
    vault = Vault(secrets.token_bytes(32))
    audit = AuditChain(vault.audit_key)

    def chain(conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> None:
        audit.append(conn, now, entries)
        audited.extend(entries)

    upgrade(settings.effective_database_url)
    db = Database(settings.effective_database_url, chain_audit=chain)
    db.write(lambda tx: register_parties(tx, vault))
    directory = CallerDirectory(db)
    gate = assembly.create_gate(settings, db, directory)
    app = FastAPI(title="exchange-hub", version="0")
    cases = CaseService(db, Rooms(vault, load_flows(), Directory(db)))
    own = issue("hub")
    signer = AnswerSigner(own.key, own.cert.der, db.clock) if sign_answers else None
    assembly.install_intake(app, gate, settings, vault, cases, signer)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **server_options(settings)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield RunningHub(settings.effective_public_url, db, settings, directory, cases, audited, app)
    finally:
        server.should_exit = True
        thread.join()
        db.close()


@contextmanager
def ecert_routes(running: RunningHub, key: bytes) -> Iterator[None]:
    """The routes of logins, authorizations and consents beside the others, until the block ends."""
    vault = Vault(key)
    adapters = AdapterCache(vault, create)
    logins = Logins(running.db, vault, Directory(running.db), adapters)
    gate = assembly.create_gate(running.settings, running.db, running.directory)
    authorizations, items = Authorizations(running.db, vault), ItemCatalogue(running.db)
    running.app.include_router(ecert_router(gate, items, authorizations, logins, Cursors(key)))
    yield
    adapters.close()


@dataclass
class HttpCaller:
    """Signs each request by RFC 9421, as a partner's client would; ``tamper`` changes headers after signing."""

    hub: RunningHub
    key: PrivateKey
    key_id: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def signed(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None,
        created: datetime | None = None, nonce: str | None = None, **options: Any,
    ) -> httpx.Request:  # fmt: skip
        url = self.hub.url + path
        sent = dict(headers or ({"content-type": "application/json"} if body else {}))
        sent |= sign_request(
            method, url, list(sent.items()), body, key=self.key, key_id=self.key_id,
            created=created or datetime.now(UTC), nonce=nonce or secrets.token_hex(12), **options,
        )  # fmt: skip
        return self.client.build_request(method, url, content=body or None, headers=sent)

    def send(self, method: str, path: str, body: Any = b"", **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.send(self.signed(method, path, content, **options))


def new_caller(
    hub: RunningHub, system_id: str = SYSTEM, algorithm: SignatureAlgorithm = SignatureAlgorithm.ECDSA_P256_SHA256
) -> HttpCaller:
    key = PrivateKey.generate(algorithm, rsa_bits=2048)
    return HttpCaller(hub, key, hub.register(system_id, KeyKind.HTTP, key.public_key.spki))


def transfer(**changes: Any) -> dict[str, Any]:
    """A valid SubmitTransfer of a student of its own."""
    number = student_number()
    student = {**EXAMPLE_TRANSFER["student"], "idNumber": number, "enrolmentNumber": f"G{number}"}
    return {**EXAMPLE_TRANSFER, "messageId": f"t-{secrets.token_hex(8)}", "student": student, **changes}
