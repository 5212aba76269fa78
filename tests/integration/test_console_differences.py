"""The console's page of reconciliation: who may look, who may repair, and that the button does what the command does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from hub import tables as t
from hub.access.operators import Role
from hub.app import Hub
from hub.config import Settings
from hub.db import Database
from tests.integration import collect_world
from tests.integration.collect_world import Library, World, table, values

BASE = "http://127.0.0.1:8700"
PAGE = "/console/differences"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with collect_world.running_library(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.fixture
def world(database: Database, tmp_path: Path, library: Library) -> Iterator[World]:
    with collect_world.opened(database, tmp_path, library) as made:
        yield made


@pytest.fixture
def hub(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("hub.app.open_vault", lambda _settings: collect_world.VAULT)
    made = Hub(Settings(state_dir=world.folder, database_url=database_url))
    yield made
    made.db.close()


def signed_in(hub: Hub, role: Role) -> tuple[TestClient, str]:
    browser = TestClient(hub.app, base_url=BASE, follow_redirects=False)
    browser.post(f"/console/link/{hub.operators.first_links()[role]}")
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/console/password").text)
    assert found
    return browser, found[1]


def act(browser: TestClient, csrf: str, word: str, reason: str = "test") -> str:
    form = {"csrf": csrf, "endpoint": "library", "act": word, "reason": reason}
    return browser.post(PAGE, data=form).headers.get("location", "")


def test_looked_at_and_repaired(world: World, hub: Hub) -> None:
    batch_id = world.take(table([values(1), values(2)]))
    world.until_idle()
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    world.reconciler().run(actor="test")
    browser, csrf = signed_in(hub, Role.SYSTEM)
    page = browser.get(PAGE).text
    assert page.count(batch_id) >= 2
    assert "内容不同" in page
    assert "示例教师" not in page
    assert act(browser, csrf, "repair", reason="").endswith("notice-reason")
    assert act(browser, "other", "repair") == ""
    assert act(browser, csrf, "repair").endswith("notice-done")
    world.until_idle()
    assert act(browser, csrf, "reconcile").endswith("notice-done")
    assert batch_id not in browser.get(PAGE).text
    assert act(browser, csrf, "adopt").endswith("notice-nothing")
    with world.db.read() as conn:
        asked = sa.select(t.audit.c.outcome).where(t.audit.c.action == "collect.repair").order_by(t.audit.c.seq)
        assert conn.execute(asked).scalars().all() == ["asked", "sent-again"]


def test_only_a_system_administrator_repairs(world: World, hub: Hub) -> None:
    browser, csrf = signed_in(hub, Role.SECURITY)
    assert browser.get(PAGE).status_code == 200
    assert act(browser, csrf, "repair").endswith("notice-too-late")
    assert TestClient(hub.app, base_url=BASE).get(PAGE).text.count("differences") <= 1  # the page to sign in
