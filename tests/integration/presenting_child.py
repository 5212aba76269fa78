"""A counter in a process of its own: what the kill tests of presentations kill.

``presenting_child URL FOLDER begin MESSAGE INDEX CODE``: hands a code over, and prints its state.
``… URL FOLDER status - INDEX PRESENTATION``: asks how it stands.
``… URL FOLDER ask MESSAGE INDEX PRESENTATION``: asks for the evidence that rests on it, and prints ``answer STATE``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from adapters.contract import ShownKind
from hub.ecerts.presentations.model import PresentationRequest
from tests.integration.evidence_child import quiet, world_of
from tests.integration.presenting import Counter


def main() -> None:
    url, folder, act, message, number, reference = sys.argv[1:]
    quiet()
    world, index = world_of(url, Path(folder)), int(number)
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
