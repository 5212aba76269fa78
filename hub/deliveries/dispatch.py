"""The dispatcher of a node: claims for its free slots, worker threads that attempt, and outcomes handed to the writer.

One thread claims. It looks again whenever a slot is free, a commit says that something is due (this process or, on PostgreSQL,
NOTIFY), or at the latest after POLL_S: hints may be lost, the rows are the truth. What a dead node left is found by the same
claim once its lease has ended. Worker slots are threads; an outcome is recorded by the writer together with many others.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from adapters.contract import Adapter, PeerMisconfigured
from hub.config import Settings
from hub.db import Database, DatabaseBusy
from hub.deliveries import store
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy, Effect, Sign
from hub.deliveries.claims import ClaimRequest, claim
from hub.deliveries.model import Claimed, Handlers, Outcome, State, Word
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from hub.vault import Vault

CLAIM_LIMIT: Final = 64  # deliveries in one claim
SOON_S: Final = 0.02  # the first pause when nothing was due, doubled up to POLL_S
POLL_S: Final = 0.5
EXPIRY_S: Final = 30.0  # how often deliveries whose time has passed are looked for

log = structlog.get_logger(__name__)


class LeaseTooShort(Exception):
    """An endpoint's call may outlast the lease. The text names the endpoints and what to do."""


class Dispatcher:
    """``start`` and ``stop`` it once."""

    def __init__(
        self,
        db: Database,
        attempter: Attempter,
        recorder: Recorder,
        *,
        node: str,
        workers: int,
        lease: timedelta,
    ) -> None:
        self._db = db
        self._attempter = attempter
        self._record = recorder.record  # one object, so that the writer groups all outcomes into one call
        self._node = node
        self._lease = lease
        self._workers = workers
        self._free = workers
        self._lock = threading.Lock()  # of _free and _unrecorded
        self._work: queue.SimpleQueue[Claimed | None] = queue.SimpleQueue()
        self._unrecorded: list[Outcome] = []
        self._recording = 0
        self._wake = threading.Event()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._expiry_due = 0.0

    @classmethod
    def from_settings(
        cls, settings: Settings, db: Database, vault: Vault, handlers: Handlers, adapters: AdapterCache
    ) -> Dispatcher:
        """As ``hub serve`` makes it."""
        retry = RetryPolicy(settings.retry_base_s, settings.retry_cap_s, settings.retry_limit)
        breaker = BreakerPolicy(settings.breaker_failures, settings.breaker_open_s)
        return cls(
            db,
            Attempter(vault, adapters, handlers, retry),
            Recorder(handlers, breaker, settings.node),
            node=settings.node,
            workers=settings.workers,
            lease=timedelta(seconds=settings.lease_s),
        )

    def start(self) -> None:
        """Begin to attempt what is due. LeaseTooShort if a registered endpoint's call may outlast the lease."""
        with self._db.read() as conn:
            too_long = store.longer_than_lease(conn, self._lease)
        if too_long:
            seconds = int(self._lease.total_seconds())
            raise LeaseTooShort(f"lease_s is {seconds}: raise it, or lower the timeout of {', '.join(too_long)}")
        self._db.on_due(self._wake.set)
        names = [("dispatcher", self._run), *((f"attempt-{n}", self._work_on) for n in range(self._workers))]
        self._threads = [threading.Thread(target=target, name=name, daemon=True) for name, target in names]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more, let running attempts end, record their outcomes. At most about one lease."""
        self._stopping = True
        self._wake.set()
        if not self._threads:
            return
        give_up = time.monotonic() + self._lease.total_seconds()
        self._threads[0].join(timeout=self._lease.total_seconds())
        for _ in range(self._workers):
            self._work.put(None)
        for thread in self._threads[1:]:
            thread.join(timeout=max(0.0, give_up - time.monotonic()))
        while (self._recording or self._unrecorded) and time.monotonic() < give_up:
            self._record_again()
            time.sleep(0.02)
        self._threads = []

    def adapter_of(self, endpoint_id: str) -> Adapter:
        """The adapter of a registered endpoint, for probes. PeerMisconfigured if none can be made."""
        with self._db.read() as conn:
            target = store.target(conn, endpoint_id)
        if target is None:
            raise PeerMisconfigured("unknown-endpoint", endpoint_id)
        return self._attempter.adapters.of(target)

    # --- the dispatcher's thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = SOON_S
        while not self._stopping:
            self._wake.clear()
            try:
                self._record_again()
                taken = self._claim()
            except (DatabaseBusy, OperationalError) as error:
                log.warning("cannot claim", error=type(error).__name__)
                taken, pause = 0, POLL_S
            except Exception as error:  # noqa: BLE001  a bug; but if this thread ends, nothing is ever delivered again
                log.critical("bug", where="dispatcher", error=type(error).__name__)
                taken, pause = 0, POLL_S
            if taken:
                pause = SOON_S
            else:
                self._wake.wait(pause)
                pause = min(POLL_S, pause * 2)

    def _claim(self) -> int:
        """Hand work to the free slots; gives how much."""
        if time.monotonic() >= self._expiry_due:
            self._expiry_due = time.monotonic() + EXPIRY_S
            with self._db.read() as conn:
                expired = store.expired_ids(conn, self._db.clock())
            if expired:
                self._take(ClaimRequest(self._node, len(expired), self._lease, tuple(expired)))
        free = min(self._free, CLAIM_LIMIT)
        return self._take(ClaimRequest(self._node, free, self._lease)) if free > 0 else 0

    def _take(self, request: ClaimRequest) -> int:
        claimed = self._db.submit(claim, request).result()
        with self._lock:
            self._free -= len(claimed)
        for one in claimed:
            self._work.put(one)
        return len(claimed)

    def _record_again(self) -> None:
        """Outcomes that the database would not take. Past their lease they are given up: another attempt will ask the peer."""
        with self._lock:
            waiting, self._unrecorded = self._unrecorded, []
        for outcome in waiting:
            if time.monotonic() < outcome.claimed.lease_ends:
                self._submit(outcome)
            else:
                log.error("outcome not recorded before its lease ended", delivery=outcome.claimed.id)

    # --- the workers' threads -------------------------------------------------------------------------------------------

    def _work_on(self) -> None:
        while (claimed := self._work.get()) is not None:
            try:
                self._submit(self._outcome_of(claimed))
            except Exception as error:  # noqa: BLE001  the lease ends by itself; a thread that ended would be gone for good
                log.critical("bug", where="worker", delivery=claimed.id, error=type(error).__name__)
            finally:
                with self._lock:
                    self._free += 1
                self._wake.set()

    def _outcome_of(self, claimed: Claimed) -> Outcome:
        try:
            return self._attempter.run(claimed)
        except Exception as error:  # noqa: BLE001  it says that it never raises; where it does, an operator decides
            return self._attempter.bug(claimed, error)

    def _submit(self, outcome: Outcome) -> None:
        with self._lock:
            self._recording += 1
        try:
            future = self._db.submit(self._record, outcome)
        except Exception as error:  # noqa: BLE001  whatever stops it now, the outcome is kept and handed in again
            if not isinstance(error, DatabaseBusy):
                log.critical("bug", where="submit", delivery=outcome.claimed.id, error=type(error).__name__)
            self._not_recorded(outcome)
            return
        future.add_done_callback(lambda done: self._recorded(done, outcome))

    def _recorded(self, done: Future[bool], outcome: Outcome) -> None:
        """In the writer's thread: short, and never raising."""
        error = done.exception()
        if error is None:
            if not done.result():
                log.warning("lease lost", delivery=outcome.claimed.id, attempt=outcome.claimed.attempt)
            with self._lock:
                self._recording -= 1
            self._wake.set()  # its endpoint has a place again
        elif isinstance(error, DatabaseBusy | OperationalError) or not outcome.tell:
            self._not_recorded(outcome)
        else:
            # the room that asked cannot record it: a bug. The outcome must not be lost, nor be tried for ever.
            log.critical("bug", where="record", delivery=outcome.claimed.id, error=type(error).__name__)
            self._not_recorded(_suspended(outcome, error))

    def _not_recorded(self, outcome: Outcome) -> None:
        with self._lock:
            self._recording -= 1
            self._unrecorded.append(outcome)


def _suspended(outcome: Outcome, error: BaseException) -> Outcome:
    return replace(
        outcome,
        word=Word.BUG,
        state=State.SUSPENDED,
        code=f"bug-{type(error).__name__}",
        sign=Sign(Effect.NONE),
        in_doubt=True,
        result=None,
        tell=False,
    )
