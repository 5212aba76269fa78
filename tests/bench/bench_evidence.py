"""Evidence fetched, verified and answered: three documents an item, one request after the other; beside calls and checks alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.contract import Deadline
from hub import tables as t
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.evidence import store
from hub.ecerts.evidence.fetching import call
from hub.ecerts.evidence.planning import Question, questions
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.solver import Standing
from hub.migrate import upgrade
from tests.bench.bench_hub import Size, latencies
from tests.bench.table import Result
from tests.conftest import AUDIT_KEY
from tests.integration.evidence_world import REGION, World, peers

HOLDERS = range(1, 31)
MANY = 10**9
GOAL = 1 / 1.3  # the hub's own share is at most 30 % of the calls and checks


def evidence_rows(size: Size) -> list[Result]:
    """SQLite with synchronous=FULL: two commits a request. Nothing is kept, so that every document is fetched each time."""
    rules = load_rules()
    limits = rules.limits.model_copy(update=dict.fromkeys(("subjects", "caller_requests", "subject_requests"), MANY))
    rules = rules.model_copy(update={"keep_s": {}, "limits": limits})
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name, peers(Path(name)) as started:
        url = f"sqlite:///{name}/bench.sqlite"
        upgrade(url)
        db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
        world = World(db, started, rules).set_up()
        for index in HOLDERS:  # the library seals each file when it is first asked for
            world.asked(index, answer="documents")
        asked = _asked(world)

        def ask(number: int) -> None:
            if not world.ask(world.request(HOLDERS[number % len(HOLDERS)], answer="documents")).complete:
                raise RuntimeError("an answer was not complete")

        with db.read() as conn:
            target = store.endpoints(conn, {"library"})["library"].target
        adapter = world.adapters.of(target)

        def one(question: Question) -> None:
            answer = call(adapter, question.body, Deadline.after(10))
            if world.parts.judge.answered(question, answer, REGION, db.clock()).standing is not Standing.HELD:
                raise RuntimeError("a document was refused")

        with ThreadPoolExecutor(3) as pool:
            bare = _repeat(lambda number: list(pool.map(one, asked[number % len(asked)])), size.seconds)
        taken = _repeat(ask, size.seconds)
        world.close()
        db.close()
    rate = len(taken) / sum(taken)
    result = Result(
        "evidence answered, 3 documents; floor: calls, checks", rate, "1/s", floor=len(bare) / sum(bare), goal=GOAL
    )
    return [latencies(result, taken)]


def _asked(world: World) -> list[list[Question]]:
    """The three questions of each request."""
    catalogue = world.parts.follow_ups.items.current()
    found = []
    for row in world.rows(t.evidence_requests):
        with world.db.read() as conn:
            request, documents = store.request(conn, row.id), store.documents(conn, row.id)
        file = world.parts.follow_ups.views.open(request, documents, catalogue) if request else None
        if file is not None:
            used = [one for one, known in file.known.items() if known.standing is Standing.HELD]
            found.append(list(questions(file.request, file.item, file.grounds, file.endpoints, used).values()))
    return found


def _repeat(work: Callable[[int], object], seconds: float) -> list[float]:
    end, taken = time.perf_counter() + seconds, list[float]()
    while (begin := time.perf_counter()) < end:
        work(len(taken))
        taken.append(time.perf_counter() - begin)
    return taken
