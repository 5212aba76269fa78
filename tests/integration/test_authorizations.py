"""Authorizations on both databases and over REST: one redemption of a hundred, what is kept, what is taken back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from stdnum import luhn

from hub import tables as t
from hub.access import registration
from hub.access.callers import Caller, Method
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.bases import Basis
from hub.ecerts.authorizations.codes import new_code
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.presentations.model import PresentationRequest
from hub.intake.presentations_rest import EXAMPLE as PRESENTED
from hub.vault import Vault
from schemas.evidence import BasisKind
from schemas.parsing import parse_json
from schemas.problems import HubProblem
from tests.conftest import AUDIT_KEY
from tests.integration.authorization_fixtures import Clock, clock, db
from tests.integration.crowds import all_at_once
from tests.integration.intake_hub import OTHER_SYSTEM, HttpCaller, RunningHub, ecert_routes, new_caller, running_hub
from tests.integration.redeem_child import HALL, HOLDER, KEY, NUMBER, PORTAL, RIGHTS, SCOPE, WANTED, redeem

__all__ = ["clock", "db"]  # fixtures


@pytest.fixture
def service(db: Database) -> Authorizations:
    return Authorizations(db, Vault(KEY))


def issued(service: Authorizations, **changes: Any) -> m.AuthorizationIssued:
    request = m.AuthorizationRequest(holder=HOLDER, holder_proof="login-1", scope=SCOPE).model_copy(update=changes)
    answer = service.issue(PORTAL, request).result()
    assert isinstance(answer, m.AuthorizationIssued)
    return answer


def word(answer: object) -> str:
    assert isinstance(answer, HubProblem), answer
    assert answer.kind.code == "authorization-code-refused"
    return answer.detail


def test_a_code_is_redeemed_once_and_the_same_message_gets_the_same_answer(
    service: Authorizations, db: Database
) -> None:
    code = issued(service).code_shown
    first = redeem(service, code)
    assert isinstance(first, m.AuthorizationRedeemed)
    assert (first.holder_name, first.scope) == ("王建国", SCOPE)
    assert NUMBER not in first.model_dump_json()
    assert redeem(service, code) == first
    with db.read() as conn:  # both name the holder to the counter: both are in the log
        query = sa.select(t.audit.c.outcome, t.audit.c.object).where(t.audit.c.action == "authorization.redeem")
        assert [tuple(row) for row in conn.execute(query)] == [
            ("redeemed", first.authorization_id), ("repeated", first.authorization_id),
        ]  # fmt: skip
    assert word(redeem(service, code, "m-2")) == "redeemed-already"
    other = Caller("other", "k3", Method.TLS, RIGHTS)
    assert word(redeem(service, code, "m-1", caller=other)) == "redeemed-already"


def test_a_code_ends_after_its_window(service: Authorizations, clock: Clock) -> None:
    long, short = issued(service), issued(service, code_seconds=10)
    assert (long.expires_at - clock.now).total_seconds() == 180
    clock.now += timedelta(seconds=10)
    assert word(redeem(service, short.code)) == "expired"
    clock.now += timedelta(seconds=170)
    assert word(redeem(service, long.code)) == "expired"


def test_wrong_codes_are_counted_and_end_it(service: Authorizations, db: Database) -> None:
    right = issued(service).code
    while (wrong := right[:8] + new_code().text[8:19])[:19] == right[:19]:
        pass
    wrong += luhn.calc_check_digit(wrong)
    for n in range(m.MAX_ATTEMPTS):
        assert word(redeem(service, wrong, f"w-{n}")) == "unknown"
    assert word(redeem(service, right)) == "unknown"
    with db.read() as conn:
        outcomes = conn.execute(
            sa.select(t.audit.c.outcome).where(t.audit.c.action == "authorization.redeem")
        ).scalars()
        assert list(outcomes) == ["unknown"] * 6


def test_a_scope_is_held_to_and_a_slip_of_the_finger_is_no_attempt(service: Authorizations, db: Database) -> None:
    code = issued(service).code
    with pytest.raises(HubProblem, match="malformed"):
        redeem(service, code[:-1] + str((int(code[-1]) + 1) % 10))
    assert word(redeem(service, code, wanted=WANTED.model_copy(update={"purpose": "other"}))) == "scope-purpose"
    assert word(redeem(service, new_code().text)) == "unknown"
    assert isinstance(redeem(service, code), m.AuthorizationRedeemed)
    with db.read() as conn:
        assert conn.execute(sa.select(t.authorizations.c.attempts)).scalar_one() == 1


def test_a_purpose_that_there_is_none_of_is_refused_at_once(service: Authorizations) -> None:
    """Else the portal hears of its slip when somebody else asks for the evidence, and by ``no-consent``."""
    with pytest.raises(HubProblem) as caught:
        issued(service, scope=SCOPE.model_copy(update={"purpose": "teacher-qualifications"}))
    (fault,) = caught.value.faults
    assert (fault.path, fault.rule) == ("/scope/purpose", "not-in-list")
    assert "teacher-qualification, " in (fault.cure_zh or "")


def test_a_text_that_is_too_short_is_of_no_wrong_type() -> None:
    with pytest.raises(HubProblem) as caught:
        parse_json(PresentationRequest, json.dumps({**PRESENTED, "code": ""}, ensure_ascii=False).encode())
    (fault,) = caught.value.faults
    assert (fault.path, fault.rule) == ("/code", "wrong-format")
    assert "at least 4 characters" in (fault.cure_en or "")


def test_types_and_codes_are_told_in_words() -> None:
    holder = {"name": "王建国", "codeType": "112", "code": "1"}
    scope = {"ecertTypes": ["idcard"], "purpose": "teacher-qualification", "region": "370000", "item": "1"}
    body = json.dumps({"holder": holder, "scope": scope}, ensure_ascii=False).encode()
    with pytest.raises(HubProblem) as caught:
        parse_json(m.AuthorizationRequest, body)
    cures = {fault.path: fault.cure_en or "" for fault in caught.value.faults}
    assert "111" in cures["/holder/codeType"]
    assert "4 to 30 digits" in cures["/holder/code"]
    assert "id-card" in cures["/scope/ecertTypes/0"]
    assert "12 digits" in cures["/scope/item"]
    assert len(cures) == 4


def test_rights_are_asked_for_by_region(service: Authorizations) -> None:
    code = issued(service).code
    qingdao = Caller("hall", "k", Method.TLS, frozenset({("authorization.redeem", "370200")}))
    with pytest.raises(HubProblem, match="access-denied"):
        redeem(service, code, caller=qingdao)
    with pytest.raises(HubProblem, match="access-denied"):
        service.issue(qingdao, m.AuthorizationRequest(holder=HOLDER, holder_proof="p", scope=SCOPE))


def test_the_code_stands_nowhere(service: Authorizations, db: Database) -> None:
    code = issued(service).code
    redeem(service, code)
    with db.read() as conn:
        for table in t.metadata.sorted_tables:
            for row in conn.execute(sa.select(table)):
                text = " ".join(repr(value) for value in row)
                assert code not in text
                assert code[:8] not in text or table.name == "audit"
                assert NUMBER not in text
                assert "王建国" not in text


def basis(service: Authorizations, db: Database, **options: Any) -> Basis | None:
    arguments: dict[str, Any] = {"holder": HOLDER, "wanted": WANTED, "system_id": "hall", "at": db.clock(), **options}
    with db.read() as conn:
        return service.bases.find_basis(conn, **arguments)


def test_an_authorization_is_a_basis_for_who_redeemed_it_until_it_ends_or_is_taken_back(
    service: Authorizations, db: Database, clock: Clock
) -> None:
    code = issued(service, use_seconds=600)
    chosen = {"authorization_id": code.authorization_id}
    assert basis(service, db, **chosen) is None, "not redeemed"
    redeem(service, code.code)
    assert basis(service, db, **chosen) == Basis(BasisKind.AUTHORIZATION, code.authorization_id)
    assert basis(service, db, **chosen, system_id="other") is None
    assert basis(service, db, **chosen, wanted=WANTED.model_copy(update={"ecert_types": ("diploma",)})) is None
    somebody = m.Holder(name="某人", code_type="411", code="G1234567")
    assert basis(service, db, **chosen, holder=somebody) is None
    with db.read() as conn:
        assert service.bases.holder_of(conn, code.authorization_id, "hall", clock.now) == HOLDER
        assert service.bases.holder_of(conn, code.authorization_id, "other", clock.now) is None
    clock.now += timedelta(seconds=600)
    assert basis(service, db, **chosen) is None
    clock.now -= timedelta(seconds=1)
    with pytest.raises(HubProblem, match="authorization-unknown"):
        service.revoke_authorization(PORTAL, code.authorization_id, somebody)
    with pytest.raises(HubProblem, match="authorization-unknown"):
        service.revoke_authorization(HALL, code.authorization_id, HOLDER)
    first = service.revoke_authorization(PORTAL, code.authorization_id, HOLDER)
    assert basis(service, db, **chosen) is None
    assert word(redeem(service, code.code)) == "revoked"
    clock.now += timedelta(seconds=5)
    assert service.revoke_authorization(PORTAL, code.authorization_id, HOLDER) == first


def test_a_consent_holds_within_its_scope_and_time(service: Authorizations, db: Database, clock: Clock) -> None:
    request = m.ConsentRequest(
        holder=HOLDER, scope=SCOPE, reference="c-1", given_at=clock.now, ends_at=clock.now + timedelta(days=30)
    )
    registered = service.register_consent(PORTAL, request)
    assert service.register_consent(PORTAL, request) == registered
    with pytest.raises(HubProblem, match="consent-conflict"):
        service.register_consent(PORTAL, request.model_copy(update={"ends_at": clock.now + timedelta(days=31)}))
    with pytest.raises(HubProblem, match="message-invalid"):
        service.register_consent(PORTAL, request.model_copy(update={"ends_at": clock.now}))
    expected = Basis(BasisKind.CONSENT, registered.consent_id)
    assert basis(service, db) == expected
    assert basis(service, db, at=clock.now + timedelta(days=30)) is None
    assert basis(service, db, wanted=WANTED.model_copy(update={"purpose": "other"})) is None
    assert basis(service, db, authorization_id="auth_x") is None, "what was named is not replaced"
    service.revoke_consent(PORTAL, registered.consent_id, HOLDER)
    assert basis(service, db) is None
    assert conflict(service, request) == "consent-withdrawn"  # "registered" would be untrue: nothing rests on it


def conflict(service: Authorizations, request: m.ConsentRequest) -> str:
    with pytest.raises(HubProblem) as caught:
        service.register_consent(PORTAL, request)
    (fault,) = caught.value.faults
    assert (caught.value.kind.code, fault.path) == ("consent-conflict", "/reference")
    assert "reference" in (fault.cure_zh or "")
    return caught.value.detail


def test_a_consent_that_has_ended_is_not_registered_again(service: Authorizations, clock: Clock) -> None:
    ends_at = clock.now + timedelta(days=30)
    request = m.ConsentRequest(holder=HOLDER, scope=SCOPE, reference="c-1", given_at=clock.now, ends_at=ends_at)
    service.register_consent(PORTAL, request)
    clock.now = ends_at
    assert conflict(service, request) == "consent-ended"
    fresh = request.model_copy(
        update={"reference": "c-2", "given_at": clock.now, "ends_at": ends_at + timedelta(days=1)}
    )
    assert service.register_consent(PORTAL, fresh).consent_id


def test_a_record_can_be_allowed_like_a_certificate(service: Authorizations, db: Database, clock: Clock) -> None:
    scope = SCOPE.model_copy(update={"ecert_types": ("enrolment-record",), "item": None})
    ends_at = clock.now + timedelta(days=1)
    request = m.ConsentRequest(holder=HOLDER, scope=scope, reference="c-2", given_at=clock.now, ends_at=ends_at)
    registered = service.register_consent(PORTAL, request)
    wanted = m.Wanted(ecert_types=("enrolment-record",), purpose=SCOPE.purpose, region="370102")
    assert basis(service, db, wanted=wanted) == Basis(BasisKind.CONSENT, registered.consent_id)


def test_uses_are_listed_for_their_holder_alone(service: Authorizations, db: Database, clock: Clock) -> None:
    use = m.DataUse(
        at=clock.now, system_id="hall", basis=BasisKind.LAW, basis_reference="370105002002@1", case_id="case_1",
        purpose="hiring-registration", ecert_type="id-card", outcome="satisfied", item="370105002002", digest="0" * 64,
    )  # fmt: skip
    refused = use.model_copy(update={"outcome": "ask-the-person", "digest": None})
    for one in (use, refused, use):
        db.write(lambda tx, one=one: service.bases.record_uses(tx, [(service.bases.holder_index(HOLDER), one)]))  # type: ignore[misc]
    asked = m.UsesRequest(holder=HOLDER, holder_proof="p", limit=2)
    first, following = service.uses(PORTAL, asked, before=None)
    rest, end = service.uses(PORTAL, asked, before=following)
    words = {
        "system_name": "hall",
        "purpose_zh": "招用毕业生企业登记",
        "purpose_en": "Registration of enterprises that hire graduates",
    }
    asks = {
        "outcome_zh": "未取得: 须由本人授权或提交",
        "outcome_en": "not fetched: you must authorize it or hand it in",
    }
    expected = [use.model_copy(update=words), refused.model_copy(update=words | asks), use.model_copy(update=words)]
    assert (first + rest, end) == (expected, None)
    somebody = asked.model_copy(update={"holder": m.Holder(name="某", code_type="411", code="G1234567")})
    assert service.uses(PORTAL, somebody, before=None) == ([], None)


def test_what_has_ended_is_purged(service: Authorizations, db: Database, clock: Clock) -> None:
    issued(service)
    used = issued(service, use_seconds=86_400)
    redeem(service, used.code)
    clock.now += timedelta(days=1, seconds=181)
    assert service.purge() == 1
    clock.now += timedelta(days=1)
    assert service.purge() == 1


# --- a hundred at once ------------------------------------------------------------------------------------------------------


def test_of_a_hundred_at_once_over_four_processes_one_succeeds(database_url: str, tmp_path: Path) -> None:
    db = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    for system in ("portal", "hall"):
        db.write(lambda tx, system=system: registration.add_system(tx, "test", system, system))  # type: ignore[misc]
    code = issued(Authorizations(db, Vault(KEY))).code
    crowd = [(database_url, "crowd", code, f"p{n}") for n in range(4)]
    successes = all_at_once("tests.integration.redeem_child", crowd, tmp_path)
    assert sum(int(one) for one in successes) == 1
    with db.read() as conn:
        query = sa.select(sa.func.count()).where(
            t.audit.c.action == "authorization.redeem", t.audit.c.outcome == "redeemed"
        )
        assert conn.execute(query).scalar_one() == 1
    db.close()


def test_of_a_hundred_threads_one_succeeds(service: Authorizations) -> None:
    code, barrier = issued(service).code, threading.Barrier(100)

    def one(n: int) -> bool:
        barrier.wait()
        return isinstance(redeem(service, code, f"m-{n}"), m.AuthorizationRedeemed)

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(one, range(100))) == 1


# --- over REST ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state")) as running, ecert_routes(running, KEY):
        yield running


def wire(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_a_code_travels_from_portal_to_counter_over_rest(hub: RunningHub, capfd: pytest.CaptureFixture[str]) -> None:
    portal, counter = new_caller(hub), new_caller(hub, OTHER_SYSTEM)
    asked = {"holder": wire(HOLDER), "holderProof": "login-1", "scope": wire(SCOPE), "codeSeconds": 60}
    response = portal.send("POST", "/v1/authorizations", asked)
    assert response.status_code == 201, response.text
    issued_ = response.json()
    assert response.headers["cache-control"] == "no-store"
    message = {"messageId": "hall-1", "code": issued_["codeShown"], "wanted": wire(WANTED)}
    taken = counter.send("POST", "/v1/authorizations/redeem", message)
    assert taken.status_code == 200, taken.text
    assert taken.json()["holderName"] == "王建国"
    assert NUMBER not in taken.text
    assert counter.send("POST", "/v1/authorizations/redeem", message).json() == taken.json()
    twice = counter.send("POST", "/v1/authorizations/redeem", {**message, "messageId": "hall-2"})
    problem(twice, 403, "authorization-code-refused", "redeemed-already")
    assert (twice.json()["who"], twice.json()["faults"][0]["path"]) == ("applicant", "/code")
    slip = counter.send("POST", "/v1/authorizations/redeem", {**message, "messageId": "hall-3", "code": "1234"})
    assert (slip.json()["detail"], slip.json()["who"]) == ("malformed", "caller")
    path = f"/v1/authorizations/{issued_['authorizationId']}/revocation"
    problem(counter.send("POST", path, {"holder": wire(HOLDER)}), 404, "authorization-unknown")
    assert portal.send("POST", path, {"holder": wire(HOLDER)}).json()["id"] == issued_["authorizationId"]
    written = "".join(capfd.readouterr())
    assert issued_["code"] not in written
    assert NUMBER not in written
    assert not any(issued_["code"] in str(entry) for entry in hub.audited)


def problem(response: httpx.Response, status: int, code: str, detail: str = "") -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.json().get("detail", "").startswith(detail)


def test_consents_and_uses_over_rest(hub: RunningHub) -> None:
    portal: HttpCaller = new_caller(hub)
    asked = {"holder": wire(HOLDER), "scope": wire(SCOPE), "reference": "c-7", "givenAt": "2026-09-01T00:00:00Z",
             "endsAt": "2027-09-01T00:00:00Z"}  # fmt: skip
    made = portal.send("POST", "/v1/consents", asked)
    assert made.status_code == 201, made.text
    problem(portal.send("POST", "/v1/consents", {**asked, "endsAt": "2027-09-02T00:00:00Z"}), 409, "consent-conflict")
    path = f"/v1/consents/{made.json()['consentId']}/revocation"
    assert portal.send("POST", path, {"holder": wire(HOLDER)}).status_code == 200
    uses = portal.send("POST", "/v1/holders/uses", {"holder": wire(HOLDER), "holderProof": "login-2"})
    assert (uses.status_code, uses.json()) == (200, {"items": []})


@pytest.mark.parametrize(("path", "change", "status", "code"), [
    ("/v1/authorizations", {"codeSeconds": 181}, 422, "message-invalid"),
    ("/v1/authorizations", {"scope": {**wire(SCOPE), "ecertTypes": ["passport"]}}, 422, "message-invalid"),
    ("/v1/authorizations", {"scope": {**wire(SCOPE), "ecertTypes": []}}, 422, "message-invalid"),
    ("/v1/authorizations", {"holder": {**wire(HOLDER), "code": "370102198501011234"}}, 422, "message-invalid"),
    ("/v1/authorizations/redeem", {"messageId": "m", "code": "1234", "wanted": wire(WANTED)}, 403, "authorization-code-refused"),
    ("/v1/authorizations/auth_x/revocation", {"holder": wire(HOLDER)}, 404, "authorization-unknown"),
    ("/v1/holders/uses", {"cursor": "nonsense", "limit": 5}, 400, "page-cursor-invalid"),
])  # fmt: skip
def test_refusals_over_rest(hub: RunningHub, path: str, change: dict[str, Any], status: int, code: str) -> None:
    base: dict[str, Any] = {}
    if path == "/v1/authorizations":
        base = {"holder": wire(HOLDER), "holderProof": "p", "scope": wire(SCOPE)}
    elif path.endswith("uses"):
        base = {"holder": wire(HOLDER), "holderProof": "p"}
    response = new_caller(hub).send("POST", path, {**base, **change})
    problem(response, status, code)
    assert "37010219850101123" not in response.text


def test_nobody_without_the_right(hub: RunningHub) -> None:
    stranger = HttpCaller(hub, new_caller(hub).key, "nobody")
    problem(stranger.send("POST", "/v1/authorizations", {}), 401, "caller-unknown")
