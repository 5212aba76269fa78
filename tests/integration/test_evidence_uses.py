"""The holder's list of uses says what of the data was handed out, to whom and why, in words."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.ecerts.authorizations import model as m
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

__all__ = ["simulators", "world"]  # fixtures


def uses(world: World, index: int) -> dict[str, m.DataUse]:
    asked = m.UsesRequest(holder=m.Holder.model_validate(world.holder(index)), holder_proof="p")
    found, _ = world.authorizations.uses(world.caller(), asked, before=None)
    return {one.ecert_type: one for one in reversed(found)}  # the newest of each


def test_of_a_mere_yes_nothing_left_but_the_yes(world: World) -> None:
    assert world.asked(1, answer="predicate").complete
    found = uses(world, 1)
    assert {(one.outcome, one.form, one.fields, one.digest) for one in found.values()} == {
        ("held", "predicate", None, None)
    }


def test_fields_are_named_and_a_whole_file_has_its_digest(world: World) -> None:
    answer = world.asked(2, answer="fields")
    found = uses(world, 2)
    assert found["degree"].form == "fields"
    assert found["degree"].digest is None
    assert found["degree"].fields == tuple(next(one.fields for one in answer.fields or () if one.document == "degree"))
    answer = world.asked(3, answer="documents")
    sums = {one.document: one.sha256 for one in answer.documents or ()}
    assert sums
    for word, use in uses(world, 3).items():
        assert (use.form, use.fields, use.digest) == ("documents", None, sums[word])


def test_system_purpose_and_outcome_are_told_in_words(world: World) -> None:
    values: dict[str, Any] = {"name": "省教师资格系统"}
    world.db.write(lambda tx: tx.conn.execute(sa.update(t.systems).where(t.systems.c.id == "sdjs").values(values)))
    world.asked(4)
    for use in uses(world, 4).values():
        assert (use.system_id, use.system_name) == ("sdjs", "省教师资格系统")
        assert (use.purpose_zh, use.purpose_en) == ("教师资格认定", "Recognition of teacher qualifications")
        assert (use.outcome_zh, use.outcome_en) == ("已取得并核验", "fetched and verified")


@pytest.mark.parametrize("form", ["fields", "predicate"])
def test_what_comes_later_says_so_too(world: World, form: str) -> None:
    world.peers.library.fail("down")
    answer = world.asked(5, answer=form, deadlineS=2)
    assert answer.state == "pending"
    assert {(one.outcome, one.form) for one in uses(world, 5).values()} == {("issuer-unreachable", None)}
    world.peers.library.fail("none")
    with world.worker():
        assert world.until(answer.id, "answered").complete
    held = {word: one.form for word, one in uses(world, 5).items() if one.outcome == "held"}
    assert held == dict.fromkeys(("id-card", "degree", "putonghua-level"), form)
