"""Codes of the provincial library: once whoever asks, within limits, at the right library. On both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.contract import ShownKind
from adapters.ecert_share.simulator import endpoint as library_endpoint
from adapters.ecert_usefor.simulator import endpoint as usefor_endpoint
from adapters.registry import manifest
from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.db import Database, Tx
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.presentations.model import State
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import counter, simulators, world
from tests.integration.evidence_world import CONSUMER, Peers, World
from tests.integration.presenting import TYPES, Counter, problem

__all__ = ["counter", "simulators", "world"]  # fixtures


# --- once, whoever asks -----------------------------------------------------------------------------------------------------------


def test_of_many_begins_with_one_code_one_reaches_the_library(counter: Counter) -> None:
    code, before, barrier = counter.code(23), counter.begun_at_library(), threading.Barrier(20)

    def one(number: int) -> str:
        request = counter.request(23, code=code, messageId=f"crowd-{number}")
        barrier.wait()
        try:
            return counter.begin(request).state
        except HubProblem as refused:
            return refused.detail

    with ThreadPoolExecutor(20) as pool:
        words = list(pool.map(one, range(20)))
    assert words.count("pending") == 1
    assert set(words) <= {"pending", "redeemed-already", "another node takes the same code"}
    assert counter.begun_at_library() == before + 1


def test_one_message_many_times_at_once_is_begun_once(counter: Counter) -> None:
    request, before, barrier = counter.request(24), counter.begun_at_library(), threading.Barrier(10)

    def one(_: int) -> str:
        barrier.wait()
        return counter.begin(request).presentation_id

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(one, range(10)))) == 1
    assert counter.begun_at_library() == before + 1


def test_of_many_requests_for_evidence_one_has_it(counter: Counter) -> None:
    agreed, barrier = counter.agreed(25), threading.Barrier(12)

    def one(_: int) -> bool | str:
        barrier.wait()
        try:
            return counter.ask(agreed.presentation_id, 25).complete
        except HubProblem as refused:
            return refused.kind.code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(12)))
    assert sorted(map(str, answers)) == sorted(["True", *["evidence-basis-refused"] * 11])
    assert [row.object for row in counter.world.audited("presentation.use")] == [agreed.presentation_id]


def test_another_message_under_the_same_id_is_a_conflict(counter: Counter) -> None:
    request = counter.request(26)
    counter.begin(request)
    other = request.model_copy(update={"code": counter.code(26)})
    assert problem(counter.begin, other) == ("message-id-conflict", "")


def test_a_signature_is_good_for_one_begin(counter: Counter) -> None:
    caller = counter.world.caller(nonce="n-1")
    counter.begin(counter.request(27), caller)
    assert problem(counter.begin, counter.request(27), caller) == ("message-replayed", "")


# --- limits, and who may ---------------------------------------------------------------------------------------------------------


def test_a_phone_is_not_asked_again_and_again(counter: Counter) -> None:
    live = load_rules().codes.live
    for _ in range(live):
        counter.begin(counter.request(28, code=counter.code(28, "DENY")))
    before = counter.begun_at_library()
    assert problem(counter.begin, counter.request(28)) == ("authorization-throttled", "live-codes")
    assert counter.begun_at_library() == before
    counter.begin(counter.request(29))  # another holder's phone


def test_wrong_codes_throttle_before_the_library_hears_of_them(database: Database, simulators: Peers) -> None:
    simulators.library.fail("none")
    rules = load_rules()
    rules = rules.model_copy(update={"codes": rules.codes.model_copy(update={"wrong": 3})})
    world = World(database, simulators, rules=rules).set_up()
    counter = Counter(world)
    for number in range(3):
        assert problem(counter.begin, counter.request(30 + number, code=f"NOBODY:{number}"))[1] == "unknown"
    before = counter.begun_at_library()
    assert problem(counter.begin, counter.request(34)) == ("authorization-throttled", "wrong-codes")
    assert counter.begun_at_library() == before
    assert [row.object for row in world.audited("authorization.guessing")] == [CONSUMER]
    counter.close()
    world.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wanted": {"purpose": "unheard-of"}}, "evidence-purpose-refused"),
        (
            {"wanted": {"purpose": "school-licensing"}},
            "evidence-purpose-refused",
        ),  # known, not registered for the caller
    ],
)
def test_a_purpose_must_be_registered(counter: Counter, changes: dict[str, Any], code: str) -> None:
    assert problem(counter.begin, counter.request(35, **changes))[0] == code


def test_a_right_in_the_region_is_needed(counter: Counter) -> None:
    elsewhere = counter.world.caller(region="370200")
    assert problem(counter.begin, counter.request(36), elsewhere)[0] == "access-denied"


def test_the_citys_own_library_is_asked_where_there_is_one(counter: Counter) -> None:
    """As for evidence: by catalogue and region."""
    world = counter.world
    begun = counter.begin(counter.request(37))
    assert counter.row(begun.presentation_id).endpoint_id == "library"

    def add(tx: Tx) -> None:
        near = library_endpoint(world.peers.library.url, world.peers.folder / "library")
        spec = EndpointSpec("jinan-library", "province", "ecert_share", "ecert-library", "370100", near.base_url,
                            dict(near.settings), dict(near.secrets), timeout_s=4)  # fmt: skip
        add_endpoint(tx, "test", world.vault, manifest("ecert_share"), spec, lease_s=60)

    world.db.write(add)
    world.directory.forget()
    near = counter.agreed(38)
    assert counter.row(near.presentation_id).endpoint_id == "jinan-library"
    agreed = counter.until(begun.presentation_id, State.AUTHORIZED)
    answer = counter.ask(agreed.presentation_id, 37)
    assert answer.complete
    documents = {
        row.document: row.endpoint_id for row in world.rows(t.evidence_documents) if row.request_id == answer.id
    }
    assert {documents[key] for key in TYPES} == {"library"}, "a transaction is good where it was begun"


def test_another_dialect_is_shown_the_same_way(counter: Counter) -> None:
    """A city whose library speaks UseFor: nothing of the hub's changes."""
    world, key = counter.world, "useforappkey0001"
    arguments = ["--app-key", key, "--keys", str(world.peers.folder / "library"), "--authorize-after", "0.2"]
    with SimulatorProcess("adapters.ecert_usefor.simulator", arguments) as library:
        near = usefor_endpoint(library.url, key)

        def add(tx: Tx) -> None:
            spec = EndpointSpec("jinan-library", "province", "ecert_usefor", "ecert-library", "370100", near.base_url,
                                dict(near.settings), dict(near.secrets), timeout_s=4)  # fmt: skip
            add_endpoint(tx, "test", world.vault, manifest("ecert_usefor"), spec, lease_s=60)

        world.db.write(add)
        world.directory.forget()
        agreed = counter.agreed(33)
        assert counter.row(agreed.presentation_id).endpoint_id == "jinan-library"
        assert counter.ask(agreed.presentation_id, 33).complete
        asked = [one["path"] for one in library.requests()]
        assert asked.count("/certificate/auth/file") == len(TYPES)
        assert problem(counter.begin, counter.request(34, kind=ShownKind.ECERT)) == (
            "authorization-code-refused",
            "library-kind-not-provided",
        )


def test_no_library_no_presentation(counter: Counter) -> None:
    world = counter.world
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(service="events")))
    world.directory.forget()
    assert problem(counter.begin, counter.request(39))[0] == "no-route"
