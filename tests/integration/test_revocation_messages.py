"""A revocation notice as it comes in: over signed HTTP, killed with -9 at its commit, and by the operator's command."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from hub import tables as t
from hub.access import registration
from hub.access.callers import Service
from hub.audit.chain import verify_chain
from hub.commands import evidence as commands
from hub.ecerts.evidence.revoking import Revocations
from hub.intake.operations import digest_of
from hub.intake.revocations_rest import EXAMPLE
from schemas.revocations import RevocationAccepted, RevocationNotice
from tests.conftest import AUDIT_KEY
from tests.integration import killing
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import STRANGER, Peers, World
from tests.integration.test_evidence_rest import Node, body
from tests.integration.test_revocations import DEGREE, degree, identifier, notice

__all__ = ["simulators", "world"]  # fixtures
CHILD = "tests.integration.revoke_child"
_numbers = itertools.count(1)


# --- killed -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_commit_of_a_notice(world: World, when: killing.When) -> None:
    """All of it is there, or nothing; the issuing system, which heard nothing, sends it again and all has happened once."""
    index = next(_numbers)
    answer = world.asked(index, answer="documents")
    message = notice(identifier(world, index))
    url = world.db.url.render_as_string(hide_password=False)
    process = killing.start(
        CHILD,
        [url, str(world.peers.folder), message.model_dump_json(by_alias=True)],
        environment=killing.killed_at(when, 1, "evidence.revocation:told"),
    )
    printed = process.communicate(timeout=60)
    assert killing.was_killed(process)
    assert printed == ""
    there = when == "after"
    assert len(world.rows(t.revocation_notices)) == len(world.rows(t.revoked_ecerts)) == int(there)
    assert (DEGREE in {row.type_code for row in world.rows(t.kept_ecerts)}) is not there
    assert (degree(world, answer)[0] == "revoked") is there
    assert len(told(world)) == int(there)
    again = Revocations(world.db, world.parts.follow_ups).take(
        world.caller("province"), message, digest=digest_of(message)
    )
    assert (again.answers, again.systems_told) == (1, 1)
    assert degree(world, answer) == ("revoked", "revoked-after-answer")
    assert len(world.rows(t.revocation_notices)) == len(told(world)) == 1
    with world.db.read() as conn:
        assert verify_chain(conn, AUDIT_KEY).faults == ()


def told(world: World) -> list[object]:
    return [row for row in world.rows(t.deliveries) if row.kind == "event"]


# --- over HTTP ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(simulators: Peers) -> Iterator[Node]:
    made = Node(simulators)
    made.hub.db.write(lambda tx: registration.grant(tx, "test", STRANGER, [Service.ECERT_REVOKE.value], "370100"))
    yield made
    made.stop()


def test_a_signed_notice_reaches_whoever_relied(node: Node, simulators: Peers) -> None:
    simulators.library.fail("none")
    asked = node.send("POST", "/v1/evidence", body(30, messageId="relied-1")).json()
    assert asked["complete"]
    before = len(simulators.hook.effects())
    message = notice(identifier(World.__new__(World), 30)).model_dump_json(by_alias=True).encode()
    assert node.send("POST", "/v1/revocations", message).json()["code"] == "access-denied"  # no right of its own
    answer = node.send("POST", "/v1/revocations", message, system=STRANGER)
    assert answer.status_code == 200, answer.text
    accepted = RevocationAccepted.model_validate(answer.json())
    assert (accepted.answers, accepted.systems, accepted.systems_told) == (1, 1, 1)
    assert node.send("POST", "/v1/revocations", message, system=STRANGER).json() == answer.json()
    now = node.send("GET", f"/v1/evidence/{asked['id']}").json()
    assert {gap["state"] for one in now["requirements"] for gap in one["missing"]} == {"revoked"}
    end = time.monotonic() + 15  # by the hub's own dispatcher and the CloudEvents adapter
    while len(simulators.hook.effects()) == before:
        assert time.monotonic() < end
        time.sleep(0.05)
    other = message.replace(b"annulled", b"lost")
    assert node.send("POST", "/v1/revocations", other, system=STRANGER).json()["code"] == "message-id-conflict"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"identifiers": []}, "/identifiers"),
        ({"identifiers": ["1.2"]}, "/identifiers/0"),
        ({"identifiers": [f"ID-{n:06d}" for n in range(501)]}, "/identifiers"),
        ({"reason": "because"}, "/reason"),
        ({"revokedAt": "2126-01-01T00:00:00Z"}, "/revokedAt"),
        ({"source": ""}, "/source"),
        ({"holder": "x"}, "/holder"),
    ],
)
def test_a_notice_of_wrong_shape_is_refused_by_its_field(node: Node, changes: dict[str, object], path: str) -> None:
    sent = json.dumps({**EXAMPLE, **changes}).encode()
    answer = node.send("POST", "/v1/revocations", sent, system=STRANGER)
    assert answer.status_code == 422, answer.text
    assert path in {fault["path"] for fault in answer.json()["faults"]}


def test_the_example_is_a_notice(node: Node) -> None:
    RevocationNotice.model_validate(EXAMPLE)
    described = node.client.get(f"{node.url}/openapi.json").json()
    operation = described["paths"]["/v1/revocations"]["post"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert RevocationAccepted.model_validate(example).received_at < datetime.now(UTC).replace(year=2100)
    assert operation["requestBody"]["content"]["application/json"]["example"] == EXAMPLE


# --- by command -----------------------------------------------------------------------------------------------------------------


def test_the_command_uses_the_same_function(node: Node, simulators: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    simulators.library.fail("none")
    asked = node.send("POST", "/v1/evidence", body(31, messageId="relied-2")).json()
    assert asked["complete"]
    named = identifier(World.__new__(World), 31)
    monkeypatch.setenv("HUB_STATE_DIR", str(simulators.folder / "state"))
    run = CliRunner()
    done = run.invoke(commands.app, ["revoked", named, "--source", "纸质函件 12", "--reason", "lost"])
    assert done.exit_code == 0, done.output
    assert "1/1" in done.output
    now = node.send("GET", f"/v1/evidence/{asked['id']}").json()
    assert "revoked" in {gap["state"] for one in now["requirements"] for gap in one["missing"]}
    personal = run.invoke(commands.app, ["revoked", named, "--source", "关于撤销 379802-19880910-1290 学位的决定"])
    assert personal.exit_code == 1
    assert "公民身份号码" in personal.stderr
    assert "resident ID number" in personal.stderr
    assert "19880910" not in personal.stderr
    typed = run.invoke(commands.app, ["revoked", named[:-3], "--source", "纸质函件 13"])
    assert typed.exit_code == 1
    wrong = named[:-1] + ("0" if named[-1] != "0" else "1")
    noted = run.invoke(commands.app, ["revoked", wrong, "--source", "纸质函件 13"]).stderr
    assert "注意: " in noted
    assert " / note: " in noted
    again = run.invoke(commands.app, ["reinstate", named, "--reason", "函件有误"])
    assert again.exit_code == 0, again.output
    assert run.invoke(commands.app, ["reinstate", named, "--reason", "函件有误"]).exit_code == 1
