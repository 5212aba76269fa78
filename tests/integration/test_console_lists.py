"""What the console's lists say beside ids and times, on both databases: names, states, dates, what is complete; and the items."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from html import unescape

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from hub import tables as t
from hub.access.operators import Role
from hub.app import Hub
from hub.console.entries.model import PAGE
from hub.db import Tx
from hub.ecerts.items import store as item_store
from hub.ecerts.solver import Standing
from tests.integration.test_console import add_endpoint, hub, links, signed_in
from tests.integration.test_console_entries import fill, notice

__all__ = ["hub", "links"]  # fixtures
SENIOR = "370105001002"  # 高级中学教师资格认定: identity, education (diploma | degree), putonghua
SENIOR_IN_JINAN = "11370100MB0370100T3370105001002"


@pytest.fixture
def filled(hub: Hub) -> Hub:
    """One entry in every list, a system with a name of its own, and the catalogue that ships."""
    add_endpoint(hub)
    hub.db.write(fill)
    hub.items.import_example(actor="test")
    change(hub, t.systems, name="历下区政务服务大厅")
    change(hub, t.evidence_requests, item_code=SENIOR)
    return hub


@pytest.fixture
def browser(filled: Hub, links: dict[Role, str]) -> TestClient:
    return signed_in(filled, links)[0]


def change(hub: Hub, table: sa.Table, **values: object) -> None:
    hub.db.write(lambda tx: tx.conn.execute(sa.update(table).values(values)))


def rows(browser: TestClient, name: str, query: str = "") -> list[str]:
    """The rows of a list as they are read: cells with | between them."""
    page = browser.get(f"/console/lists/{name}{query}").text
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in body.split("</tr>")[:-1]]
    return [" | ".join(text(cell) for cell in row) for row in cells]


def text(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def in_english(browser: TestClient) -> None:
    assert browser.post("/console/language", data={"language": "en", "back": "/console"}).status_code == 303


# --- names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["evidence-requests", "collections", "authorizations", "presentations", "throttled", "guessing"]
)
def test_a_system_is_named_beside_its_id(browser: TestClient, name: str) -> None:
    (row,) = rows(browser, name)
    assert "s 历下区政务服务大厅" in row


def test_the_page_that_a_system_leads_to_has_its_name(hub: Hub, links: dict[Role, str]) -> None:
    add_endpoint(hub)
    change(hub, t.systems, name="历下区政务服务大厅")
    found = text(signed_in(hub, links)[0].get("/console/find?id=s").text)
    assert "s 历下区政务服务大厅" in found
    assert "没有找到该编号" not in found  # although it has done nothing yet


def test_an_endpoint_is_told_by_its_place_and_service(browser: TestClient) -> None:
    assert "e 历下区 · 学籍系统" in rows(browser, "collections")[0]


def test_a_throttled_caller_is_named_at_the_top_of_the_overview(filled: Hub, browser: TestClient) -> None:
    change(filled, t.throttled_callers, until=filled.db.clock() + timedelta(minutes=1))
    assert "疑似批量查询, 已限制: s 历下区政务服务大厅" in text(browser.get("/console/live").text)


def test_who_guesses_codes_is_told_at_the_top_of_the_overview_and_by_a_metric(filled: Hub, browser: TestClient) -> None:
    now = filled.db.clock()
    change(filled, t.guessing_callers, until=now + timedelta(minutes=9))
    told = text(browser.get("/console").text)
    assert "疑似试码: s 历下区政务服务大厅 · 57 个不存在的授权码 · 自" in told
    assert "限制至" in told
    assert "hub systems revoke s" in told
    assert 'hub_authorization_wrong_codes{system="s"} 57.0' in browser.get("/metrics").text
    in_english(browser)
    assert "57 codes that nobody has" in text(browser.get("/console/live").text)


def test_a_guesser_that_was_let_in_again_is_still_told_but_rings_no_more(filled: Hub, browser: TestClient) -> None:
    change(filled, t.guessing_callers, until=filled.db.clock() - timedelta(hours=3))
    assert "限制已解除于" in text(browser.get("/console").text)
    assert "hub_authorization_wrong_codes{" not in browser.get("/metrics").text


def test_an_item_is_named_in_the_language_of_the_reader_and_its_code_leads_to_it(browser: TestClient) -> None:
    assert f"{SENIOR} 高级中学教师资格认定" in rows(browser, "evidence-requests")[0]
    in_english(browser)
    assert f"{SENIOR} Teacher qualification for senior schools" in rows(browser, "evidence-requests")[0]
    assert f'href="/console/find?id={SENIOR}"' in browser.get("/console/lists/evidence-requests").text


def test_a_code_that_the_catalogue_has_not_stands_alone(filled: Hub, browser: TestClient) -> None:
    change(filled, t.evidence_requests, item_code="379999999999")
    assert "| 379999999999 |" in rows(browser, "evidence-requests")[0]


# --- items ----------------------------------------------------------------------------------------------------------------


def test_the_catalogue_lists_items_with_the_organs_that_handle_them(browser: TestClient) -> None:
    listed = rows(browser, "items")
    item = next(n for n, row in enumerate(listed) if row.startswith(SENIOR))
    assert listed[item] == f"{SENIOR} | 有效 | 高级中学教师资格认定 | 市级 | – | – | 30 个工作日 | 2 | 2026-01-02"
    assert listed[item + 1] == (
        f"{SENIOR_IN_JINAN} | 有效 | 高级中学教师资格认定 | 市级 | 济南市教育局 | 网上, 窗口, 移动端 | 30 个工作日 | 1 | 2026-01-01"
    )
    assert "事项目录" in browser.get("/console/lists/evidence-requests").text  # one click from the other lists
    in_english(browser)
    assert (
        "Teacher qualification for senior schools | city | 济南市教育局 | portal, service hall, app | 30 working days"
        in ("\n".join(rows(browser, "items")))
    )


def test_an_item_that_is_not_in_force_says_so(filled: Hub, browser: TestClient) -> None:
    with filled.db.read() as conn:
        stored = {row.key: row for row in item_store.load(conn)}
    item, organ = stored[SENIOR], stored[SENIOR_IN_JINAN]

    def version(row: item_store.EntryRow, number: int, begins: str, **values: str) -> dict[str, object]:
        said = json.loads(row.definition) | {"version": number, "effectiveFrom": begins, **values}
        return {"kind": row.kind, "key": row.key, "version": number, "effective_from": begins, "digest": "d",
                "definition": json.dumps(said), "imported_at": row.imported_at + timedelta(days=1), "imported_by": "x"}  # fmt: skip

    def write(tx: Tx) -> None:
        ahead, over = version(item, 3, "2099-01-01"), version(organ, 2, "2026-01-02", effectiveUntil="2026-01-31")
        tx.conn.execute(sa.insert(t.catalogue), [ahead, over])

    filled.db.write(write)
    filled.items.forget()
    listed = {row.split(" | ")[0]: row for row in rows(browser, "items")}
    assert listed[SENIOR].endswith("| 2 | 2026-01-02")  # the version in force
    assert "已失效" in listed[SENIOR_IN_JINAN]
    assert "下一版本生效 2099-01-01" in text(browser.get("/console/find", params={"id": SENIOR}).text)


@pytest.mark.parametrize("code", [SENIOR, SENIOR_IN_JINAN, SENIOR_IN_JINAN + "01"])
def test_an_item_is_found_by_its_codes_with_what_it_asks_for(browser: TestClient, code: str) -> None:
    found = text(browser.get("/console/find", params={"id": code}).text)
    assert "高级中学教师资格认定" in found
    assert "《中华人民共和国教师法》" in found
    assert "用途 教师资格认定" in found
    assert "学历或学位" in found
    assert "学位证" in found
    assert " 或 " in found


def test_a_long_catalogue_is_turned_page_by_page_and_every_code_stands_once(
    filled: Hub, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.console.entries.items.PAGE", 10)
    seen, query = [], ""
    while True:
        seen += [row.split(" | ")[0] for row in rows(browser, "items", query)]
        following = re.search(
            r'rel="next" href="/console/lists/items([^"]+)"', browser.get(f"/console/lists/items{query}").text
        )
        if following is None:
            break
        query = following[1]
    with filled.db.read() as conn:
        codes = {row.key for row in item_store.load(conn) if row.kind in ("item", "implementation")}
    assert len(seen) == len(codes) > 10
    assert set(seen) == codes


def test_a_hub_without_a_catalogue_says_how_to_get_one(hub: Hub, links: dict[Role, str]) -> None:
    assert "hub items import" in signed_in(hub, links)[0].get("/console/lists/items").text


# --- extension notices ------------------------------------------------------------------------------------------------------


def test_a_notice_tells_its_title_type_and_days(browser: TestClient) -> None:
    (row,) = rows(browser, "notices")
    assert row.startswith("鲁教办〔2026〕7号 | 有效 | 关于民办学校办学许可证延期的公告 | ")
    assert "办学许可证 | 山东省 | 2026-01-05 | 2025-12-01 – 2026-03-31 | 2099-06-30 | " in row
    assert "省教育厅网站" in browser.get("/console/find", params={"id": "鲁教办〔2026〕7号"}).text


def test_the_notice_that_came_last_stands_first_on_every_page(filled: Hub, browser: TestClient) -> None:
    def write(tx: Tx) -> None:
        numbers = [f"文 {n}" for n in range(PAGE, 0, -1)]  # their numbers run against their age
        values = [{"id": number, "definition": notice(id=number).model_dump_json(), "added_at": tx.now + timedelta(seconds=age),
                   "added_by": "x"} for age, number in enumerate(numbers, 1)]  # fmt: skip
        tx.conn.execute(sa.insert(t.extension_notices), values)

    filled.db.write(write)
    first = rows(browser, "notices")
    assert [row.split(" | ")[0] for row in (first[0], first[-1])] == ["文 1", f"文 {PAGE}"]
    assert [row.split(" | ")[0] for row in rows(browser, "notices", f"?before=文 {PAGE}")] == ["鲁教办〔2026〕7号"]


@pytest.mark.parametrize(
    ("days", "withdrawn", "said"),
    [
        ({}, True, "已撤回"),
        ({"issued_on": date(2098, 1, 1)}, False, "尚未生效"),
        ({"deemed_valid_until": date(2026, 1, 31)}, False, "已失效"),
    ],
)
def test_a_notice_that_does_not_hold_says_so(
    filled: Hub, browser: TestClient, days: dict[str, object], withdrawn: bool, said: str
) -> None:
    at = filled.db.clock() if withdrawn else None
    change(filled, t.extension_notices, definition=notice(**days).model_dump_json(), withdrawn_at=at)
    assert f"| {said} |" in rows(browser, "notices")[0]


# --- authorization codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "attempts", "used", "revoked", "said"),
    [
        (3, 4, False, False, "待使用"),
        (3, 5, False, False, "试错过多, 已锁定"),
        (-3, 0, False, False, "已过期"),
        (-3, 5, True, False, "已使用"),
        (3, 0, False, True, "已撤销或吊销"),
        (-3, 0, True, True, "已撤销或吊销"),
    ],
)
def test_a_code_says_how_it_stands_now(
    filled: Hub, browser: TestClient, minutes: int, attempts: int, used: bool, revoked: bool, said: str
) -> None:
    now = filled.db.clock()
    change(filled, t.authorizations, expires_at=now + timedelta(minutes=minutes), attempts=attempts,
           redeemed_at=now if used else None, revoked_at=now if revoked else None)  # fmt: skip
    assert rows(browser, "authorizations")[0].startswith(f"auth_1 | {said} |")


@pytest.mark.parametrize(
    ("given", "ends", "withdrawn", "said"),
    [(-1, 1, False, "有效"), (-2, -1, False, "已过期"), (1, 2, False, "尚未生效"), (-1, 1, True, "已撤回")],
)
def test_a_consent_says_whether_it_holds(
    filled: Hub, browser: TestClient, given: int, ends: int, withdrawn: bool, said: str
) -> None:
    now = filled.db.clock()
    change(filled, t.consents, given_at=now + timedelta(days=given), ends_at=now + timedelta(days=ends),
           revoked_at=now if withdrawn else None)  # fmt: skip
    assert f" | {said} | " in rows(browser, "consents")[0]


def test_a_shown_code_that_was_used_says_so(filled: Hub, browser: TestClient) -> None:
    now = filled.db.clock()
    change(filled, t.presentations, state="authorized", use_until=now + timedelta(minutes=1))
    assert rows(browser, "presentations")[0].startswith("pres_1 | 持有人已同意 |")
    change(filled, t.presentations, used_at=now)
    assert rows(browser, "presentations")[0].startswith("pres_1 | 已使用 |")


# --- requests for evidence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "zh", "en"),
    [
        ({"id-card": "held", "degree": "held", "putonghua-level": "deemed-valid"}, "完整 3/3", "complete 3/3"),
        ({"id-card": "held", "degree": "held", "putonghua-level": "revoked"}, "部分 2/3", "partial 2/3"),
        ({"id-card": "no-match"}, "均未满足 0/3", "nothing met 0/3"),
    ],
)
def test_an_answered_request_says_whether_all_was_answered(
    filled: Hub, browser: TestClient, held: dict[str, str], zh: str, en: str
) -> None:
    answer(filled, held)
    assert f"evr_1 | 已答复 | {zh} |" in rows(browser, "evidence-requests")[0]
    assert zh in text(browser.get("/console/find", params={"id": "evr_1"}).text)
    in_english(browser)
    assert f"evr_1 | answered | {en} |" in rows(browser, "evidence-requests")[0]


def test_a_request_that_is_being_fetched_has_no_answer_yet(filled: Hub, browser: TestClient) -> None:
    change(filled, t.evidence_requests, state="open")
    assert "evr_1 | 取证中 | – |" in rows(browser, "evidence-requests")[0]


def answer(hub: Hub, standings: dict[str, str]) -> None:
    def write(tx: Tx) -> None:
        tx.conn.execute(sa.delete(t.evidence_documents))
        values = [{"request_id": "evr_1", "document": document, "standing": Standing(standing).value, "followed_up": False}
                  for document, standing in standings.items()]  # fmt: skip
        tx.conn.execute(sa.insert(t.evidence_documents), values)

    hub.db.write(write)
    change(hub, t.evidence_requests, state="answered", answered_at=hub.db.clock())
