"""``/v1/presentations`` over real HTTP with real signatures, in front of a whole hub node and the real library simulator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hub.access import registration
from hub.access.callers import Service
from hub.intake.presentations_rest import EACH
from tests.integration.evidence_fixtures import simulators
from tests.integration.evidence_world import CONSUMER, STRANGER, Peers
from tests.integration.presenting import Counter
from tests.integration.test_evidence_rest import Node
from tests.integration.test_evidence_rest import body as evidence_body

__all__ = ["simulators"]  # fixtures
MAKER = Counter.__new__(Counter)  # of requests only


@pytest.fixture(scope="module")
def node(simulators: Peers) -> Iterator[Node]:
    made = Node(simulators)
    rights = [Service.AUTHORIZATION_REDEEM.value]
    for system in (CONSUMER, STRANGER):
        made.hub.db.write(lambda tx, system=system: registration.grant(tx, "test", system, rights, "370100"))  # type: ignore[misc]
    yield made
    made.stop()


def body(index: int = 1, **changes: Any) -> bytes:
    return MAKER.request(index, **changes).model_dump_json(by_alias=True, exclude_none=True).encode()


def test_the_whole_way_at_a_counter(node: Node) -> None:
    sent = body(1)
    answer = node.send("POST", "/v1/presentations", sent)
    assert answer.status_code == 201, answer.text
    begun = answer.json()
    assert begun["state"] == "pending"
    code = json.loads(sent)["code"]
    assert code not in answer.text
    assert node.send("POST", "/v1/presentations", sent).json() == begun
    path = answer.headers["location"].removeprefix(node.url)
    assert path == f"/v1/presentations/{begun['presentationId']}"
    end = time.monotonic() + 20
    while (found := node.send("GET", path).json())["state"] != "authorized":
        assert time.monotonic() < end, found
        time.sleep(0.3)
    basis = {"kind": "authorization", "reference": begun["presentationId"]}
    evidence = node.send("POST", "/v1/evidence", evidence_body(1, basis=basis))
    assert evidence.status_code == 200, evidence.text
    assert evidence.json()["complete"] is True
    assert node.send("GET", path).json()["state"] == "used"
    again = node.send("POST", "/v1/evidence", evidence_body(1, basis=basis))
    assert (again.status_code, again.json()["code"]) == (403, "evidence-basis-refused")


def test_refusals_are_problems_without_code_or_number(node: Node) -> None:
    late = body(2, code=MAKER.code(2, "LATE"))
    answer = node.send("POST", "/v1/presentations", late)
    assert (answer.status_code, answer.json()["code"]) == (403, "authorization-code-refused")
    assert "expired" in answer.json()["detail"]
    sent = json.loads(late)
    for secret in (sent["code"], sent["holder"]["code"], sent["holder"]["name"]):
        assert secret not in answer.text


@pytest.mark.parametrize("path", ["/v1/presentations/nonsense", "/v1/presentations/pres_01k3zq8m5v7e2r9t4w6x0y1a3b"])
def test_what_is_not_ones_own_is_unknown(node: Node, path: str) -> None:
    assert node.send("GET", path).json()["code"] == "authorization-unknown"
    holder = json.loads(body(3))["holder"]
    refused = node.send("POST", f"{path}/revocation", json.dumps({"holder": holder}).encode())
    assert (refused.status_code, refused.json()["code"]) == (404, "authorization-unknown")


def test_taken_back_at_the_counter(node: Node) -> None:
    sent = body(4)
    begun = node.send("POST", "/v1/presentations", sent).json()
    path = f"/v1/presentations/{begun['presentationId']}"
    holder = json.dumps({"holder": json.loads(sent)["holder"]}).encode()
    assert node.send("POST", f"{path}/revocation", holder, system=STRANGER).status_code == 404
    assert node.send("POST", f"{path}/revocation", holder).json()["id"] == begun["presentationId"]
    assert node.send("GET", path).json()["state"] == "revoked"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"code": "x"}, "/code"),
        ({"code": "有空格 的"}, "/code"),
        ({"kind": "token"}, "/kind"),
        ({"useSeconds": 10}, "/useSeconds"),
        ({"wanted": {"ecertTypes": ["enrolment-record"], "purpose": "x", "region": "370102"}}, "/wanted/ecertTypes"),
        ({"holder": {"name": "王", "codeType": "111", "code": "370102198501011234"}}, "/holder/code"),
    ],
)
def test_what_cannot_be_is_told_by_field(node: Node, changes: dict[str, Any], path: str) -> None:
    answer = node.send("POST", "/v1/presentations", json.dumps({**json.loads(body(5)), **changes}).encode())
    assert answer.status_code == 422, answer.text
    assert path in [fault["path"] for fault in answer.json()["faults"]]


def test_a_right_is_needed_in_the_region(node: Node) -> None:
    answer = node.send("POST", "/v1/presentations", body(6, wanted={"region": "370202"}))
    assert (answer.status_code, answer.json()["code"]) == (403, "access-denied")


def test_the_description_has_the_operations_with_examples(node: Node) -> None:
    described = node.client.get(f"{node.url}/openapi.json").json()
    post = described["paths"]["/v1/presentations"]["post"]
    assert post["requestBody"]["content"]["application/json"]["example"]["kind"] == "authorization-code"
    assert {"201", "403", "409", "422", "429"} <= post["responses"].keys()
    assert {"PresentationRequest", "PresentationView"} <= described["components"]["schemas"].keys()
    example = post["requestBody"]["content"]["application/json"]["example"]
    answer = node.send("POST", "/v1/presentations", json.dumps(example).encode())
    assert (answer.status_code, answer.json()["code"]) == (403, "authorization-code-refused"), "well formed, nobody's"


def test_neither_code_nor_transaction_is_in_the_state_folder(node: Node, simulators: Peers) -> None:
    sent = body(7)
    node.send("POST", "/v1/presentations", sent)
    code = json.loads(sent)["code"].encode()
    files = list(Path(simulators.folder / "state").glob("hub.sqlite*"))
    assert files
    for file in files:
        assert code not in file.read_bytes()
        assert b"trx:" not in file.read_bytes()


def test_one_caller_does_not_hold_all_places(node: Node, simulators: Peers) -> None:
    """The last one here: the library's breaker is open afterwards."""
    simulators.library.fail("hang-before", times=500, seconds=4)
    with ThreadPoolExecutor(EACH + 4) as pool:
        asked = [pool.submit(node.send, "POST", "/v1/presentations", body(20 + n)) for n in range(EACH + 4)]
        time.sleep(1)
        other = node.send("POST", "/v1/presentations", body(50, messageId="o-1"), system=STRANGER)
    simulators.library.fail("none")
    codes = [one.result().status_code for one in asked]
    assert codes.count(503) >= 4, codes
    assert (other.status_code, other.json().get("detail")) != (503, "presentations"), other.text
