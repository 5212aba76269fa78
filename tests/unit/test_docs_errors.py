"""docs/protocol/errors.md and fields.md say of every problem code and every field rule exactly what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from hub.intake.openapi import WithdrawalBody
from hub.intake.soap_envelope import fault_code
from schemas.code_tables import SCHOOL_TYPES
from schemas.problems import KINDS, HubProblem, ProblemKind, WhoActs
from schemas.rules import RULES, SHAPES, Rule, Shape, Step
from schemas.transfers import (
    Consent,
    Decision,
    Guardian,
    Placement,
    Student,
    TransferQuery,
    TransferRequest,
    WithdrawalRequest,
)  # fmt: skip

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
    headings = {
        Step.TEXT: "### 读取规则",
        Step.STRUCTURE: "### 结构规则",
        Step.MEANING: "### 语义规则",
        Step.INTAKE: "### 受理规则",
    }
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


REST_BODIES: dict[type[BaseModel], type[BaseModel] | None] = {
    TransferRequest: TransferRequest, TransferQuery: None, WithdrawalRequest: WithdrawalBody, Decision: Decision,
    Student: Student, Guardian: Guardian, Placement: Placement, Consent: Consent,
}  # fmt: skip


@pytest.mark.parametrize("model", REST_BODIES, ids=lambda model: model.__name__)
def test_the_tables_say_which_fields_a_message_has_on_each_wire(model: type[BaseModel]) -> None:
    table = "\n".join(lines("fields.md")).split(f"\n**{model.__name__}**")[1].split("\n\n")[1]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()[2:]]
    rest = REST_BODIES[model]
    in_body = {info.alias for info in rest.model_fields.values()} if rest else set()
    expected = [
        (
            info.alias,
            ("是 yes" if info.is_required() else "否 no") + ("" if info.alias in in_body else "(仅 SOAP only)"),
        )
        for info in model.model_fields.values()
    ]
    assert [(row[1], row[3]) for row in rows] == expected


def test_every_table_of_requests_is_looked_at() -> None:
    section = "\n".join(lines("fields.md")).split("## 请求字段")[1].split("\n## ")[0]
    assert set(re.findall(r"^\*\*(\w+)\*\*", section, re.MULTILINE)) == {model.__name__ for model in REST_BODIES}


def test_the_school_types_are_listed() -> None:
    text = "\n".join(lines("fields.md"))
    for entry in SCHOOL_TYPES.values():
        assert f"{entry.code} {entry.zh}" in text
