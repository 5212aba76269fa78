"""The evidence service on a real database, in front of the real simulators of the library, the identity service and a web hook."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.ecert_share.simulator import endpoint as library_endpoint
from adapters.population import family
from adapters.registry import create, manifest
from adapters.simulator_process import SimulatorProcess
from certs.policy import load_policy
from certs.trust import Anchor, TrustStore
from certs.x509.signing_cert import SigningCert
from hub import tables as t
from hub.access import registration
from hub.access.callers import Caller, Method, Nonce, Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.cases.routing import Directory
from hub.config import Settings
from hub.db import Database, Tx
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.attempt import Attempter
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Handlers, Kind
from hub.deliveries.outcomes import Recorder
from hub.deliveries.retry import RetryPolicy
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence import store
from hub.ecerts.evidence.assembly import evidence_parts
from hub.ecerts.evidence.rules import EvidenceRules
from hub.ecerts.sealing import SealingRules, shipped
from hub.ecerts.trust import TrustFolder
from hub.intake.operations import digest_of
from hub.own_keys import OwnKeys
from hub.vault import Vault
from schemas.ecert_types import ecert_types
from schemas.evidence import EvidenceAnswer, EvidenceRequest
from tests.delivering import VAULT

CONSUMER, STRANGER = "sdjs", "stranger"
REGION = "370102"
TEACHER = "370105001001"  # identity, household, education, Putonghua
HIRING = "370105002002"  # no consent needed: the enterprise's licence, the handler's identity
PURPOSE = "teacher-qualification"
LEASE = timedelta(seconds=6)
PATIENT = BreakerPolicy(failures=50, open_s=0.2)


@dataclass
class Peers:
    """The simulators, started once for a module."""

    folder: Path
    library: SimulatorProcess
    identity: SimulatorProcess
    hook: SimulatorProcess
    own: OwnKeys
    secret: str


@contextmanager
def peers(folder: Path) -> Iterator[Peers]:
    own, secret = OwnKeys.ensure(folder / "state"), secrets.token_hex(16)
    with (
        SimulatorProcess(
            "adapters.ecert_share.simulator",
            ["--keys", str(folder / "library"), "--export-anchors", str(folder / "anchors")],
        ) as library,
        SimulatorProcess("adapters.identity.simulator", ["--app-id", "hub", "--app-secret", secret]) as identity,
        SimulatorProcess("adapters.cloudevents.simulator", ["--hub-key-file", str(own.http_public)]) as hook,
    ):
        root = SigningCert.from_pem((folder / "anchors" / "root.pem").read_bytes())
        anchor = Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC))
        TrustStore().with_anchor(anchor).save(folder / "state" / "trust")
        for name, target in (
            ("issuing.pem", "issuers"),
            *((f.name, "crls") for f in (folder / "anchors").glob("*.crl")),
        ):
            (folder / "state" / target).mkdir(exist_ok=True)
            shutil.copy(folder / "anchors" / name, folder / "state" / target / name)
        yield Peers(folder, library, identity, hook, own, secret)


def register(tx: Tx, peers_: Peers, vault: Vault, *, library_url: str | None = None) -> None:
    """The province's library and identity service, the consumer with its web hook, and somebody else."""
    for system in ("province", CONSUMER, STRANGER):
        registration.add_system(tx, "test", system, system)
    library = library_endpoint(library_url or peers_.library.url, peers_.folder / "library")
    signing = {"signing_key_file": str(peers_.own.http), "signing_key_id": "exchange-hub"}
    for spec in (
        EndpointSpec("library", "province", "ecert_share", "ecert-library", "370000", library.base_url,
                     dict(library.settings), dict(library.secrets), timeout_s=4),
        EndpointSpec("identity", "province", "identity", "identity", "370000", peers_.identity.url, {"app_id": "hub"},
                     {"app_secret": peers_.secret}, timeout_s=4),
        EndpointSpec("hook", CONSUMER, "cloudevents", "events", "370000", peers_.hook.url, signing, timeout_s=4),
    ):  # fmt: skip
        add_endpoint(tx, "test", vault, manifest(spec.adapter), spec, lease_s=60)
    values = {"id": "sub", "endpoint_id": "hook", "event_type": "evidence.*", "region": "370000", "source_only": True}
    tx.conn.execute(sa.insert(t.subscriptions).values(values))
    for purpose in (PURPOSE, "hiring-registration"):
        store.allow_purpose(tx.conn, CONSUMER, purpose, tx.now, "test")


@dataclass
class World:
    """``rules`` and ``sealing`` replace the rules that ship. The worker runs only between ``with world.worker():``."""

    db: Database
    peers: Peers
    rules: EvidenceRules | None = None
    sealing: SealingRules | None = None
    breaker: BreakerPolicy = PATIENT
    vault: Vault = VAULT
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        state = self.peers.folder / "state"
        trust = TrustFolder.of(Settings(state_dir=state))
        checker = EcertChecker(trust.store, load_policy("strict"), trust.fetchers, self.sealing or shipped())
        self.directory = Directory(self.db)
        self.parts = evidence_parts(self.db, self.vault, self.directory, checker, self.peers.own.http, rules=self.rules)
        self.adapters = AdapterCache(self.vault, create)
        self.service = self.parts.service(self.adapters, breaker=self.breaker)
        self.authorizations = Authorizations(self.db, self.vault, self.parts.rules.codes)

    def set_up(self) -> World:
        self.db.write(lambda tx: register(tx, self.peers, self.vault))
        self.parts.follow_ups.items.import_example(actor="test")
        return self

    def close(self) -> None:
        self.service.close()
        self.adapters.close()

    # --- who asks for what ------------------------------------------------------------------------------------------------

    @staticmethod
    def caller(system: str = CONSUMER, *, region: str = "370000", nonce: str | None = None) -> Caller:
        rights = frozenset((service.value, region) for service in Service)
        nonces = (Nonce(nonce, datetime.now(UTC) + timedelta(minutes=5)),) if nonce else ()
        return Caller(system, f"{system}-key", Method.HTTP_SIGNATURE, rights, nonces)

    @staticmethod
    def holder(index: int) -> dict[str, str]:
        """The guardian of family ``index``: what the library holds of it follows from the number (holdings.py)."""
        guardian = family(REGION, index).guardian
        return {"name": guardian.name, "code": guardian.id_number, "codeType": "111"}

    @staticmethod
    def child(index: int) -> dict[str, str]:
        """The student of family ``index``."""
        student = family(REGION, index).student
        return {"name": student.name, "code": student.id_number, "codeType": "111"}

    def request(self, index: int, **changes: Any) -> EvidenceRequest:
        values: dict[str, Any] = {
            "messageId": f"m-{secrets.token_hex(8)}",
            "itemCode": TEACHER,
            "region": REGION,
            "subject": self.holder(index),
            "caseReference": f"case-{index}",
            "purpose": PURPOSE,
            "basis": {"kind": "consent"},
            "answer": "fields",
            "deadlineS": 12,
        }
        return EvidenceRequest.model_validate({**values, **changes})

    def consent(
        self,
        index: int,
        *,
        types: tuple[str, ...] | None = None,
        purpose: str = PURPOSE,
        child: dict[str, str] | None = None,
    ) -> m.ConsentRegistered:
        named = None if child is None else m.Holder.model_validate(child)
        kinds = types or tuple(ecert_types())
        scope = m.Scope(ecert_types=kinds, purpose=purpose, region="370000", on_behalf_of=named)
        held = self.holder(index)
        holder = m.Holder(name=held["name"], code=held["code"], code_type=held["codeType"])
        now = self.db.clock() - timedelta(minutes=1)
        request = m.ConsentRequest(
            holder=holder,
            scope=scope,
            reference=f"c-{secrets.token_hex(6)}",
            given_at=now,
            ends_at=now + timedelta(days=30),
        )
        return self.authorizations.register_consent(self.caller(), request)

    def ask(self, request: EvidenceRequest, caller: Caller | None = None) -> EvidenceAnswer:
        return self.service.ask(caller or self.caller(), request, digest=digest_of(request)).answer

    def read(self, request_id: str) -> EvidenceAnswer:
        return self.service.read(self.caller(), request_id).answer

    def asked(self, index: int, **changes: Any) -> EvidenceAnswer:
        """With a consent for everything."""
        self.consent(index)
        return self.ask(self.request(index, **changes))

    # --- what came of it ----------------------------------------------------------------------------------------------------

    def audited(self, action: str) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(sa.select(t.audit).where(t.audit.c.action == action).order_by(t.audit.c.seq)))

    def rows(self, table: sa.Table) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(sa.select(table)))

    def library_calls(self) -> int:
        return sum(one["path"].startswith("/CertShare/query") for one in self.peers.library.requests())

    def downloads(self) -> int:
        return sum(one["path"].startswith("/files/") for one in self.peers.library.requests())

    @contextmanager
    def worker(self, *, limit: int = 50) -> Iterator[None]:
        heard = dict.fromkeys(Kind, _Notices())
        handlers: Handlers = {**heard, **self.parts.handlers}
        retry, breaker = RetryPolicy(base_s=0.1, cap_s=0.3, limit=limit), self.breaker
        attempter = Attempter(self.vault, AdapterCache(self.vault, create), handlers, retry)
        dispatcher = Dispatcher(self.db, attempter, Recorder(handlers, breaker, "w"), node="w", workers=6, lease=LEASE)
        dispatcher.start()
        try:
            yield
        finally:
            dispatcher.stop()

    def until(self, request_id: str, state: str, *, timeout_s: float = 20.0) -> EvidenceAnswer:
        end = time.monotonic() + timeout_s
        while True:
            answer = self.read(request_id)
            if answer.state.value == state:
                return answer
            assert time.monotonic() < end, answer.model_dump()
            threading.Event().wait(0.1)


class _Notices:
    def prepare(self, case_id: str, subject: str, answer: Any) -> Any:
        return answer

    def record(self, tx: Tx, finished: Any) -> None:
        return
