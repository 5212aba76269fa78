"""Health for machines and for the overview: up and down, what is ill and since when, and quickly with many endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from adapters.contract import Capability, Deadline, PeerMisconfigured, RetryLater
from adapters.registry import manifest
from hub import tables as t
from hub.access.endpoints import check_url, resume_endpoint, set_endpoint
from hub.access.registration import RegistrationError
from hub.app import Hub
from hub.cases import store as case_store
from hub.config import Settings
from hub.console import store as console_store
from hub.db import Database, Tx
from hub.health import store
from hub.health.overview import EndpointState, overview
from hub.health.probes import Probed, Prober, UnknownEndpoint, certificate_end
from hub.health.store import Seen
from hub.vault import Vault

NOW = datetime(2026, 9, 1, 4, tzinfo=UTC)


@pytest.fixture
def hub(database_url: str, state_dir: Path) -> Iterator[Hub]:
    made = Hub(Settings(state_dir=state_dir, database_url=database_url))
    yield made
    made.db.close()


def endpoint(id_: str = "e", **values: object) -> dict[str, object]:
    base = {"id": id_, "system_id": "s", "adapter": "county_rest", "service": "registry", "region": "370102",
            "base_url": "http://127.0.0.1:9", "max_concurrency": 1, "timeout_s": 5, "created_at": NOW}  # fmt: skip
    return {**base, **values}


def add(db: Database, *rows: dict[str, object]) -> None:
    def fill(tx: Tx) -> None:
        tx.conn.execute(sa.insert(t.systems).values(id="s", name="s", enabled=True, created_at=NOW))
        for row in rows:
            tx.conn.execute(sa.insert(t.endpoints).values(row))

    db.write(fill)


def row_of(db: Database, id_: str = "e") -> sa.Row[tuple[object, ...]]:
    with db.read() as conn:
        return conn.execute(sa.select(t.endpoints).where(t.endpoints.c.id == id_)).one()


def test_live_ready_and_metrics(hub: Hub) -> None:
    add(hub.db, endpoint())
    client = TestClient(hub.app)
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}
    metrics = client.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(metrics.text)}
    assert families["hub_database_up"].samples[0].value == 1
    assert families["hub_endpoint_up"].samples[0].labels == {
        "endpoint": "e",
        "adapter": "county_rest",
        "region": "370102",
    }


def test_with_the_database_away_it_is_live_but_not_ready(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(hub.app)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("select", {}, Exception("away"))

    monkeypatch.setattr(hub.db.engine, "connect", away)
    assert client.get("/health/live").status_code == 200
    not_ready = client.get("/health/ready")
    assert (not_ready.status_code, not_ready.json()["reason"]) == (503, "database")
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert "hub_database_up 0.0" in metrics.text


@pytest.mark.parametrize(
    ("values", "state", "since"),
    [
        ({}, EndpointState.OK, None),
        ({"ill_since": NOW, "last_error": "timeout"}, EndpointState.ILL, NOW),
        (
            {"ill_since": NOW - timedelta(hours=1), "misconfigured_at": NOW, "breaker": "open"},
            EndpointState.MISCONFIGURED,
            NOW,
        ),
        ({"ill_since": NOW, "breaker": "open", "open_at": NOW}, EndpointState.BREAKER_OPEN, NOW),
        ({"breaker": "open", "open_at": NOW - timedelta(minutes=1)}, EndpointState.OK, None),  # probed well since
        ({"breaker": "open", "open_at": NOW + timedelta(minutes=1)}, EndpointState.BREAKER_OPEN, None),
        (
            {"paused_at": NOW, "paused_reason": "http-401", "breaker": "open", "ill_since": NOW},
            EndpointState.PAUSED,
            NOW,
        ),
        ({"open_at": NOW + timedelta(hours=1)}, EndpointState.CLOSED, None),
    ],
)
def test_an_endpoints_state_is_the_worst_that_is_true(
    database: Database, values: dict[str, object], state: EndpointState, since: datetime | None
) -> None:
    add(database, endpoint(**values))
    with database.read() as conn:
        seen = overview(conn, NOW).endpoints[0]
    assert (seen.state, seen.since) == (state, since)


class FakePeer:
    """An adapter that is well, or raises."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.manifest = type("M", (), {"capabilities": {Capability.PROBE}})()

    def probe(self, deadline: Deadline) -> None:
        assert deadline.remaining() > 0
        if self.error is not None:
            raise self.error


def test_a_probe_tells_an_outage_once_and_its_end_once(database: Database) -> None:
    add(database, endpoint())
    peer = FakePeer()
    prober = Prober(database, lambda _: peer, 0)  # type: ignore[arg-type, return-value]
    for error in (RetryLater("connection-refused"), RetryLater("timeout"), KeyError("a bug of an adapter"), None, None):
        peer.error = error
        prober.round()
    with database.read() as conn:
        query = sa.select(t.audit.c.outcome).where(t.audit.c.action == "endpoint.health").order_by(t.audit.c.seq)
        assert list(conn.execute(query).scalars()) == ["ill", "well"]
    assert row_of(database).last_error == "bug-KeyError"


def test_a_probe_says_since_when_somebody_must_mend_a_setting(database: Database) -> None:
    add(database, endpoint())
    peer = FakePeer()
    prober = Prober(database, lambda _: peer, 0)  # type: ignore[arg-type, return-value]
    wrong = PeerMisconfigured("2001")
    for error in (RetryLater("timeout"), wrong, wrong, RetryLater("timeout"), wrong, None):
        peer.error = error
        prober.round()
        row = row_of(database)
        assert (row.misconfigured_at is not None) == (error is wrong)
        assert (row.ill_since is not None) == (error is not None)
        assert row.paused_at is None, "a probe pauses nothing: it goes on by itself once it is mended"
    with database.read() as conn:
        query = sa.select(t.audit.c.outcome).where(t.audit.c.action == "endpoint.health").order_by(t.audit.c.seq)
        told = ["ill", "misconfigured", "ill", "misconfigured", "well"]
        assert list(conn.execute(query).scalars()) == told


def test_what_was_mended_is_not_said_to_be_misconfigured_before_it_is_tried(database: Database) -> None:
    add(database, endpoint(misconfigured_at=NOW, ill_since=NOW), endpoint("f", misconfigured_at=NOW, paused_at=NOW))

    def mend(tx: Tx) -> None:
        set_endpoint(
            tx, "test", Vault(bytes(32)), manifest("county_rest"), "e", lease_s=60, base_url="http://127.0.0.1:8"
        )
        resume_endpoint(tx, "test", "f", "mended")

    database.write(mend)
    assert row_of(database).misconfigured_at is None
    assert row_of(database, "f").misconfigured_at is None


@pytest.mark.parametrize("url", ["https://county..example.cn/x", f"https://{'a' * 64}.example.cn"])
def test_an_address_that_no_server_can_have_is_refused_and_ends_no_prober(database: Database, url: str) -> None:
    with pytest.raises(RegistrationError):
        check_url(url)
    assert certificate_end(url) is None  # one that was registered before


def test_the_prober_outlives_whatever_a_round_raises(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def fails(_: Prober) -> None:
        rounds.append(1)
        raise LookupError("a bug")

    monkeypatch.setattr(Prober, "round", fails)
    prober = Prober(database, lambda _: FakePeer(), 0.01)  # type: ignore[arg-type, return-value]
    prober.start()
    until = time.monotonic() + 5
    while len(rounds) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    prober.stop()
    assert len(rounds) >= 3


def test_probing_now_lets_what_waits_behind_the_breaker_go(database: Database) -> None:
    add(database, endpoint(breaker="open", open_at=NOW + timedelta(days=9000), ill_since=NOW))
    peer = FakePeer()
    prober = Prober(database, lambda _: peer, 0)  # type: ignore[arg-type, return-value]
    peer.error = PeerMisconfigured("http-401")
    assert prober.probe_now("e", "operator:x") == Probed(Seen.MISCONFIGURED, "http-401")
    assert row_of(database).open_at > database.clock()
    peer.error = None
    assert prober.probe_now("e", "operator:x") == Probed(Seen.WELL)
    assert row_of(database).open_at <= database.clock() + timedelta(seconds=5)
    assert row_of(database).ill_since is None
    with pytest.raises(UnknownEndpoint):
        prober.probe_now("nobody", "operator:x")


def fill_many(tx: Tx) -> None:
    """160 endpoints, 10,000 live deliveries, 20,000 attempts of the last quarter of an hour, 5,000 open cases."""
    tx.conn.execute(sa.insert(t.endpoints), [endpoint(f"e{n:03}", region="370102") for n in range(160)])
    states = ("queued", "queued", "queued", "attempting", "suspended")
    tx.conn.execute(sa.insert(t.deliveries), [
        {"id": f"d{n:05}", "endpoint_id": f"e{n % 160:03}", "case_id": f"c{n // 4}", "kind": "step", "subject": "x",
         "idempotency_key": f"k{n}", "state": states[n % 5], "due_at": tx.now, "created_at": tx.now, "body_sealed": b"x" * 600,
         "lease_until": tx.now} for n in range(10_000)])  # fmt: skip
    tx.conn.execute(sa.insert(t.attempts), [
        {"delivery_id": f"d{n % 10_000:05}", "number": n // 10_000 + 1, "endpoint_id": f"e{n % 160:03}", "node": "n",
         "started_at": tx.now - timedelta(milliseconds=n * 40), "finished_at": tx.now, "outcome": "delivered"}
        for n in range(20_000)])  # fmt: skip
    tx.conn.execute(sa.insert(t.cases), [
        {"id": f"c{n}", "flow": "transfer-within-county@1", "system_id": "s", "message_id": f"m{n}", "subject_index": f"i{n}",
         "open_subject": f"i{n}", "releasing_region": "370102", "receiving_region": "370102", "state": "waiting",
         "opened_at": tx.now, "near_at": tx.now, "limit_at": tx.now, "limit_provisional": False, "near_flagged": n % 50 == 0,
         "past_flagged": False, "payload_sealed": b"x" * 1500} for n in range(5_000)])  # fmt: skip


def test_the_overview_is_quick_with_many_endpoints_and_deliveries(database: Database) -> None:
    add(database)
    database.write(fill_many)
    if not database.is_sqlite:
        with database.engine.begin() as conn:
            conn.execute(sa.text("ANALYZE"))
    seconds, floors = [], []
    for _ in range(7):
        began = time.perf_counter()
        with database.read() as conn:
            seen = overview(conn, database.clock())
            suspended = console_store.suspended(conn)
            near = case_store.cases_near_limit(conn, limit=50)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        with database.read() as conn:  # the floor: to read what it sums up, once
            rows = [
                *conn.execute(sa.select(t.attempts)),
                *conn.execute(sa.select(t.deliveries.c.id, t.deliveries.c.state)),
            ]
        floors.append(time.perf_counter() - began)
    assert (len(seen.endpoints), len(suspended), len(near), len(rows)) == (160, 200, 50, 30_000)
    print(f"overview: best {min(seconds) * 1000:.0f} ms, beside {min(floors) * 1000:.0f} ms to read all rows")
    assert min(seconds) < 1.5 * min(floors)  # a ratio, not a time: machines differ


def test_a_busy_endpoint_does_not_push_a_quiet_one_out(database: Database) -> None:
    add(database, endpoint("busy"), endpoint("quiet"), endpoint("silent"))

    def fill(tx: Tx) -> None:
        tx.conn.execute(sa.insert(t.deliveries).values(
            id="d", endpoint_id="busy", case_id="c", kind="step", subject="x", idempotency_key="k", state="queued",
            due_at=NOW, created_at=NOW, body_sealed=b"x"))  # fmt: skip
        rows = [("busy", n, NOW + timedelta(seconds=n), 0.2, "delivered") for n in range(150)]
        rows += [("quiet", 200 + n, NOW, float(n + 1), "delivered" if n else "retry-later") for n in range(4)]
        rows += [("silent", 300, NOW - timedelta(hours=1), 1.0, "delivered")]
        tx.conn.execute(sa.insert(t.attempts), [
            {"delivery_id": "d", "number": number, "endpoint_id": id_, "node": "n", "started_at": at,
             "finished_at": at + timedelta(seconds=took), "outcome": outcome}
            for id_, number, at, took, outcome in rows])  # fmt: skip

    database.write(fill)
    with database.read() as conn:
        seen = store.speeds(conn, NOW - timedelta(minutes=1))
    assert seen == {"busy": store.Speed(100, 100, 0.2), "quiet": store.Speed(4, 3, 3.0)}


def test_nothing_secret_is_read_for_the_overview(database: Database) -> None:
    add(database, endpoint(secrets_sealed=b"sealed"))
    with database.read() as conn:
        assert "secrets_sealed" not in store.endpoints(conn)[0]


def test_a_new_address_has_not_the_certificate_of_the_old(database: Database) -> None:
    add(database, endpoint(base_url="https://127.0.0.1:9", tls_not_after=NOW + timedelta(days=3)))
    county = manifest("county_rest")
    changed = database.write(
        lambda tx: set_endpoint(tx, "test", Vault(bytes(32)), county, "e", lease_s=60, base_url="http://127.0.0.1:9")
    )
    assert changed == ["base_url"]
    assert row_of(database).tls_not_after is None


def test_a_certificate_that_could_not_be_read_is_looked_at_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [None, NOW + timedelta(days=30), NOW + timedelta(days=60)]
    monkeypatch.setattr("hub.health.probes.certificate_end", lambda url: answers.pop(0))
    add(database, endpoint())
    prober = Prober(database, lambda _: FakePeer(), 0)  # type: ignore[arg-type,return-value]
    for _ in range(3):
        prober.probe("e", "https://127.0.0.1:9")
    assert row_of(database).tls_not_after == NOW + timedelta(days=30)
    assert len(answers) == 1  # once it is known, not with every probe
