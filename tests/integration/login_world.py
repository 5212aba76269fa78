"""The real identity simulator with its endpoint in a database, people who log in at it, and a child process that is killed.

``login_world URL ACT NONCE ASSERTION`` uses the login of the one endpoint in the database; ACT is ``issue`` or ``consent``, or
``crowd``, with a GATE behind: waits until it opens, issues from 25 threads at once and prints how many succeeded.
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.harness import write_key_pair
from adapters.identity.simulator import ISSUER
from adapters.population import family
from adapters.registry import create, manifest
from adapters.simulator_process import SimulatorProcess
from certs.keys import SignatureAlgorithm
from hub.access import registration
from hub.access.callers import Caller, Method, Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.audit.chain import AuditChain
from hub.cases.routing import Directory
from hub.db import Database, Tx
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.logins.model import LoginProof, LoginRequest
from hub.ecerts.logins.service import Logins
from hub.vault import Vault
from schemas.problems import HubProblem
from tests.conftest import AUDIT_KEY
from tests.integration.crowds import at_the_gate
from tests.integration.redeem_child import CROWD, KEY, SCOPE, consent

REGION, APP_ID, SECRET = "370102", "hub", "identity-secret"
PERSON, OTHER = family(REGION, 3).guardian, family(REGION, 4).guardian
HOLDER = m.Holder(name=PERSON.name, code_type="111", code=PERSON.id_number)
STRICT = frozenset({(Service.AUTHORIZATION_ISSUE.value, "370000"), (Service.AUTHORIZATION_REDEEM.value, "370000")})
PORTAL, ELSEWHERE = (Caller(name, f"k-{name}", Method.TLS, STRICT) for name in ("portal", "elsewhere"))


@dataclass(frozen=True)
class Identity:
    """The service as a process, and the folder with the public key of its assertions."""

    simulator: SimulatorProcess
    folder: Path

    def assertion(self, nonce: str, number: str = PERSON.id_number, *, audience: str = APP_ID, fault: str = "") -> str:
        """The person logs in."""
        body = {"idNumber": number, "audience": audience, "nonce": nonce, "fault": fault}
        return str(json.loads(self._post("/login", body))["assertion"])

    def log_out(self, assertion: str) -> None:
        self._post("/logout", {"assertion": assertion})

    def _post(self, path: str, body: dict[str, str]) -> bytes:
        request = urllib.request.Request(self.simulator.url + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


@contextmanager
def identity_service(folder: Path) -> Iterator[Identity]:
    private, _ = write_key_pair(folder, "login", SignatureAlgorithm.SM2_SM3)
    arguments = ["--app-id", APP_ID, "--app-secret", SECRET, "--assertion-key-file", private]
    with SimulatorProcess("adapters.identity.simulator", arguments) as simulator:
        yield Identity(simulator, folder)


def register(
    tx: Tx, vault: Vault, identity: Identity, *, endpoint: str, region: str, status: str = "signature"
) -> None:
    """An identity endpoint of a region; ``status`` is the adapter's ``assertion_status``."""
    settings = {"app_id": APP_ID, "assertion_key_file": str(identity.folder / "login.pub.pem"),
                "assertion_issuer": ISSUER, "assertion_status": status}  # fmt: skip
    spec = EndpointSpec(endpoint, "province", "identity", "identity", region, identity.simulator.url, settings,
                        {"app_secret": SECRET}, timeout_s=2)  # fmt: skip
    add_endpoint(tx, "test", vault, manifest("identity"), spec, lease_s=60)


@dataclass
class World:
    """The services over one database; a second world over the same database is another node."""

    db: Database

    def __post_init__(self) -> None:
        self.vault = Vault(KEY)
        self.adapters = AdapterCache(self.vault, create)
        self.logins = Logins(self.db, self.vault, Directory(self.db), self.adapters)
        self.authorizations = Authorizations(self.db, self.vault)

    def set_up(self, identity: Identity, *, region: str = "370000", status: str = "signature") -> World:
        def write(tx: Tx) -> None:
            for system in ("province", "portal", "elsewhere", "hall"):
                registration.add_system(tx, "test", system, system)
            register(tx, self.vault, identity, endpoint="identity", region=region, status=status)

        self.db.write(write)
        return self

    def nonce(self, caller: Caller = PORTAL, region: str = REGION) -> str:
        begun = self.logins.begin(caller, LoginRequest(region=region)).result()
        assert not isinstance(begun, HubProblem), begun
        return begun.nonce

    def proof(self, identity: Identity, number: str = PERSON.id_number, **options: str) -> LoginProof:
        """A login of the person, begun by the portal."""
        nonce = self.nonce()
        return LoginProof(nonce=nonce, assertion=identity.assertion(nonce, number, **options))

    def issue(
        self, proof: LoginProof | None, *, holder: m.Holder = HOLDER, caller: Caller = PORTAL, scope: m.Scope = SCOPE
    ) -> m.AuthorizationIssued:
        """As the route does it. HubProblem."""
        login = None if proof is None else self.logins.verify(caller, proof, holder, scope.region)
        request = m.AuthorizationRequest(holder=holder, login=proof, scope=scope)
        answer = self.authorizations.issue(caller, request, login).result()
        if isinstance(answer, HubProblem):
            raise answer
        return answer

    def register_consent(self, proof: LoginProof | None, reference: str = "c-1") -> m.ConsentRegistered:
        request = consent(reference).model_copy(update={"holder": HOLDER})
        login = None if proof is None else self.logins.verify(PORTAL, proof, HOLDER, request.scope.region)
        return self.authorizations.register_consent(PORTAL, request, login)

    def close(self) -> None:
        self.adapters.close()


def crowd(world: World, proof: LoginProof) -> int:
    barrier = threading.Barrier(CROWD)

    def one(_: int) -> bool:
        barrier.wait()
        try:
            world.issue(proof)
        except HubProblem as problem:
            if problem.detail != "login-used":
                raise
            return False
        return True

    with ThreadPoolExecutor(CROWD) as pool:
        return sum(pool.map(one, range(CROWD)))


def main() -> None:
    url, act, nonce, assertion, *gate = sys.argv[1:]
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    world, proof = World(db), LoginProof(nonce=nonce, assertion=assertion)
    match act:
        case "issue":
            world.issue(proof)
        case "consent":
            world.register_consent(proof)
        case "crowd":
            at_the_gate(*gate)
            print(crowd(world, proof), flush=True)
    world.close()
    db.close()
