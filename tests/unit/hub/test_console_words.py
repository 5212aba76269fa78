"""The console speaks both languages, and knows every word that the hub can show."""

from __future__ import annotations

import ast
import re
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from adapters.contract.questions import ShownKind
from certs.render import SUB_INDICATIONS
from certs.report import SubIndication
from hub.access.callers import KeyKind, Service
from hub.access.operators import Role
from hub.console.entries.lists import LISTINGS
from hub.console.facts import FACT_WORDS, code_words, fact
from hub.console.rendering import _outcome, age, local_address
from hub.console.texts import TEXTS
from hub.console.words import WORDS, said, word
from hub.deliveries.breaker import Breaker
from hub.deliveries.model import Kind, State, Word
from hub.ecerts.authorizations.model import CodeState
from hub.ecerts.check import _word
from hub.ecerts.collect.cures import FILE
from hub.ecerts.collect.ending import REPAIR
from hub.ecerts.collect.model import BatchState, DifferenceCure, DifferenceKind, RowState
from hub.ecerts.collect.words import CURES, DIFFERENCES
from hub.ecerts.entries import Channel, Level, LimitUnit
from hub.ecerts.presentations.model import State as PresentationState
from hub.ecerts.solver import Standing
from hub.health.overview import URGENCY, EndpointState
from schemas.events import EventType
from schemas.evidence import AnswerForm, BasisKind, EvidenceCaseState
from schemas.problems import KINDS
from schemas.transfers import CaseState, EvidenceState, StepState

CODE_REFUSALS = [
    "unknown",
    "malformed",
    "live-codes",
    "wrong-codes",
    "scope-audience",
    "scope-ecert-types",
    "scope-purpose",
    "scope-item",
    "scope-region",
]  # of authorization codes
TEMPLATES = files("hub.console") / "templates"


def test_every_text_is_there_in_both_languages() -> None:
    for key, (zh, en) in TEXTS.items():
        assert zh.strip(), key
        assert en.strip(), key
        assert key == "switch" or not re.search(r"[一-鿿]", en), key


@pytest.mark.parametrize("template", [file.name for file in TEMPLATES.iterdir()])
def test_every_text_that_a_template_asks_for_is_there(template: str) -> None:
    asked = re.findall(r"\bt\('([a-z0-9-]+)'\)", (TEMPLATES / template).read_text(encoding="utf-8"))
    assert [key for key in asked if key not in TEXTS] == []


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("delivery", State),
        ("kind", Kind),
        ("evidence", EvidenceState),
        ("step", StepState),
        ("event", EventType),
        ("level", Level),
        ("channel", Channel),
        ("limit-unit", LimitUnit),
    ],
)
def test_every_state_has_its_words(family: str, values: type[State]) -> None:
    assert {value.value for value in values} <= set(WORDS[family])


def test_keys_that_are_made_of_values_are_there() -> None:
    made = [state.value for state in EndpointState] + [f"case-{state.value}" for state in CaseState]
    made += [f"breaker-is-{state.value}" for state in Breaker] + [role.value for role in Role]
    assert [key for key in made if key not in TEXTS] == []
    assert set(DIFFERENCES) == set(DifferenceKind)
    assert set(CURES) == set(DifferenceCure)
    assert {word.value for word in Word} - {"bug"} <= set(WORDS["outcome"])
    assert set(URGENCY) == set(EndpointState)


def test_every_listing_has_its_words() -> None:
    assert set(LISTINGS) == set(WORDS["listing"])
    shown = {column for listing in LISTINGS.values() for column in (*listing.columns, *listing.more)}
    assert shown <= set(WORDS["column"])
    states = [*BatchState, *RowState, *PresentationState, *EvidenceCaseState, *CodeState]
    assert {state.value for state in states} <= set(WORDS["entry-state"])
    assert {standing.value for standing in Standing} == set(WORDS["standing"])


@pytest.mark.parametrize("sub", SubIndication)
def test_a_refused_file_is_told_by_the_words_of_its_report(sub: SubIndication) -> None:
    code = _word(sub)
    assert word("code", f"indeterminate-{code}", "zh") == f"无法判定: {SUB_INDICATIONS[sub][0]}"
    if sub not in (SubIndication.EXPIRED, SubIndication.NOT_YET_VALID):  # words of other matters too
        assert word("code", code, "zh") == SUB_INDICATIONS[sub][0]


def test_a_suspended_certificate_is_not_told_as_a_suspended_delivery() -> None:
    assert _outcome("evidence.follow-up", "suspended", "zh") == ("已暂停效力", False)
    assert _outcome("delivery.attempt", "suspended", "zh")[0] != "已暂停效力"


def test_what_an_entry_can_say_has_its_words() -> None:
    assert {one.value for one in ShownKind} <= set(WORDS["shown-kind"])
    assert {"one", "csv", "xlsx", "zip", REPAIR} <= set(WORDS["form"])
    assert all(
        en != key for key, (_, en) in WORDS["entry-reason"].items()
    )  # the template falls back on "code" where it is
    said = {"asked", "read", "taken", "checked", "agrees", "differs", "sent-again", "unreadable"}
    assert said <= set(WORDS["outcome"])


@pytest.mark.parametrize(
    "code", [*KINDS, *CODE_REFUSALS, "signature-stale", "signature-invalid", "key-unknown", "login-used"]
)
def test_every_refusal_is_told_in_words(code: str) -> None:
    zh, en = said(code, "zh"), said(code, "en")
    assert zh is not None
    assert re.search(r"[一-鿿]", zh)
    assert en not in (None, code)


def test_what_is_no_refusal_has_no_words_of_one() -> None:
    assert said("E-4711", "zh") is None


def test_a_peers_own_code_stays_as_it_is() -> None:
    assert word("code", "E-4711", "zh") == "E-4711"


@pytest.mark.parametrize(
    ("seconds", "zh"), [(0, "0 秒"), (119, "119 秒"), (720, "12 分钟"), (10_800, "3 小时"), (259_200, "3 天")]
)
def test_an_age_is_told_in_one_unit(seconds: int, zh: str) -> None:
    assert age(timedelta(seconds=seconds), "zh") == zh


@pytest.mark.parametrize("address", ["", "//x", "http://x", "/console//x", "/console\\x", "/consolation", "/console\n"])
def test_one_goes_back_to_the_console_only(address: str) -> None:
    assert local_address(address) == "/console"


def test_one_goes_back_to_where_one_was() -> None:
    assert local_address("/console/find?id=x") == "/console/find?id=x"


# --- facts -------------------------------------------------------------------------------------------------------------------


def test_what_a_fact_can_be_has_its_words() -> None:
    assert {one.value for one in Service} == set(FACT_WORDS["right"])
    assert {one.value for one in AnswerForm} == set(FACT_WORDS["answer-form"])
    assert {one.value for one in BasisKind} == set(FACT_WORDS["basis"])
    assert {one.value for one in KeyKind} == set(FACT_WORDS["key-kind"])
    assert set(FILE) <= set(WORDS["entry-reason"])


@pytest.mark.parametrize(("key", "value", "zh"), [
    ("service", "authorization.redeem", "使用授权码"),
    ("service", "registry", "学籍系统"),
    ("kind", "wsse", "WS-Security 签名"),
    ("kind", "authorization-code", "授权码"),
    ("answer", "predicate", "结论"),
    ("types", "id-card degree", "居民身份证、学位证书"),
    ("type", "case.*", "case.*"),
    ("basis", "consent:cons_1", "持有人同意:cons_1"),
    ("changed", "base_url,secrets_sealed", "地址、密钥"),
    ("until", "2026-11-27T18:43:56+00:00", "2026-11-28 02:43:56"),
    ("until", "2026-03-31", None),
    ("endpoint", "lixia-registry", None),
])  # fmt: skip
def test_a_fact_is_told_in_words_and_its_time_in_shanghai(key: str, value: str, zh: str | None) -> None:
    assert fact(key, value, "zh") == zh


@pytest.mark.parametrize(("code", "zh"), [
    ("2001", "对方返回码"),
    ("E-4711", "对方返回码"),
    ("bug-KeyError", "枢纽程序缺陷, 请附编号报告"),
    ("denied-by-holder", "持有人不同意"),
    ("http-401", "对方拒绝本枢纽的身份凭证 (401)"),
    ("对方停机维护", "对方停机维护"),
])  # fmt: skip
def test_a_code_is_told_in_words(code: str, zh: str) -> None:
    assert code_words(code, "zh") == zh


def test_why_a_batch_was_not_read_is_told_in_the_audit_log_too() -> None:
    assert _outcome("collect.checked", "not-a-zip", "zh") == ("不是可读取的 zip 文件: 请重新压缩后提交", True)


# --- what adapters call it -------------------------------------------------------------------------------------------------

ADAPTERS = Path(__file__).parents[3] / "adapters"
FAILURES = {"PeerMisconfigured", "PeerRefused", "RetryLater", "OutcomeUnknown"}


def codes_of_adapters() -> set[str]:
    """Every code that an adapter raises by name, or that its table of statuses has."""
    found: set[str] = set()
    for path in ADAPTERS.rglob("*.py"):
        if path.name in ("harness.py", "simulator.py", "simulation.py"):
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        raised = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in FAILURES and call.args]
        found |= {str(call.args[0].value) for call in raised if isinstance(call.args[0], ast.Constant)}
    for table in ADAPTERS.glob("*/statuses.toml"):
        rows = tomllib.loads(table.read_text(encoding="utf-8"))["status"].values()
        found |= {row["word"] for row in rows if row["outcome"] != "ok"}
    return found


@pytest.mark.parametrize("code", sorted(codes_of_adapters()))
def test_every_code_of_an_adapter_has_its_words(code: str) -> None:
    zh, en = WORDS["code"][code]
    assert re.search("[一-鿿]", zh)
    assert en
