"""Logins at the real identity simulator, on both databases: one act, of one person, for one system; and whose word else counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.access import replay
from hub.access.callers import Caller, Method, Nonce, Service
from hub.access.endpoints import pause_endpoint
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.logins.identified import VerifiedLogin
from hub.ecerts.logins.model import REASONS, LoginBegun, LoginProof, LoginRequest
from schemas.problems import HubProblem, WhoActs
from tests.conftest import AUDIT_KEY
from tests.integration.crowds import all_at_once
from tests.integration.login_fixtures import identity
from tests.integration.login_world import (
    ELSEWHERE,
    HOLDER,
    OTHER,
    PERSON,
    PORTAL,
    REGION,
    STRICT,
    Identity,
    World,
    register,
)
from tests.integration.redeem_child import SCOPE, redeem

__all__ = ["identity"]  # fixtures


class Clock:
    """The real time, and what the test adds to it: assertions are judged by the process's own clock."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(database_url: str, clock: Clock) -> Iterator[Database]:
    opened = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def world(db: Database, identity: Identity) -> Iterator[World]:
    made = World(db).set_up(identity)
    yield made
    made.close()


def problem(act: Callable[[], object], code: str = "login-refused") -> HubProblem:
    with pytest.raises(HubProblem) as caught:
        act()
    assert caught.value.kind.code == code, caught.value
    return caught.value


def word(act: Callable[[], object]) -> str:
    found = problem(act)
    fault = found.faults[0]
    reason = REASONS[found.detail]
    assert (fault.path, fault.cure_zh, fault.cure_en) == (reason.path, reason.cure_zh, reason.cure_en)
    return found.detail


def unused(db: Database) -> int:
    with db.read() as conn:
        query = sa.select(sa.func.count()).select_from(t.logins).where(t.logins.c.used_at.is_(None))
        return conn.execute(query).scalar_one()


# --- one login, one act -------------------------------------------------------------------------------------


def test_a_login_counts_once_and_its_level_is_kept(world: World, identity: Identity, db: Database) -> None:
    proof = world.proof(identity)
    issued = world.issue(proof)
    assert word(lambda: world.issue(proof)) == "login-used"
    assert word(lambda: world.register_consent(proof)) == "login-used"
    answer = redeem(world.authorizations, issued.code)
    assert isinstance(answer, m.AuthorizationRedeemed)
    assert answer.assurance == "L3"
    with db.read() as conn:
        login = conn.execute(sa.select(t.logins)).one()
        row = conn.execute(sa.select(t.authorizations)).one()
        detail = conn.execute(sa.select(t.audit.c.detail).where(t.audit.c.action == "authorization.issue")).scalar_one()
    assert (login.used_for, login.level, login.system_id) == (issued.authorization_id, "L3", "portal")
    assert (row.login_id, row.assurance) == (login.id, "L3")
    assert login.id in detail
    assert '"L3"' in detail


def test_nonce_assertion_and_person_stand_nowhere(world: World, identity: Identity, db: Database) -> None:
    proof = world.proof(identity)
    world.issue(proof)
    assert proof.nonce not in repr(proof)
    assert proof.assertion not in repr(m.AuthorizationRequest(holder=HOLDER, login=proof, scope=SCOPE))
    with db.read() as conn:
        for table in t.metadata.sorted_tables:
            for row in conn.execute(sa.select(table)):
                text = " ".join(repr(value) for value in row)
                for secret in (proof.nonce, proof.assertion, PERSON.id_number, PERSON.name):
                    assert secret not in text, table.name


def test_each_act_of_a_holder_takes_a_login(world: World, identity: Identity) -> None:
    consented = world.register_consent(world.proof(identity))
    issued = world.issue(world.proof(identity))
    acts: tuple[Callable[[LoginProof | None], object], ...] = (
        lambda proof: world.authorizations.revoke_consent(PORTAL, consented.consent_id, HOLDER, checked(world, proof)),
        lambda proof: world.authorizations.revoke_authorization(
            PORTAL, issued.authorization_id, HOLDER, checked(world, proof)
        ),
        lambda proof: world.authorizations.uses(
            PORTAL, m.UsesRequest(holder=HOLDER, login=proof), before=None, login=checked(world, proof)
        ),
    )
    for act in acts:
        required = problem(lambda act=act: act(None), "login-required")  # type: ignore[misc]
        assert [fault.path for fault in required.faults] == ["/login"]
        proof = world.proof(identity)
        act(proof)
        assert word(lambda act=act, proof=proof: act(proof)) == "login-used"  # type: ignore[misc]


def checked(world: World, proof: LoginProof | None) -> VerifiedLogin | None:
    return None if proof is None else world.logins.verify(PORTAL, proof, HOLDER)


def test_what_follows_a_page_needs_no_login(world: World) -> None:
    asked = m.UsesRequest(holder=HOLDER)
    assert world.authorizations.uses(PORTAL, asked, before="use_x") == ([], None)
    problem(lambda: world.authorizations.uses(PORTAL, asked, before=None), "login-required")


def test_the_same_consent_with_the_same_login_gets_its_answer(world: World, identity: Identity) -> None:
    """The first answer may have been lost on its way; for any other consent the login is used."""
    proof = world.proof(identity)
    registered = world.register_consent(proof)
    assert world.register_consent(proof) == registered
    assert world.register_consent(world.proof(identity)) == registered
    assert word(lambda: world.register_consent(proof, "c-2")) == "login-used"


def test_a_consent_that_was_taken_back_is_not_registered_again_and_uses_no_login(
    world: World, identity: Identity, db: Database
) -> None:
    registered = world.register_consent(world.proof(identity))
    proof = world.proof(identity)
    world.authorizations.revoke_consent(PORTAL, registered.consent_id, HOLDER, checked(world, proof))
    again = world.proof(identity)
    before = unused(db)
    assert problem(lambda: world.register_consent(again), "consent-conflict").detail == "consent-withdrawn"
    assert unused(db) == before
    assert world.register_consent(again, "c-2").consent_id != registered.consent_id


# --- whose login it is --------------------------------------------------------------------------------------


def test_another_persons_login(world: World, identity: Identity, db: Database) -> None:
    proof = world.proof(identity, OTHER.id_number)
    found = problem(lambda: world.issue(proof))
    assert found.detail == "subject-code"
    assert [fault.path for fault in found.faults] == ["/holder/code", "/holder/name"]
    assert unused(db) == 1, "what was refused used nothing up"
    told = repr([found, *found.faults])
    assert not any(private in told for one in (PERSON, OTHER) for private in (one.name, one.id_number))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "王五"}, "subject-name"),
        ({"code_type": "411", "code": "G1234567"}, "subject-code-type"),
    ],
)
def test_a_holder_that_differs_from_the_login(
    world: World, identity: Identity, changes: dict[str, str], reason: str
) -> None:
    holder = m.Holder.model_validate({**HOLDER.model_dump(by_alias=False), **changes})
    assert word(lambda: world.issue(world.proof(identity), holder=holder)) == reason


def test_another_systems_login_and_a_nonce_of_nobodys(world: World, identity: Identity) -> None:
    proof = world.proof(identity)
    assert word(lambda: world.issue(proof, caller=ELSEWHERE)) == "login-unknown"
    invented = "n" * 43
    assert (
        word(lambda: world.issue(LoginProof(nonce=invented, assertion=identity.assertion(invented)))) == "login-unknown"
    )
    world.issue(proof)


@pytest.mark.parametrize("fault", ["expired", "signature", "issuer"])
def test_an_assertion_that_does_not_hold(world: World, identity: Identity, db: Database, fault: str) -> None:
    assert word(lambda: world.issue(world.proof(identity, fault=fault))) == f"assertion-{fault}"
    assert unused(db) == 1


def test_an_assertion_for_others_or_for_another_login(world: World, identity: Identity) -> None:
    assert word(lambda: world.issue(world.proof(identity, audience="another"))) == "assertion-audience"
    first, second = world.proof(identity), world.proof(identity)
    mixed = LoginProof(nonce=first.nonce, assertion=second.assertion)
    assert word(lambda: world.issue(mixed)) == "assertion-nonce"
    assert word(lambda: world.issue(LoginProof(nonce=first.nonce, assertion="x.y.z"))) == "assertion-malformed"


def test_a_login_ends_and_is_forgotten(world: World, identity: Identity, clock: Clock, db: Database) -> None:
    proof = world.proof(identity)
    login = world.logins.verify(PORTAL, proof, HOLDER, REGION)
    clock.ahead = timedelta(seconds=600)
    assert word(lambda: world.issue(proof)) == "login-expired"
    request = m.AuthorizationRequest(holder=HOLDER, login=proof, scope=SCOPE)
    late = world.authorizations.issue(PORTAL, request, login).result()
    assert isinstance(late, HubProblem)
    assert late.detail == "login-expired", "it ran out between the verification and the commit"
    with db.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(t.authorizations)).scalar_one() == 0
    assert world.logins.purge() == 0
    clock.ahead += timedelta(hours=1, seconds=1)
    assert world.logins.purge() == 1
    assert word(lambda: world.issue(proof)) == "login-unknown"


# --- regions, and the identity service's state --------------------------------------------------------------


def test_a_citys_identity_service_speaks_for_its_city(db: Database, identity: Identity) -> None:
    world = World(db).set_up(identity, region="370100")
    db.write(lambda tx: register(tx, world.vault, identity, endpoint="qingdao", region="370200"))
    proof = world.proof(identity)
    assert word(lambda: world.issue(proof)) == "login-region", "the scope is the province"
    qingdao = SCOPE.model_copy(update={"region": "370202"})
    assert word(lambda: world.issue(proof, scope=qingdao)) == "login-region"
    world.issue(proof, scope=SCOPE.model_copy(update={"region": REGION}))
    problem(lambda: world.nonce(region="370602"), "no-route")
    world.close()


def test_signed_assertions_are_verified_while_the_service_is_down(world: World, identity: Identity) -> None:
    proof = world.proof(identity)
    identity.simulator.fail("down")
    try:
        world.issue(proof)
    finally:
        identity.simulator.fail("none")


@pytest.mark.parametrize("mode", ["down", "http-500", "hang-before", "reset-after", "fault-in-200"])
def test_a_service_that_must_be_asked_and_does_not_answer(db: Database, identity: Identity, mode: str) -> None:
    world = World(db).set_up(identity, status="ask")
    proof = world.proof(identity)
    identity.simulator.fail(mode)
    try:
        away = problem(lambda: world.issue(proof), "identity-unavailable")
    finally:
        identity.simulator.fail("none")
    assert away.kind.retryable
    assert away.who is WhoActs.PEER
    assert away.retry_after_s
    world.issue(proof)
    gone = world.proof(identity)
    identity.log_out(gone.assertion)
    assert word(lambda: world.issue(gone)) == "assertion-ended"
    world.close()


def test_an_endpoint_that_is_paused_or_cannot_work(world: World, identity: Identity, db: Database) -> None:
    proof = world.proof(identity)
    key = identity.folder / "login.pub.pem"
    kept = key.read_bytes()
    key.write_bytes(b"no key")
    try:
        broken = problem(lambda: world.issue(proof), "identity-unavailable")
    finally:
        key.write_bytes(kept)
    assert (broken.detail, broken.who) == (
        "assertion-key",
        WhoActs.ADMINISTRATOR,
    )  # nothing that the service could mend
    world.issue(proof)
    db.write(lambda tx: pause_endpoint(tx, "test", "identity", "maintenance"))
    paused = problem(lambda: world.issue(world.proof(identity)), "identity-unavailable")
    assert (paused.detail, paused.who) == ("endpoint-paused", WhoActs.ADMINISTRATOR)


# --- who vouches --------------------------------------------------------------------------------------------


def vouching(region: str) -> Caller:
    rights = STRICT | {(Service.AUTHORIZATION_VOUCH.value, region)}
    return Caller("portal", "k", Method.TLS, rights)


def issue_by_word(world: World, caller: Caller, proof: str | None = "login-17") -> object:
    request = m.AuthorizationRequest(holder=HOLDER, holder_proof=proof, scope=SCOPE)
    return world.authorizations.issue(caller, request).result()


def test_nobody_vouches_without_the_right_in_that_region(world: World, db: Database) -> None:
    required = problem(lambda: issue_by_word(world, PORTAL), "login-required")
    assert [fault.path for fault in required.faults] == ["/login"]
    problem(lambda: issue_by_word(world, vouching("370100")), "login-required")
    assert isinstance(issue_by_word(world, vouching("370000")), m.AuthorizationIssued)
    missing = problem(lambda: issue_by_word(world, vouching("370000"), None), "message-invalid")
    assert [fault.path for fault in missing.faults] == ["/holderProof"]
    with db.read() as conn:
        row = conn.execute(sa.select(t.authorizations)).one()
        detail = conn.execute(sa.select(t.audit.c.detail).where(t.audit.c.action == "authorization.issue")).scalar_one()
    assert (row.login_id, row.assurance) == (None, None)
    assert '"vouched"' in detail
    assert "login-17" not in detail


def test_a_system_that_may_vouch_is_still_held_to_a_login_that_it_hands_in(world: World, identity: Identity) -> None:
    nonce = world.nonce(vouching("370000"))
    proof = LoginProof(nonce=nonce, assertion=identity.assertion(nonce, OTHER.id_number))
    assert word(lambda: world.issue(proof, caller=vouching("370000"))) == "subject-code"


def test_rights_are_asked_for_first(world: World, identity: Identity) -> None:
    qingdao = Caller("portal", "k", Method.TLS, frozenset({(Service.AUTHORIZATION_ISSUE.value, "370200")}))
    problem(lambda: world.nonce(qingdao), "access-denied")
    problem(lambda: world.issue(world.proof(identity), caller=qingdao), "access-denied")
    problem(
        lambda: world.logins.verify(Caller("portal", "k", Method.TLS), world.proof(identity), HOLDER), "access-denied"
    )


# --- once, whatever happens ---------------------------------------------------------------------------------


def test_a_begin_that_is_replayed(world: World, db: Database) -> None:
    seen = (Nonce("d" * 64, datetime.now(UTC) + timedelta(minutes=5)),)
    caller = Caller("portal", "k", Method.HTTP_SIGNATURE, STRICT, seen)
    first, second = (world.logins.begin(caller, LoginRequest(region=REGION)).result() for _ in range(2))
    assert isinstance(first, LoginBegun)
    assert isinstance(second, HubProblem)
    assert second.kind.code == "message-replayed"
    assert unused(db) == 1
    again: Future[bool] = db.submit(replay.used, seen)
    assert again.result()


def test_of_a_hundred_at_once_over_four_processes_one_succeeds(
    database_url: str, identity: Identity, tmp_path: Path
) -> None:
    db = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    world = World(db).set_up(identity)
    proof = world.proof(identity)
    crowd = [(database_url, "crowd", proof.nonce, proof.assertion)] * 4
    successes = all_at_once("tests.integration.login_world", crowd, tmp_path)
    assert sum(int(one) for one in successes) == 1
    with db.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(t.authorizations)).scalar_one() == 1
    assert unused(db) == 0
    world.close()
    db.close()
