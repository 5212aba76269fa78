"""docs/protocol/use-cases.md, row by row: each failure is brought about over the wire, and must be exactly what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.access import registration
from hub.access.callers import Service
from hub.db import DatabaseBusy
from tests.integration.intake_hub import OTHER_SYSTEM, SYSTEM, HttpCaller, RunningHub, new_caller, running_hub, transfer

PAGE = Path(__file__).parents[2] / "docs" / "protocol" / "use-cases.md"
ROW = re.compile(r"^\| (UC-\d\.\d[a-z]) \|[^|]*\| (\d{3}) \| `([a-z-]+)` \| (?:`([^`]+)`)? ?\|$", re.MULTILINE)
ROWS = [match.groups(default="") for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
POST = "/v1/transfers"


@dataclass
class World:
    """A hub with the receiving side (Qingdao), the releasing side (Jinan) and somebody else."""

    hub: RunningHub
    receiving: HttpCaller
    releasing: HttpCaller
    patch: pytest.MonkeyPatch

    def submit(self) -> str:
        response = self.receiving.send("POST", POST, transfer())
        assert response.status_code == 202, response.text
        case_id: str = response.json()["caseId"]
        return case_id

    def withdraw(self, case_id: str, caller: HttpCaller | None = None, message_id: str = "w-1") -> httpx.Response:
        body = {"messageId": f"{message_id}-{case_id}", "reason": "家庭计划有变"}
        return (caller or self.receiving).send("POST", f"{POST}/{case_id}/withdrawal", body)

    def decide(
        self, case_id: str, caller: HttpCaller, step: str, outcome: str = "approved", no: int = 1
    ) -> httpx.Response:
        body = {"messageId": f"d-{no}-{case_id}", "caseId": case_id, "step": step, "outcome": outcome,
                "decidedAt": datetime.now(UTC).isoformat(), "decidedBy": "教育局", "reason": "符合条件"}  # fmt: skip
        return caller.send("POST", "/v1/decisions", body)

    def open_step(self, case_id: str, step: str) -> None:
        """As if the steps before it had been decided."""

        def write(tx: Any) -> None:
            s = t.steps
            tx.conn.execute(sa.update(s).where(s.c.case_id == case_id, s.c.name == step).values(state="open"))
            tx.conn.execute(sa.update(t.cases).where(t.cases.c.id == case_id).values(state="waiting"))

        self.hub.db.write(write)

    def stranger(self, system_id: str, *services: Service) -> HttpCaller:
        caller = new_caller(self.hub, system_id)

        def limit(tx: Any) -> None:
            for right in registration.store.rights(tx.conn, system_id):
                if right.service not in services:
                    registration.revoke_right(tx, "test", system_id, right.service, right.region)

        self.hub.db.write(limit)
        self.hub.directory.forget()
        return caller

    def with_body(self, body: bytes, **options: Any) -> httpx.Response:
        return self.receiving.send("POST", POST, body, **options)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state"), max_body_kb=16) as running:
        yield running


@pytest.fixture
def world(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(hub, new_caller(hub, SYSTEM), new_caller(hub, OTHER_SYSTEM), monkeypatch)


def elsewhere_school(side: str) -> dict[str, Any]:
    """In Beijing."""
    request = transfer()
    return request | {side: request[side] | {"region": "110101", "schoolCode": "2111010101"}}


def revoked(world: World) -> httpx.Response:
    caller = new_caller(world.hub, "revoked")
    world.hub.db.write(lambda tx: registration.revoke_key(tx, "test", "revoked", caller.key_id))
    world.hub.directory.forget()
    return caller.send("GET", POST)


def expired(world: World) -> httpx.Response:
    caller = new_caller(world.hub, "expired")
    past = datetime.now(UTC) - timedelta(seconds=1)
    world.hub.db.write(
        lambda tx: tx.conn.execute(
            sa.update(t.system_keys).where(t.system_keys.c.key_id == caller.key_id).values(not_after=past)
        )
    )
    world.hub.directory.forget()
    return caller.send("GET", POST)


def elsewhere(world: World) -> httpx.Response:
    signed = world.receiving.signed("POST", POST, b"{}")
    return httpx.post(f"{world.hub.url}/v1/decisions", content=b"{}", headers=signed.headers)


def altered(world: World) -> httpx.Response:
    signed = world.receiving.signed("POST", POST, b"{}")
    headers = {name: value for name, value in signed.headers.items() if name != "content-length"}
    return httpx.post(world.hub.url + POST, content=b"[1]", headers=headers)


def replayed(world: World) -> httpx.Response:
    body = json.dumps(transfer()).encode()
    signed = world.receiving.signed("POST", POST, body)
    assert world.receiving.client.send(signed).status_code == 202
    return httpx.post(world.hub.url + POST, content=body, headers=signed.headers)


def over_the_rate(world: World) -> httpx.Response:
    with running_hub(world.hub.settings.state_dir / "rate", caller_rate=1, caller_burst=1) as small:
        caller = new_caller(small)
        return [caller.send("GET", POST) for _ in range(2)][-1]


def no_route(world: World) -> httpx.Response:
    message = transfer()
    message["releasing"] = {**message["releasing"], "region": "370302"}  # Zibo has no registry here
    return world.receiving.send("POST", POST, message)


def open_already(world: World) -> httpx.Response:
    message = transfer()
    assert world.receiving.send("POST", POST, message).status_code == 202
    return world.receiving.send("POST", POST, {**message, "messageId": message["messageId"] + "-2"})


def conflict(world: World) -> httpx.Response:
    message = transfer()
    assert world.receiving.send("POST", POST, message).status_code == 202
    return world.receiving.send("POST", POST, {**message, "reason": "另一原因"})


def altered_cursor(world: World) -> httpx.Response:
    world.submit()
    world.submit()
    cursor = world.receiving.send("GET", f"{POST}?limit=1").json()["nextCursor"]
    return world.receiving.send("GET", f"{POST}?limit=1&state=open&cursor={cursor}")


def withdrawn_twice(world: World) -> httpx.Response:
    case_id = world.submit()
    assert world.withdraw(case_id).status_code == 200
    return world.withdraw(case_id, message_id="w-2")


def withdrawn_too_late(world: World) -> httpx.Response:
    case_id = world.submit()
    world.open_step(case_id, "release-record")
    return world.withdraw(case_id)


def decided_after_the_end(world: World) -> httpx.Response:
    case_id = world.submit()
    world.withdraw(case_id)
    return world.decide(case_id, world.receiving, "receiving-bureau")


def contradicted(world: World) -> httpx.Response:
    case_id = world.submit()
    world.open_step(case_id, "receiving-bureau")
    assert world.decide(case_id, world.receiving, "receiving-bureau").status_code == 200
    assert world.decide(case_id, world.receiving, "receiving-bureau", no=2).status_code == 200  # the same again
    return world.decide(case_id, world.receiving, "receiving-bureau", "refused", no=3)


def failing(world: World, error: Exception) -> httpx.Response:
    def fail(*_: object, **__: object) -> None:
        raise error

    world.patch.setattr(world.hub.cases, "submit_transfer", fail)
    return world.receiving.send("POST", POST, transfer())


MINUTES = timedelta(minutes=10)
NO_CASE = "case_00000000000000000000000000"
SCENARIOS: dict[str, Callable[[World], httpx.Response]] = {
    "UC-0.1a": lambda w: httpx.get(f"{w.hub.url}/v1/nothing"),
    "UC-0.1b": lambda w: httpx.delete(w.hub.url + POST),
    "UC-0.2a": lambda w: w.with_body(b"<a/>", headers={"content-type": "text/xml"}),
    "UC-0.2b": lambda w: w.with_body(b" " * 20_000),
    "UC-0.3a": lambda w: httpx.get(w.hub.url + POST),
    "UC-0.3b": lambda w: HttpCaller(w.hub, w.receiving.key, "nobody").send("GET", POST),
    "UC-0.3c": revoked,
    "UC-0.3d": expired,
    "UC-0.3e": lambda w: w.with_body(b"{}", created=datetime.now(UTC) - MINUTES),
    "UC-0.3f": lambda w: w.with_body(b"{}", created=datetime.now(UTC) + MINUTES),
    "UC-0.3g": altered,
    "UC-0.3h": elsewhere,
    "UC-0.3i": replayed,
    "UC-0.3j": over_the_rate,
    "UC-0.4a": lambda w: w.with_body(b"{"),
    "UC-0.4b": lambda w: w.with_body(b"[" * 40 + b"]" * 40),
    "UC-0.4c": lambda w: w.receiving.send("POST", POST, transfer(reason="")),
    "UC-1.2a": lambda w: w.stranger("asker", Service.TRANSFER_QUERY).send("POST", POST, transfer()),
    "UC-1.2b": lambda w: w.receiving.send("POST", POST, elsewhere_school("releasing")),
    "UC-1.2c": lambda w: w.receiving.send("POST", POST, elsewhere_school("receiving")),
    "UC-1.3a": no_route,
    "UC-1.4a": open_already,
    "UC-1.5a": conflict,
    "UC-2.1a": lambda w: w.receiving.send("GET", f"{POST}?limit=1000"),
    "UC-2.1b": altered_cursor,
    "UC-2.2a": lambda w: w.stranger("sender", Service.TRANSFER_SUBMIT).send("GET", POST),
    "UC-2.3a": lambda w: w.receiving.send("GET", f"{POST}/{NO_CASE}"),
    "UC-2.3b": lambda w: new_caller(w.hub, "elsewhere").send("GET", f"{POST}/{w.submit()}"),
    "UC-3.2a": lambda w: w.withdraw(NO_CASE),
    "UC-3.2b": lambda w: w.withdraw(w.submit(), w.releasing),
    "UC-3.3a": withdrawn_twice,
    "UC-3.3b": withdrawn_too_late,
    "UC-4.2a": lambda w: w.decide(NO_CASE, w.receiving, "receiving-bureau"),
    "UC-4.2b": lambda w: w.decide(w.submit(), w.releasing, "receiving-bureau"),
    "UC-4.3a": lambda w: w.decide(w.submit(), w.receiving, "receiving-bureau"),
    "UC-4.3b": decided_after_the_end,
    "UC-4.4a": contradicted,
    "UC-5.1a": lambda w: failing(w, DatabaseBusy("full")),
    "UC-5.1b": lambda w: failing(w, KeyError("x")),
}


def test_every_row_has_its_scenario_and_no_scenario_lacks_its_row() -> None:
    assert [number for number, *_ in ROWS] == list(SCENARIOS)


@pytest.mark.parametrize(("number", "status", "code", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_the_failure_is_what_the_page_says(world: World, number: str, status: str, code: str, reason: str) -> None:
    response = SCENARIOS[number](world)
    assert response.status_code == int(status), response.text
    problem = response.json()
    assert problem["code"] == code
    assert str(problem.get("detail", "")).startswith(reason)
    assert any(entry.object == problem["problemId"] for entry in world.hub.entries()) or number == "UC-0.3j"
