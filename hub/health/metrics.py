"""/metrics. Counters are this process's; gauges are read from the database, so that any node tells of all.

docs/operations/metrics.md lists every metric; a test holds the two together. No label holds personal data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from hub.db import Database
from hub.health.overview import EndpointState, Overview, overview

KEEP_S = 5.0


class Metrics:
    """One registry for each hub, so that tests and several hubs in a process do not meet."""

    def __init__(self, db: Database) -> None:
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "hub_messages",
            "Messages by operation and outcome (accepted, or the problem's code)",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self.answer_seconds = Histogram(
            "hub_answer_seconds",
            "Seconds from the request's first byte to its answer",
            ["operation"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )
        writable = Gauge(
            "hub_database_writable", "1 unless this process's last write found no room", registry=self.registry
        )
        writable.set_function(lambda: float(db.not_writable is None))
        self.registry.register(_FromDatabase(db))

    def observe(self, operation: str, outcome: str, seconds: float) -> None:
        """One message was answered."""
        self.messages.labels(operation, outcome).inc()
        self.answer_seconds.labels(operation).observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _FromDatabase(Collector):
    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._seen: Overview | None = None

    def describe(self) -> Iterable[Metric]:
        return []  # nothing is read at registration

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("hub_database_up", "1 if the database answers; without it the gauges below are missing")
        with self._lock:
            if self._seen is None or time.monotonic() - self._read_at > KEEP_S:
                try:
                    with self._db.read() as conn:
                        self._seen = overview(conn, self._db.clock())
                except SQLAlchemyError:  # what this process counted can still be told
                    up.add_metric([], 0.0)
                    return [up]
                self._read_at = time.monotonic()
            up.add_metric([], 1.0)
            return [up, *_gauges(self._seen)]


def _gauges(seen: Overview) -> list[Metric]:
    up = GaugeMetricFamily("hub_endpoint_up", "1 if the endpoint is well", labels=["endpoint", "adapter", "region"])
    paused = GaugeMetricFamily("hub_endpoint_paused", "1 if somebody must act before it is used", labels=["endpoint"])
    breaker = GaugeMetricFamily("hub_endpoint_breaker_open", "1 if its breaker is not closed", labels=["endpoint"])
    waiting = GaugeMetricFamily("hub_deliveries_waiting", "Unfinished deliveries", labels=["endpoint"])
    suspended = GaugeMetricFamily(
        "hub_deliveries_suspended", "Deliveries that an operator must decide", labels=["endpoint"]
    )
    age = GaugeMetricFamily("hub_delivery_oldest_seconds", "Age of the oldest unfinished delivery", labels=["endpoint"])
    success = GaugeMetricFamily(
        "hub_endpoint_success_ratio", "Good attempts of the last 15 minutes", labels=["endpoint"]
    )
    p95 = GaugeMetricFamily(
        "hub_endpoint_p95_seconds", "95th percentile of attempts, last 15 minutes", labels=["endpoint"]
    )
    expiry = GaugeMetricFamily(
        "hub_endpoint_tls_expiry_seconds", "Seconds until its certificate ends", labels=["endpoint"]
    )
    calls = GaugeMetricFamily(
        "hub_endpoint_calls", "Places held by calls that somebody waits for (evidence)", labels=["endpoint"]
    )
    for endpoint in seen.endpoints:
        calls.add_metric([endpoint.id], endpoint.calls)
        well = endpoint.state in (EndpointState.OK, EndpointState.CLOSED)
        up.add_metric([endpoint.id, endpoint.adapter, endpoint.region], float(well))
        paused.add_metric([endpoint.id], float(endpoint.state is EndpointState.PAUSED))
        breaker.add_metric([endpoint.id], float(endpoint.breaker != "closed"))
        waiting.add_metric([endpoint.id], endpoint.waiting)
        suspended.add_metric([endpoint.id], endpoint.suspended)
        age.add_metric([endpoint.id], (seen.at - endpoint.oldest_at).total_seconds() if endpoint.oldest_at else 0.0)
        if endpoint.success_rate is not None:
            success.add_metric([endpoint.id], endpoint.success_rate)
        if endpoint.p95_s is not None:
            p95.add_metric([endpoint.id], endpoint.p95_s)
        if endpoint.tls_not_after is not None:
            expiry.add_metric([endpoint.id], (endpoint.tls_not_after - seen.at).total_seconds())
    throttled = GaugeMetricFamily(
        "hub_evidence_throttled_subjects",
        "Holders that a throttled caller asked about; absent where nobody is throttled",
        labels=["system"],
    )
    for caller in seen.throttled:
        throttled.add_metric([caller.system_id], caller.subjects)
    guessing = GaugeMetricFamily(
        "hub_authorization_wrong_codes",
        "Codes that nobody has which a caller tried that is throttled for it; absent where nobody is",
        labels=["system"],
    )
    for guesser in seen.guessing:
        if guesser.until > seen.at:
            guessing.add_metric([guesser.system_id], guesser.codes)
    differences = GaugeMetricFamily(
        "hub_collect_differences",
        "Differences of the last reconciliation that nobody has repaired; absent where there are none",
        labels=["endpoint"],
    )
    for endpoint_id, count in seen.differences.items():
        differences.add_metric([endpoint_id], count)
    cases = GaugeMetricFamily("hub_cases", "Cases by state", labels=["state"])
    for state, count in seen.cases.items():
        cases.add_metric([state], count)
    near = GaugeMetricFamily("hub_cases_near_limit", "Open cases near their limit", value=seen.near_limit)
    past = GaugeMetricFamily("hub_cases_past_limit", "Open cases past their limit", value=seen.past_limit)
    return [
        up,
        paused,
        breaker,
        waiting,
        suspended,
        age,
        success,
        p95,
        expiry,
        calls,
        throttled,
        guessing,
        differences,
        cases,
        near,
        past,
    ]
