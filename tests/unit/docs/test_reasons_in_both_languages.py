"""Why a step of a verification does not hold is written in Chinese and English, in this order, wherever it is written.

What errors say (:class:`certs.der.Malformed` and all of that kind) is looked at with every other error, by test_commands_texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.der import Malformed
from certs.errors import BadKey, CertsError, MessageRefused
from certs.findings import because
from certs.refusals import REFUSALS
from schemas.rules import RULES
from schemas.told import Told

ROOT = Path(__file__).parents[3]
_CHINESE = re.compile("[\u4e00-\u9fff]")
TREES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for room in ("certs", "adapters", "hub")
    for path in (ROOT / room).rglob("*.py")
}
CALLS = [
    (f"{path}:{node.lineno}", node)
    for path, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.Call)
]


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def reasons() -> Iterator[tuple[str, ast.expr]]:
    """What is given to ``because``, to ``Status(why=…)`` and to ``why.append``."""
    for where, node in CALLS:
        given = [word.value for word in node.keywords if word.arg == "why"]
        if ast.unparse(node.func).endswith(("because", "why.append")):
            given += node.args
        for one in given:
            elements = one.elts if isinstance(one, ast.Tuple) else []
            yield where, elements[0] if len(elements) == 1 else one  # Status takes a tuple of them


REASONS = list(reasons())


def words(node: ast.AST) -> str:
    return "".join(p.value for p in ast.walk(node) if isinstance(p, ast.Constant) and isinstance(p.value, str))


def test_there_is_something_to_look_at() -> None:
    assert len(REASONS) > 20


@pytest.mark.parametrize(("where", "reason"), REASONS, ids=[where for where, _ in REASONS])
def test_chinese_first_english_second(where: str, reason: ast.expr) -> None:
    if isinstance(reason, ast.Tuple):
        zh, en = reason.elts
        handed_on = isinstance(zh, ast.Subscript) and name_of(zh.value) == "said"
        assert _CHINESE.search(words(zh)) or handed_on or ".zh" in ast.unparse(zh), f"{where}: {ast.unparse(zh)}"
        assert not _CHINESE.search(words(en)), f"{where}: {ast.unparse(en)}"
        assert ".zh" not in ast.unparse(en), f"{where}: {ast.unparse(en)}"
    else:  # whole, as an error or a status has it, or the tuple that becomes one
        text = ast.unparse(reason)
        assert text.removesuffix(")").endswith((".said", ".why")), f"{where}: {text}"


def test_why_stands_in_findings_by_because_alone() -> None:
    """So ``why`` and ``why_zh`` are there together or not at all."""
    named = {
        path
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in ("why", "why_zh")
    }
    assert named == {"certs/findings.py", "certs/render.py"}, "where it is written, and where it is shown"
    by_name = {
        where.partition(":")[0] for where, node in CALLS for word in node.keywords if word.arg in ("why", "why_zh")
    }
    assert by_name == {"certs/x509/paths.py", "certs/x509/revocation.py"}, "Status alone, by pairs"
    assert because(("一", "one"), ("二", "two")) == {"why": "one; two", "why_zh": "一；二"}


def test_every_reason_of_a_refused_message_has_its_words() -> None:
    found = {
        part.value
        for _, node in CALLS
        if name_of(node.func) == MessageRefused.__name__
        for part in ast.walk(node.args[0])
        if isinstance(part, ast.Constant)
    }
    assert found == set(REFUSALS)
    assert not set(REFUSALS) & set(RULES)
    assert all(_CHINESE.search(zh) and not _CHINESE.search(en) for zh, en in REFUSALS.values())


def test_how_an_error_is_told() -> None:
    assert issubclass(CertsError, Told)
    assert Malformed("不是 ZIP 压缩包", "not a ZIP archive").said == ("不是 ZIP 压缩包", "not a ZIP archive")
    assert str(BadKey("不是 SM2 密钥", "not an SM2 key")) == "不是 SM2 密钥 / not an SM2 key"
    assert MessageRefused("key-unknown").said == ("密钥或证书未登记", "key-unknown")
    refused = MessageRefused("xml-doctype", ("第 1 行", "line 1"))
    assert refused.said == ("含有 DOCTYPE：第 1 行", "xml-doctype: line 1")
    assert str(refused) == "xml-doctype: line 1"
