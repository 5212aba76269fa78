"""Documentation that cannot drift: a setting, command, metric or event that docs/ does not name fails here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.core import Metric
from typer.core import TyperGroup

from hub import tables as t
from hub.cli import COMMANDS, GROUPS, load
from hub.config import Settings
from hub.db import Database, Tx
from hub.health.metrics import Metrics
from schemas.events import EventType

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def commands() -> Iterator[str]:
    for name in COMMANDS | GROUPS:
        loaded = load(name)
        inner = loaded.commands if isinstance(loaded, TyperGroup) else None
        yield from (f"hub {name} {one}" for one in inner) if inner is not None else (f"hub {name}",)


@pytest.fixture
def metrics(database: Database) -> Metrics:
    """With one endpoint and its figures, so that every gauge is there."""
    now = database.clock()

    def fill(tx: Tx) -> None:
        tx.conn.execute(sa.insert(t.systems).values(id="s", name="s", enabled=True, created_at=now))
        endpoint = {"id": "e", "system_id": "s", "adapter": "a", "service": "registry", "region": "370102",
                    "base_url": "https://127.0.0.1", "max_concurrency": 1, "timeout_s": 5, "created_at": now,
                    "tls_not_after": now}  # fmt: skip
        tx.conn.execute(sa.insert(t.endpoints).values(endpoint))
        delivery = {"id": "d", "endpoint_id": "e", "case_id": "c", "kind": "step", "subject": "x", "state": "suspended",
                    "idempotency_key": "k", "due_at": now, "created_at": now, "body_sealed": b"x"}  # fmt: skip
        tx.conn.execute(sa.insert(t.deliveries).values(delivery))
        attempt = {"delivery_id": "d", "number": 1, "endpoint_id": "e", "node": "n", "started_at": now,
                   "finished_at": now, "outcome": "retry-later"}  # fmt: skip
        tx.conn.execute(sa.insert(t.attempts).values(attempt))

    database.write(fill)
    made = Metrics(database)
    made.observe("SubmitTransfer", "accepted", 0.01)
    return made


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    text = (DOCS / "operations" / "settings.md").read_text(encoding="utf-8")
    assert f"`HUB_{name.upper()}`" in text
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str) -> None:
    assert f"`{command}" in (DOCS / "operations" / "commands.md").read_text(encoding="utf-8")


def test_no_command_is_documented_that_does_not_exist() -> None:
    known = set(commands())
    text = (DOCS / "operations" / "commands.md").read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `hub ")}
    for usage in named:
        assert any(usage == command or usage.startswith(command + " ") for command in known), usage


@pytest.mark.parametrize("event", list(EventType))
def test_every_event_is_documented(event: EventType) -> None:
    assert f"`{event.value}`" in (DOCS / "protocol" / "events.md").read_text(encoding="utf-8")


def test_every_metric_is_documented(metrics: Metrics) -> None:
    text = (DOCS / "operations" / "metrics.md").read_text(encoding="utf-8")
    given = {family.name for family in metrics.registry.collect()}
    assert {
        line.split("`")[1].removesuffix("_total") for line in text.splitlines() if line.startswith("| `hub_")
    } == given
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
