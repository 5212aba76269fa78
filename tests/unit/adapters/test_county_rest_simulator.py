"""The county registry's simulator: decisions by its rules, told to the hub with a signature, and kept over a kill."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import samples
from adapters.contract import Deadline, DeliveryStatus, Endpoint, PeerMisconfigured, PeerRefused, StepAction
from adapters.county_rest.client import CountyRest
from adapters.harness import write_key_pair
from adapters.simulator_process import SimulatorFailed, SimulatorProcess
from certs.http.signatures import verify_request
from certs.keys import PublicKey, SignatureAlgorithm
from schemas.transfers import Decision, DecisionOutcome
from tests.contract.hostile_peer import HostilePeer

MODULE = "adapters.county_rest.simulator"
TOKEN = ("--token", "t", "--region", samples.REGION)


def soon() -> Deadline:
    return Deadline.after(10)


def client(simulator: SimulatorProcess, token: str = "t") -> CountyRest:
    return CountyRest(Endpoint("e", samples.REGION, simulator.url, secrets={"access_token": token}))


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """Decides at once, so the decision stands in the reply."""
    with SimulatorProcess(MODULE, (*TOKEN, "--decide-after", "0")) as running:
        yield running


@pytest.mark.parametrize(
    ("index", "outcome", "why"),
    [(0, "approved", None), (7, "refused", "休学"), (13, "refused", "处分"), (18, "refused", "毕业")],
)
def test_the_decision_is_in_the_reply(simulator: SimulatorProcess, index: int, outcome: str, why: str | None) -> None:
    decision = client(simulator).deliver(samples.step(f"k-{index}", index=index), soon())
    assert isinstance(decision, Decision)
    assert decision.outcome == outcome
    assert (decision.reason is None) if why is None else (why in (decision.reason or ""))


def test_somebody_elses_name_is_refused_and_admission_is_not_the_releasing_sides_rule(
    simulator: SimulatorProcess,
) -> None:
    step = samples.step("k-name")
    stranger = step.transfer.student.model_copy(update={"name": "王某某"})
    wrong = step.model_copy(update={"transfer": step.transfer.model_copy(update={"student": stranger})})
    refused = client(simulator).deliver(wrong, soon())
    assert isinstance(refused, Decision)
    assert refused.outcome is DecisionOutcome.REFUSED
    admitted = client(simulator).deliver(samples.step("k-admit", index=7, action=StepAction.ADMIT), soon())
    assert isinstance(admitted, Decision)
    assert admitted.outcome is DecisionOutcome.APPROVED


def test_a_repeat_is_a_second_application(simulator: SimulatorProcess) -> None:
    """As its manifest says; whoever sends twice instead of asking is found out by the count."""
    for _ in range(2):
        client(simulator).deliver(samples.step("k-twice"), soon())
    assert simulator.effects()["k-twice"] == 2


def test_the_token_is_checked_and_a_foreign_student_is_not_found(simulator: SimulatorProcess) -> None:
    with pytest.raises(PeerMisconfigured, match="2001"):
        client(simulator, "wrong").probe(soon())
    stranger = samples.enrolment_query().model_copy(update={"id_number": "379804201409090101"})
    with pytest.raises(PeerRefused, match="not-found"):
        client(simulator).fetch_enrolment(stranger, soon())


def test_unsigned_requests_are_refused_where_the_hubs_key_is_known(tmp_path: Path) -> None:
    _, public = write_key_pair(tmp_path, "hub", SignatureAlgorithm.ED25519)
    with SimulatorProcess(MODULE, (*TOKEN, "--hub-key-file", public)) as strict, pytest.raises(PeerMisconfigured):
        client(strict).probe(soon())


def test_the_decision_is_told_to_the_hub_until_it_is_heard(tmp_path: Path) -> None:
    """Signed by the registry's own key; told again when the hub is not well, also after the registry itself was killed."""
    private, public = write_key_pair(tmp_path, "county", SignatureAlgorithm.SM2_SM3)
    key = PublicKey.from_pem(Path(public).read_bytes())
    heard: list[Decision] = []
    came, well = threading.Event(), threading.Event()

    def hub(peer: HostilePeer, sock: socket.socket) -> None:
        raw = peer.read_request(sock)
        came.set()
        if not well.is_set():
            return
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        signed = verify_request(
            method,
            peer.url + path,
            headers,
            body,
            now=datetime.now(UTC),
            max_age=timedelta(minutes=1),
            resolve_key=lambda key_id: key if key_id == "county-1" else None,
        )
        assert signed.algorithm == "sm2-sm3"
        heard.append(Decision.model_validate_json(body))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    step, journal = samples.step("k-callback"), str(tmp_path / "journal")
    with HostilePeer(hub) as peer:
        told = ("--hub", peer.url, "--key-file", private, "--key-id", "county-1", "--decide-after", "0.2")
        with SimulatorProcess(MODULE, (*TOKEN, *told, "--journal", journal)) as first:
            client(first).deliver(step, soon())
            first.kill()
        with SimulatorProcess(MODULE, (*TOKEN, *told, "--journal", journal)) as second:
            assert came.wait(10)
            well.set()
            end = time.monotonic() + 10
            while not heard and time.monotonic() < end:
                time.sleep(0.05)
            answer = client(second).status(step, soon())
            assert second.effects() == {"k-callback": 1}
    assert answer.status is DeliveryStatus.DECIDED
    assert heard == [answer.decision]
    assert (heard[0].case_id, heard[0].step) == (step.case_id, step.step)


def test_a_cancelled_application_is_not_decided() -> None:
    with SimulatorProcess(MODULE, (*TOKEN, "--decide-after", "0.3")) as running:
        adapter = client(running)
        adapter.deliver(samples.step("k-1"), soon())
        adapter.deliver(samples.cancelled("k-1").model_copy(update={"idempotency_key": "k-2"}), soon())
        time.sleep(0.6)
        assert adapter.status(samples.step("k-1"), soon()).status is DeliveryStatus.RECEIVED
        assert adapter.status(samples.cancelled("k-2"), soon()).status is DeliveryStatus.RECEIVED


# --- what all simulators share ---------------------------------------------------------------------------------------------


def test_down_for_some_seconds(simulator: SimulatorProcess) -> None:
    host, port = simulator.url.removeprefix("http://").split(":")
    simulator.fail("down", seconds=0.4)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
    time.sleep(0.7)
    client(simulator).probe(soon())


def test_faults_for_one_path_and_some_times(simulator: SimulatorProcess) -> None:
    simulator.fail("http-500", path="/api/xjyd", times=1)
    adapter = client(simulator)
    adapter.probe(soon())
    with pytest.raises(Exception, match="http-500"):
        adapter.deliver(samples.step("k-path"), soon())
    adapter.deliver(samples.step("k-path"), soon())
    assert simulator.effects()["k-path"] == 1
    assert [one["key"] for one in simulator.requests()][-2:] == ["k-path", "k-path"]


def test_a_fault_that_is_none_is_refused(simulator: SimulatorProcess) -> None:
    for wrong in ({"mode": "explode"}, {"mode": "down", "seconds": "soon"}):
        with pytest.raises(SimulatorFailed, match="400"):
            simulator._control("/_faults", wrong)
    with pytest.raises(SimulatorFailed, match="400"):
        simulator._control("/_faults", [])


def test_it_ends_cleanly_while_a_caller_hangs() -> None:
    running = SimulatorProcess(MODULE, TOKEN)
    running.fail("hang-before")
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(b"GET /api/heartbeat HTTP/1.1\r\nHost: x\r\n\r\n")
        running.wait_for_request("/api/heartbeat")
        assert running.stop() == 0


def test_a_simulator_that_cannot_start_says_so() -> None:
    with pytest.raises(SimulatorFailed, match="before it listened"):
        SimulatorProcess(MODULE, ("--region", samples.REGION))


def test_a_simulator_that_has_ended_is_told_when_it_is_steered() -> None:
    running = SimulatorProcess(MODULE, TOKEN)
    running.kill()
    with pytest.raises(SimulatorFailed, match="does not answer"):
        running.fail("down")


def test_a_journal_with_a_line_cut_off_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text(json.dumps({"kind": "effect", "key": "a"}) + '\n{"kind": "effe', encoding="utf-8")
    for count in (1, 2, 3):
        with SimulatorProcess(MODULE, (*TOKEN, "--journal", str(journal))) as running:
            assert running.effects() == {"a": 1} | ({"b": count - 1} if count > 1 else {})
            client(running).deliver(samples.step("b"), soon())
            running.kill()
