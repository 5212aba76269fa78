"""The console over HTTP, on both databases: sessions, links, passwords, roles, tokens, headers, and what a stranger may not do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from adapters.contract import Adapter, PeerMisconfigured
from hub import tables as t
from hub.access.operators import Role
from hub.access.operators.throttle import TRIES
from hub.app import Hub
from hub.config import Settings
from hub.console import store
from hub.db import AuditEntry, Tx
from hub.ecerts.evidence.store import note_throttled

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:8700"


@pytest.fixture
def hub(database_url: str, state_dir: Path) -> Iterator[Hub]:
    """A hub that serves but does not deliver: nothing is started."""
    made = Hub(Settings(state_dir=state_dir, database_url=database_url))
    yield made
    made.db.close()


@pytest.fixture
def links(hub: Hub) -> dict[Role, str]:
    return hub.operators.first_links()


def client(hub: Hub, base: str = BASE) -> TestClient:
    return TestClient(hub.app, base_url=base, follow_redirects=False)


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


def signed_in(hub: Hub, links: dict[Role, str], role: Role = Role.SYSTEM) -> tuple[TestClient, str]:
    browser = client(hub)
    answer = browser.post(f"/console/link/{links[role]}")
    assert answer.status_code == 303
    return browser, csrf_of(browser.get("/console/password").text)


def audited(hub: Hub, action: str) -> list[tuple[str, str]]:
    with hub.db.read() as conn:
        query = sa.select(t.audit.c.object, t.audit.c.outcome).where(t.audit.c.action == action).order_by(t.audit.c.seq)
        return [tuple(row) for row in conn.execute(query)]


@pytest.mark.parametrize("address", ["/", "/console/"])
def test_what_a_person_types_leads_to_the_console(hub: Hub, address: str) -> None:
    answer = client(hub).get(address)
    assert (answer.status_code, answer.headers["location"]) == (307, "/console")
    assert client(hub).get(answer.headers["location"]).status_code == 200


def add_endpoint(hub: Hub, *, suspended: int = 0) -> None:
    def fill(tx: Tx) -> None:
        tx.conn.execute(sa.insert(t.systems).values(id="s", name="s", enabled=True, created_at=tx.now))
        row = {"id": "e", "system_id": "s", "adapter": "county_rest", "service": "registry", "region": "370102",
               "base_url": "http://127.0.0.1:9", "max_concurrency": 1, "timeout_s": 5, "created_at": tx.now}  # fmt: skip
        tx.conn.execute(sa.insert(t.endpoints).values(row))
        for n in range(suspended):
            row = {"id": f"dlv_{n}", "endpoint_id": "e", "case_id": "c", "kind": "event", "subject": "x", "state": "suspended",
                   "idempotency_key": f"k{n}", "due_at": tx.now, "created_at": tx.now, "body_sealed": b"x"}  # fmt: skip
            tx.conn.execute(sa.insert(t.deliveries).values(row))

    hub.db.write(fill)


def states(hub: Hub) -> list[str]:
    with hub.db.read() as conn:
        return list(conn.execute(sa.select(t.deliveries.c.state).order_by(t.deliveries.c.id)).scalars())


# --- sessions -----------------------------------------------------------------------------------------------------------


def test_the_cookie_is_kept_from_scripts_and_other_sites(hub: Hub, links: dict[Role, str]) -> None:
    cookie = client(hub).post(f"/console/link/{links[Role.SYSTEM]}").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/console" in cookie
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_for_https_only(database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path / "state", database_url=database_url, public_url="https://hub.example.gov.cn"
    )
    made = Hub(settings)
    try:
        token = made.operators.first_links()[Role.SYSTEM]
        answer = client(made, "https://hub.example.gov.cn").post(f"/console/link/{token}")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
    finally:
        made.db.close()


def test_every_answer_has_the_headers(hub: Hub, links: dict[Role, str]) -> None:
    browser, _ = signed_in(hub, links)
    for path in (
        "/console",
        "/console/live",
        "/console/find?id=x",
        "/console/audit",
        "/console/verify",
        "/console/link/x",
    ):
        answer = browser.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src)|<style| style=|\son\w+=|https?://(?!127)", answer.text), path


def test_looking_at_a_link_does_not_use_it_and_using_it_does(hub: Hub, links: dict[Role, str]) -> None:
    link = f"/console/link/{links[Role.SECURITY]}"
    assert client(hub).get(link).status_code == 200
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client(hub).post(link).status_code, range(4)))
    assert sorted(answers) == [303, 403, 403, 403]


def test_signing_out_ends_the_session_on_the_hub(hub: Hub, links: dict[Role, str]) -> None:
    browser, csrf = signed_in(hub, links)
    token = browser.cookies["hub_session"]
    assert browser.post("/console/sign-out", data={"csrf": csrf}).status_code == 303
    stolen = client(hub)
    stolen.cookies.set("hub_session", token)
    assert stolen.get("/console/live").status_code == 401
    assert audited(hub, "operator.sign-out")


def test_the_live_part_of_the_page_ends_with_the_session(hub: Hub) -> None:
    assert client(hub).get("/console/live").status_code == 401


# --- passwords ----------------------------------------------------------------------------------------------------------


def test_a_password_is_guessed_slowly_and_nobody_else_is_locked_out(hub: Hub, links: dict[Role, str]) -> None:
    for role in (Role.SYSTEM, Role.SECURITY):
        browser, csrf = signed_in(hub, links, role)
        assert browser.post("/console/password", data={"csrf": csrf, "password": PASSWORD}).status_code == 303

    def attempt(name: str, password: str) -> int:
        return client(hub).post("/console/sign-in", data={"name": name, "password": password}).status_code

    assert [attempt("system-administrator", f"guess {n}") for n in range(TRIES)] == [403] * TRIES
    limited = client(hub).post("/console/sign-in", data={"name": "system-administrator", "password": PASSWORD})
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) >= 1
    assert attempt("system-administrator", "again") == 429
    assert attempt("security-administrator", PASSWORD) == 303
    seen = [outcome for object_, outcome in audited(hub, "operator.sign-in") if object_ == "password"]
    assert seen == ["refused"] * TRIES + ["throttled", "signed-in"]
    token = hub.operators.link("system-administrator", by="operator:shell")
    assert client(hub).post(f"/console/link/{token}").status_code == 303


def test_a_new_password_ends_other_sessions_and_links(hub: Hub, links: dict[Role, str]) -> None:
    other, _ = signed_in(hub, links)
    mine, csrf = signed_in(hub, {Role.SYSTEM: hub.operators.link("system-administrator", by="t")})
    unused = hub.operators.link("system-administrator", by="t")
    assert mine.post("/console/password", data={"csrf": csrf, "password": "too short"}).status_code == 422
    assert mine.post("/console/password", data={"csrf": csrf, "password": PASSWORD}).status_code == 303
    assert mine.get("/console/live").status_code == 200
    assert other.get("/console/live").status_code == 401
    assert client(hub).post(f"/console/link/{unused}").status_code == 403


# --- who may do what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.SECURITY, Role.AUDIT])
def test_only_the_system_administrator_acts(hub: Hub, links: dict[Role, str], role: Role) -> None:
    add_endpoint(hub, suspended=1)
    browser, csrf = signed_in(hub, links, role)
    for path, act in (("/console/endpoints/e", "pause"), ("/console/endpoints/e", "probe"),
                      ("/console/endpoints/e", "replay-all"), ("/console/deliveries/dlv_0", "replay")):  # fmt: skip
        answer = browser.post(path, data={"csrf": csrf, "act": act, "reason": "x"})
        assert answer.status_code == 403, (path, act)
    assert states(hub) == ["suspended"]
    assert not audited(hub, "endpoint.pause")


def test_only_the_audit_administrator_reads_the_whole_log(hub: Hub, links: dict[Role, str]) -> None:
    for role, status in ((Role.SYSTEM, 403), (Role.SECURITY, 403), (Role.AUDIT, 200)):
        browser, _ = signed_in(hub, links, role)
        assert browser.get("/console/audit").status_code == status


def test_the_audit_log_is_read_in_pages_and_filtered(hub: Hub, links: dict[Role, str]) -> None:
    entries = [AuditEntry("system:many", "intake.refused", f"req_{n}", "signature-refused") for n in range(250)]
    hub.db.write(lambda tx: tx.audit.extend(entries))
    browser, _ = signed_in(hub, links, Role.AUDIT)
    path, seen = "/console/audit?actor=system:many", []
    while path:
        page = browser.get(path).text
        seen += re.findall(r"<code>(req_\d+)</code>", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"req_{n}" for n in reversed(range(250))]
    assert re.findall(r"<code>(req_\d+)</code>", browser.get("/console/audit?object=req_7").text) == ["req_7"]
    assert "req_" not in browser.get("/console/audit?actor=%25").text  # a filter is no pattern
    assert browser.get("/console/audit?before=nonsense").status_code == 400


def test_a_refusal_is_told_in_words_with_its_code_beside(hub: Hub, links: dict[Role, str]) -> None:
    add_endpoint(hub)
    hub.db.write(lambda tx: tx.conn.execute(sa.update(t.systems).values(name="历下区政务服务大厅")))
    stale = {"operation": "SubmitTransfer", "reason": "signature-stale"}
    entries = [
        AuditEntry("system:s", "intake.refused", "req_1", "signature-refused", stale),
        AuditEntry("system:s", "authorization.redeem", "auth_1", "scope-region"),
        AuditEntry("node", "authorization.guessing", "s", "alert", {"codes": "5", "window": "600"}),
    ]
    hub.db.write(lambda tx: tx.audit.extend(entries))
    browser, _ = signed_in(hub, links, Role.AUDIT)
    page = browser.get("/console/audit").text
    assert "签名验证未通过<small><code>signature-refused</code></small>" in page
    assert "原因: 签名过旧 (signature-stale)" in page
    assert "超出授权的区域<small><code>scope-region</code></small>" in page
    assert "system:s<small>历下区政务服务大厅</small>" in page
    assert ">告警</td>" in page  # our own words need no code
    assert "错误授权码: 5" in page
    browser.post("/console/language", data={"language": "en", "back": "/console"})
    page = browser.get("/console/find?id=req_1").text
    assert "The signature was refused<small><code>signature-refused</code></small>" in page
    assert "reason: the signature is too old (signature-stale)" in page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8700"}, 421),
        ({"host": "localhost:8700"}, 303),
        ({"host": "[::1]:8700"}, 303),
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, 303),
    ],
)
def test_acts_come_from_our_own_pages(hub: Hub, links: dict[Role, str], headers: dict[str, str], status: int) -> None:
    add_endpoint(hub)
    browser, csrf = signed_in(hub, links)
    form = {"csrf": csrf, "act": "pause", "reason": "x"}
    cookie = {"cookie": f"hub_session={browser.cookies['hub_session']}"}
    assert client(hub).post("/console/endpoints/e", data=form, headers=cookie | headers).status_code == status
    assert bool(audited(hub, "endpoint.pause")) is (status == 303)


def test_an_act_needs_the_sessions_own_token(hub: Hub, links: dict[Role, str]) -> None:
    add_endpoint(hub, suspended=1)
    browser, _ = signed_in(hub, links)
    _, others = signed_in(hub, links, Role.SECURITY)
    for form in ({}, {"csrf": "x"}, {"csrf": others}, {"csrf": "汉"}):
        answer = browser.post("/console/deliveries/dlv_0", data={**form, "act": "replay", "reason": "x"})
        assert answer.status_code in (400, 403)
        assert browser.post("/console/sign-out", data={"csrf": "x"}).status_code == 303
        assert browser.get("/console/live").status_code == 200  # nobody signs an operator out either
    assert states(hub) == ["suspended"]


def test_acts_need_a_reason_and_tell_how_they_went(hub: Hub, links: dict[Role, str]) -> None:
    add_endpoint(hub, suspended=3)
    browser, csrf = signed_in(hub, links)

    def act(path: str, what: str, reason: str = "电话确认", back: str = "") -> str:
        form = {"csrf": csrf, "act": what, "reason": reason, "back": back}
        return browser.post(path, data=form).headers["location"]

    assert act("/console/deliveries/dlv_0", "replay", "  ") == "/console?notice=notice-reason"
    assert act("/console/deliveries/dlv_0", "replay") == "/console?notice=notice-done"
    assert act("/console/deliveries/dlv_0", "replay") == "/console?notice=notice-too-late"
    assert act("/console/deliveries/dlv_9", "replay") == "/console?notice=notice-too-late"
    assert act("/console/deliveries/dlv_1", "explode") == "/console?notice=notice-too-late"
    assert states(hub) == ["queued", "suspended", "suspended"]
    assert act("/console/endpoints/e", "replay-all") == "/console?notice=notice-done"
    assert act("/console/endpoints/e", "replay-all") == "/console?notice=notice-nothing"
    assert states(hub) == ["queued"] * 3
    assert len(audited(hub, "delivery.replay")) == 3
    assert act("/console/endpoints/none", "pause") == "/console?notice=notice-too-late"
    assert act("/console/endpoints/none", "probe") == "/console?notice=notice-too-late"
    assert act("/console/endpoints/e", "pause", back="/console/find?id=e") == "/console/find?id=e&notice=notice-done"
    assert act("/console/endpoints/e", "resume", back="//evil.example/") == "/console?notice=notice-done"
    assert act("/console/endpoints/e", "probe", "") == "/console?notice=notice-misconfigured"  # it has no token
    assert audited(hub, "endpoint.probe") == [("e", "misconfigured")]


def test_the_front_page_says_how_many_suspended_deliveries_it_leaves_out(
    hub: Hub, links: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_endpoint(hub, suspended=3)
    browser, _ = signed_in(hub, links)
    assert "以下列出" not in browser.get("/console").text
    monkeypatch.setattr(store, "PAGE", 2)
    assert "以下列出 2 项, 共 3 项" in browser.get("/console").text


def test_a_misconfigured_endpoint_says_that_retrying_does_not_help_and_what_does(
    hub: Hub, links: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: str) -> Adapter:
        raise PeerMisconfigured("2001")

    add_endpoint(hub)
    monkeypatch.setattr(hub.prober, "_adapter_of", wrong)
    browser, csrf = signed_in(hub, links)
    done = browser.post("/console/endpoints/e", data={"csrf": csrf, "act": "probe"})
    assert "重试无用; 请先修改端点的地址" in browser.get(done.headers["location"]).text
    for page in ("/console", "/console/find?id=e"):
        shown = browser.get(page).text
        card = shown[shown.index('<article class="card misconfigured"') : shown.index("</article>")]
        assert "配置有误, 重试无用" in card
        assert "hub endpoints set e" in card
        assert "自动重试" not in shown
        assert re.findall("<button ([^>]*)>", card)[0] == 'name="act" value="probe" formnovalidate', "the one to press"
    hub.db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(paused_at=tx.now, paused_reason="2001")))
    paused = browser.get("/console").text
    assert "配置有误, 重试无用" in paused
    assert "然后恢复" in paused


@pytest.mark.parametrize(
    "back", ["//evil", "https://evil", "/consolexyz", "/console\\evil", "/console//evil", "/console\r\nX: y", "/"]
)
def test_one_comes_back_to_the_console_only(hub: Hub, back: str) -> None:
    answer = client(hub).post("/console/language", data={"language": "en", "back": back})
    assert answer.headers["location"] == "/console"


def test_forms_are_small_and_have_a_length(hub: Hub) -> None:
    assert client(hub).post("/console/sign-in", data={"name": "x" * 20_000, "password": "y"}).status_code == 413
    endless = client(hub).post("/console/sign-in", content=iter([b"name=x"]))
    assert endless.status_code == 411
    longer = client(hub).post("/console/sign-in", data={"name": "x" * 400, "password": "secret"})
    assert longer.status_code == 400
    assert "secret" not in longer.text


def test_an_id_number_is_neither_searched_for_nor_shown(hub: Hub, links: dict[Role, str]) -> None:
    browser, _ = signed_in(hub, links)
    for number in ("11010519491231002X", "G110105194912310021", "110105491231002"):
        answer = browser.get("/console/find", params={"id": number})
        assert answer.status_code == 400
        assert number not in answer.text


# --- files --------------------------------------------------------------------------------------------------------------


def test_a_file_is_verified_only_for_a_session_and_its_token(hub: Hub, links: dict[Role, str]) -> None:
    file = {"file": ("a.pdf", b"%PDF-1.7 nothing", "application/pdf")}
    assert client(hub).post("/console/verify", data={"csrf": "x"}, files=file).status_code == 403
    browser, csrf = signed_in(hub, links, Role.AUDIT)
    assert browser.post("/console/verify", data={"csrf": "x"}, files=file).status_code == 403
    answer = browser.post("/console/verify", data={"csrf": csrf, "policy": "field"}, files=file)
    assert answer.status_code == 200
    assert "结论" in answer.text
    assert len(audited(hub, "document.verify")) == 1
    for fault, status in (
        ({"data": {"csrf": csrf}}, 400),
        ({"data": {"csrf": csrf}, "files": {"file": ("a.pdf", b"")}}, 400),
        ({"data": {"csrf": csrf, "at": "tomorrow"}, "files": file}, 400),
        ({"data": {"csrf": csrf}, "files": {"file": ("a.pdf", bytes(65 * 2**20))}}, 413),
        ({"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"garbage", "headers": {"content-type": "text/plain"}}, 400),
    ):
        assert browser.post("/console/verify", **fault).status_code == status, fault.keys()
    assert len(audited(hub, "document.verify")) == 1


def test_a_caller_that_asks_about_too_many_holders_is_shown_at_the_top(hub: Hub, links: dict[Role, str]) -> None:
    browser, _ = signed_in(hub, links)
    assert "seen-too-often" not in browser.get("/console/live").text

    def throttle(tx: Tx) -> None:
        assert note_throttled(tx.conn, "seen-too-often", 301, tx.now, tx.now + timedelta(minutes=10))
        assert not note_throttled(tx.conn, "seen-too-often", 302, tx.now, tx.now + timedelta(minutes=10))  # told once

    hub.db.write(throttle)
    shown = browser.get("/console/live").text
    assert "seen-too-often" in shown
    assert "302" in shown
    assert 'hub_evidence_throttled_subjects{system="seen-too-often"} 302.0' in client(hub).get("/metrics").text
