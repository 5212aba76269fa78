"""What commands tell an administrator stands in Chinese first and in English second, whoever wrote the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app

ROOT = Path(__file__).parents[3]
COMMANDS = ROOT / "hub" / "commands"
CHINESE = re.compile("[一-鿿]")
TREES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for package in ("schemas", "certs", "adapters", "hub")
    for path in (ROOT / package).rglob("*.py")
}


def errors_in_both_languages() -> set[str]:
    """The classes that take a Chinese and an English text: Told and what is derived from it."""
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }  # fmt: skip
    found = {"Told"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return found


def calls(names: set[str], under: Path = ROOT) -> Iterator[tuple[str, ast.Call]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree) if under in path.parents else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def said(argument: ast.expr) -> str | None:
    """The words that stand in an argument; None if it only hands on what was said elsewhere."""
    words = [node.value for node in ast.walk(argument) if isinstance(node, ast.Constant)]
    text = " ".join(word for word in words if isinstance(word, str))
    return text if re.search(r"[^\W\d_]{2}", text) else None


TOLD = [*calls(errors_in_both_languages()), *calls({"tell", "fail"}, COMMANDS)]


def test_the_errors_that_commands_meet_are_of_this_kind() -> None:
    known = {"RegistrationError", "OperatorError", "VaultError", "NoticeError", "TableError", "BadConfiguration", "KeyFileError",
             "UnknownAdapter", "EcertTypesError", "NotSuspended", "UnknownDelivery", "StageFailed"}  # fmt: skip
    assert known < errors_in_both_languages()
    assert len(TOLD) > 100


def test_each_text_is_chinese_first_and_english_second() -> None:
    wrong = []
    for place, call in TOLD:
        zh, en = [*map(said, call.args[:2]), None, None][:2]
        if (zh is not None and not CHINESE.search(zh)) or (en is not None and CHINESE.search(en)):
            wrong.append(place)
    assert wrong == []


def test_what_commands_put_out_has_its_chinese() -> None:
    """Headings of tables and lines of text; not what programs read (``--json``, links, the line that says where a hub listens)."""
    for_programs = ("/console/link/", "listening on ", "SHA-256")
    printed = [
        (place, words)
        for place, call in calls({"echo", "Table"}, COMMANDS)
        for argument in call.args
        if isinstance(argument, ast.Constant | ast.JoinedStr) and (words := said(argument)) is not None
    ]
    assert len(printed) > 60
    wrong = [
        place for place, words in printed if not CHINESE.search(words) and not any(w in words for w in for_programs)
    ]
    assert wrong == []


def test_commands_write_to_standard_error_in_one_place() -> None:
    """So that no text goes round what is looked at above."""
    beside = [
        place
        for place, call in calls({"echo", "secho", "print"}, COMMANDS)
        if any(word.arg in ("err", "file") for word in call.keywords)
    ]
    assert [place.partition(":")[0] for place in beside] == ["hub/commands/telling.py"]


@pytest.mark.parametrize(("setting", "told"), [
    ({"HUB_PORT": "abc"}, "HUB_PORT: 数据类型不符"),
    ({"HUB_ROLE": "chief"}, "HUB_ROLE: 不是允许的取值, 使用规范列出的取值: 'all', 'api' 或 'worker'"),
    ({"HUB_VAULT_KEY": "junk!"}, "静态加密密钥不是 base64 编码 / the vault key is not base64"),
])  # fmt: skip
def test_a_setting_that_cannot_be_used_is_told_and_not_shown_as_a_bug(
    setting: dict[str, str], told: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["systems", "list"], env={"HUB_STATE_DIR": str(tmp_path), **setting})
    assert done.exit_code == 1
    assert told in done.stderr
    assert not set(setting.values()) & set(done.stderr.split())
