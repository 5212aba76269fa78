"""Collecting on a real database, in front of the real simulator of the provincial library. Also a process that tests kill.

``collect_world URL FOLDER NODE [take ROWS | repair | purge]``: does that, then checks and delivers
until nothing is left to do; without it, until it is killed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from adapters.ecert_share.simulator import endpoint as library_endpoint
from adapters.holdings import Holdings
from adapters.population import family
from adapters.registry import create, manifest
from adapters.sealing import Authority
from adapters.simulator_process import SimulatorProcess
from certs.policy import load_policy
from certs.trust import Anchor, TrustStore
from certs.x509.signing_cert import SigningCert
from hub import tables as t
from hub.access import registration
from hub.access.callers import Caller, Method, Nonce, Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.audit.chain import AuditChain
from hub.cases.routing import Directory
from hub.config import Settings
from hub.db import Database, Tx
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Kind
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from hub.deliveries.store import target
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect import files
from hub.ecerts.collect.assembly import collect_parts
from hub.ecerts.collect.model import BatchState
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.reconciling.compare import Reconciler
from hub.ecerts.collect.revoked import Revoked, nobody
from hub.ecerts.trust import TrustFolder
from schemas.ecert_types import ecert_types
from schemas.numbers import assign_resident_id
from tests.conftest import AUDIT_KEY
from tests.delivering import VAULT

SYSTEM, REGION = "jszg", "370102"
LEASE = timedelta(seconds=6)
FILE_LEASE = timedelta(seconds=3)
HEADINGS = ("type", "number", "holderName", "holderCodeType", "holderCode", "issuerName", "issuerCode", "issuedOn")


def values(index: int, **changes: str) -> dict[str, str]:
    """A teacher qualification that has no fault."""
    holder = assign_resident_id(REGION, datetime(1990, 1, 1).date(), 1 + index % 999)
    made = {"type": "teacher-qualification", "number": f"201837021{index:08d}", "holderName": f"示例教师{index}",
            "holderCodeType": "111", "holderCode": holder, "issuerName": "历下区教育局", "issuerCode": REGION,
            "issuedOn": "2018-06-05"}  # fmt: skip
    return {**made, **changes}


def table(rows: list[dict[str, str]], *, encoding: str = "utf-8-sig") -> bytes:
    names = list(dict.fromkeys([*HEADINGS, *(name for row in rows for name in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def caller(*, nonce: str | None = None, system: str = SYSTEM, region: str = "370000") -> Caller:
    nonces = (Nonce(nonce, datetime.now(UTC) + timedelta(minutes=5)),) if nonce else ()
    return Caller(system, "k", Method.HTTP_SIGNATURE, frozenset({(Service.ECERT_COLLECT.value, region)}), nonces)


def trust_anchors(folder: Path) -> None:
    """What the simulator exported becomes the hub's trust."""
    root = SigningCert.from_pem((folder / "anchors" / "root.pem").read_bytes())
    TrustStore().with_anchor(Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC))).save(folder / "trust")
    for source, name in ((folder / "anchors" / "issuing.pem", "issuers"),
                         *((one, "crls") for one in (folder / "anchors").glob("*.crl"))):  # fmt: skip
        (folder / name).mkdir(exist_ok=True)
        (folder / name / source.name).write_bytes(source.read_bytes())


def register(tx: Tx, folder: Path, url: str) -> None:
    for system in ("province", SYSTEM, "stranger"):
        registration.add_system(tx, "test", system, system)
    library = library_endpoint(url, folder / "library")
    spec = EndpointSpec("library", "province", "ecert_share", "ecert-library", "370000", url,
                        dict(library.settings), dict(library.secrets), timeout_s=4)  # fmt: skip
    add_endpoint(tx, "test", VAULT, manifest("ecert_share"), spec, lease_s=60)


@dataclass(frozen=True)
class Library:
    """The simulator, started once for a module, and the folder of its keys and anchors."""

    process: SimulatorProcess
    folder: Path


@contextmanager
def running_library(folder: Path) -> Iterator[Library]:
    arguments = ["--keys", str(folder / "library"), "--export-anchors", str(folder / "anchors")]
    with SimulatorProcess("adapters.ecert_share.simulator", arguments) as process:
        yield Library(process, folder)


@dataclass
class World:
    db: Database
    folder: Path  # the state folder
    node: str = "n1"
    give_up: timedelta = timedelta(days=7)
    revoked: Revoked = nobody
    library: SimulatorProcess = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """As in a new process, which knows nothing yet of the trust folder."""
        trust = TrustFolder.of(Settings(state_dir=self.folder))
        self.checker = EcertChecker(trust.store, load_policy("strict"), trust.fetchers)
        self.adapters = AdapterCache(VAULT, create)
        self.renew()

    def renew(self) -> None:
        """As after a restart."""
        self.parts = collect_parts(self.db, VAULT, Directory(self.db), self.checker, self.folder / "collect", self.node,
                                   lease=FILE_LEASE, give_up=self.give_up, revoked=self.revoked)  # fmt: skip
        self.collections = self.parts.collections

    def take(self, content: bytes, *, form: str = "csv", message_id: str = "m-1", who: Caller | None = None) -> str:
        with files.spool(self.folder / "collect") as file:
            file.write(content)
            digest = hashlib.sha256(content).hexdigest()
            return self.collections.take_file(who or caller(), message_id, REGION, form, file, digest).id

    @contextmanager
    def worker(self) -> Iterator[None]:
        handlers = dict.fromkeys(Kind, self.parts.handlers[Kind.COLLECT])
        retry, breaker = RetryPolicy(base_s=0.1, cap_s=0.3, limit=50), BreakerPolicy(failures=50, open_s=0.2)
        attempter = Attempter(VAULT, self.adapters, handlers, retry)
        dispatcher = Dispatcher(self.db, attempter, Recorder(handlers, breaker, "w"), node="w", workers=4, lease=LEASE)
        dispatcher.start()
        self.parts.worker.start()
        try:
            yield
        finally:
            self.parts.worker.stop()
            dispatcher.stop()
            self.renew()

    def until_done(self, *batches: str, timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        for batch_id in batches:
            while (view := self.collections.view(caller(), batch_id)).state not in (
                BatchState.DONE,
                BatchState.UNREADABLE,
            ):
                assert time.monotonic() < end, view
                time.sleep(0.05)

    def reconciler(self) -> Reconciler:
        def adapter_of(endpoint_id: str):  # type: ignore[no-untyped-def]
            with self.db.read() as conn:
                found = target(conn, endpoint_id)
            assert found is not None
            return self.adapters.of(found)

        return Reconciler(self.db, VAULT, adapter_of)

    def count(self, table_: sa.Table) -> int:
        with self.db.read() as conn:
            return conn.execute(sa.select(sa.func.count()).select_from(table_)).scalar_one()

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)

    def until_idle(self, timeout_s: float = 60.0) -> None:
        """With a worker, until nothing is left to do."""
        end = time.monotonic() + timeout_s
        with self.worker():
            while not self.idle():
                assert time.monotonic() < end
                time.sleep(0.05)

    def idle(self) -> bool:
        with self.db.read() as conn:
            query = sa.select(sa.func.count()).where(t.collect_batches.c.state.in_(("checking", "delivering")))
            return conn.execute(query).scalar_one() == 0


def documents(world: World, indexes: tuple[int, ...]) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """Rows of sealed diplomas and their files, by name."""
    holdings = Holdings(Authority(world.folder / "library" / "authority", datetime.now(UTC)))
    kind = ecert_types()["diploma"]
    rows, packed = [], {}
    for index in indexes:
        holder = holdings.holder(family(REGION, index).guardian.id_number, "111")
        assert holder is not None
        holding = holdings.of(holder, kind)[-1]
        data = holding.metadata
        packed[f"{index}.ofd"] = holdings.file(holding)
        rows.append({"type": "diploma", "identifier": str(data.identifier), "number": str(data.number),
                     "holderName": str(data.holder_name), "holderCodeType": "111", "holderCode": str(data.holder_code),
                     "issuerName": str(data.issuer_name), "issuerCode": str(data.issuer_code), "file": f"{index}.ofd"})  # fmt: skip
    return rows, packed


def archive(rows: list[dict[str, str]], packed: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("rows.csv", table(rows))
        for name, content in packed.items():
            made.writestr(name, content)
    return target.getvalue()


@contextmanager
def opened(database: Database, folder: Path, library: Library) -> Iterator[World]:
    """What was collected in one test is not held in another."""
    library.process.forget()
    shutil.copytree(library.folder, folder, dirs_exist_ok=True)
    trust_anchors(folder)
    database.write(lambda tx: register(tx, folder, library.process.url))
    made = World(database, folder)
    made.library = library.process
    yield made
    made.adapters.close()


def main() -> None:
    url, folder, node, *act = sys.argv[1:]
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    world = World(db, Path(folder), node)
    match act:
        case ["take", rows]:
            world.take(table([values(index) for index in range(int(rows))]))
        case ["repair"]:
            world.reconciler().run(actor="test")
            world.reconciler().repair("library", adopt=False, actor="test")
        case ["purge"]:
            purge(db, timedelta(0), "test")
    with world.worker():
        while not act or not world.idle():
            time.sleep(0.05)
    db.close()
