"""What commands tell an administrator stands in Chinese first and in English second, whoever wrote the text."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.testing import CliRunner

from hub.cli import COMMANDS, GROUPS, app, load, main

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "hub" / "commands"
CHINESE = re.compile("[一-鿿]")
ENGLISH = re.compile("[A-Za-z]{2}")
TREES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for package in ("schemas", "certs", "adapters", "hub")
    for path in (ROOT / package).rglob("*.py")
}


def errors_in_both_languages() -> set[str]:
    """The classes that take a Chinese and an English text: Told and what is derived from it.

    Not those whose own constructor takes something else first; MessageRefused has test_details_in_both_languages.
    """
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }  # fmt: skip
    constructors = {
        node.name: [argument.arg for argument in inner.args.args]
        for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
        for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
    }  # fmt: skip
    found = {"Told"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return found - {name for name in found if (takes := constructors.get(name)) and takes[:3] != ["self", "zh", "en"]}


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


TOLD = [*calls(errors_in_both_languages()), *calls({"tell", "fail"}, FOLDER)]


def test_the_errors_that_commands_meet_are_of_this_kind() -> None:
    known = {"RegistrationError", "OperatorError", "VaultError", "NoticeError", "TableError", "BadConfiguration", "KeyFileError",
             "UnknownAdapter", "EcertTypesError", "NotSuspended", "UnknownDelivery", "StageFailed", "Malformed"}  # fmt: skip
    assert known < errors_in_both_languages()
    assert len(TOLD) > 250


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
        for place, call in calls({"echo", "Table"}, FOLDER)
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
        for place, call in calls({"echo", "secho", "print"}, FOLDER)
        if any(word.arg in ("err", "file") for word in call.keywords)
    ]
    assert [place.partition(":")[0] for place in beside] == ["hub/commands/telling.py"]


def helps() -> Iterator[tuple[str, str]]:
    """Every command, argument and option, with its line of help."""
    for group in COMMANDS | GROUPS:
        loaded = load(group)
        inner = loaded.commands if isinstance(loaded, TyperGroup) else {"": loaded}
        for name, command in inner.items():
            yield f"{group} {name}", command.help or ""
            for parameter in command.params:
                if isinstance(parameter, TyperArgument | TyperOption) and parameter.name != "help":
                    yield f"{group} {name} {parameter.name}", parameter.help or ""


def test_every_line_of_help_is_chinese_first_and_english_second() -> None:
    told = dict(helps())
    assert len(told) > 150
    wrong = {name: text for name, text in told.items() if not CHINESE.search(text[:40]) or not ENGLISH.search(text)}
    assert wrong == {}


@pytest.mark.parametrize(("line", "zh", "en"), [
    ("systems add", "缺少必需的参数或选项", "Missing argument"),
    ("systems list --jsno", "没有此选项", "No such option: --jsno"),
    ("systems lst", "命令用法不对", "No such command"),
    ("lst", "命令用法不对", "No such command"),
    ("items list --at yesterday", "取值不正确", "Invalid value for '--at'"),
])  # fmt: skip
def test_a_command_that_is_written_wrongly_is_told_in_both_languages(
    line: str, zh: str, en: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hub", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == os.EX_USAGE  # and not 2, which `hub verify` says of a document
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{zh}, 用法见 hub ")
    assert f" / {en}" in told


def test_a_file_that_is_not_there_is_no_verdict(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["verify", str(tmp_path / "none.ofd")], env={"HUB_STATE_DIR": str(tmp_path)})
    assert told.exit_code == 3
    assert "none.ofd: 无法读取 / cannot be read: No such file or directory" in told.stderr


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
