"""Documentation that cannot drift: a setting, command, metric or event that docs/ does not name fails here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from click import Command, Group
from prometheus_client.core import Metric

from hub.cases.events import EventType
from hub.cli import app
from hub.config import Settings
from hub.health.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def commands(command: Command, path: str = "hub") -> Iterator[str]:
    if isinstance(command, Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    text = (DOCS / "operations" / "settings.md").read_text(encoding="utf-8")
    assert f"`HUB_{name.upper()}`" in text
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("command", sorted(commands(typer.main.get_command(app))))
def test_every_command_is_documented(command: str) -> None:
    assert f"`{command}" in (DOCS / "operations" / "commands.md").read_text(encoding="utf-8")


def test_no_command_is_documented_that_does_not_exist() -> None:
    known = set(commands(typer.main.get_command(app)))
    text = (DOCS / "operations" / "commands.md").read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `hub ")}
    for usage in named:
        assert any(usage == command or usage.startswith(command + " ") for command in known), usage


@pytest.mark.parametrize("event", list(EventType))
def test_every_event_is_documented(event: EventType) -> None:
    assert f"`{event.value}`" in (DOCS / "protocol" / "events.md").read_text(encoding="utf-8")


def test_every_metric_is_documented(metrics: Metrics) -> None:
    text = (DOCS / "operations" / "metrics.md").read_text(encoding="utf-8")
    for family in metrics.registry.collect():
        assert isinstance(family, Metric)
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in text, name


def test_links_between_pages_lead_somewhere() -> None:
    import re

    for page in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} -> {target}"
