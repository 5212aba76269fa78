"""The worker: a thread of each process that delivers. It feeds waiting rows, checks files, and looks again at pending documents."""

from __future__ import annotations

import functools
import threading
from datetime import timedelta
from typing import Final

import structlog

from hub.db import DatabaseBusy
from hub.ecerts.collect import store
from hub.ecerts.collect.checking import Checker
from hub.ecerts.collect.feeding import feed_one
from hub.ecerts.collect.service import Collections

TICK_S: Final = 1.0

log = structlog.get_logger(__name__)


class CollectWorker:
    """``lease``: how long a file is this node's without a sign of life; ``give_up``: how long a document may stay pending."""

    def __init__(self, collections: Collections, *, lease: timedelta, give_up: timedelta) -> None:
        self._c = collections
        self._stop, self._due = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)
        self._checker = Checker(collections, lease=lease, give_up=give_up, feed=self.feed, stopping=self._stop.is_set)
        collections.wake = self._due.set

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._due.wait(TICK_S)
            self._due.clear()
            try:
                self.work()
            except DatabaseBusy:
                continue
            except Exception as error:  # noqa: BLE001  the next tick must still come; the text may quote values
                log.error("collecting failed", error=type(error).__name__)  # noqa: TRY400

    def work(self) -> None:
        """Check what is to be checked, feeding meanwhile."""
        self.feed()
        more = True
        while more and not self._stop.is_set():
            looked_at = self._checker.check_pending()  # some, then a file: neither keeps the other waiting
            more = self._checker.check_next() or looked_at > 0
            self.feed()

    def feed(self) -> None:
        """Deliveries of waiting rows, while there is room."""
        with self._c.db.read() as conn:
            endpoints = store.endpoints_with_waiting(conn)
        for endpoint_id in endpoints:
            feed = functools.partial(feed_one, vault=self._c.vault, endpoint_id=endpoint_id)
            while self._c.db.write(feed):
                if self._stop.is_set():
                    return
