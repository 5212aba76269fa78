"""``/v1/evidence`` over real HTTP with real signatures, in front of a whole hub node."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from certs.http.signatures import sign_request
from certs.keys import PrivateKey, SignatureAlgorithm
from hub import tables as t
from hub.access import registration
from hub.access.callers import KeyKind, Service
from hub.access.key_files import read_key_file
from hub.app import Hub
from hub.config import Settings
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.items.service import ItemCatalogue
from hub.intake.evidence import AT_ONCE, EACH
from schemas.ecert_types import ecert_types
from tests.integration.evidence_fixtures import simulators
from tests.integration.evidence_world import CONSUMER, PURPOSE, STRANGER, Peers, World, register

__all__ = ["simulators"]  # fixtures
KEYS = {name: PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256) for name in (CONSUMER, STRANGER)}


class Node:
    """A hub with everything in it, and its callers."""

    def __init__(self, simulators: Peers) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.hub = Hub(
            Settings(
                state_dir=simulators.folder / "state",
                port=port,
                retry_base_s=0.2,
                breaker_open_s=0.5,
                probe_interval_s=600,
            )
        )
        self.url = self.hub.settings.effective_public_url

        def write(tx: Any) -> None:
            register(tx, simulators, self.hub.vault)
            for system, key in KEYS.items():
                registration.grant(tx, "test", system, [Service.EVIDENCE.value], "370100")
                registration.add_key(
                    tx, "test", system, read_key_file(KeyKind.HTTP, key.public_key.spki), key_id=system
                )

        self.hub.db.write(write)
        ItemCatalogue(self.hub.db).import_example(actor="test")
        for index in range(1, AT_ONCE + 8):
            self.consent(Authorizations(self.hub.db, self.hub.vault), index)
        self.server = uvicorn.Server(uvicorn.Config(self.hub.app, port=port, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        self.client = httpx.Client(timeout=40)

    def consent(self, authorizations: Authorizations, index: int) -> None:
        held = World.holder(index)
        now = datetime.now(UTC) - timedelta(minutes=1)
        authorizations.register_consent(
            World.caller(),
            m.ConsentRequest(
                holder=m.Holder(name=held["name"], code=held["code"], code_type="111"),
                scope=m.Scope(ecert_types=tuple(ecert_types()), purpose=PURPOSE, region="370000"),
                reference=f"c-{index}", given_at=now, ends_at=now + timedelta(days=1),
            ),
        )  # fmt: skip

    def send(self, method: str, path: str, body: bytes = b"", system: str = CONSUMER) -> httpx.Response:
        headers = {"content-type": "application/json"} if body else {}
        headers |= sign_request(
            method, self.url + path, list(headers.items()), body, key=KEYS[system], key_id=system,
            created=datetime.now(UTC), nonce=secrets.token_hex(12),
        )  # fmt: skip
        return self.client.request(method, self.url + path, content=body or None, headers=headers)

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def node(simulators: Peers) -> Iterator[Node]:
    made = Node(simulators)
    yield made
    made.stop()


def body(index: int = 1, **changes: Any) -> bytes:
    return (
        World.request(World.__new__(World), index, **changes).model_dump_json(by_alias=True, exclude_none=True).encode()
    )


def test_asked_answered_and_read_again(node: Node) -> None:
    sent = body(messageId="rest-1")
    answer = node.send("POST", "/v1/evidence", sent)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["complete"] is True
    assert node.send("POST", "/v1/evidence", sent).json() == found
    assert node.send("GET", f"/v1/evidence/{found['id']}").json() == found
    assert node.send("GET", f"/v1/evidence/{found['id']}", system=STRANGER).status_code == 404
    assert node.send("GET", "/v1/evidence/nonsense").json()["code"] == "evidence-unknown"
    assert node.send("POST", "/v1/evidence", body(messageId="rest-1", caseReference="x")).json()["code"] == (
        "message-id-conflict"
    )


def test_a_pending_answer_has_an_address_and_ends(node: Node, simulators: Peers) -> None:
    simulators.library.fail("down")
    answer = node.send("POST", "/v1/evidence", body(deadlineS=1))
    simulators.library.fail("none")
    assert answer.status_code == 202
    path = answer.headers["location"].removeprefix(node.url)
    end = time.monotonic() + 40
    while (found := node.send("GET", path).json())["state"] != "answered":
        assert time.monotonic() < end, found
        time.sleep(0.2)
    assert found["complete"] is True


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"region": "370202"}, 403, "access-denied"),
        ({"itemCode": "370105001999"}, 404, "item-unknown"),
        ({"purpose": "unheard-of"}, 403, "evidence-purpose-refused"),
        ({"basis": {"kind": "law", "reference": "x"}}, 403, "evidence-basis-refused"),
        ({"callback": "library"}, 422, "message-invalid"),
    ],
)
def test_refusals_are_problems(node: Node, changes: dict[str, Any], status: int, code: str) -> None:
    answer = node.send("POST", "/v1/evidence", body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert World.holder(1)["code"] not in answer.text
    end = time.monotonic() + 5
    while not refusals(node, code):  # every answer stands in the audit log, refusals too
        assert time.monotonic() < end
        time.sleep(0.02)


def refusals(node: Node, code: str) -> list[Any]:
    with node.hub.db.read() as conn:
        return list(conn.execute(sa.select(t.audit.c.seq).where(t.audit.c.outcome == code)))


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        ({"subject": {"name": "王", "code": "370102198501011234", "codeType": "111"}}, "/subject/code"),
        ({"subject": {"name": "王", "code": "370102198501011233", "codeType": "001"}}, "/subject/codeType"),
        ({"subject": None}, "/subject"),
        ({"deadlineS": 31}, "/deadlineS"),
        ({"answer": "everything"}, "/answer"),
        ({"region": "379999"}, "/region"),
        ({"purpose": "p-370102198501011233"}, "/purpose"),  # would stand in the audit log as it is
    ],
)
def test_what_cannot_be_is_told_by_field(node: Node, damage: dict[str, Any], path: str) -> None:

    sent = {**json.loads(body()), **damage}
    answer = node.send("POST", "/v1/evidence", json.dumps({k: v for k, v in sent.items() if v is not None}).encode())
    assert answer.status_code == 422, answer.text
    assert [fault["path"] for fault in answer.json()["faults"]] == [path]


def test_more_requests_than_places_are_told_to_come_again(node: Node, simulators: Peers) -> None:
    """A node that waits for slow issuers stays reachable for everything else."""
    simulators.library.fail("hang-before", times=500, seconds=4)
    codes: list[int] = []
    lock = threading.Lock()

    def one(index: int) -> None:  # each about another holder: one holder's limit is not what is meant here
        status = node.send("POST", "/v1/evidence", body(index, deadlineS=2)).status_code
        with lock:
            codes.append(status)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(2, AT_ONCE + 6)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert node.client.get(f"{node.url}/health/live").status_code in (200, 404)
    other = node.send("POST", "/v1/evidence", body(1, deadlineS=1, messageId="o-1"), system=STRANGER)
    assert other.status_code != 503, other.text  # half of the places are nobody's alone
    for thread in threads:
        thread.join()
    simulators.library.fail("none")
    assert set(codes) == {202, 503}
    assert codes.count(202) <= EACH


def test_the_description_holds_the_messages(node: Node) -> None:
    described = node.client.get(f"{node.url}/openapi.json").json()
    assert {"EvidenceRequest", "EvidenceAnswer"} <= described["components"]["schemas"].keys()
    codes = described["paths"]["/v1/evidence"]["post"]["responses"]
    assert {"200", "202", "403", "404", "409", "422", "429"} <= codes.keys()


def test_state_folder_has_no_personal_data_in_clear(node: Node, simulators: Peers) -> None:
    node.hub.db.write(lambda tx: None)
    held = World.holder(1)
    for file in Path(simulators.folder / "state").glob("hub.sqlite*"):
        data = file.read_bytes()
        assert held["code"].encode() not in data
        assert held["name"].encode() not in data
