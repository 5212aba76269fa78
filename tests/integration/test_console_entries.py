"""The console's pages of the e-certificate rooms, on both databases: lists, one entry by each of its ids, and no personal data."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from hub import tables as t
from hub.access.operators import Role
from hub.app import Hub
from hub.console.entries.lists import LISTINGS
from hub.console.entries.model import PAGE
from hub.console.words import WORDS
from hub.db import Tx
from hub.ecerts.collect.faults import fault
from hub.ecerts.notices import Notice
from tests.integration.test_console import add_endpoint, client, hub, links, signed_in

__all__ = ["hub", "links"]  # fixtures
REQUEST, BATCH, CODE, SHOWN = "evr_1", "col_1", "auth_1", "pres_1"


def notice(**changes: object) -> Notice:
    said: dict[str, object] = {
        "id": "鲁教办〔2026〕7号",
        "title": "关于民办学校办学许可证延期的公告",
        "source": "省教育厅网站",
        "ecert_type": "private-school-licence",
        "region": "370000",
        "issued_on": date(2026, 1, 5),
        "expired_from": date(2025, 12, 1),
        "expired_until": date(2026, 3, 31),
        "deemed_valid_until": date(2099, 6, 30),
    }
    return Notice.model_validate(said | changes)


def fill(tx: Tx) -> None:
    at = tx.now

    def insert(table: sa.Table, **values: object) -> None:
        tx.conn.execute(sa.insert(table).values(values))

    insert(
        t.evidence_requests,
        id=REQUEST,
        system_id="s",
        message_id="m-evidence",
        digest="d",
        subject_index="hash-of-holder",
        item_code="370000001",
        region="370102",
        case_reference="reference-of-the-caller",
        purpose="teacher-qualification",
        state="pending",
        asked_at=at,
        owned_until=at,
        owner="o",
        purge_at=at,
        grounds="{}",
        request_sealed=b"sealed",
    )
    insert(
        t.evidence_documents,
        request_id=REQUEST,
        document="degree",
        standing="issuer-unreachable",
        reason="http-503",
        endpoint_id="e",
        followed_up=True,
        document_sealed=b"sealed",
    )
    insert(
        t.consents,
        id="consent_1",
        registered_by="s",
        holder_index="hash-of-holder",
        scope="{}",
        reference="reference-of-the-caller",
        given_at=at,
        ends_at=at + timedelta(days=1),
    )
    insert(
        t.collect_batches,
        id=BATCH,
        system_id="s",
        message_id="m-batch",
        digest="d",
        region="370102",
        endpoint_id="e",
        form="csv",
        node="n",
        state="delivering",
        rows_read=3,
        next_row=4,
        percent=75,
        received_at=at,
    )
    for row, state in enumerate(("delivered", "suspended", "suspended"), 1):
        insert(
            t.collect_rows,
            batch_id=BATCH,
            row=row,
            state=state,
            endpoint_id="e",
            system_id="s",
            came_at=at,
            delivery_key="key-1",
            record_sealed=b"sealed",
        )
    insert(
        t.deliveries,
        id="dlv_collect",
        endpoint_id="e",
        case_id="key-1",
        kind="collect",
        subject="key-1",
        state="suspended",
        idempotency_key="key-1",
        due_at=at,
        created_at=at,
        body_sealed=b"x",
    )
    insert(
        t.authorizations,
        id=CODE,
        locator_hash="l",
        code_hash="c",
        issued_by="s",
        holder_index="hash-of-holder",
        scope="{}",
        issued_at=at,
        expires_at=at + timedelta(seconds=180),
        use_s=60,
        purge_at=at,
        holder_sealed=b"sealed",
    )
    insert(
        t.presentations,
        id=SHOWN,
        system_id="s",
        message_id="m-shown",
        message_hash="h",
        code_hash="c2",
        kind="ecert",
        endpoint_id="e",
        holder_index="hash-of-holder",
        scope="{}",
        case_reference="reference-of-the-caller",
        state="outcome-unknown",
        begun_at=at,
        owner="o",
        owned_until=at,
        expires_at=at,
        use_s=60,
        purge_at=at,
        holder_sealed=b"sealed",
    )
    insert(
        t.extension_notices,
        id="鲁教办〔2026〕7号",
        definition=notice().model_dump_json(),
        added_at=at,
        added_by="operator:shell:a",
    )
    insert(t.throttled_callers, system_id="s", subjects=400, since=at, until=at)
    insert(t.guessing_callers, system_id="s", codes=57, since=at, until=at)


@pytest.fixture
def filled(hub: Hub) -> Hub:
    add_endpoint(hub)
    hub.db.write(fill)
    return hub


@pytest.mark.parametrize("role", [Role.SYSTEM, Role.AUDIT])
def test_every_list_is_shown_to_whoever_is_signed_in(filled: Hub, links: dict[Role, str], role: Role) -> None:
    browser, _ = signed_in(filled, links, role)
    for name in LISTINGS:
        page = browser.get(f"/console/lists/{name}")
        assert page.status_code == 200
        assert WORDS["listing"][name][0] in page.text
        for secret in ("hash-of-holder", "reference-of-the-caller", "sealed"):
            assert secret not in page.text
    assert browser.get("/console/lists/none").status_code == 404
    assert "登录" in client(filled).get("/console/lists/notices").text


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (REQUEST, ("发证机关无应答", "对方服务暂停 (503)", "学位", "教师资格认定")),
        ("m-evidence", (REQUEST,)),
        (BATCH, ("报送中", "75 %", "挂起待决定")),
        ("m-batch", (BATCH,)),
        ("dlv_collect", (BATCH, "电子证照归集")),
        (CODE, ("授权码",)),
        (SHOWN, ("结果未知",)),
        ("m-shown", (SHOWN,)),
        ("鲁教办〔2026〕7号", ("延期公告",)),
        ("s", ("疑似批量查询的系统", "400")),
    ],
)
def test_an_entry_is_found_by_each_of_its_ids(
    filled: Hub, links: dict[Role, str], wanted: str, shown: tuple[str, ...]
) -> None:
    browser, _ = signed_in(filled, links)
    page = browser.get("/console/find", params={"id": wanted}).text
    for text in shown:
        assert text in page, text
    for secret in ("hash-of-holder", "reference-of-the-caller"):
        assert secret not in page


def test_an_expired_certificate_is_no_late_delivery(filled: Hub, links: dict[Role, str]) -> None:
    table = t.evidence_documents
    gone = {"standing": "deemed-valid", "reason": "expired"}
    filled.db.write(lambda tx: tx.conn.execute(sa.update(table).where(table.c.request_id == REQUEST).values(gone)))
    browser, _ = signed_in(filled, links)
    page = browser.get("/console/find", params={"id": REQUEST}).text
    assert "已过期 <code>expired</code>" in page
    assert "已过投递期限" not in page


def test_a_long_list_is_turned_page_by_page(filled: Hub, links: dict[Role, str]) -> None:
    def many(tx: Tx) -> None:
        said = notice().model_dump_json()
        rows = [{"id": f"n-{n:04}", "definition": said, "added_at": tx.now, "added_by": "x"} for n in range(PAGE + 5)]
        tx.conn.execute(sa.insert(t.extension_notices), rows)

    filled.db.write(many)
    browser, _ = signed_in(filled, links)
    first = browser.get("/console/lists/notices").text
    assert 'rel="next"' in first
    assert "n-0001" not in first
    assert "n-0001" in browser.get("/console/lists/notices?before=n-0005").text


def test_a_batch_says_what_is_wrong_with_its_rows(filled: Hub, links: dict[Role, str]) -> None:
    """As its system reads it: row, column, reason and cure; a refusal of the library in words."""
    wrong = fault(2, "holderCode", "missing").model_dump(mode="json", exclude={"row"})

    def write(tx: Tx) -> None:
        r = t.collect_rows
        first, second = (r.c.batch_id == BATCH) & (r.c.row == 2), (r.c.batch_id == BATCH) & (r.c.row == 3)
        tx.conn.execute(sa.update(r).where(first).values(state="faulty", faults=json.dumps([wrong])))
        tx.conn.execute(sa.update(r).where(second).values(state="refused", code="not-found"))

    filled.db.write(write)
    browser, _ = signed_in(filled, links)
    page = browser.get("/console/find", params={"id": BATCH}).text
    assert re.search(r"<td>2</td>.*?有差错.*?<td>持证主体代码</td><td>未填写: 请填写此列</td>", page)
    assert re.search(r"<td>3</td>.*?被拒绝.*?省电子证照库未收取: 库中没有此证照: 请核对证照标识", page)
