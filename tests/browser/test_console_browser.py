"""The administrators' page as administrators use it: in a real browser, against a running hub with its simulators."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from hub.console.entries.lists import LISTINGS
from hub.demo import evidence_scene
from tests.browser import widest
from tests.browser.conftest import PASSWORD, House

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
expect.set_options(timeout=15_000)
SYSTEM, SECURITY, AUDIT = "system-administrator", "security-administrator", "audit-administrator"
REGISTRY = "lixia-registry"


def wait_for_state(house: House, case_id: str, state: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while house.lixia.query(case_id)["state"] != state:
        assert time.monotonic() < end, f"{case_id} is {house.lixia.query(case_id)['state']}, not {state}"
        time.sleep(0.2)


def card(page: Page, endpoint: str = REGISTRY) -> Locator:
    return page.get_by_role("article", name=endpoint)


# --- signing in ---------------------------------------------------------------------------------------------------------


def test_first_start_leads_to_the_overview_and_the_link_works_once(house: House, open_page: Open) -> None:
    page = open_page(path="/console")
    expect(page.get_by_role("button", name="登录")).to_be_visible()
    link = house.links[SECURITY]
    page.goto(link)
    page.goto(link)  # looking at it, as a mail scanner does, does not use it up
    page.get_by_role("button", name="使用一次性链接登录").click()
    expect(page.get_by_role("heading", name="设置口令")).to_be_visible()
    page.get_by_label("口令").fill(PASSWORD)
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("heading", name="全部端点")).to_be_visible()
    expect(page.get_by_text("安全管理员")).to_be_visible()

    again = open_page(path="/console")
    again.goto(link)
    again.get_by_role("button", name="使用一次性链接登录").click()
    expect(again.get_by_text("链接已使用")).to_be_visible()
    again.get_by_label("用户名").fill(SECURITY)
    again.get_by_label("口令").fill("not the password at all")
    again.get_by_role("button", name="登录").click()
    expect(again.get_by_text("用户名或口令不正确")).to_be_visible()
    again.get_by_label("用户名").fill(SECURITY)
    again.get_by_label("口令").fill(PASSWORD)
    again.get_by_role("button", name="登录").click()
    expect(again.get_by_role("heading", name="全部端点")).to_be_visible()
    again.get_by_role("button", name="退出").click()
    expect(again.get_by_role("button", name="登录")).to_be_visible()
    again.goto(house.url + "/console/find?id=x")
    expect(again.get_by_role("button", name="登录")).to_be_visible()


def test_an_act_without_the_token_of_the_session_is_refused(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM)
    page.goto(f"{house.url}/console/find?id={REGISTRY}")
    page.evaluate("document.querySelectorAll('input[name=csrf]').forEach((field) => { field.value = 'forged'; })")
    card(page).get_by_label("处理原因").fill("不该成功")
    card(page).get_by_role("button", name="暂停").click()
    expect(page.get_by_text("会话已结束或页面已过期")).to_be_visible()
    page.goto(f"{house.url}/console/find?id={REGISTRY}")
    expect(card(page).get_by_role("button", name="暂停")).to_be_visible()


def test_the_audit_administrator_sees_everything_and_changes_nothing(house: House, open_page: Open) -> None:
    page = open_page(AUDIT, f"/console/find?id={REGISTRY}")
    expect(card(page)).to_be_visible()
    expect(card(page).get_by_role("button")).to_have_count(0)
    csrf = page.locator("input[name=csrf]").first.get_attribute("value")
    answer = page.request.post(
        f"{house.url}/console/endpoints/{REGISTRY}", form={"csrf": csrf or "", "act": "pause", "reason": "x"}
    )
    assert answer.status == 403
    assert "当前角色不能执行此操作" in answer.text()
    page.get_by_role("link", name="审计记录").click()
    page.get_by_label("动作").fill("operator.")
    page.get_by_role("button", name="筛选").click()
    expect(page.get_by_role("cell", name="登录").first).to_be_visible()
    expect(page.get_by_role("cell", name="登记端点")).to_have_count(0)
    other = open_page(SYSTEM, "/console/audit")
    expect(other.get_by_text("当前角色不能执行此操作")).to_be_visible()


# --- at night -----------------------------------------------------------------------------------------------------------


def test_a_county_is_down_and_everything_that_was_suspended_goes_out_again(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM)
    simulator = house.stage.cast.simulators["lixia"]
    simulator.fail("down", seconds=60)
    cases = [house.submit(f"down-{n}") for n in range(2)]
    ill = card(page)
    expect(ill).to_be_visible()  # the page refreshes by itself: nobody reloads it here
    expect(ill.get_by_text("已持续")).to_be_visible()
    expect(ill.get_by_text("连接被拒绝")).to_be_visible()
    expect(ill.get_by_text("挂起待决定")).to_be_visible()
    ill.get_by_role("button", name="立即探测").click()
    expect(page.get_by_text("探测失败")).to_be_visible()

    simulator.fail("none")
    card(page).get_by_role("button", name="立即探测").click()
    expect(page.get_by_text("探测成功")).to_be_visible()
    card(page).get_by_role("button", name=re.compile("全部重新投递")).click()  # no reason: the browser does not send it
    expect(card(page).get_by_label("处理原因")).to_be_focused()
    card(page).get_by_label("处理原因").fill("县区系统已恢复")
    card(page).get_by_role("button", name=re.compile("全部重新投递")).click()
    expect(page.get_by_text("已执行, 已记入审计")).to_be_visible()
    for case_id in cases:
        wait_for_state(house, case_id, "completed")
    assert max(simulator.effects()[key] for key in simulator.effects() if key.startswith(tuple(cases))) == 1


@pytest.mark.parametrize("width", [1360, 800])
def test_one_suspended_delivery_is_replayed_with_a_reason(house: House, open_page: Open, width: int) -> None:
    simulator = house.stage.cast.simulators["lixia"]
    simulator.fail("down", seconds=60)
    case_id = house.submit(f"one-{width}")
    page = open_page(SYSTEM, viewport={"width": width, "height": 900})
    row = page.locator("tr").filter(has_text=case_id)
    expect(row.get_by_role("button", name="重新投递")).to_be_visible()
    assert row.get_by_role("button", name="终止投递").evaluate("one => one.getBoundingClientRect().right") < width
    simulator.fail("none")
    row.get_by_label("处理原因").fill("电话确认对方未收到")
    row.get_by_role("button", name="重新投递").click()
    expect(page.get_by_text("已执行, 已记入审计")).to_be_visible()
    wait_for_state(house, case_id, "completed")
    page.goto(f"{house.url}/console/find?id={case_id}")
    expect(page.get_by_text("电话确认对方未收到")).to_be_visible()
    expect(page.get_by_text("已办结").first).to_be_visible()


def test_an_endpoint_is_paused_and_resumed(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM, f"/console/find?id={REGISTRY}")
    card(page).get_by_label("处理原因").fill("对方停机维护")
    card(page).get_by_role("button", name="暂停").click()
    expect(page.get_by_text("已暂停, 需人工处理").first).to_be_visible()
    expect(card(page).get_by_text("对方停机维护")).to_be_visible()
    page.goto(house.url + "/console")
    expect(card(page)).to_be_visible()
    card(page).get_by_label("处理原因").fill("维护结束")
    card(page).get_by_role("button", name="恢复").click()
    expect(page.get_by_text("已执行, 已记入审计")).to_be_visible()
    page.goto(f"{house.url}/console/find?id={REGISTRY}")
    expect(page.get_by_role("cell", name="恢复端点")).to_be_visible()
    expect(page.get_by_text("维护结束")).to_be_visible()


# --- finding and reading ------------------------------------------------------------------------------------------------


def test_every_kind_of_id_is_found(house: House, open_page: Open) -> None:
    case_id = house.submit("found")
    wait_for_state(house, case_id, "completed")
    page = open_page(SYSTEM)

    def find(wanted: str) -> None:
        page.get_by_role("searchbox").or_(page.locator("header input[name=id]")).first.fill(wanted)
        page.get_by_role("button", name="查找").click()

    find(case_id)
    expect(page.get_by_text("已办结").first).to_be_visible()
    expect(page.get_by_text("已核验")).not_to_have_count(0)
    assert not re.search(r"\b(satisfied|approved|delivered|queued)\b", page.locator("main").inner_text())
    delivery = page.locator("a code", has_text=re.compile("^dlv_")).first.inner_text()
    for other in ("browser-found", f"{case_id}.releasing-school", delivery):
        find(other)
        expect(page.locator("h2 code", has_text=case_id)).to_be_visible()
    refused = requests.post(house.url + "/v1/transfers", json={}, timeout=5)
    assert refused.status_code == 401
    problem = refused.headers["X-Request-Id"]
    page.wait_for_timeout(200)  # refusals are committed with the next group
    find(problem)
    expect(page.get_by_role("cell", name="请求被拒绝")).to_be_visible()
    find("nothing-has-this-id")
    expect(page.get_by_text("没有找到该编号")).to_be_visible()
    page.goto(f"{house.url}/console/find?id=11010519491231002X")
    expect(page.get_by_text("请勿输入证件号码")).to_be_visible()
    assert "11010519491231002X" not in page.locator("main").inner_text()


def test_an_event_is_found_by_its_id(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM)
    end = time.monotonic() + 15
    monitor = house.stage.cast.simulators["monitor"]
    house.submit("event")
    while not (events := requests.get(monitor.url + "/events", timeout=5).json()["events"]):
        assert time.monotonic() < end, "no event came"
        time.sleep(0.2)
    page.goto(f"{house.url}/console/find?id={events[-1]['id']}")
    expect(page.locator("h2 code", has_text=events[-1]["subject"])).to_be_visible()


def test_an_item_is_reached_from_the_lists_and_by_its_code(house: House, open_page: Open) -> None:
    evidence_scene.prepare(house.stage)
    page = open_page(SYSTEM)
    page.get_by_role("link", name="证照业务").click()
    page.get_by_role("link", name="事项目录").click()
    row = page.get_by_role("row").filter(has_text="370105003001").filter(has_text="历下区教育主管部门")
    expect(row.get_by_role("cell", name="义务教育学生转学")).to_be_visible()
    expect(row.get_by_role("cell", name="15 个工作日")).to_be_visible()
    row.get_by_role("link").click()
    expect(page.get_by_role("cell", name="居民身份证 (监护人)", exact=True)).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_text("Student transfer in compulsory education")).to_be_visible()


def test_the_language_is_the_readers(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM, f"/console/find?id={REGISTRY}")
    page.get_by_role("button", name="English").click()
    assert page.url.endswith(f"/console/find?id={REGISTRY}")  # one stays where one is
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("button", name="退出")).to_be_visible()


def test_the_page_says_so_when_the_hub_does_not_answer(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM)
    page.route("**/console/live", lambda route: route.fulfill(status=404))
    page.evaluate("refresh()")
    expect(page.get_by_role("alert")).to_contain_text("连接中断")
    page.unroute("**/console/live")
    page.evaluate("refresh()")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_nothing_hangs_over_on_a_telephone(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM, viewport={"width": 390, "height": 844})
    lists = [f"/console/lists/{name}" for name in LISTINGS]
    for path in ("/console", f"/console/find?id={REGISTRY}", "/console/verify", "/console/differences", *lists):
        page.goto(house.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


@pytest.mark.parametrize("language", ["zh", "en"])
def test_lists_are_read_without_scrolling_sideways(house: House, open_page: Open, language: str) -> None:
    widest.fill(house.stage)
    page = open_page(SYSTEM, viewport={"width": 1360, "height": 800})
    page.context.add_cookies([{"name": "hub_language", "value": language, "url": house.url + "/console"}])
    for path in ("/console", "/console/differences", *(f"/console/lists/{name}" for name in LISTINGS)):
        page.goto(house.url + path)
        hidden = page.evaluate(
            "[...document.querySelectorAll('.scroll')].map((box) => box.scrollWidth - box.clientWidth).filter((n) => n > 0)"
        )
        assert hidden == [], path


def test_a_keyboard_skips_the_header_and_keeps_its_place(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM, viewport={"width": 600, "height": 800})
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
    expect(page.get_by_role("link", name="跳到正文")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    table = page.get_by_role("region", name="全部端点")
    table.focus()
    table.evaluate("box => { box.scrollLeft = 60; }")
    with page.expect_response("**/console/live"):
        page.evaluate("refresh()")
    page.wait_for_timeout(200)
    expect(table).to_be_focused()
    assert table.evaluate("box => box.scrollLeft") == 60
    assert page.title() == "教育政务互通枢纽"
    page.get_by_role("link", name="归集对账", exact=True).click()
    assert page.title() == "归集对账 · 教育政务互通枢纽"
    expect(page.get_by_role("link", name="归集对账", exact=True)).to_have_attribute("aria-current", "page")


def test_every_field_has_a_label_and_every_table_its_headings(house: House, open_page: Open) -> None:
    page = open_page(SYSTEM)
    for path in ("/console", f"/console/find?id={REGISTRY}", "/console/verify", "/console/password"):
        page.goto(house.url + path)
        nameless = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, button')].filter((field) =>"
            " !field.labels?.length && !field.ariaLabel && !field.textContent.trim()).map((field) => field.outerHTML)"
        )
        assert nameless == [], path


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("javascript", [True, False])
def test_a_file_is_verified_with_and_without_javascript(house: House, open_page: Open, javascript: bool) -> None:
    page = open_page(SYSTEM, "/console/verify", java_script_enabled=javascript)
    hostile = {
        "name": "<img src=x onerror=alert(1)>.ofd",
        "mimeType": "application/ofd",
        "buffer": b"PK\x03\x04 no archive",
    }
    page.locator("input[type=file]").set_input_files(hostile)  # type: ignore[arg-type]
    page.get_by_role("button", name="验证文件").click()
    expect(page.get_by_role("heading", name=re.compile("结论"))).to_contain_text(
        "不通过：文件格式不符合标准（FORMAT_FAILURE）"
    )
    expect(page.get_by_text("OFD 文件格式错误：不是 ZIP 压缩包").first).to_be_visible()
    expect(page.get_by_text("<img src=x onerror=alert(1)>.ofd")).to_be_visible()
