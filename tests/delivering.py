"""What tests of deliveries share: endpoints and deliveries by the dozen, and an adapter whose peer is in this process.

The peer counts what took effect by idempotency key, as a real one would; what it does next is told by ``Peer.does``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from adapters.contract import (
    Adapter,
    Capability,
    CaseEvent,
    Deadline,
    DeliveryStatus,
    Endpoint,
    Health,
    Manifest,
    Message,
    Receipt,
    StatusAnswer,
)
from hub import tables as t
from hub.db import Database, Tx
from hub.deliveries import store
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Finished, Handlers, Kind, NewDelivery, OutcomeHandler
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from hub.vault import Vault
from schemas.base import Canonical
from schemas.transfers import Decision

VAULT = Vault(b"vault key of the tests, 32 bytes")


def manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "id": "in_process", "product": "test peer", "product_zh": "测试对端", "protocol": "none",
        "services": frozenset({"registry"}), "needed": frozenset(),
        "capabilities": frozenset({Capability.PROBE, Capability.DELIVER, Capability.STATUS}), "idempotent": False,
        "status_query": True, "timeout_s": 5.0, "max_concurrency": 4, "encoding": "utf-8", "service_hours": None,
        "settings": {}, "secrets": {}, "tier": "bronze", "exemptions": {}, "path": Path(__file__),
    }  # fmt: skip
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]


Answer = Receipt | Decision


@dataclass
class Peer:
    """One peer for all endpoints. ``does`` is asked before a message takes effect, ``then`` after; each may raise or wait."""

    effects: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)  # by endpoint
    asked: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)  # calls at once, by endpoint
    does: Callable[[str, Message, Deadline], None] = lambda endpoint, message, deadline: None
    then: Callable[[str, Message, Deadline], Answer] = lambda endpoint, message, deadline: Receipt()
    manifest: Manifest = field(default_factory=manifest)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, adapter_id: str, endpoint: Endpoint) -> Adapter:
        return PeerAdapter(self, endpoint)  # type: ignore[return-value]


class PeerAdapter:
    """Speaks to the peer by calling it."""

    def __init__(self, peer: Peer, endpoint: Endpoint) -> None:
        self.peer = peer
        self.id = endpoint.id
        self.manifest = peer.manifest

    def probe(self, deadline: Deadline) -> Health:
        return Health()

    def deliver(self, message: Message, deadline: Deadline) -> Answer:
        peer = self.peer
        with peer.lock:
            peer.calls[self.id] += 1
            peer.running[self.id] += 1
            peer.most[self.id] = max(peer.most[self.id], peer.running[self.id])
        try:
            peer.does(self.id, message, deadline)
            with peer.lock:
                peer.effects[message.idempotency_key] += 1
            return peer.then(self.id, message, deadline)
        finally:
            with peer.lock:
                peer.running[self.id] -= 1

    def status(self, message: Message, deadline: Deadline) -> StatusAnswer:
        with self.peer.lock:
            self.peer.asked[message.idempotency_key] += 1
            known = self.peer.effects[message.idempotency_key] > 0
        return StatusAnswer(status=DeliveryStatus.RECEIVED if known else DeliveryStatus.UNKNOWN)

    def close(self) -> None:
        return None


class Heard:
    """A handler that remembers what it was told."""

    def __init__(self) -> None:
        self.finished: list[Finished] = []

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        return answer

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        tx.after_commit.append(lambda: self.finished.extend(finished))


def handlers(heard: OutcomeHandler) -> Handlers:
    return dict.fromkeys(Kind, heard)


def add_endpoints(db: Database, count: int = 1, *, prefix: str = "ep", **changes: object) -> list[str]:
    """Endpoints ``ep0``, ``ep1`` … of one system, and the system if it is not there."""
    ids = [f"{prefix}{number}" for number in range(count)]

    def act(tx: Tx) -> None:
        if not tx.conn.execute(sa.select(t.systems.c.id).where(t.systems.c.id == "sys")).first():
            tx.conn.execute(sa.insert(t.systems).values(id="sys", name="系统", enabled=True, created_at=tx.now))
        for id_ in ids:
            values: dict[str, object] = {
                "id": id_, "system_id": "sys", "adapter": "in_process", "service": "registry", "region": "370102",
                "base_url": "http://127.0.0.1:1", "max_concurrency": 4, "timeout_s": 5, "created_at": tx.now,
            }  # fmt: skip
            tx.conn.execute(sa.insert(t.endpoints).values({**values, **changes}))

    db.write(act)
    return ids


def event(key: str) -> CaseEvent:
    return CaseEvent(
        idempotency_key=key, id=key, type="cn.sd.edu.exchange.case.accepted", source="urn:exchange-hub", subject="case_1",
        time=datetime(2026, 3, 2, tzinfo=UTC), data={"state": "open"},
    )  # fmt: skip


def enqueue(db: Database, endpoint_id: str, keys: Sequence[str], **changes: object) -> list[str]:
    values: dict[str, object] = {"case_id": "case_1", "kind": Kind.EVENT, **changes}
    new = [
        NewDelivery(endpoint_id=endpoint_id, subject=key, idempotency_key=key, body=event(key), **values)  # type: ignore[arg-type]
        for key in keys
    ]
    return db.write(lambda tx: store.enqueue(tx, VAULT, new))


def dispatcher(
    db: Database,
    peer: Peer,
    heard: OutcomeHandler,
    *,
    workers: int = 8,
    lease_s: float = 10.0,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
    node: str = "node-a",
) -> Dispatcher:
    attempter = Attempter(
        VAULT, AdapterCache(VAULT, peer.make), handlers(heard), retry or RetryPolicy(base_s=0.05, cap_s=0.2)
    )
    recorder = Recorder(handlers(heard), breaker or BreakerPolicy(open_s=0.3), node)
    return Dispatcher(db, attempter, recorder, node=node, workers=workers, lease=timedelta(seconds=lease_s))


def states(db: Database) -> Counter[str]:
    with db.read() as conn:
        return Counter(conn.execute(sa.select(t.deliveries.c.state)).scalars().all())


def deliveries(db: Database) -> dict[str, Mapping[str, object]]:
    """By idempotency key."""
    with db.read() as conn:
        return {row.idempotency_key: dict(row._mapping) for row in conn.execute(sa.select(t.deliveries))}


def endpoint(db: Database, endpoint_id: str) -> Mapping[str, object]:
    with db.read() as conn:
        return dict(conn.execute(sa.select(t.endpoints).where(t.endpoints.c.id == endpoint_id)).one()._mapping)


def attempts(db: Database) -> list[Mapping[str, object]]:
    with db.read() as conn:
        query = sa.select(t.attempts).order_by(t.attempts.c.delivery_id, t.attempts.c.number)
        return [dict(row._mapping) for row in conn.execute(query)]
