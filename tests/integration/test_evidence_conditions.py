"""Conditions of the catalogue on what is sealed inside a certificate: a diploma of senior high is no university diploma."""

from __future__ import annotations

import base64
import json

from hub import tables as t
from schemas.evidence import EvidenceAnswer
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import World

__all__ = ["simulators", "world"]  # fixtures
LOW = 47  # in the simulated library: senior high, Putonghua 三级甲等
TYPES = ("id-card", "diploma", "putonghua-level")  # no degree, so that the diploma decides
ANY_LEVEL = "370109009010"


def said(answer: EvidenceAnswer) -> dict[str, str]:
    payload = (answer.predicate or "").split(".")[1]
    found: dict[str, dict[str, str]] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found["requirements"]


def check_low(answer: EvidenceAnswer, world: World) -> None:
    """Neither counts, each is told by field and what is accepted, and what stands inside leaves in no form."""
    found = {one.name: one for one in answer.requirements}
    assert found["identity"].satisfied
    assert not found["education"].satisfied
    gaps = {gap.document: gap for name in ("education", "putonghua") for gap in found[name].missing}
    assert {gap.reason for gap in gaps.values() if gap.document != "degree"} == {"condition-unmet"}
    level = gaps["putonghua-level"]
    assert (level.state, level.who_acts) == ("no-match", "applicant")
    assert "等级 (KZ_DJ)" in level.message_zh
    assert "二级乙等" in level.message_zh
    assert "level (KZ_DJ)" in level.message_en
    told = answer.model_dump_json()
    assert "普通高中" not in told
    assert "三级甲等" not in told
    rows = {row.document: row for row in world.rows(t.evidence_documents)}
    assert (rows["diploma"].standing, rows["diploma"].reason) == ("no-match", "condition-unmet")
    assert rows["diploma"].document_sealed is None


def test_a_low_diploma_and_level_are_no_and_high_ones_yes(world: World) -> None:
    world.consent(LOW, types=TYPES)
    answer = world.ask(world.request(LOW, answer="predicate"))
    check_low(answer, world)
    assert said(answer)["putonghua"] == "no"
    assert (
        said(answer)["education"] == "unknown"
    )  # the degree was not authorized: that the person has none is not known
    world.consent(1, types=TYPES)
    high = world.ask(world.request(1, answer="predicate"))
    assert said(high) == dict.fromkeys(("identity", "household", "education", "putonghua"), "yes")


def test_an_alternative_replaces_a_diploma_that_does_not_count(world: World) -> None:
    world.consent(LOW)
    answer = world.ask(world.request(LOW, itemCode="370105001002"))  # diploma | degree
    education = next(one for one in answer.requirements if one.name == "education")
    assert education.by == ("degree",)


def test_what_is_followed_up_is_judged_by_it_too(world: World) -> None:
    world.consent(LOW, types=TYPES)
    world.peers.library.fail("down")
    answer = world.ask(world.request(LOW, deadlineS=2))
    assert answer.state == "pending"
    world.peers.library.fail("none")
    with world.worker():
        answer = world.until(answer.id, "answered")
    check_low(answer, world)


def test_a_diploma_that_was_kept_for_another_item_is_judged_by_it_too(world: World) -> None:
    file = world.peers.folder / "any-level.csv"
    file.write_text(
        "record,basic_code,version,effective_from,title_zh,title_en,level,limit,limit_unit,requires_consent,legal_basis,"
        "purposes,requirement,evidence,required\n"
        f"item,{ANY_LEVEL},1,2026-01-01,测试,test,province,5,working-day,yes,x,teacher-qualification,,,\n"
        f"requirement,{ANY_LEVEL},1,,学历,education,,,,,,,education,diploma + putonghua-level,yes\n",
        encoding="utf-8",
    )
    assert not world.parts.follow_ups.items.import_file(file, actor="test").faults
    world.consent(LOW, types=TYPES)
    assert world.ask(world.request(LOW, itemCode=ANY_LEVEL)).complete
    assert len(world.rows(t.kept_ecerts)) == 2
    world.db.write(lambda tx: tx.conn.execute(t.evidence_documents.delete()))
    check_low(world.ask(world.request(LOW)), world)
