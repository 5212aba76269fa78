"""docs/protocol/errors.md and fields.md say of every problem code and every field rule exactly what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.intake.soap_envelope import fault_code
from schemas.code_tables import SCHOOL_TYPES
from schemas.problems import KINDS, HubProblem, ProblemKind, WhoActs
from schemas.rules import RULES, SHAPES, Rule, Shape, Step

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol"
WHO = {
    WhoActs.CALLER: "调用方 caller",
    WhoActs.APPLICANT: "申请人 applicant",
    WhoActs.PEER: "对端 peer",
    WhoActs.ADMINISTRATOR: "管理员 administrator",
}
SOAP_CODE = {"sender": "Client / Sender", "receiver": "Server / Receiver"}


def lines(name: str) -> list[str]:
    return (PROTOCOL / name).read_text(encoding="utf-8").splitlines()


def problem_row(kind: ProblemKind) -> str:
    cells = (
        f"`{kind.code}`",
        str(kind.status),
        SOAP_CODE[fault_code(HubProblem(kind))],
        WHO[kind.who],
        "是 yes" if kind.retryable else "否 no",
        f"{kind.title_zh}<br>{kind.title_en}",
        f"{kind.cure_zh}<br>{kind.cure_en}",
    )
    return "| " + " | ".join(cells) + " |"


def rule_row(rule: Rule) -> str:
    return f"| `{rule.code}` | {rule.zh}<br>{rule.en} | {rule.cure_zh}<br>{rule.cure_en} |"


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_is_documented_as_it_is(code: str) -> None:
    assert problem_row(KINDS[code]) in lines("errors.md"), f"put into errors.md:\n{problem_row(KINDS[code])}"


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_documented_as_it_is(code: str) -> None:
    assert rule_row(RULES[code]) in lines("fields.md"), f"put into fields.md:\n{rule_row(RULES[code])}"


def test_rules_stand_under_the_right_heading() -> None:
    text = "\n".join(lines("fields.md"))
    headings = {Step.TEXT: "### 读取规则", Step.STRUCTURE: "### 结构规则", Step.MEANING: "### 语义规则"}
    for code, rule in RULES.items():
        section = text.split(headings[rule.step])[1].split("\n### ")[0]
        assert f"\n| `{code}` |" in section


@pytest.mark.parametrize(("name", "known"), [("errors.md", KINDS), ("fields.md", RULES)])
def test_nothing_is_documented_that_does_not_exist(name: str, known: dict[str, object]) -> None:
    rows = [line for line in lines(name) if re.match(r"\| `[a-z]", line)]
    named = {row.split("`")[1] for row in rows}
    assert named == known.keys()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_every_shape_is_documented_in_words(shape: Shape) -> None:
    assert f"`{shape.name}`" in "\n".join(lines("fields.md"))


def test_the_school_types_are_listed() -> None:
    text = "\n".join(lines("fields.md"))
    for entry in SCHOOL_TYPES.values():
        assert f"{entry.code} {entry.zh}" in text
