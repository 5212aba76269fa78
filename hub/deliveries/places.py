"""Places at an endpoint for calls that somebody waits for, counted together with deliveries, over all processes and nodes.

``max_concurrency`` of an endpoint, and its one call at a time after a failure, hold for deliveries and such calls together. A
delivery's place is its lease. For calls a process holds *blocks* of places (table ``endpoint_calls``): to commit before and after
each call would cost more than many calls do, so a block is kept for a moment and used again, and what nobody needs is given
back within KEEP_S. What a dead process held comes back when its block has ended.

Both sides leave room for the other: a block leaves deliveries that are due one place at least, and claims (:mod:`.claims`)
leave what waiting calls have asked for, except one. A block from an open breaker whose time has come is its probe, as a claim is.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from adapters.contract import Deadline
from hub.db import Database, DatabaseBusy, Tx
from hub.deliveries import store
from hub.deliveries.breaker import Breaker, on_claim, room
from hub.deliveries.retry import opens_at

LONGEST_CALL_S: Final = 31.0  # no call that somebody waits for lasts longer
BLOCK_S: Final = 10.0  # renewed after half of it while calls are under way
KEEP_S: Final = 1.0  # how long a place that nobody uses is kept
AGAIN_S: Final = 0.05  # when others hold all places; when this process does, its own calls that end make room
AGAIN_OWN_S: Final = 0.5
SPARE: Final = 3  # given beyond what is needed now, if no delivery waits: the next request need not ask
BUSY: Final = "endpoint-busy"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """``wanted`` places are needed in all, of which ``in_use`` are used by calls under way; both 0: give back."""

    endpoint_id: str
    holder: str
    wanted: int
    in_use: int


@dataclass(frozen=True, slots=True)
class Granted:
    """``closed``: why the endpoint is not called now; then only what is in use is held."""

    places: int
    closed: str | None = None


def closed_word(paused_at: datetime | None, open_at: datetime, service_hours: str | None, now: datetime) -> str | None:
    """Why an endpoint is not called now; None if it may be."""
    if paused_at is not None:
        return "endpoint-paused"
    if open_at > now:  # its breaker is open, or it asked to be left alone for a while
        return "endpoint-resting"
    return "outside-service-hours" if opens_at(service_hours, now) is not None else None


def take(tx: Tx, asks: Sequence[Ask]) -> list[Granted]:
    """One batch operation of the writer."""
    rows = store.lock_for_calls(tx.conn, {ask.endpoint_id for ask in asks})
    store.forget_places(tx.conn, tx.now)
    return [_take(tx, ask, rows.get(ask.endpoint_id)) for ask in asks]


def _take(tx: Tx, ask: Ask, row: store.CallableRow | None) -> Granted:
    if row is None:
        return Granted(0, "no-endpoint")
    closed = closed_word(row.paused_at, row.open_at, row.service_hours, tx.now)
    places = ask.in_use
    if closed is None and ask.wanted > 0:
        size = room(Breaker(row.breaker), row.failures, row.max_concurrency)
        leases, others = store.places_taken(tx.conn, ask.endpoint_id, ask.holder, tx.now)
        free = size - leases - others
        due = store.has_due(tx.conn, ask.endpoint_id, tx.now)
        if due and size > 1 and leases == 0:
            free -= 1
        places = max(ask.in_use, min(ask.wanted + (0 if due else SPARE), free))
        if places > ask.in_use and row.breaker == Breaker.OPEN.value:
            store.set_breaker(tx.conn, ask.endpoint_id, on_claim(Breaker.OPEN).value)
    until = tx.now + timedelta(seconds=BLOCK_S)
    store.hold_places(tx.conn, ask.endpoint_id, ask.holder, places, 0 if closed else ask.wanted, until)
    return Granted(places, closed)


@dataclass(slots=True)
class _Block:
    granted: int = 0
    renew_at: float = 0.0  # on the monotonic clock
    in_use: int = 0
    waiting: int = 0
    peak: int = 0  # since the keeper last looked
    asking: bool = False
    again_at: float = 0.0
    wanted: int = 0  # as recorded

    @property
    def needed(self) -> int:
        return self.in_use + self.waiting


@dataclass
class Places:
    """Of one process, shared by its threads."""

    db: Database
    node: str
    _blocks: dict[str, _Block] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stop: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._holder = f"{self.node[:40]}:{secrets.token_hex(6)}"

    def enter(self, endpoint_id: str, deadline: Deadline) -> str | None:
        """None with a place, to be left by :meth:`leave`; else the stable word that says why."""
        with self._changed:
            block = self._blocks.setdefault(endpoint_id, _Block())
            block.waiting += 1
            try:
                while True:
                    now = time.monotonic()
                    if block.in_use < block.granted and now < block.renew_at:
                        block.in_use += 1
                        return None
                    left = deadline.remaining()
                    if left <= 0.0:
                        return BUSY
                    if block.asking or now < block.again_at:
                        self._changed.wait(left if block.asking else min(left, block.again_at - now))
                    elif (closed := self._ask(endpoint_id, block, block.needed)) is not None:
                        return closed
            finally:
                block.waiting -= 1
                block.peak = max(block.peak, block.needed)

    def leave(self, endpoint_id: str, *, well: bool = True) -> None:
        """``well``: it answered; else what this process still holds is asked for anew, for there may be one place only now."""
        with self._changed:
            block = self._blocks[endpoint_id]
            block.in_use -= 1
            if not well:
                block.granted = min(block.granted, block.in_use)
            self._changed.notify_all()

    def _ask(self, endpoint_id: str, block: _Block, wanted: int) -> str | None:
        """With the lock held, which is given up meanwhile. Why the endpoint is closed, if it is."""
        block.asking = True
        in_use, began = block.in_use, time.monotonic()
        block.granted = min(block.granted, in_use)  # nobody enters by what is being given back
        self._start_keeper()
        self._changed.release()
        granted = Granted(in_use, BUSY)
        try:
            granted = self.db.submit(take, Ask(endpoint_id, self._holder, wanted, in_use)).result()
        except (DatabaseBusy, OperationalError) as error:
            log.warning("no places to be had", endpoint=endpoint_id, error=type(error).__name__)
        finally:
            self._changed.acquire()
            block.asking = False
            block.granted = granted.places
            block.renew_at = began + BLOCK_S / 2
            block.wanted = wanted
            pause = AGAIN_OWN_S if granted.places else AGAIN_S
            block.again_at = time.monotonic() + pause if granted.places <= block.in_use else 0.0
            self._changed.notify_all()
        return granted.closed

    # --- giving back --------------------------------------------------------------------------------------------------

    def _start_keeper(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="places", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        while not self._stop.wait(KEEP_S):
            self.give_back()

    def give_back(self) -> None:
        """What was not needed since the last time."""
        with self._changed:
            for endpoint_id, block in list(self._blocks.items()):
                peak, block.peak = max(block.peak, block.needed), block.needed
                too_much = max(block.granted, block.wanted) > peak
                too_old = block.needed > 0 and time.monotonic() >= block.renew_at
                if (too_much or too_old) and not block.asking:
                    self._ask(endpoint_id, block, peak)

    def close(self) -> None:
        """Give everything back that no call under way uses."""
        self._stop.set()
        if self._keeper is not None:
            self._keeper.join()
        with self._changed:
            for block in self._blocks.values():
                block.peak = 0
        self.give_back()
