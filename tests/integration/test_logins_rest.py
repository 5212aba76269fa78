"""A login over REST, and that every word of a refusal is documented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from starlette.requests import Request

from certs.keys import PrivateKey, SignatureAlgorithm
from hub.access import registration
from hub.access.callers import Caller, KeyKind, Method, Service
from hub.access.identity import Identity as Known
from hub.ecerts.logins.model import REASONS, LoginProof, refused
from hub.ecerts.logins.service import Logins
from hub.intake.gate import Exchange
from hub.intake.logins_rest import EACH, LoginDesk
from hub.vault import Vault
from schemas.problems import HubProblem
from tests.integration.intake_hub import HttpCaller, RunningHub, ecert_routes, running_hub
from tests.integration.login_fixtures import identity
from tests.integration.login_world import HOLDER, OTHER, PERSON, REGION, Identity, register
from tests.integration.redeem_child import KEY, SCOPE
from tests.unit.test_docs_errors import WHO

__all__ = ["identity"]  # fixtures


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, identity: Identity) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state")) as running:
        running.db.write(lambda tx: register(tx, Vault(KEY), identity, endpoint="identity-lixia", region=REGION))
        with ecert_routes(running, KEY):
            yield running


def test_a_login_travels_over_rest(hub: RunningHub, identity: Identity, capfd: pytest.CaptureFixture[str]) -> None:
    key = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)
    portal = HttpCaller(hub, key, hub.register("app", KeyKind.HTTP, key.public_key.spki, rights=False))
    hub.db.write(lambda tx: registration.grant(tx, "test", "app", [Service.AUTHORIZATION_ISSUE.value], REGION))
    hub.directory.forget()
    holder = HOLDER.model_dump(mode="json", by_alias=True)
    scope = SCOPE.model_copy(update={"region": REGION}).model_dump(mode="json", by_alias=True, exclude_none=True)
    asked = {"holder": holder, "holderProof": "our own session 17", "scope": scope}

    def log_in(number: str = PERSON.id_number) -> dict[str, str]:
        begun = portal.send("POST", "/v1/logins", {"region": REGION})
        assert begun.status_code == 201, begun.text
        assert begun.headers["cache-control"] == "no-store"
        nonce = begun.json()["nonce"]
        return {"nonce": nonce, "assertion": identity.assertion(nonce, number)}

    missing = portal.send("POST", "/v1/authorizations", asked)
    assert (missing.status_code, missing.json()["code"]) == (403, "login-required")
    assert [fault["path"] for fault in missing.json()["faults"]] == ["/login"]
    wrong = portal.send("POST", "/v1/authorizations", {**asked, "login": log_in(OTHER.id_number)})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["detail"]) == (403, "login-refused", "subject-code")
    assert wrong.json()["who"] == "applicant"
    assert [fault["path"] for fault in wrong.json()["faults"]] == ["/holder/code", "/holder/name"]
    assert all(fault["cure"] for fault in wrong.json()["faults"])
    login = log_in()
    issued = portal.send("POST", "/v1/authorizations", {**asked, "login": login})
    assert issued.status_code == 201, issued.text
    again = portal.send("POST", "/v1/authorizations", {**asked, "login": login})
    assert again.json()["detail"] == "login-used"
    path = f"/v1/authorizations/{issued.json()['authorizationId']}/revocation"
    assert portal.send("POST", path, {"holder": holder}).json()["code"] == "login-required"
    assert portal.send("POST", path, {"holder": holder, "login": log_in()}).status_code == 200
    uses = portal.send("POST", "/v1/holders/uses", {"holder": holder, "login": log_in()})
    assert uses.json() == {"items": []}
    malformed = portal.send("POST", "/v1/authorizations", {**asked, "login": {**login, "nonce": "short"}})
    assert (malformed.status_code, malformed.json()["faults"][0]["path"]) == (422, "/login/nonce")
    assert portal.send("POST", "/v1/logins", {"region": "370202"}).json()["code"] == "access-denied"
    written = "".join(capfd.readouterr()) + "".join(str(entry) for entry in hub.entries("login.begin"))
    assert not any(secret in written for secret in (login["nonce"], login["assertion"], PERSON.id_number))
    refusals = [entry.detail["reason"] for entry in hub.entries() if entry.outcome == "login-refused"]
    assert refusals == ["subject-code", "login-used"]


def test_one_caller_does_not_hold_all_places() -> None:
    go_on = threading.Event()

    class Slow:
        def verify(self, *_: object) -> None:
            go_on.wait(20)

    def exchange(system: str) -> Exchange:
        identity = Known(Caller(system, "k", Method.HTTP_SIGNATURE, frozenset()))
        return Exchange(cast(Request, None), "test", identity=identity)

    async def crowd() -> tuple[list[object], object]:
        desk = LoginDesk(cast(Logins, Slow()))
        proof = cast(LoginProof, object())
        asked = [asyncio.create_task(desk.verified(exchange("many"), proof, HOLDER)) for _ in range(EACH + 3)]
        await asyncio.sleep(0.2)
        other = asyncio.create_task(desk.verified(exchange("other"), proof, HOLDER))
        await asyncio.sleep(0.2)
        go_on.set()
        return list(await asyncio.gather(*asked, return_exceptions=True)), (await asyncio.gather(other))[0]

    with ThreadPoolExecutor(1) as apart:  # a browser's test leaves a loop running in this thread
        answers, other = apart.submit(asyncio.run, crowd()).result()
    refused_ = [one for one in answers if isinstance(one, HubProblem)]
    assert [one.kind.code for one in refused_] == ["hub-busy"] * 3
    assert other is None


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_word_is_documented_with_its_place(reason: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "protocol" / "authorizations.md"
    one = REASONS[reason]
    row = f"| `{reason}` | `{one.path}` | {WHO[one.who]} | {one.zh}, {one.cure_zh}<br>{one.en}: {one.cure_en} |"
    assert row in page.read_text(encoding="utf-8").splitlines(), f"put into authorizations.md:\n{row}"
    assert (refused(reason).detail, refused(reason).who) == (reason, one.who)
