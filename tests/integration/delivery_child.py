"""A small process that takes work and delivers it: what the kill tests of the delivery path kill.

``delivery_child URL PREFIX COUNT``: makes COUNT deliveries one after the other (each acknowledged by
a line ``ack KEY`` once it is committed), delivers whatever there is through the real adapters, and ends when nothing is left.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from adapters import samples
from adapters.registry import create
from hub import tables as t
from hub.audit.chain import AuditChain
from hub.db import AuditEntry, Database, Tx
from hub.deliveries import store
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Finished, Kind, NewDelivery
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from schemas.base import Canonical
from tests.conftest import AUDIT_KEY
from tests.delivering import VAULT, handlers

LEASE = timedelta(seconds=2.5)
ENDPOINTS = ("county-a0", "county-b0")


class WritesEvents:
    """What follows from an outcome: one row for each delivery, in the outcome's own commit. A second one would be refused."""

    def prepare(self, case_id: str, subject: str, answer: Canonical) -> object:
        return answer

    def record(self, tx: Tx, finished: Sequence[Finished]) -> None:
        rows = [
            {
                "id": f"evt_{one.delivery_id}",
                "case_id": one.case_id,
                "type": one.state.value,
                "at": tx.now,
                "data": "{}",
            }
            for one in finished
        ]
        tx.conn.execute(sa.insert(t.events), rows)


def new_delivery(key: str, endpoint_id: str) -> NewDelivery:
    body = samples.step(key)
    return NewDelivery(endpoint_id, body.case_id, Kind.STEP, body.step, key, body)


def main() -> None:
    url, prefix, count = sys.argv[1:]
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    heard = handlers(WritesEvents())
    retry, breaker = RetryPolicy(base_s=0.05, cap_s=0.2, limit=50), BreakerPolicy(failures=10, open_s=0.2)
    attempter = Attempter(VAULT, AdapterCache(VAULT, create), heard, retry)
    dispatcher = Dispatcher(db, attempter, Recorder(heard, breaker, prefix), node=prefix, workers=4, lease=LEASE)
    dispatcher.start()
    for number in range(int(count)):
        key = f"{prefix}-{number}"
        new = new_delivery(key, ENDPOINTS[number % len(ENDPOINTS)])

        def act(tx: Tx, new: NewDelivery = new) -> None:
            store.enqueue(tx, VAULT, [new])
            tx.audit.append(AuditEntry("test", "delivery.enqueue", new.idempotency_key, "queued"))

        db.write(act)
        print(f"ack {key}", flush=True)
        time.sleep(0.01)
    while unfinished(db):
        time.sleep(0.05)
    dispatcher.stop()
    db.close()


def unfinished(db: Database) -> int:
    with db.read() as conn:
        query = sa.select(sa.func.count()).where(t.deliveries.c.state.in_(["queued", "attempting"]))
        return conn.execute(query).scalar_one()
