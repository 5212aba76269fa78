"""A process killed right before or right after the commit of a redemption, a revocation, a consent: on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.access import registration
from hub.audit.chain import AuditChain
from hub.db import Database, Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.vault import Vault
from schemas.problems import HubProblem
from tests.conftest import AUDIT_KEY
from tests.integration import killing
from tests.integration.killing import When
from tests.integration.redeem_child import HALL, HOLDER, KEY, PORTAL, SCOPE, WANTED, consent, redeem

CHILD = "tests.integration.redeem_child"


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)

    def systems(tx: Tx) -> None:
        for system in ("portal", "hall"):
            registration.add_system(tx, "test", system, system)

    opened.write(systems)
    yield opened
    opened.close()


@pytest.fixture
def service(db: Database) -> Authorizations:
    return Authorizations(db, Vault(KEY))


def code_of(service: Authorizations) -> m.AuthorizationIssued:
    request = m.AuthorizationRequest(holder=HOLDER, holder_proof="login-1", scope=SCOPE)
    answer = service.issue(PORTAL, request).result()
    assert isinstance(answer, m.AuthorizationIssued)
    return answer


def killed(when: When, word: str, *arguments: str) -> None:
    process = killing.start(CHILD, arguments, environment=killing.killed_at(when, 1, word))
    process.communicate(timeout=100)
    assert killing.was_killed(process)


def audited(db: Database, action: str, outcome: str) -> int:
    with db.read() as conn:
        query = sa.select(sa.func.count()).where(t.audit.c.action == action, t.audit.c.outcome == outcome)
        return conn.execute(query).scalar_one()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_redemption_whose_answer_was_lost(
    service: Authorizations, db: Database, database_url: str, when: When
) -> None:
    code = code_of(service).code
    killed(when, "authorization.redeem:redeemed", database_url, "redeem", code, "m-1")
    if when == "after":
        other = redeem(service, code, "m-2")
        assert isinstance(other, HubProblem)
        assert other.detail == "redeemed-already"
    assert isinstance(redeem(service, code, "m-1"), m.AuthorizationRedeemed), "the same message gets its answer"
    assert audited(db, "authorization.redeem", "redeemed") == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_revocation_whose_answer_was_lost(
    service: Authorizations, db: Database, database_url: str, when: When
) -> None:
    issued = code_of(service)
    assert isinstance(redeem(service, issued.code), m.AuthorizationRedeemed)
    killed(when, "authorization.revoke:revoked", database_url, "revoke", issued.authorization_id)

    def holds() -> bool:
        with db.read() as conn:
            arguments = {"holder": HOLDER, "wanted": WANTED, "system_id": HALL.system_id, "at": db.clock()}
            return service.bases.find_basis(conn, authorization_id=issued.authorization_id, **arguments) is not None  # type: ignore[arg-type]

    assert holds() == (when == "before")
    service.revoke_authorization(PORTAL, issued.authorization_id, HOLDER)
    assert not holds()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_consent_whose_answer_was_lost(service: Authorizations, db: Database, database_url: str, when: When) -> None:
    killed(when, "consent.register:registered", database_url, "consent", "c-1")
    first = service.register_consent(PORTAL, consent("c-1"))
    assert service.register_consent(PORTAL, consent("c-1")) == first
    assert audited(db, "consent.register", "registered") == 1
