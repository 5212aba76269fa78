"""Nonces given out, assertions verified at the identity service of the region, and compared with the holder.

A login is begun by one system, at the identity service of one region, and counts for one act of that system. Verifying has no
effect; using it up is part of the transaction of the act (:func:`hub.ecerts.logins.identified.take`). The nonce stands in the
database as a keyed hash; the assertion stands nowhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

import structlog

from adapters.contract import (
    AdapterError,
    Capability,
    Deadline,
    LoginAssertion,
    LoginVerifier,
    PeerMisconfigured,
    PeerRefused,
)
from hub.access import replay
from hub.access.callers import Caller, Nonce, Service
from hub.db import AuditEntry, Database, Tx
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.authorizations.model import Holder
from hub.ecerts.evidence import store as endpoints
from hub.ecerts.evidence.planning import Routes
from hub.ecerts.logins import model as m
from hub.ecerts.logins import store
from hub.ecerts.logins.identified import VerifiedLogin
from hub.ids import new_id
from hub.vault import Vault
from schemas.problems import IDENTITY_UNAVAILABLE, MESSAGE_REPLAYED, HubProblem, WhoActs

SERVICE: Final = "identity"
KEEP_AFTER: Final = timedelta(hours=1)  # so that a late one is told why; then the nonce is unknown
RETRY_S: Final = 5
_LEVEL: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Begin:
    values: dict[str, object]
    nonce: str
    nonces: tuple[Nonce, ...]


class Logins:
    """Shared by every thread of the process."""

    def __init__(self, db: Database, vault: Vault, routes: Routes, adapters: AdapterCache) -> None:
        self._db = db
        self._vault = vault
        self._routes = routes
        self._adapters = adapters

    def begin(self, caller: Caller, request: m.LoginRequest) -> Future[m.LoginBegun | HubProblem]:
        """A nonce for one login at the identity service of the region. Raises HubProblem(ACCESS_DENIED or NO_ROUTE)."""
        caller.require(Service.AUTHORIZATION_ISSUE, request.region)
        route, nonce = self._routes.route(SERVICE, request.region), secrets.token_urlsafe(32)
        values: dict[str, object] = {
            "id": new_id("login"),
            "nonce_hash": self._hash(nonce),
            "system_id": caller.system_id,
            "endpoint_id": route.endpoint_id,
        }
        return self._db.submit(self._begin_many, _Begin(values, nonce, caller.nonces))

    def _begin_many(self, tx: Tx, begins: Sequence[_Begin]) -> list[m.LoginBegun | HubProblem]:
        answers: list[m.LoginBegun | HubProblem] = []
        rows: list[dict[str, object]] = []
        expires_at = tx.now + timedelta(seconds=m.LOGIN_S)
        times = {"begun_at": tx.now, "expires_at": expires_at, "purge_at": expires_at + KEEP_AFTER}
        for begin, is_replay in zip(begins, replay.used(tx, [one.nonces for one in begins]), strict=True):
            if is_replay:
                answers.append(HubProblem(MESSAGE_REPLAYED))
                continue
            rows.append({**begin.values, **times})
            login_id, endpoint = str(begin.values["id"]), str(begin.values["endpoint_id"])
            answers.append(m.LoginBegun(login_id=login_id, nonce=begin.nonce, expires_at=expires_at))
            actor = f"system:{begin.values['system_id']}"
            tx.audit.append(AuditEntry(actor, "login.begin", login_id, "begun", {"endpoint": endpoint}))
        store.add(tx.conn, rows)
        return answers

    def verify(self, caller: Caller, proof: m.LoginProof, holder: Holder, region: str | None = None) -> VerifiedLogin:
        """The holder's own login, begun by this system, at the identity service that serves ``region`` (None: any).

        Whether it was used is seen in the transaction that would use it.

        May ask the identity service, so it runs outside of transactions. HubProblem: ACCESS_DENIED, LOGIN_REFUSED with a reason
        word, or IDENTITY_UNAVAILABLE, after which the login is as good as before.
        """
        if region is None:
            caller.require_somewhere(Service.AUTHORIZATION_ISSUE)
        else:
            caller.require(Service.AUTHORIZATION_ISSUE, region)
        with self._db.read() as conn:
            row = store.by_nonce(conn, self._hash(proof.nonce))
            found = None if row is None else endpoints.endpoints(conn, [row.endpoint_id]).get(row.endpoint_id)
        if row is None or row.system_id != caller.system_id:
            raise m.refused("login-unknown")
        if row.expires_at <= self._db.clock():
            raise m.refused("login-expired")
        if region is not None and not self._serves(row.endpoint_id, region):
            raise m.refused("login-region")
        person = self._ask(proof, found)
        if words := _differences(person, holder):
            raise m.refused(*words)
        return VerifiedLogin(row.id, person.level, holder.index_text)

    def _serves(self, endpoint_id: str, region: str) -> bool:
        """A city's identity service is not taken at its word about what is handled elsewhere."""
        try:
            return self._routes.route(SERVICE, region).endpoint_id == endpoint_id
        except HubProblem:
            return False

    def _ask(self, proof: m.LoginProof, endpoint: endpoints.EndpointRow | None) -> LoginAssertion:
        if endpoint is None or endpoint.paused_at is not None:
            raise _unavailable("no-endpoint" if endpoint is None else "endpoint-paused", WhoActs.ADMINISTRATOR)
        try:
            adapter = self._adapters.of(endpoint.target)
            if Capability.VERIFY_LOGIN not in adapter.manifest.capabilities:
                raise PeerMisconfigured("no-capability", Capability.VERIFY_LOGIN)
            limit = Deadline.after(endpoint.target.timeout_s)
            person = cast(LoginVerifier, adapter).verify_login(proof.assertion, proof.nonce, limit)
        except PeerRefused as error:
            raise m.refused(error.code if error.code in m.REASONS else "assertion-refused") from None
        except AdapterError as error:
            log.warning("login not verified", endpoint=endpoint.target.id, error=type(error).__name__, code=error.code)
            ours = isinstance(error, PeerMisconfigured)
            raise _unavailable(error.code, WhoActs.ADMINISTRATOR if ours else WhoActs.PEER) from None
        if not _LEVEL.fullmatch(person.level):
            raise m.refused("assertion-malformed")
        return person

    def _hash(self, nonce: str) -> str:
        return self._vault.index(f"login-nonce:{nonce}")

    def purge(self) -> int:
        """A chore: forget logins that have ended. Gives how many."""
        return self._db.write(lambda tx: store.purge(tx.conn, tx.now))


def _differences(person: LoginAssertion, holder: Holder) -> list[str]:
    """The words of what differs, number before name: it says more."""
    pairs = (
        ("subject-code-type", person.id_type, holder.code_type),
        ("subject-code", person.id_number.upper(), holder.code.upper()),
        ("subject-name", person.name, holder.name),
    )
    return [word for word, said, asked in pairs if said != asked]


def _unavailable(code: str, who: WhoActs = WhoActs.PEER) -> HubProblem:
    return HubProblem(IDENTITY_UNAVAILABLE, code, retry_after_s=RETRY_S, who=who)
