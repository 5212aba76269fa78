"""What a refusal says beyond its title is said in the caller's language: no sentence stands in the code in one language only.

A detail may begin with a stable word, a name or an id, the same in every language; a sentence is a pair (Chinese, English).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.errors import MessageRefused
from schemas.faults import ExchangeFault
from schemas.problems import MESSAGE_INVALID, SIGNATURE_REFUSED, HubProblem
from schemas.safe_xml import UnsafeXml

ROOT = Path(__file__).parents[3]
REFUSALS = {HubProblem.__name__, "SoapProblem", MessageRefused.__name__, UnsafeXml.__name__}
_SENTENCE = re.compile(
    r"(^|[a-z]) [a-z]|[a-z] ([a-z]|$)"
)  # "older than", " bytes"; not "transfer.query 370100" or ", "
_CHINESE = re.compile("[\u4e00-\u9fff]")


def refusals() -> Iterator[tuple[str, list[ast.expr]]]:
    """Where a refusal is made, and what it is given."""
    for path in (path for room in ("schemas", "certs", "hub") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
                given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("detail", "said"))]
                yield f"{path.relative_to(ROOT)}:{node.lineno}", given


def words(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


FOUND = list(refusals())


def test_there_is_something_to_look_at() -> None:
    assert len(FOUND) > 150


@pytest.mark.parametrize(("where", "given"), FOUND, ids=[where for where, _ in FOUND])
def test_no_sentence_in_one_language_only(where: str, given: list[ast.expr]) -> None:
    for node in [part for one in given for part in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,))]:
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            zh, en = ("".join(words(side)) for side in node.elts)
            assert _CHINESE.search(zh) or not en, f"{where}: {zh}"
            assert not _CHINESE.search(en), f"{where}: {en}"
        else:
            assert not any(_SENTENCE.search(text) for text in words(node)), f"{where}: {words(node)}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("older than", True), (" bytes", True), ("at most ", True), ("key-unknown", False), (" ", False), (", ", False)],
)
def test_what_a_sentence_is(text: str, sentence: bool) -> None:
    assert bool(_SENTENCE.search(text)) is sentence


def test_a_detail_is_its_word_and_then_a_sentence_in_the_language() -> None:
    problem = HubProblem(SIGNATURE_REFUSED, "signature-stale", ("早于 300 秒", "older than 300 s"))
    assert (problem.detail_zh, problem.detail_en) == (
        "signature-stale: 早于 300 秒",
        "signature-stale: older than 300 s",
    )
    assert ExchangeFault.of(problem, "req_1", "zh").detail == problem.detail_zh
    assert ExchangeFault.of(problem, "req_1", "en").detail == problem.detail_en
    assert str(problem) == "signature-refused: signature-stale: older than 300 s"
    assert HubProblem(SIGNATURE_REFUSED, "key-unknown").detail_zh == "key-unknown"
    assert HubProblem(MESSAGE_INVALID, said=("一", "one")).detail_zh == "一"
    assert ExchangeFault.of(HubProblem(MESSAGE_INVALID), "req_1").detail is None
