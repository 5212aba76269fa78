"""Which endpoint serves a region, and who wants to hear of an event: read from the database, kept for two seconds."""

from __future__ import annotations

import threading
import time

from hub.cases import store
from hub.db import Database
from schemas.problems import NO_ROUTE, HubProblem
from schemas.regions import REGIONS

KEEP_S = 2.0  # a change of endpoints or subscriptions is seen by every node after this long


class Directory:
    """Endpoints by (service, region) and subscriptions; shared by every thread of the process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._routes: dict[tuple[str, str], store.Route] = {}
        self._endpoints: dict[str, store.Route] = {}
        self._subscriptions: list[store.Subscription] = []

    def route(self, service: str, region: str) -> store.Route:
        """The endpoint of the region itself, else of its city, else of the province. HubProblem(NO_ROUTE) if none."""
        self._refresh()
        code: str | None = region
        while code is not None:
            if route := self._routes.get((service, code)):
                return route
            place = REGIONS.by_code.get(code)  # none: another province's
            code = place.parent if place else None
        raise HubProblem(NO_ROUTE, f"{service} {region}")

    def endpoint(self, endpoint_id: str) -> store.Route | None:
        """What an endpoint serves and whose it is; None if it has been removed."""
        self._refresh()
        return self._endpoints.get(endpoint_id)

    def subscriptions(self) -> list[store.Subscription]:
        self._refresh()
        return self._subscriptions

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < KEEP_S:
            return
        with self._lock:
            if time.monotonic() - self._read_at < KEEP_S:
                return
            with self._db.read() as conn:
                routes = store.load_routes(conn)
                self._routes = {(route.service, route.region): route for route in routes}
                self._endpoints = {route.endpoint_id: route for route in routes}
                self._subscriptions = store.load_subscriptions(conn)
            self._read_at = time.monotonic()
