"""Codes that the provincial library issued, on both databases, in front of its real simulator."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from adapters.contract import ShownKind
from hub import tables as t
from hub.db import Tx
from hub.ecerts.presentations import model as m
from hub.ecerts.presentations.model import State
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import counter, simulators, world
from tests.integration.evidence_world import STRANGER, World
from tests.integration.presenting import TYPES, Counter, card_of, problem

__all__ = ["counter", "simulators", "world"]  # fixtures


# --- the whole way ------------------------------------------------------------------------------------------------------------


def test_a_code_is_shown_agreed_to_and_used_once(counter: Counter) -> None:
    world = counter.world
    begun = counter.begin(counter.request(1))
    assert (begun.state, begun.use_until) == (State.PENDING, None)
    assert problem(counter.ask, begun.presentation_id, 1) == ("evidence-basis-refused", "no-authorization")
    agreed = counter.until(begun.presentation_id, State.AUTHORIZED)
    assert agreed.use_until is not None
    before = world.library_calls()
    answer = counter.ask(begun.presentation_id, 1)
    assert (answer.state, answer.complete) == ("answered", True)
    calls = [one["path"] for one in world.peers.library.requests()][-40:]
    assert any(path.endswith("/queryCertInfosByVerifyTrx") for path in calls)
    assert world.library_calls() - before == len(TYPES), "each by the transaction, none by the holder's number"
    assert counter.status(begun.presentation_id).state is State.USED
    assert problem(counter.ask, begun.presentation_id, 1) == ("evidence-basis-refused", "no-authorization")


def test_the_same_message_gets_the_same_answer_after_it_was_used(counter: Counter) -> None:
    agreed = counter.agreed(2)
    basis = {"kind": "authorization", "reference": agreed.presentation_id}
    request = counter.world.request(2, basis=basis)
    first = counter.world.ask(request)
    assert first.complete
    assert counter.world.ask(request) == first


def test_the_holder_need_not_be_named_again(counter: Counter) -> None:
    answer = counter.ask(counter.agreed(3).presentation_id, 3, subject=None)
    card = next(one for one in answer.fields or () if one.document == "id-card")
    assert card.fields["holder_code"] == counter.holder(3).code


def test_the_holder_sees_what_it_was_used_for(counter: Counter) -> None:
    agreed = counter.agreed(4)
    counter.ask(agreed.presentation_id, 4)
    index = counter.world.authorizations.bases.holder_index(counter.holder(4))
    uses = [use for use in counter.world.rows(t.data_uses) if use.holder_index == index]
    assert {use.ecert_type for use in uses} == set(TYPES)
    assert {(use.basis, use.basis_reference, use.outcome) for use in uses} == {
        ("authorization", agreed.presentation_id, "held")
    }


def test_an_e_certificate_is_shown_and_nobody_is_asked(counter: Counter) -> None:
    world = counter.world
    identifier = card_of(world, 5)
    before = counter.begun_at_library()
    request = counter.request(
        5,
        kind=ShownKind.ECERT,
        code=f"CERT:{identifier}#a",
        wanted={"ecertTypes": ("id-card",)},
        caseReference="case-x",
    )
    begun = counter.begin(request)
    assert (begun.state, begun.kind) == (State.AUTHORIZED, ShownKind.ECERT)
    assert counter.begun_at_library() == before
    answer = counter.ask(begun.presentation_id, 5, caseReference="case-x")
    by = {one.name: one.satisfied for one in answer.requirements}
    assert by["identity"]
    assert not by["education"], "one certificate was shown"


# --- what does not hold -----------------------------------------------------------------------------------------------------


def test_somebody_elses_code_is_found_out_inside_the_document(counter: Counter) -> None:
    """Person 7 shows a code of person 6 at the counter: what comes is not 7's, and nothing of it leaves the hub."""
    agreed = counter.until(counter.begin(counter.request(7, code=counter.code(6))).presentation_id, State.AUTHORIZED)
    answer = counter.ask(agreed.presentation_id, 7)
    assert not answer.complete
    gaps = {(gap.document, gap.state) for one in answer.requirements for gap in one.missing}
    assert {(key, "not-verified") for key in ("id-card", "putonghua-level")} <= gaps
    assert not answer.fields
    assert counter.holder(6).code not in answer.model_dump_json()
    index = counter.world.authorizations.bases.holder_index(counter.holder(7))
    assert {use.outcome for use in counter.world.rows(t.data_uses) if use.holder_index == index} == {"not-verified"}


@pytest.mark.parametrize(
    ("code", "word"), [("LATE", "expired"), ("PERSON:379800201501010011", "unknown"), ("NONSENSE", "unknown")]
)
def test_a_code_that_the_library_does_not_take(counter: Counter, code: str, word: str) -> None:
    shown = counter.code(8, code) if code == "LATE" else f"{code}#{time.monotonic_ns()}"
    request = counter.request(8, code=shown)
    assert problem(counter.begin, request) == ("authorization-code-refused", word)
    before = counter.begun_at_library()
    assert problem(counter.begin, request) == ("authorization-code-refused", word), "the same message, the same answer"
    assert counter.begun_at_library() == before
    (row,) = counter.world.rows(t.presentations)
    assert counter.status(row.id).state is State.REFUSED
    counted = sum(one.codes for one in counter.world.rows(t.wrong_codes))
    assert counted == (1 if word == "unknown" else 0)


def test_a_holder_who_says_no(counter: Counter) -> None:
    begun = counter.begin(counter.request(9, code=counter.code(9, "DENY")))
    found = counter.until(begun.presentation_id, State.DENIED)
    assert found.reason == "denied-by-holder"
    assert problem(counter.ask, begun.presentation_id, 9) == ("evidence-basis-refused", "no-authorization")
    assert [use.outcome for use in counter.world.rows(t.data_uses)] == ["evidence-basis-refused"]


@pytest.mark.parametrize(
    ("changes", "index", "word"),
    [
        ({"caseReference": "another case"}, 10, "no-authorization"),
        ({"purpose": "hiring-registration"}, 10, "not-of-this-item"),
        ({"region": "370202"}, 10, "no-authorization"),
        ({}, 11, "no-authorization"),  # another holder
    ],
)
def test_it_is_bound_to_case_purpose_region_and_holder(
    counter: Counter, changes: dict[str, str], index: int, word: str
) -> None:
    agreed = counter.agreed(10)
    arguments = {"caseReference": "case-10", **changes}
    with pytest.raises(HubProblem) as caught:
        counter.ask(agreed.presentation_id, index, **arguments)
    assert caught.value.detail == word
    assert counter.status(agreed.presentation_id).state is State.AUTHORIZED, "a refused question does not use it up"
    assert counter.ask(agreed.presentation_id, 10).complete


def test_it_is_bound_to_the_types_that_were_asked_for(counter: Counter) -> None:
    agreed = counter.agreed(12, wanted={"ecertTypes": ("id-card", "degree")})
    answer = counter.ask(agreed.presentation_id, 12)
    gaps = {one.name: [gap.reason for gap in one.missing] for one in answer.requirements if not one.satisfied}
    assert gaps == {"putonghua": ["not-authorized"]}


def test_it_is_bound_to_the_caller(counter: Counter) -> None:
    world, agreed = counter.world, counter.agreed(13)
    world.db.write(lambda tx: _allow(tx, STRANGER))
    stranger = world.caller(STRANGER)
    assert problem(counter.presentations.status, stranger, agreed.presentation_id) == ("authorization-unknown", "")
    request = world.request(13, basis={"kind": "authorization", "reference": agreed.presentation_id}, subject=None)
    assert problem(world.ask, request, stranger) == ("evidence-basis-refused", "authorization-not-usable")
    assert problem(counter.presentations.revoke, stranger, agreed.presentation_id, counter.holder(13))[0] == (
        "authorization-unknown"
    )


def _allow(tx: Tx, system: str) -> None:
    from hub.ecerts.evidence import store

    store.allow_purpose(tx.conn, system, "teacher-qualification", tx.now, "test")


def test_taken_back_it_is_no_basis(counter: Counter) -> None:
    agreed = counter.agreed(14)
    caller = counter.world.caller()
    assert problem(counter.presentations.revoke, caller, agreed.presentation_id, counter.holder(1))[0] == (
        "authorization-unknown"
    ), "only its holder"
    first = counter.presentations.revoke(caller, agreed.presentation_id, counter.holder(14))
    assert counter.presentations.revoke(caller, agreed.presentation_id, counter.holder(14)) == first
    assert counter.status(agreed.presentation_id).state is State.REVOKED
    assert problem(counter.ask, agreed.presentation_id, 14) == ("evidence-basis-refused", "no-authorization")


def test_its_windows_end(counter: Counter) -> None:
    world = counter.world
    agreed, begun = counter.agreed(15), counter.begin(counter.request(16, code=counter.code(16, "DENY")))

    def later(tx: Tx) -> None:
        p = t.presentations
        tx.conn.execute(sa.update(p).where(p.c.id == agreed.presentation_id).values(use_until=tx.now))
        tx.conn.execute(sa.update(p).where(p.c.id == begun.presentation_id).values(expires_at=tx.now))

    world.db.write(later)
    assert counter.status(agreed.presentation_id).state is State.EXPIRED
    assert counter.status(begun.presentation_id).state is State.EXPIRED
    assert problem(counter.ask, agreed.presentation_id, 15) == ("evidence-basis-refused", "no-authorization")
    world.db.write(
        lambda tx: tx.conn.execute(sa.update(t.presentations).values(purge_at=tx.now - timedelta(seconds=1)))
    )
    assert counter.presentations.purge() == 2
    assert problem(counter.status, agreed.presentation_id) == ("authorization-unknown", "")


# --- the library fails --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hang-after", "reset-after", "truncated"])
def test_a_begin_that_was_not_answered_is_unknown_and_never_repeated(counter: Counter, mode: str) -> None:
    library = counter.world.peers.library
    counter.agreed(17)  # the token is there: what fails is the begin itself
    request = counter.request(18)
    before = counter.begun_at_library()
    library.fail(mode, times=1, path="/ChannelVerify/begin")
    begun = counter.begin(request)
    library.fail("none")
    assert begun.state is State.OUTCOME_UNKNOWN
    assert begun.reason
    assert counter.begin(request) == begun
    assert counter.status(begun.presentation_id).state is State.OUTCOME_UNKNOWN
    assert counter.begun_at_library() == before + 1, "the holder may have been asked: not a second time"
    again = counter.request(18, code=request.code)
    assert problem(counter.begin, again) == ("authorization-code-refused", "redeemed-already")
    assert problem(counter.ask, begun.presentation_id, 18) == ("evidence-basis-refused", "no-authorization")
    assert counter.agreed(18), "a new code is how it goes on"


@pytest.mark.parametrize("mode", ["down", "status-503-retry-after"])
def test_where_nothing_happened_the_same_message_begins_it_later(counter: Counter, mode: str) -> None:
    library, request = counter.world.peers.library, counter.request(19)
    library.fail(mode)
    begun = counter.begin(request)
    assert begun.state is State.NOT_BEGUN
    library.fail("none")
    _clear_pause(counter.world)
    later = counter.begin(request)
    assert (later.presentation_id, later.state) == (begun.presentation_id, State.PENDING)
    counter.until(begun.presentation_id, State.AUTHORIZED)


def _clear_pause(world: World) -> None:
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(open_at=tx.now, paused_at=None)))


def test_a_library_that_does_not_say_how_it_stands_leaves_it_pending(counter: Counter) -> None:
    begun = counter.begin(counter.request(20))
    counter.world.peers.library.fail("http-500", path="/ChannelVerify/current")
    found = counter.status(begun.presentation_id)
    assert (found.state, found.reason) == (State.PENDING, "http-500")
    counter.world.peers.library.fail("none")
    assert counter.until(begun.presentation_id, State.AUTHORIZED).reason is None


def test_a_library_that_is_down_when_it_is_fetched_is_asked_again_by_the_transaction(counter: Counter) -> None:
    world = counter.world
    agreed = counter.agreed(21)
    world.peers.library.fail("down")
    answer = counter.ask(agreed.presentation_id, 21, deadlineS=2)
    assert answer.state == "pending"
    world.peers.library.fail("none")
    _clear_pause(world)
    with world.worker():
        found = world.until(answer.id, "answered")
    assert found.complete
    assert {row.kind for row in world.rows(t.deliveries)} == {"evidence-presented", "event"}


def test_the_endpoint_is_called_as_deliveries_call_it(counter: Counter) -> None:
    world = counter.world
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(paused_at=tx.now)))
    begun = counter.begin(counter.request(22))
    assert (begun.state, begun.reason) == (State.NOT_BEGUN, "endpoint-paused")


# --- what is kept -----------------------------------------------------------------------------------------------------------------


def test_code_and_transaction_stand_nowhere_in_clear(counter: Counter, world: World) -> None:
    request = counter.request(31)
    begun = counter.begin(request)
    counter.until(begun.presentation_id, State.AUTHORIZED)
    counter.ask(begun.presentation_id, 31)
    with world.db.read() as conn:
        said = " ".join(str(row) for table in t.metadata.sorted_tables for row in conn.execute(sa.select(table)))
    for secret in (request.code, request.code.partition("#")[0], counter.holder(31).code, counter.holder(31).name):
        assert secret not in said
    assert "trx:" not in said


def test_every_answer_is_audited_refusals_too(counter: Counter) -> None:
    request = counter.request(32)
    begun = counter.begin(request)
    counter.begin(request)
    counter.until(begun.presentation_id, State.AUTHORIZED)
    problem(counter.begin, counter.request(32, code=request.code))
    words = [(row.outcome, row.object) for row in counter.world.audited("presentation.begin")]
    assert words == [
        ("accepted", begun.presentation_id),
        ("pending", begun.presentation_id),
        ("repeated", begun.presentation_id),
        ("authorization-code-refused", "-"),
    ]
    assert counter.world.audited("presentation.read")


def test_messages_hide_their_code() -> None:
    request = Counter.request(Counter.__new__(Counter), 1)
    assert request.code not in repr(request)
    with pytest.raises(ValueError, match="code") as caught:
        m.PresentationRequest.model_validate({**request.model_dump(by_alias=True), "code": "a secret\n"})
    assert "a secret" not in str(caught.value)
