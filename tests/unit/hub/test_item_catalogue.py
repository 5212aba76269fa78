"""The item catalogue: expressions, versions, who handles what, purposes and what the law covers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ecerts.catalogue import Catalogue, Handling, HandlingReason, NoHandler, NoHandlerReason
from hub.ecerts.entries import (
    CatalogueError,
    Entry,
    Evidence,
    HandlingRule,
    Implementation,
    Item,
    Role,
    RuleKind,
    evidence_text,
    parse_evidence,
)
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.evidence.words import condition_words
from hub.ecerts.expressions import Condition, canonical, conditions_in
from hub.ecerts.items.records import heading, read_entries, to_rows
from hub.ecerts.items.table_file import read_table, write_table
from schemas.numbers import check_item_code, credit_code_check
from schemas.problems import WhoActs

AT = datetime(2026, 6, 1, tzinfo=UTC)
ORGANS = {"370000": ("1137000000450300", 2), "370100": ("1137010000418800", 3), "370200": ("1137020000500300", 3)}


def example() -> list[Entry]:
    path = Path(str(files("hub.ecerts") / "data" / "items.csv"))
    read = read_entries(read_table(path))
    assert [str(fault) for fault in read.faults] == []
    return read.entries


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return Catalogue(example())


# --- expressions ----------------------------------------------------------------------------------------------------------


def test_an_expression_is_or_of_and() -> None:
    assert parse_evidence("degree + id-card | household-register@guardian") == (
        frozenset({Evidence("degree"), Evidence("id-card")}),
        frozenset({Evidence("household-register", Role.GUARDIAN)}),
    )


def test_full_width_signs_and_repetitions_are_read() -> None:
    assert evidence_text(parse_evidence("id-card ＋ degree｜ degree+id-card ｜diploma")) == "degree + id-card | diploma"


@pytest.mark.parametrize("text", ["", "|", "id-card +", "passport-card", "id-card@uncle", "id-card & degree",
                                  " | ".join(["id-card"] * 3) + " | x"])  # fmt: skip
def test_a_bad_expression_is_told(text: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse_evidence(text)
    assert caught.value.zh
    assert caught.value.en


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_evidence(text)
    except CatalogueError:
        return
    assert parse_evidence(evidence_text(parsed)) == parsed
    assert canonical(canonical(text)) == canonical(text)


CONDITION = Condition("KZ_XL", ("本科", "硕士研究生", "博士研究生"))


@pytest.mark.parametrize(
    "text",
    [
        "degree | diploma[KZ_XL=本科|硕士研究生|博士研究生]",
        "degree｜diploma［KZ_XL＝本科，硕士研究生、博士研究生］",
        "degree | diploma 【 KZ_XL = 本科 | 硕士研究生,博士研究生 | 本科 】",
    ],
)
def test_a_document_counts_only_on_its_condition(text: str) -> None:
    assert parse_evidence(text) == (frozenset({Evidence("degree")}), frozenset({Evidence("diploma")}))
    assert conditions_in(text) == {Evidence("degree"): None, Evidence("diploma"): CONDITION}
    assert canonical(text) == "degree | diploma[KZ_XL=本科|硕士研究生|博士研究生]"


@pytest.mark.parametrize(
    ("inside", "unmet"),
    [
        ({"KZ_XL": "本科"}, None),
        ({"KZ_XL": " 硕士研究生 "}, None),
        ({"KZ_XL": "普通高中"}, "condition-unmet"),
        ({"KZ_XW": "本科"}, "condition-missing"),
        ({}, "condition-missing"),
    ],
)
def test_a_condition_is_met_by_what_is_sealed_inside(inside: dict[str, str], unmet: str | None) -> None:
    assert CONDITION.unmet(inside) == unmet


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("id-card | (degree", "(degree"),
        ("id-card@uncle", "uncle"),
        ("diploma[KZ_XL=本科", "diploma[KZ_XL=本科"),
        ("diploma[KZ_XL]", "diploma[KZ_XL]"),
        ("diploma[holder_code=1]", "holder_code"),
        ("diploma[KZ_XL=本科||专科]", "diploma"),
        ("diploma[KZ_XL=本科] | diploma + degree", "diploma"),
        ("identity-check[KZ_XL=本科]", "identity-check"),
    ],
)
def test_what_is_wrong_in_an_expression_is_named(text: str, named: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse_evidence(text)
    assert named in caught.value.zh
    assert named in caught.value.en


def test_conditions_are_words_a_person_can_read() -> None:
    said = condition_words(CONDITION, "condition-unmet")
    assert said is not None
    zh, en = said.zh, said.en
    assert said.who is WhoActs.APPLICANT
    assert "学历层次 (KZ_XL)" in zh
    assert "本科、硕士研究生、博士研究生" in zh
    assert "level of education (KZ_XL)" in en
    missing = condition_words(Condition("KZ_QT", ("甲",)), "condition-missing")
    assert missing is not None
    assert "KZ_QT" in missing.zh
    assert missing.who is WhoActs.PEER
    assert condition_words(CONDITION, "expired") is None
    assert condition_words(None, "condition-unmet") is None


# --- who handles what -------------------------------------------------------------------------------------------------------


def _handled(catalogue: Catalogue, code: str, region: str, **options: Any) -> Handling:
    item = catalogue.item(code, AT)
    assert item is not None
    found = catalogue.who_handles(item, region, AT, **options)
    assert isinstance(found, Handling), found
    return found


def test_the_organ_of_the_items_own_level_handles_it(shipped: Catalogue) -> None:
    found = _handled(shipped, "370105001001", "370102")
    assert (found.implementation.region, found.reason, found.rule) == ("370000", HandlingReason.BY_LEVEL, None)
    assert _handled(shipped, "370105003001", "370202").implementation.region == "370202"


def test_a_delegated_city_handles_a_provincial_item_for_its_counties_and_others_do_not(shipped: Catalogue) -> None:
    delegated = _handled(shipped, "370105002002", "370102")
    assert (delegated.implementation.region, delegated.reason) == ("370100", HandlingReason.DELEGATED)
    assert delegated.rule is not None
    assert delegated.rule.key == "delegate-hiring-jinan"
    assert _handled(shipped, "370105002002", "370871").reason is HandlingReason.BY_LEVEL


def test_a_zone_gets_all_but_its_negative_list(shipped: Catalogue) -> None:
    inside = _handled(shipped, "370105002001", "370200", area="sco-zone")
    assert (inside.implementation.region, inside.reason) == ("370200", HandlingReason.DELEGATED)
    kept = _handled(shipped, "370105001001", "370200", area="sco-zone")
    assert (kept.implementation.region, kept.reason) == ("370000", HandlingReason.NEGATIVE_LIST)
    outside = _handled(shipped, "370105002001", "370200")
    assert outside.implementation.region == "370000"


def test_the_areas_of_a_region_are_its_own_and_those_above_it(shipped: Catalogue) -> None:
    assert shipped.areas("370200") == shipped.areas("370202") == ("sco-zone",)
    assert shipped.areas("370100") == shipped.areas("370000") == ()


def test_delegation_never_pulls_a_countys_item_upward(shipped: Catalogue) -> None:
    item = shipped.item("370105003001", AT)
    assert item is not None
    assert shipped.who_handles(item, "370200", AT, area="sco-zone") == NoHandler(NoHandlerReason.REGION_TOO_COARSE)


def test_nobody_is_told_with_the_reason(shipped: Catalogue) -> None:
    item = shipped.item("370105003001", AT)
    assert item is not None
    assert shipped.who_handles(item, "370000", AT) == NoHandler(NoHandlerReason.REGION_TOO_COARSE)
    assert shipped.who_handles(item, "371702", AT) == NoHandler(NoHandlerReason.NO_IMPLEMENTATION)


def test_a_delegation_without_an_implementation_is_nobodys(shipped: Catalogue) -> None:
    rule = HandlingRule(
        rule="to-weihai", rule_kind=RuleKind.DELEGATED, basic_code="370105001001", region="371000",
        effective_from=date(2026, 1, 1), legal_basis="依据",
    )  # fmt: skip
    catalogue = Catalogue([*shipped.entries(), rule])
    item = catalogue.item("370105001001", AT)
    assert item is not None
    assert catalogue.who_handles(item, "371002", AT) == NoHandler(NoHandlerReason.NO_IMPLEMENTATION, rule)


def test_the_wider_delegated_region_handles_what_the_narrower_one_has_not_published(shipped: Catalogue) -> None:
    """Delegated regions decide who handles an item (domain page, 1): the city still may, the province may not any more."""
    item = shipped.item("370105001001", AT)
    assert item is not None
    day = date(2026, 1, 1)
    rules = [
        HandlingRule(
            rule=f"to-{region}", rule_kind=RuleKind.DELEGATED, basic_code=item.basic_code, region=region,
            effective_from=day, legal_basis="依据",
        )
        for region in ("371000", "371002")
    ]  # fmt: skip
    organ = "11371000MB0371000"
    city = Implementation(
        code=f"{organ}{credit_code_check(organ)}3370105001001", region="371000", organ="威海市教育局", channels=("hall",), limit=5,
        limit_unit="working-day", effective_from=day,
    )  # fmt: skip
    only = Catalogue([*shipped.entries(), *rules])
    assert only.who_handles(item, "371002", AT) == NoHandler(NoHandlerReason.NO_IMPLEMENTATION, rules[1])
    found = Catalogue([*shipped.entries(), *rules, city]).who_handles(item, "371002", AT)
    assert isinstance(found, Handling)
    assert (found.implementation.organ, found.rule) == ("威海市教育局", rules[0])


def test_a_version_holds_until_the_next_and_until_its_own_end(shipped: Catalogue) -> None:
    found = shipped.item("370105005001", AT)
    assert found is not None
    first = found.model_copy(update={"version": 1, "effective_from": date(2026, 1, 1)})
    second = first.model_copy(
        update={"version": 2, "effective_from": date(2026, 9, 1), "effective_until": date(2026, 12, 31), "limit": 10}
    )
    catalogue = Catalogue([first, second])
    limits = [
        found.limit if (found := catalogue.item("370105005001", at)) else None
        for at in (
            datetime(2025, 12, 31, 15, 59, tzinfo=UTC),  # 23:59 in Shandong
            datetime(2025, 12, 31, 16, 0, tzinfo=UTC),
            datetime(2026, 8, 31, 15, 59, tzinfo=UTC),
            datetime(2026, 8, 31, 16, 0, tzinfo=UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
        )
    ]
    assert limits == [None, 20, 20, 10, None]


def test_codes_of_12_31_and_33_lead_to_the_item(shipped: Catalogue) -> None:
    one = next(e for e in shipped.entries() if isinstance(e, Implementation) and e.region == "370102")
    assert len(one.code) == 31
    handling = one.model_copy(update={"code": check_item_code(one.code + "02")})
    catalogue = Catalogue([*shipped.entries(), handling])
    items = {
        found.basic_code for code in (one.basic_code, one.code, handling.code) if (found := catalogue.item(code, AT))
    }
    assert items == {one.basic_code}
    item = catalogue.item(one.basic_code, AT)
    assert item is not None
    found = catalogue.who_handles(item, "370102", AT, code=handling.code)
    assert isinstance(found, Handling)
    assert found.implementation.code == handling.code
    assert catalogue.item("x' OR 1=1", AT) is None


def test_the_most_local_source_wins(shipped: Catalogue) -> None:
    base = shipped.source("diploma", "370102", AT)
    assert base is not None
    own = base.model_copy(update={"region": "370100", "endpoint": "jinan-archive"})
    catalogue = Catalogue([*shipped.entries(), own])
    assert [s.endpoint for r in ("370102", "370202") if (s := catalogue.source("diploma", r, AT))] == [
        "jinan-archive",
        None,
    ]
    assert catalogue.source("no-such", "370102", AT) is None


def test_every_shipped_code_is_marked_as_a_placeholder(shipped: Catalogue) -> None:
    assert all(e.placeholder for e in shipped.entries() if isinstance(e, Item | Implementation | HandlingRule))


# --- purposes, and what the law covers ----------------------------------------------------------------------------------------


def test_every_shipped_item_names_its_purposes_and_what_the_law_covers(shipped: Catalogue) -> None:
    items = [entry for entry in shipped.entries() if isinstance(entry, Item)]
    assert all(item.purposes and set(item.purposes) <= load_rules().purpose.keys() for item in items)
    hiring = next(item for item in items if item.basic_code == "370105002002")
    assert hiring.law_covers == ("business-licence@organisation", "identity-check")
    assert hiring.law_allows(Evidence("identity-check"))
    assert not hiring.law_allows(Evidence("id-card"))
    assert not hiring.may_be_asked_for("teacher-qualification")
    assert not any(item.law_allows(Evidence("id-card")) for item in items)


def test_an_item_of_before_purposes_reads_as_before_and_keeps_its_digest(shipped: Catalogue, tmp_path: Path) -> None:
    """Stored definitions without the columns: any purpose, the law covers all; exported as ``*`` and read again alike."""
    item = shipped.item("370105002002", AT)
    assert item is not None
    definition = item.model_dump(mode="json")
    del definition["purposes"], definition["lawCovers"]
    before = Item.model_validate(definition)
    assert before.model_dump(mode="json") == definition
    assert before.may_be_asked_for("teacher-qualification")
    assert before.law_allows(Evidence("id-card"))
    write_table(tmp_path / "t.csv", heading(), to_rows([before]))
    assert read_entries(read_table(tmp_path / "t.csv")).entries == [before]
