"""Evidence over REST: three documents an item, fetched, verified, answered; beside its adapter calls and signature checks alone.

The hub's side is all that a caller waits for: a signed message (RFC 9421) over HTTP, two durable commits, an answer with the
files. Its floor is the same signature checks and the same calls, and nothing else: the message's signature, then three calls and
the verification of what they bring, side by side in three threads; no HTTP, no database, no comparison with what was asked, no
report. Both run in one process with the hub's interpreter settings; simulators and the load generator are processes of their own.
They take turns, and the turn with the median ratio is told.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from adapters.contract import Adapter, Deadline, EcertDocument
from certs.http.signatures import sign_request, verify_request
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.report import Indication
from certs.verify import verify
from hub import interpreter
from hub import tables as t
from hub.access import registration
from hub.access.callers import CallerDirectory, KeyKind, Service
from hub.access.key_files import read_key_file
from hub.access.tls_auth import server_options
from hub.audit.chain import AuditChain
from hub.config import Settings
from hub.db import Database, Tx
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence import store
from hub.ecerts.evidence.fetching import call
from hub.ecerts.evidence.planning import Question, questions
from hub.ecerts.evidence.rules import EvidenceRules, load_rules
from hub.ecerts.solver import Standing
from hub.intake.assembly import create_gate
from hub.intake.evidence import evidence_router
from hub.migrate import upgrade
from tests.bench.bench_hub import Size, latencies
from tests.bench.load import fire
from tests.bench.table import Result
from tests.conftest import AUDIT_KEY
from tests.databases import PostgresServer, free_port
from tests.integration.evidence_world import CONSUMER, World, peers

HOLDERS = range(1, 31)
MANY = 10**9
TURNS = 3
AT_ONCE = 4
MOST_PER_S = 120  # messages made for each second
GOAL = 1 / 1.3  # the hub's own share is at most 30 % of the calls and checks


def evidence_rows(postgres: PostgresServer | None, size: Size) -> list[Result]:
    """One request after the other, and several at once. Nothing is kept, so that every document is fetched each time."""
    name = "postgresql" if postgres else "sqlite"
    with _serving(postgres) as node:
        _floor(node, 1, 0.5)  # connections are made, files are sealed
        return [
            *_rows(f"evidence answered, {name}", node, 1, size.seconds),
            *_rows(f"evidence answered, {name}, {AT_ONCE} at once", node, AT_ONCE, size.seconds),
        ]


class _Node:
    """A world that is served, and what its requests ask."""

    def __init__(self, world: World, settings: Settings, key: PrivateKey) -> None:
        self.settings = settings
        self.target = f"{settings.effective_public_url}/v1/evidence"
        self._key = key
        self._world = world
        self.asked = _asked(world)
        self.checker: EcertChecker = world.parts.judge.checker
        with world.db.read() as conn:
            self.adapter: Adapter = world.adapters.of(store.endpoints(conn, {"library"})["library"].target)

    def messages(self, count: int) -> list[bytes]:
        """Whole HTTP requests, signed now."""
        made = []
        for number in range(count):
            headers, body = self.signed(number)
            host = self.target.split("/")[2]
            head = f"POST /v1/evidence HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            made.append(f"{head}\r\n".encode() + body)
        return made

    def signed(self, number: int) -> tuple[dict[str, str], bytes]:
        """The headers and the body of one message."""
        request = self._world.request(HOLDERS[number % len(HOLDERS)], answer="documents")
        body = request.model_dump_json(by_alias=True, exclude_none=True).encode()
        headers = {"Content-Type": "application/json"}
        headers |= sign_request(
            "POST", self.target, headers.items(), body, key=self._key, key_id=CONSUMER, created=datetime.now(UTC),
            nonce=secrets.token_urlsafe(16),
        )  # fmt: skip
        return headers, body

    def check(self, headers: dict[str, str], body: bytes) -> None:
        """The signature of a message, as intake checks it."""
        verify_request(
            "POST", self.target, [(name.lower(), value) for name, value in headers.items()], body, now=datetime.now(UTC),
            max_age=timedelta(minutes=5), resolve_key=lambda _: self._key.public_key,
        )  # fmt: skip


def _rows(name: str, node: _Node, at_once: int, seconds: float) -> list[Result]:
    """The floor and the hub, with the processor time that each took: the process does nothing else meanwhile."""
    turns = []
    for _ in range(TURNS):
        messages = node.messages(int(MOST_PER_S * seconds / TURNS))
        bare = _floor(node, at_once, seconds / TURNS)
        before = time.process_time()
        load = fire(node.settings.port, messages, at_once, seconds / TURNS)
        if set(load.statuses) != {200}:
            raise RuntimeError(f"the answers were {dict(load.statuses)}, not all complete")
        cpu_us = 1e6 * (time.process_time() - before) / len(load.latencies)
        turns.append((load.rate / bare.figure, bare, load, cpu_us))
    _, bare, load, cpu_us = sorted(turns, key=lambda turn: turn[0])[TURNS // 2]
    answered = Result(f"{name}; floor: calls", load.rate, "1/s", floor=bare.figure, goal=GOAL, cpu_us=cpu_us)
    return [bare, latencies(answered, load.latencies)]


def _floor(node: _Node, at_once: int, seconds: float) -> Result:
    """Requests a second, if a request were no more than its signature, its calls and the verification of what they bring."""
    messages = [node.signed(number) for number in HOLDERS]

    def one(question: Question) -> None:
        document, checker = call(node.adapter, question.body, Deadline.after(10)), node.checker
        if not isinstance(document, EcertDocument):
            raise TypeError("no e-certificate")
        report = verify(
            document.content, policy=checker.policy, at=datetime.now(UTC), trust=checker.trust(),
            fetchers=checker.fetchers(),
        )  # fmt: skip
        if report.indication is not Indication.PASSED:
            raise RuntimeError("a document was refused")

    def ask(asker: int) -> int:
        done = 0
        while time.perf_counter() < end:
            node.check(*messages[(asker + done) % len(messages)])
            list(calls.map(one, node.asked[(asker + done) % len(node.asked)]))
            done += 1
        return done

    with ThreadPoolExecutor(3 * at_once) as calls, ThreadPoolExecutor(at_once) as askers:
        begin, before = time.perf_counter(), time.process_time()
        end = begin + seconds
        done = sum(askers.map(ask, range(at_once)))
        cpu_us = 1e6 * (time.process_time() - before) / done
        return Result(
            "signature, three calls and checks alone", done / (time.perf_counter() - begin), "1/s", cpu_us=cpu_us
        )


def _asked(world: World) -> list[Sequence[Question]]:
    """The three questions of each request."""
    catalogue, views = world.parts.follow_ups.items.current(), world.parts.follow_ups.views
    found: list[Sequence[Question]] = []
    for row in world.rows(t.evidence_requests):
        with world.db.read() as conn:
            request, documents = store.request(conn, row.id), store.documents(conn, row.id)
        file = views.open(request, documents, catalogue) if request else None
        if file is not None:
            used = [one for one, known in file.known.items() if known.standing is Standing.HELD]
            found.append(list(questions(file.request, file.item, file.grounds, file.endpoints, used).values()))
    return found


# --- the node ---------------------------------------------------------------------------------------------------------------


def _rules() -> EvidenceRules:
    """Those that ship, without limits, and nothing is kept."""
    rules = load_rules()
    limits = rules.limits.model_copy(update=dict.fromkeys(("subjects", "caller_requests", "subject_requests"), MANY))
    return rules.model_copy(update={"keep_s": {}, "limits": limits})


@contextmanager
def _serving(postgres: PostgresServer | None) -> Iterator[_Node]:
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, peers(Path(folder)) as started:
        url = postgres.create(migrated=False) if postgres else f"sqlite:///{folder}/bench.sqlite"
        upgrade(url)
        db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
        world = World(db, started, _rules()).set_up()
        key = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)

        def admit(tx: Tx) -> None:
            registration.grant(tx, "test", CONSUMER, [Service.EVIDENCE.value], "370100")
            public = read_key_file(KeyKind.HTTP, key.public_key.spki)
            registration.add_key(tx, "test", CONSUMER, public, key_id=CONSUMER)

        db.write(admit)
        for index in HOLDERS:  # the library seals each file when it is first asked for
            world.asked(index, answer="documents")
        settings = Settings(state_dir=Path(folder) / "state", port=free_port(), caller_rate=0.0)
        app = FastAPI()
        app.include_router(evidence_router(create_gate(settings, db, CallerDirectory(db)), world.service))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, **server_options(settings)))
        with _in_a_thread(server.run, lambda: setattr(server, "should_exit", True)):
            while not server.started:
                time.sleep(0.02)
            interpreter.tune()
            yield _Node(world, settings, key)
        world.close()
        db.close()
        if postgres:
            postgres.drop(url)


@contextmanager
def _in_a_thread(run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()
