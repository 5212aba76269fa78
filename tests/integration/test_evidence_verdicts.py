"""Every verdict of the evidence service, through the real simulators on both databases: its word, and who acts."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from certs.jws import check_jws
from certs.keys import PublicKey
from hub import tables as t
from hub.db import Database
from hub.deliveries.breaker import BreakerPolicy
from hub.ecerts import notices
from hub.ecerts.evidence.views import Answered
from hub.ecerts.sealing import Delegation, SealingRules
from hub.health.overview import EndpointState, overview
from schemas.evidence import EvidenceAnswer, MissingView
from tests.integration.evidence_fixtures import simulators, world
from tests.integration.evidence_world import Peers, World

__all__ = ["simulators", "world"]  # fixtures
REVOKED, EXPIRED, RESTRICTED, NOT_FOUND, SUSPENDED, NOT_ACTIVATED, ALTERED = 43, 44, 45, 46, 48, 49, 41
ANOTHERS_SEAL = 900
NUMBER, SOURCE = "鲁教函〔2026〕9号", "省教育厅网站"
UNTIL = date(2099, 1, 1)


def gaps(answer: EvidenceAnswer) -> list[MissingView]:
    return [gap for one in answer.requirements for gap in one.missing]


def told(world: World, predicate: str | None) -> dict[str, Any]:
    key = PublicKey.from_pem(world.peers.own.http_public.read_bytes())
    said: dict[str, Any] = json.loads(check_jws(predicate or "", key).payload)
    return said


def extend(world: World, kind: str, **changes: Any) -> None:
    """The library's expired certificates of the population ended in January 2022."""
    values: dict[str, Any] = {
        "id": f"{NUMBER} {kind}", "title": "延期", "source": SOURCE, "ecert_type": kind, "region": "370000",
        "issued_on": date(2022, 1, 1), "expired_from": date(2022, 1, 1), "expired_until": date(2022, 1, 31),
        "deemed_valid_until": UNTIL,
    }  # fmt: skip
    world.db.write(lambda tx: notices.add(tx, "operator:test", notices.Notice(**{**values, **changes})))
    judge = world.parts.judge.notices
    assert isinstance(judge, notices.ExtensionNotices)
    judge.forget()


# --- deemed valid by notice N ------------------------------------------------------------------------------------------


def test_what_ran_out_is_fetched_verified_and_deemed_valid_by_its_notice(world: World) -> None:
    loads = world.downloads()
    assert {gap.state for gap in gaps(world.asked(EXPIRED))} == {"expired"}
    assert world.downloads() == loads  # nothing is fetched that no notice could cover
    for kind in ("id-card", "degree"):
        extend(world, kind)
    answer = world.ask(world.request(EXPIRED, answer="documents"))
    by = {one.name: one for one in answer.requirements}
    assert (by["identity"].by, by["identity"].notices) == (("id-card",), (f"{NUMBER} id-card",))
    assert (by["education"].by, by["education"].notices) == (("degree",), (f"{NUMBER} degree",))
    assert [(gap.document, gap.state, gap.who_acts) for gap in by["putonghua"].missing] == [
        ("putonghua-level", "expired", "applicant")
    ]
    assert {(one.number, one.source, one.deemed_valid_until) for one in answer.notices or ()} == {
        (f"{NUMBER} degree", SOURCE, UNTIL),
        (f"{NUMBER} id-card", SOURCE, UNTIL),
    }
    for document in answer.documents or ():
        assert (document.status, document.notice) == ("expired", f"{NUMBER} {document.document}")
        assert document.report["indication"] == "PASSED"
    logged = json.loads(world.audited("evidence.answer")[-1].detail)
    assert logged["notices"] == f"{NUMBER} degree {NUMBER} id-card"
    assert logged["digest"] == Answered.of(answer).digest
    # it is read again as it was given, and withdrawing the notice changes what is asked from now on
    world.db.write(lambda tx: notices.withdraw(tx, "operator:test", f"{NUMBER} degree"))
    judge = world.parts.judge.notices
    assert isinstance(judge, notices.ExtensionNotices)
    judge.forget()
    assert world.read(answer.id) == answer
    again = world.ask(world.request(EXPIRED))
    assert {gap.state for one in again.requirements if one.name == "education" for gap in one.missing} == {"expired"}
    assert [one.number for one in again.notices or ()] == [f"{NUMBER} id-card"]


def test_a_predicate_names_the_notice_and_ends_with_it(world: World) -> None:
    today = datetime.now(UTC).date()
    for kind in ("id-card", "degree", "putonghua-level"):
        extend(world, kind, deemed_valid_until=today + timedelta(days=1))
    extend(world, "diploma", expired_until=date(2022, 1, 2))  # of another January day
    said = told(world, world.asked(EXPIRED, answer="predicate").predicate)
    assert set(said["requirements"].values()) == {"yes"}
    assert said["notices"] == {f"{NUMBER} {kind}": SOURCE for kind in ("id-card", "degree", "putonghua-level")}
    assert {one["notice"] for one in said["holds"].values()} == set(said["notices"])
    assert said["exp"] <= datetime(today.year, today.month, today.day, 16, tzinfo=UTC).timestamp() + 86_400


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (EXPIRED, {"expired_from": date(2021, 1, 1), "expired_until": date(2021, 12, 31)}),
        (EXPIRED, {"region": "370200"}),
        (REVOKED, {}),
        (ALTERED, {}),
    ],
)
def test_a_notice_covers_no_more_than_it_says(world: World, index: int, changes: dict[str, Any]) -> None:
    for kind in ("id-card", "degree", "diploma", "putonghua-level", "household-register", "real-estate-title"):
        extend(world, kind, **changes)
    answer = world.asked(index)
    assert not any(one.satisfied for one in answer.requirements)
    assert answer.notices is None


def test_what_is_followed_up_is_deemed_valid_too(world: World) -> None:
    for kind in ("id-card", "degree", "putonghua-level"):
        extend(world, kind)
    world.consent(EXPIRED)
    world.peers.library.fail("down")
    pending = world.ask(world.request(EXPIRED, deadlineS=2))
    assert {gap.state for gap in gaps(pending)} == {"issuer-unreachable"}
    world.peers.library.fail("none")
    with world.worker():
        done = world.until(pending.id, "answered")
    assert done.complete
    assert len(done.notices or ()) == 3


# --- the others ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "state", "who", "zh", "en"),
    [
        (REVOKED, "revoked", "applicant", "吊销", "revoked"),
        (EXPIRED, "expired", "applicant", "过期", "ran out"),
        (NOT_FOUND, "no-match", "applicant", "没有此证照", "has none"),
        (RESTRICTED, "ask-the-person", "applicant", "本人", "the person"),
        (SUSPENDED, "suspended", "applicant", "不得采用, 纸质件亦同", "on paper neither"),
        (NOT_ACTIVATED, "pending-at-the-issuer", "peer", "尚未激活", "not activated yet"),
        (ALTERED, "not-verified", "peer", "不得采用", "may not be relied on"),
        (ANOTHERS_SEAL, "not-verified", "peer", "请发证机关用自己的印章重新签章", "seals it anew with its own seal"),
    ],
)
def test_each_verdict_says_who_acts_in_both_languages(
    world: World, index: int, state: str, who: str, zh: str, en: str
) -> None:
    found = gaps(world.asked(index))
    assert {(gap.state, gap.who_acts) for gap in found} == {(state, who)}
    assert all(zh in gap.message_zh and en in gap.message_en for gap in found)


def test_a_trusted_seal_of_somebody_else_is_a_no(world: World) -> None:
    """Genuine, and a school's: its reason, the clause, and whose seal it is."""
    (gap, *_) = gaps(world.asked(ANOTHERS_SEAL))
    assert (gap.reason, gap.indication) == ("sealed-by-another", "FAILED")
    (finding,) = gap.findings
    assert finding.axis == "issuer"
    assert "示例学校" in finding.detail_zh
    assert "国办发〔2025〕33号" in finding.clause
    said = told(world, world.asked(ANOTHERS_SEAL, answer="predicate").predicate)
    assert set(said["requirements"].values()) == {"no"}
    assert set(told(world, world.asked(ALTERED, answer="predicate").predicate)["requirements"].values()) == {"unknown"}


def test_what_a_rule_lets_another_seal_rests_on_that_rule(database: Database, simulators: Peers) -> None:
    simulators.library.fail("none")
    letting = {"owner": "历下区示例学校", "types": ("id-card", "degree", "putonghua-level"), "since": date(2020, 1, 1),
               "source": SOURCE}  # fmt: skip
    world = World(database, simulators, sealing=SealingRules(version="3", delegation=(Delegation(**letting),))).set_up()
    try:
        answer = world.asked(ANOTHERS_SEAL)
        by = {one.name: one for one in answer.requirements}
        assert [by[name].satisfied for name in ("identity", "education", "putonghua")] == [True] * 3
        assert {one.sealing_rule for one in answer.rests.documents} == {f"{SOURCE} (3)"}
        said = told(world, world.asked(ANOTHERS_SEAL, answer="predicate").predicate)
        assert {one["sealingRule"] for one in said["rests"]["documents"]} == {f"{SOURCE} (3)"}
        assert said["requirements"]["identity"] == "yes"
        own = world.asked(1)
        assert {one.sealing_rule for one in own.rests.documents} == {None}
    finally:
        world.close()


def test_an_issuer_that_does_not_answer_is_asked_again_and_the_text_says_so(world: World) -> None:
    world.consent(1)
    world.peers.library.fail("hang-before", times=50, seconds=20)
    found = gaps(world.ask(world.request(1, deadlineS=1)))
    world.peers.library.fail("none")
    assert {(gap.state, gap.who_acts, gap.followed_up) for gap in found} == {("issuer-unreachable", "peer", True)}
    assert all("继续询问" in gap.message_zh and "goes on asking" in gap.message_en for gap in found)


# --- alternatives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "why"), [(REVOKED, "revoked"), (RESTRICTED, "ask-the-person"), (None, "issuer-unreachable")]
)
def test_an_alternative_of_two_replaces_what_failed_in_the_same_call(world: World, first: int | None, why: str) -> None:
    """``real-estate-title | id-card@guardian + degree@guardian``: the applicant's fails, the guardian's two come."""
    rows = "\n".join(
        (
            "record,basic_code,version,effective_from,title_zh,title_en,level,limit,limit_unit,requires_consent,legal_basis,"
            "purposes,requirement,evidence,required,ecert_type,region,service,endpoint,fields,placeholder",
            "item,370109009009,1,2026-01-01,测试,test,province,5,working-day,yes,x,teacher-qualification,,,,,,,,,yes",
            "requirement,370109009009,1,,住所,residence,,,,,,,residence,"
            "real-estate-title | id-card@guardian + degree@guardian,yes,,,,,,",
            *(
                ["source,,2,2026-01-02,,,,,,,,,,,,real-estate-title,370000,ecert-library,dead,name,yes"]
                if first is None
                else []
            ),
        )
    )
    file = world.peers.folder / f"or-and-{why}.csv"
    file.write_text(rows, encoding="utf-8")
    if first is None:

        def dead(tx: Any) -> None:
            row = tx.conn.execute(sa.select(t.endpoints).where(t.endpoints.c.id == "library")).one()._mapping
            base_url = "http://127.0.0.1:1"  # nobody listens there
            sealed = world.vault.seal(world.vault.open(row["secrets_sealed"], "endpoints:library"), "endpoints:dead")
            values = {**row, "id": "dead", "base_url": base_url, "region": "370900", "secrets_sealed": sealed}
            tx.conn.execute(sa.insert(t.endpoints).values(values))

        world.db.write(dead)
    report = world.parts.follow_ups.items.import_file(file, actor="test")
    assert not report.faults, [str(fault) for fault in report.faults]
    subject, guardian = first if first is not None else 1, 2
    world.consent(subject)
    world.consent(guardian)
    other = {**world.holder(guardian), "role": "guardian"}
    began = time.monotonic()
    answer = world.ask(world.request(subject, itemCode="370109009009", others=[other], deadlineS=8))
    assert time.monotonic() - began < 8
    assert (answer.state, answer.complete) == ("answered", True)
    assert set(answer.requirements[0].by) == {"id-card@guardian", "degree@guardian"}
    standings = {row.document: row.standing for row in world.rows(t.evidence_documents)}
    assert standings == {"real-estate-title": why, "id-card@guardian": "held", "degree@guardian": "held"}
    assert [row.state for row in world.rows(t.deliveries)] == []  # nothing is left to ask


# --- one picture of an ill endpoint ---------------------------------------------------------------------------------------


def test_first_calls_open_the_breaker_and_count_for_health(database: Database, simulators: Peers) -> None:
    simulators.library.fail("none")
    world = World(database, simulators, breaker=BreakerPolicy(failures=3, open_s=0.5)).set_up()
    assert world.asked(1).complete

    def library() -> Any:
        with database.read() as conn:
            return next(one for one in overview(conn, database.clock()).endpoints if one.id == "library")

    well = library()
    assert (well.state, well.success_rate, well.attempts) == (EndpointState.OK, 1.0, 3)
    assert well.p95_s is not None
    simulators.library.fail("down")
    world.asked(2, deadlineS=2)
    ill = library()
    assert ill.breaker == "open"
    assert ill.state is EndpointState.BREAKER_OPEN
    assert ill.success_rate < 1.0
    assert [row.outcome for row in world.audited("endpoint.breaker")] == ["open"]
    before = len(simulators.library.requests())
    simulators.library.fail("none")
    resting = gaps(world.asked(3, deadlineS=1))
    assert {gap.reason for gap in resting} == {"endpoint-resting"}
    assert len(simulators.library.requests()) == before
    time.sleep(0.6)  # its time has come: the next call is the probe
    assert world.asked(4).complete
    assert library().state is EndpointState.OK
    assert [row.outcome for row in world.audited("endpoint.breaker")] == ["open", "closed"]
    world.close()


def test_a_caller_in_a_hurry_does_not_make_an_endpoint_ill(database: Database, simulators: Peers) -> None:
    world = World(database, simulators, breaker=BreakerPolicy(failures=1, open_s=60)).set_up()
    simulators.library.fail("hang-before", times=50, seconds=20)
    world.asked(5, deadlineS=1)
    simulators.library.fail("none")
    assert world.asked(6).complete
    world.close()
