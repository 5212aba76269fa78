"""A counter in a process of its own: what the kill tests of presentations kill.

``python -m tests.integration.presenting_child URL FOLDER begin MESSAGE INDEX CODE``: hands a code over, and prints its state.
``… URL FOLDER status - INDEX PRESENTATION``: asks how it stands.
``… URL FOLDER ask MESSAGE INDEX PRESENTATION``: asks for the evidence that rests on it, and prints ``answer STATE``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import structlog

from adapters.contract import ShownKind
from hub.ecerts.presentations.model import PresentationRequest
from tests.integration.evidence_child import world_of
from tests.integration.presenting import Counter


def main(url: str, folder: Path, act: str, message: str, index: int, reference: str) -> None:
    world = world_of(url, folder)
    counter = Counter(world)
    if act == "begin":
        print(counter.begin(begin_request(counter, message, index, reference)).state, flush=True)
    elif act == "status":
        print(counter.status(reference).state, flush=True)
    else:
        print("answer", counter.ask(reference, index, messageId=message, deadlineS=3).state, flush=True)
    counter.close()
    world.close()
    world.db.close()


def begin_request(counter: Counter, message: str, index: int, code: str) -> PresentationRequest:
    shown: dict[str, Any] = (
        {"kind": ShownKind.ECERT, "wanted": {"ecertTypes": ("id-card",)}} if code.startswith("CERT:") else {}
    )
    return counter.request(index, messageId=message, code=code, **shown)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # what is printed is the answer
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6])
