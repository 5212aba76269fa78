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
from hub.console import differences
from hub.db import Database
from hub.ecerts.collect import store
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


def test_rows_stand_as_their_system_finds_them_and_the_page_says_how_many_it_leaves_out(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.take(table([values(n) for n in range(1, 9)]))
    world.until_idle()
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    world.reconciler().run(actor="test")
    browser, _ = signed_in(hub, Role.SYSTEM)
    page = browser.get(PAGE).text
    assert re.findall(r'<td class="n">(\d+)</td></tr>', page) == [str(row) for row in range(2, 10)]
    assert "教师资格证书</td>" in page
    assert "以下列出" not in page
    monkeypatch.setattr(differences, "LISTED", 3)
    assert "以下列出 3 项, 共 8 项" in browser.get(PAGE).text


def test_looked_at_and_repaired(world: World, hub: Hub) -> None:
    batch_id = world.take(table([values(1), values(2)]))
    world.until_idle()
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    world.reconciler().run(actor="test")
    browser, csrf = signed_in(hub, Role.SYSTEM)
    page = browser.get(PAGE).text
    assert page.count(batch_id) >= 2
    assert "library · 2 差异" in browser.get("/console").text  # the front page says so to whoever is paged
    assert 'hub_collect_differences{endpoint="library"} 2.0' in browser.get("/metrics").text
    assert "内容不同" in page
    assert "示例教师" not in page
    assert act(browser, csrf, "repair", reason="").endswith("notice-reason")
    assert act(browser, "other", "repair") == ""
    assert act(browser, csrf, "repair").endswith("notice-done")
    world.until_idle()
    assert act(browser, csrf, "reconcile").endswith("notice-done")
    assert batch_id not in browser.get(PAGE).text
    assert "library · " not in browser.get("/console").text
    assert act(browser, csrf, "adopt").endswith("notice-nothing")
    with world.db.read() as conn:
        asked = sa.select(t.audit.c.outcome).where(t.audit.c.action == "collect.repair").order_by(t.audit.c.seq)
        assert conn.execute(asked).scalars().all() == ["asked", "sent-again"]


def test_after_a_repair_the_page_says_that_the_next_comparison_tells(world: World, hub: Hub) -> None:
    world.take(table([values(1), values(2)]))
    world.until_idle()
    spoil(world)
    world.reconciler().run(actor="test")
    browser, csrf = signed_in(hub, Role.SYSTEM)
    assert "其后已处理" not in browser.get(PAGE).text
    act(browser, csrf, "repair")
    page = browser.get(PAGE).text
    assert "差异 <b>2</b>" in page
    assert "其后已处理 2 项(重新报送、认可, 或其间已有变更), 未处理 0 项" in page
    assert "下次对账: " in page
    world.until_idle()
    act(browser, csrf, "reconcile")
    page = browser.get(PAGE).text
    assert "差异 <b>0</b>" in page
    assert "其后已处理" not in page


def test_a_comparison_that_came_to_nothing_leaves_the_figures_before_it(world: World, hub: Hub) -> None:
    world.take(table([values(1)]))
    world.until_idle()
    world.reconciler().run(actor="test")
    world.library.fail("down", seconds=60)
    browser, csrf = signed_in(hub, Role.SYSTEM)
    assert act(browser, csrf, "reconcile").endswith("notice-ill")
    page = browser.get(PAGE).text
    assert "最近一次对账未完成: " in page
    assert "本方 <b>1</b>" in page
    assert "库方 <b>1</b>" in page


def test_a_difference_after_a_repair_names_what_its_system_handed_in(world: World, hub: Hub) -> None:
    batch_id = world.take(table([values(1), values(2)]))
    world.until_idle()
    for _ in range(2):  # a repair of a repair leads to the same row
        spoil(world)
        (before,) = world.reconciler().run(actor="test")
        world.reconciler().repair("library", adopt=False, actor="test")
        world.until_idle()
    spoil(world)
    (found,) = world.reconciler().run(actor="test")
    assert {(one.collection, one.row) for one in found.differences} == {(batch_id, 2), (batch_id, 3)}
    assert {one.repair for one in before.differences}.isdisjoint({one.repair for one in found.differences})
    browser, _ = signed_in(hub, Role.SECURITY)
    page = browser.get(PAGE).text
    (repair,) = {one.repair for one in found.differences}
    assert page.count(f"<code>{batch_id}</code>") == 2
    assert page.count(f"<code>{repair}</code>") == 2


def test_a_difference_whose_batch_was_purged_names_the_repair_alone(world: World, hub: Hub) -> None:
    batch_id = world.take(table([values(1)]))
    world.until_idle()
    spoil(world)
    world.reconciler().run(actor="test")
    world.reconciler().repair("library", adopt=False, actor="test")
    world.until_idle()
    with world.db.engine.begin() as conn:
        while store.purge_rows(conn, batch_id, 100):
            pass
    spoil(world)
    (found,) = world.reconciler().run(actor="test")
    (one,) = found.differences
    assert (one.system, one.collection, one.row) == (collect_world.SYSTEM, None, None)
    browser, csrf = signed_in(hub, Role.SYSTEM)
    page = browser.get(PAGE).text
    assert "原批次已清除" in page
    assert "可重新报送" in page  # the repair's own copy is there
    with world.db.engine.begin() as conn:
        while store.purge_rows(conn, str(one.repair), 100):
            pass
    assert act(browser, csrf, "repair").endswith("notice-nothing")
    assert "本方已无原件, 须由发证系统重新报送" in browser.get(PAGE).text


def spoil(world: World) -> None:
    """Our account is altered: the library differs by the digest of every certificate."""
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))


def test_only_a_system_administrator_repairs(world: World, hub: Hub) -> None:
    browser, csrf = signed_in(hub, Role.SECURITY)
    assert browser.get(PAGE).status_code == 200
    assert act(browser, csrf, "repair").endswith("notice-too-late")
    assert TestClient(hub.app, base_url=BASE).get(PAGE).text.count("differences") <= 1  # the page to sign in
