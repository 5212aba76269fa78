"""A small process that asks for evidence, or follows it up: what the kill tests of the fetch path kill.

``evidence_child URL FOLDER ask MESSAGE INDEX``: asks, and prints ``answer ID STATE DIGEST``.
``… URL FOLDER follow ID 0``: does what a hub does in the background until the request is answered; prints ``done``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, cast

import structlog

from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.evidence.views import Answered
from hub.own_keys import OwnKeys
from tests.conftest import AUDIT_KEY
from tests.integration.evidence_world import Peers, World


def world_of(url: str, folder: Path) -> World:
    """As the test's own, without its simulators: they are found by the endpoints that are registered."""
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    nobody = cast(Any, None)
    return World(db, Peers(folder, nobody, nobody, nobody, OwnKeys.ensure(folder / "state"), ""))


def quiet() -> None:
    """What is printed is the answer."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def main() -> None:
    url, folder, act, name, index = sys.argv[1:]
    quiet()
    world = world_of(url, Path(folder))
    if act == "ask":
        answer = world.ask(world.request(int(index), messageId=name, deadlineS=2, answer="documents"))
        print(f"answer {answer.id} {answer.state.value} {Answered.of(answer).digest}", flush=True)
    else:
        with world.worker():
            while world.read(name).state != "answered":
                world.service.keep_house()
                time.sleep(0.05)
        print("done", flush=True)
    world.close()
    world.db.close()
