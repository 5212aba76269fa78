"""A request for evidence stays what it was when its item changes the same day, or its purpose goes; a broken one stops no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.console.entries import telling
from hub.console.entries.model import Around
from hub.db import Database, Tx
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.evidence import store
from hub.ecerts.evidence.rules import load_rules
from schemas.evidence import EvidenceAnswer
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import PURPOSE, TEACHER, Peers, World
from tests.integration.test_revocations import identifier, notice, take

__all__ = ["simulators", "world"]  # fixtures
HEADING = (
    "record,basic_code,version,effective_from,title_zh,title_en,level,limit,limit_unit,requires_consent,legal_basis,"
    "requirement,evidence,required,ecert_type,region,service,endpoint,fields,placeholder,purposes"
)


def import_today(world: World, *, evidence: str = "business-licence") -> None:
    """A new version of the item, in effect on this very day, that asks for something else."""
    day = shanghai_day(world.db.clock()).isoformat()
    rows = [
        HEADING,
        f"item,{TEACHER},3,{day},教师资格认定,test,province,5,working-day,yes,x,,,,,,,,,yes,teacher-qualification",
        f"requirement,{TEACHER},3,,新要求,new,,,,,,other,{evidence},yes,,,,,,,",
    ]
    file = world.peers.folder / "today.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    report = world.parts.follow_ups.items.import_file(file, actor="test")
    assert not report.faults, [str(fault) for fault in report.faults]


def pending(world: World, index: int, **changes: Any) -> EvidenceAnswer:
    world.consent(index)
    world.peers.library.fail("down")
    answer = world.ask(world.request(index, deadlineS=1, **changes))
    world.peers.library.fail("none")
    assert answer.state == "pending"
    return answer


def died(world: World, request_id: str) -> None:
    """As a process leaves it that ended while it fetched."""
    long_ago = world.db.clock() - timedelta(minutes=5)

    def put(tx: Tx) -> None:
        r, d = t.evidence_requests, t.evidence_documents
        tx.conn.execute(sa.update(r).where(r.c.id == request_id).values(state="open", owned_until=long_ago))
        values = {"standing": "available", "reason": None, "document_sealed": None, "identifier_index": None}
        tx.conn.execute(sa.update(d).where(d.c.request_id == request_id).values(values))

    world.db.write(put)


def test_a_version_of_the_same_day_changes_nothing_of_what_was_asked_before(world: World) -> None:
    answer = world.asked(61)
    waiting = pending(world, 62)
    import_today(world)
    assert world.read(answer.id) == answer
    with world.db.read() as conn:
        rows = list(conn.execute(sa.select(t.evidence_requests).order_by(t.evidence_requests.c.id)).mappings())
        told = telling.evidence(conn, rows, Around(world.db.clock(), world.parts.follow_ups.items.current()))
    assert len({str(one["answer"]) for one in told}) == 2  # complete, and not
    with world.worker():
        done = world.until(waiting.id, "answered")
    assert done.complete
    assert {one.name for one in done.requirements} == {"identity", "household", "education", "putonghua"}
    accepted = take(world, notice(identifier(world, 61)))
    assert (accepted.answers, accepted.systems_told) == (1, 1)
    # and what is asked from now on is asked under the new one
    new = world.ask(world.request(61))
    assert [one.name for one in new.requirements] == ["other"]
    assert {row.item_version for row in world.rows(t.evidence_requests)} == {2, 3}


def test_a_request_of_before_versions_were_kept_is_opened_by_the_version_that_fits_it(world: World) -> None:
    answer = world.asked(63)
    import_today(world)
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.evidence_requests).values(item_version=None)))
    assert world.read(answer.id) == answer


def test_a_request_that_cannot_be_opened_stops_no_other(world: World) -> None:
    broken, good = world.asked(64), world.asked(64)

    def spoil(tx: Tx) -> None:
        r = t.evidence_requests
        tx.conn.execute(sa.update(r).where(r.c.id == broken.id).values(grounds="not JSON"))

    world.db.write(spoil)
    accepted = take(world, notice(identifier(world, 64)))
    assert (accepted.answers, accepted.relied_on) == (2, 1)  # what cannot be opened was handed out, as far as is known
    assert not world.read(good.id).complete
    assert world.audited("evidence.revocation")[0].outcome == "failed"
    standings = {row.request_id: row.standing for row in world.rows(t.evidence_documents) if row.document == "degree"}
    assert set(standings.values()) == {"revoked"}
    for one in (broken, good):
        died(world, one.id)
    assert world.service.keep_house() == 1
    assert {row.object: row.outcome for row in world.audited("evidence.hand-over")} == {
        broken.id: "failed", good.id: "pending",
    }  # fmt: skip
    assert world.service.keep_house() == 0  # its turn comes again later
    assert len(world.audited("evidence.hand-over")) == 2


def test_documents_that_do_not_fit_the_item_are_no_error(world: World) -> None:
    answer = world.asked(65)
    row = {"request_id": answer.id, "document": "passport@guardian", "standing": "held", "followed_up": False}
    world.db.write(lambda tx: tx.conn.execute(sa.insert(t.evidence_documents).values(row)))
    take(world, notice(identifier(world, 65)))
    with world.db.read() as conn:
        stored = store.request(conn, answer.id)
        assert stored is not None
        assert world.parts.follow_ups.open(stored, store.documents(conn, answer.id)) is None


@pytest.mark.parametrize("form", ["fields", "documents", "predicate"])
def test_a_purpose_that_the_rules_no_longer_have_lets_nothing_out(
    database: Database, simulators: Peers, form: str
) -> None:
    simulators.library.fail("none")
    before = World(database, simulators).set_up()
    answer, waiting = before.asked(66, answer=form), pending(before, 67, answer=form)
    before.close()
    rules = load_rules()
    purposes = {name: one for name, one in rules.purpose.items() if name != PURPOSE}
    world = World(database, simulators, rules.model_copy(update={"purpose": purposes}))
    assert world.read(answer.id).complete
    assert not any(one.fields for one in world.read(answer.id).fields or ())
    assert not world.read(answer.id).documents
    with world.worker():
        assert world.until(waiting.id, "answered").complete
    take(world, notice(identifier(world, 66)))
    died(world, answer.id)
    assert world.service.keep_house() == 1
    world.close()
