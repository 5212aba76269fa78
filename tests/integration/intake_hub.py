"""A hub's intake over real uvicorn on a free port, with its database, and callers that sign for real."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Connection

from certs.authority import Identity, new_root
from certs.http_signatures import sign_request
from certs.keys import PrivateKey, SignatureAlgorithm
from hub import tables
from hub.access import registration
from hub.access.callers import Caller, CallerDirectory, KeyKind, Service
from hub.access.key_files import read_key_file
from hub.access.tls_auth import server_options
from hub.config import Settings
from hub.db import AuditEntry, Database
from hub.intake import assembly
from hub.intake.openapi import EXAMPLE_TRANSFER
from hub.intake.soap import AnswerSigner
from hub.vault import Vault
from schemas.problems import CASE_UNKNOWN, MESSAGE_ID_CONFLICT, HubProblem
from schemas.transfers import CaseState, TransferAccepted, TransferRequest, TransferView

SYSTEM, OTHER_SYSTEM = "qd-registry", "jn-registry"
NOW = datetime.now(UTC)
ROOT = new_root("测试根证书", SignatureAlgorithm.RSA_PKCS1_SHA256, not_before=NOW - timedelta(days=1),
                not_after=NOW + timedelta(days=30))  # fmt: skip


def issue(name: str, algorithm: SignatureAlgorithm = SignatureAlgorithm.RSA_PKCS1_SHA256, days: int = 20) -> Identity:
    return ROOT.issue(name, algorithm, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=days))


def pem(identity: Identity) -> bytes:
    return ssl.DER_cert_to_PEM_cert(identity.cert.der).encode()


class CasesDouble:
    """Stands for the case service where a test is about what happens before it."""

    def __init__(self) -> None:
        self.accepted: dict[str, tuple[str, TransferAccepted]] = {}
        self.error: Exception | None = None

    def submit_transfer(self, caller: Caller, request: TransferRequest, *, digest: str) -> Future[TransferAccepted]:
        if self.error is not None:
            raise self.error
        caller.require(Service.TRANSFER_SUBMIT, request.receiving.region)
        future: Future[TransferAccepted] = Future()
        seen = self.accepted.get(request.message_id)
        if seen and seen[0] != digest:
            future.set_exception(HubProblem(MESSAGE_ID_CONFLICT))
            return future
        case_id = f"case_{len(self.accepted):026d}"
        answer = TransferAccepted(
            case_id=case_id, message_id=request.message_id, state=CaseState.OPEN, accepted_at=NOW,
            limit_at=NOW + timedelta(days=21), limit_provisional=False,
        )  # fmt: skip
        self.accepted.setdefault(request.message_id, (digest, answer))
        future.set_result(self.accepted[request.message_id][1])
        return future

    def query_transfer(self, caller: Caller, case_id: str) -> TransferView:
        for _, answer in self.accepted.values():
            if answer.case_id == case_id:
                return self._view(answer)
        raise HubProblem(CASE_UNKNOWN, case_id)

    def list_transfers(
        self, caller: Caller, *, before: str | None, limit: int, state: CaseState | None
    ) -> tuple[list[TransferView], str | None]:
        found = sorted((a for _, a in self.accepted.values()), key=lambda a: a.case_id, reverse=True)
        found = [a for a in found if before is None or a.case_id < before]
        return [self._view(a) for a in found[:limit]], found[limit - 1].case_id if len(found) > limit else None

    def _act(self, caller: Caller, message: Any, *, digest: str) -> Future[TransferView]:
        future: Future[TransferView] = Future()
        future.set_result(self.query_transfer(caller, message.case_id))
        return future

    withdraw = decide = _act

    def _view(self, answer: TransferAccepted) -> TransferView:
        return TransferView(flow="test@1", **{k: v for k, v in answer if k in TransferView.model_fields})


@dataclass
class RunningHub:
    url: str
    db: Database
    settings: Settings
    directory: CallerDirectory
    cases: CasesDouble
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


@contextmanager
def running_hub(state: Path, *, sign_answers: bool = False, **options: Any) -> Iterator[RunningHub]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(state_dir=state, port=port, **options)
    audited: list[AuditEntry] = []

    def chain(conn: Connection, now: datetime, entries: Sequence[AuditEntry]) -> None:
        audited.extend(entries)

    db = Database(settings.effective_database_url, chain_audit=chain)
    tables.metadata.create_all(db.engine)
    directory = CallerDirectory(db)
    gate = assembly.create_gate(settings, db, directory)
    app = FastAPI(title="exchange-hub", version="0")
    cases = CasesDouble()
    own = issue("hub")
    signer = AnswerSigner(own.key, own.cert.der, db.clock) if sign_answers else None
    assembly.install(app, gate, settings, Vault(secrets.token_bytes(32)), cases, signer)  # type: ignore[arg-type]
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
    return {**EXAMPLE_TRANSFER, "messageId": f"t-{secrets.token_hex(8)}", **changes}
