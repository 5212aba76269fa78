"""Evidence and its sources: those that do not answer are asked again, and what is kept or ran out is asked about anew."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from adapters.contract import EcertDocument
from hub import tables as t
from hub.db import Tx
from hub.ecerts import notices
from hub.ecerts.evidence import store
from hub.ecerts.evidence.judging import from_bytes
from hub.ecerts.evidence.planning import Question, questions
from hub.ecerts.evidence.views import document_context
from hub.ecerts.solver import Standing
from schemas.ecerts import EcertStatus
from schemas.evidence import EvidenceAnswer
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

__all__ = ["simulators", "world"]  # fixtures
NOT_FOUND = 46


def states(answer: EvidenceAnswer) -> dict[str, set[str]]:
    return {one.name: {gap.state for gap in one.missing} for one in answer.requirements}


# --- issuers that do not answer ------------------------------------------------------------------------------------------


def test_what_did_not_come_is_followed_up_and_the_caller_is_told(world: World) -> None:
    world.peers.library.fail("down")
    world.consent(14)
    answer = world.ask(world.request(14, deadlineS=2, callback="hook"))
    assert (answer.state, answer.complete) == ("pending", False)
    gaps = [gap for one in answer.requirements for gap in one.missing]
    assert {gap.state for gap in gaps} == {"issuer-unreachable"}
    assert all(gap.who_acts == "peer" and gap.followed_up for gap in gaps if gap.nearest)
    waiting = {row.idempotency_key: row.attempts for row in world.rows(t.deliveries)}
    told = len(world.peers.hook.effects())
    with world.worker():
        world.peers.library.fail("none")
        done = world.until(answer.id, "answered")
        world.peers.hook.wait_for_request("/", timeout_s=10)
        end = time.monotonic() + 10
        while len(world.peers.hook.effects()) == told:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert done.complete
    assert done.fields
    rows = {row.idempotency_key: row for row in world.rows(t.deliveries) if row.kind.startswith("evidence-")}
    assert rows.keys() == waiting.keys()
    assert {row.state for row in rows.values()} == {"delivered"}
    assert [row.type for row in world.rows(t.events)] == ["evidence.answered"]
    assert {row.outcome for row in world.audited("evidence.follow-up")} == {"held"}


def test_a_hanging_issuer_costs_the_deadline_and_no_more(world: World) -> None:
    world.peers.library.fail("hang-before", times=20, seconds=30)
    world.consent(15)
    began = datetime.now(UTC)
    answer = world.ask(world.request(15, deadlineS=2))
    assert datetime.now(UTC) - began < timedelta(seconds=4)
    assert answer.state == "pending"
    world.peers.library.fail("none")


def test_an_issuer_that_says_no_in_the_end_ends_it(world: World) -> None:
    world.peers.library.fail("down")
    answer = world.asked(NOT_FOUND, deadlineS=1)
    assert answer.state == "pending"
    world.peers.library.fail("none")
    with world.worker():
        done = world.until(answer.id, "answered")
    assert not done.complete
    assert {state for found in states(done).values() for state in found} == {"no-match"}


def test_a_paused_endpoint_and_an_open_breaker_are_not_called(world: World) -> None:
    before = len(world.peers.library.requests())
    for values in (
        {"paused_at": datetime.now(UTC)},
        {"paused_at": None, "open_at": datetime.now(UTC) + timedelta(hours=1)},
    ):

        def change(tx: Tx, values: dict[str, object] = values) -> None:
            tx.conn.execute(sa.update(t.endpoints).where(t.endpoints.c.id == "library").values(values))

        world.db.write(change)
        answer = world.asked(16)
        reasons = {gap.reason for one in answer.requirements for gap in one.missing}
        assert reasons <= {"endpoint-paused", "endpoint-resting"}
        assert reasons
    assert len(world.peers.library.requests()) == before


# --- freshness ------------------------------------------------------------------------------------------


def test_a_kept_document_is_used_again_only_after_its_status_was_asked(world: World) -> None:
    world.asked(17)
    calls, loads = world.library_calls(), world.downloads()
    again = world.ask(world.request(17))
    assert again.complete
    assert world.library_calls() - calls == 3  # every document's status
    assert world.downloads() - loads == 1  # the ID card may not be kept: it is fetched anew
    assert json.loads(world.audited("evidence.answer")[-1].detail)["reused"] == "2"
    assert {row.type_code for row in world.rows(t.kept_ecerts)} == {"11100000000013338W905", "11100000000013338W902"}


def stored(world: World, answer: EvidenceAnswer, word: str) -> tuple[EcertDocument, Question]:
    """A document as the hub keeps it, and the question that it answered."""
    with world.db.read() as conn:
        row, rows = store.request(conn, answer.id), store.documents(conn, answer.id)
    assert row is not None
    file = world.parts.follow_ups.views.open(row, rows, world.parts.follow_ups.items.current())
    assert file is not None
    document = next(one for one in file.documents if str(one) == word)
    sealed = file.documents[document].document_sealed or b""
    kept = from_bytes(world.vault.open(sealed, document_context(answer.id, document)))
    assert isinstance(kept, EcertDocument)
    return kept, questions(file.request, file.item, file.grounds, file.endpoints, [document])[document]


def test_an_expired_certificate_is_deemed_valid_by_a_notice(world: World) -> None:
    """Where the source tells when it ran out. (Through the library itself: test_evidence_verdicts.py.)"""
    document, question = stored(world, world.asked(19), "degree")
    metadata = document.metadata.model_copy(update={"valid_until": "2020-2-29"})
    expired = document.model_copy(update={"status": EcertStatus.EXPIRED, "metadata": metadata})
    judge, now = world.parts.judge, world.db.clock()
    assert judge.answered(question, expired, "370102", now).standing is Standing.EXPIRED
    notice = notices.Notice(
        id="鲁教发〔2026〕1号",
        title="延期",
        source="省教育厅网站",
        ecert_type="degree",
        region="370000",
        issued_on=date(2020, 2, 1),
        expired_from=date(2020, 1, 1),
        expired_until=date(2020, 3, 1),
        deemed_valid_until=date(2099, 1, 1),
    )
    world.db.write(lambda tx: notices.add(tx, "operator:test", notice))
    assert isinstance(judge.notices, notices.ExtensionNotices)
    judge.notices.forget()
    got = judge.answered(question, expired, "370102", now)
    assert (got.standing, got.notice) == (Standing.DEEMED_VALID, notice.id)
    assert judge.answered(question, document, "370102", now).notice is None
    # a status that a notice does not mend
    suspended = document.model_copy(update={"status": EcertStatus.SUSPENDED})
    assert judge.answered(question, suspended, "370102", now).standing is Standing.SUSPENDED
