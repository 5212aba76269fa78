"""What must be done now and then: limits flagged, used nonces forgotten, refusals summed up. Safe on every node at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Chore:
    """``do`` every ``every_s``; a failure is logged and the chore comes again."""

    name: str
    every_s: float
    do: Callable[[], object]
    waits_s: float = 0.0


class Housekeeping:
    """One thread for all chores."""

    TICK_S = 1.0

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(self.TICK_S):
            for chore in self._chores:
                chore.waits_s -= self.TICK_S
                if chore.waits_s <= 0:
                    chore.waits_s = chore.every_s
                    self._do(chore)

    def _do(self, chore: Chore) -> None:
        try:
            chore.do()
        except Exception as error:  # noqa: BLE001  the next chore must still come; the log has the kind of error
            log.error("chore failed", chore=chore.name, error=type(error).__name__)  # noqa: TRY400  messages may quote values
