"""``python -m adapters.scaffold <name>``: a new adapter folder from the template, entered in the registry and with its fixtures."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import cast

from adapters.harness import Harness

ADAPTERS = Path(__file__).resolve().parent
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FILES = ("__init__.py", "manifest.toml", "mapping.py", "client.py", "simulator.py", "harness.py")


class ScaffoldError(Exception):
    """The name cannot be used, or the registry does not look as expected."""


def create(name: str, folder: Path = ADAPTERS) -> Path:
    """Make ``folder/<name>`` and enter it in ``folder/registry.py``. Nothing is overwritten. Raises :class:`ScaffoldError`."""
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise ScaffoldError("a name is lower-case words joined by _, at most 40 characters: laiwu_registry")
    target, registry = folder / name, folder / "registry.py"
    if target.exists():
        raise ScaffoldError(f"{target} is there already")
    entered = _enter(registry.read_text(encoding="utf-8"), name)
    texts = {file: _renamed((folder / "_template" / file).read_text(encoding="utf-8"), name) for file in _FILES}
    target.mkdir()
    for file, text in texts.items():
        (target / file).write_text(text, encoding="utf-8")
    (target / "fixtures").mkdir()
    registry.write_text(entered, encoding="utf-8")
    return target


def write_fixtures(name: str) -> None:
    """The wire form of the harness's first samples, which the contract suite compares with from now on."""
    harness = cast(Harness, importlib.import_module(f"adapters.{name}.harness").HARNESS)
    for trip in harness.round_trips:
        (ADAPTERS / name / "fixtures" / trip.fixture).write_bytes(trip.encode(trip.samples[0]))


def class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _renamed(text: str, name: str) -> str:
    text = re.sub(
        r'^"""The template of a new adapter.*?"""', '"""FILL IN: what the product is."""', text, flags=re.DOTALL
    )
    text = text.replace("adapters._template", f"adapters.{name}").replace('"_template"', f'"{name}"')
    text = text.replace("class Template:", f"class {class_name(name)}:").replace("template-token", f"{name}-token")
    return _sorted_imports(text)


def _enter(text: str, name: str) -> str:
    """Both lines where the alphabet wants them."""
    lines = text.splitlines()
    entries = [line for line in lines if re.fullmatch(r'    "[a-z0-9_]+": \w+,', line)]
    if not entries:
        raise ScaffoldError("registry.py has no list of adapters to add to")
    first = lines.index(entries[0])
    lines[first : first + len(entries)] = sorted([*entries, f'    "{name}": {class_name(name)},'])
    lines.append("")
    return _sorted_imports("\n".join([f"from adapters.{name}.client import {class_name(name)}", *lines]), moved=True)


def _sorted_imports(text: str, *, moved: bool = False) -> str:
    """Our own imports in alphabetical order, each with the lines that belong to it."""
    if moved:  # the first line is a new import: put it before the first of ours
        new, _, text = text.partition("\n")
        text = text.replace("\nfrom adapters", f"\n{new}\nfrom adapters", 1)
    pattern = r"(?:from (?:adapters|certs|schemas)[\w.]* import (?:\([^)]*\)|[^\n(]+)\n)+"

    def in_order(block: re.Match[str]) -> str:
        imports = re.findall(r"from [\w.]+ import (?:\([^)]*\)|[^\n(]+)\n", block.group())
        return "".join(sorted(imports, key=lambda one: one.split()[1]))

    return re.sub(pattern, in_order, text, count=1)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: make adapter name=my_registry")
    try:
        target = create(sys.argv[1])
    except ScaffoldError as error:
        sys.exit(str(error))
    importlib.invalidate_caches()
    write_fixtures(sys.argv[1])
    print(
        f"已生成 {target.name}: 填写各处 FILL IN, 然后运行契约测试\ncreated {target.name}: fill in what is marked FILL IN, then run"
    )
    print(f"  .venv/bin/pytest tests/contract -k {target.name}")
    print("docs/how-to/write-an-adapter.md 逐步说明 / explains each step")


if __name__ == "__main__":
    main()
