"""A batch file that is no table, or is none from some row on."""

from __future__ import annotations

from collections.abc import Sequence

from hub.ecerts.collect.faults import fault
from hub.ecerts.collect.model import RowFault


class FileUnreadable(Exception):
    """``reason`` is a stable word of docs/protocol/collect.md; ``faults`` say where."""

    def __init__(self, reason: str, faults: Sequence[RowFault] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.faults = tuple(faults) or (fault(0, "", reason),)
