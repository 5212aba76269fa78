"""The item catalogue stored, on both databases, asked over REST and by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from hub import tables as t
from hub.commands import items as command
from hub.db import Database, Tx
from hub.ecerts.items import service, store
from hub.ecerts.items.records import heading, to_rows
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.items.table_file import write_table
from hub.intake import assembly
from hub.intake.cursors import Cursors
from hub.intake.items_rest import items_router
from hub.intake.limits import RateLimiter
from tests.integration.intake_hub import RunningHub, running_hub

ACTOR = "operator:test"


def changed(items: ItemCatalogue, path: Path, key: str, **values: object) -> Path:
    entries = [e.model_copy(update=values) for e in items.current().entries() if e.key == key]
    assert entries
    write_table(path, heading(), to_rows(entries))
    return path


def test_an_import_is_whole_idempotent_and_keeps_what_is_in_effect(database: Database, tmp_path: Path) -> None:
    items = ItemCatalogue(database)
    first = items.import_example(actor=ACTOR)
    assert (first.added, first.unchanged, first.faults) == (62, 0, ())
    assert items.import_example(actor=ACTOR).unchanged == 62
    item = items.current().item("370105001001", datetime.now(UTC))
    assert item is not None
    file = changed(items, tmp_path / "a.csv", item.basic_code, limit=20)
    refused = items.import_file(file, actor=ACTOR)
    assert [(fault.row, fault.column) for fault in refused.faults] == [(2, "version")]
    later = changed(items, tmp_path / "b.xlsx", item.basic_code, limit=20, version=3,
                    effective_from=item.effective_from.replace(year=2099))  # fmt: skip
    assert items.import_file(later, actor=ACTOR, dry_run=True).added == 1
    assert len(items.current().versions("item", item.basic_code)) == 1
    assert items.import_file(later, actor=ACTOR).added == 1
    again = changed_version(items, tmp_path / "c.csv", item.basic_code, limit=19)
    assert items.import_file(again, actor=ACTOR).replaced == 1
    assert [v.version for v in items.current().versions("item", item.basic_code)] == [2, 3]
    assert items.current().item(item.basic_code, datetime(2099, 2, 1, tzinfo=UTC)).limit == 19  # type: ignore[union-attr]


def changed_version(items: ItemCatalogue, path: Path, code: str, **values: object) -> Path:
    entries = [e.model_copy(update=values) for e in items.current().entries() if e.key == code and e.version == 3]
    write_table(path, heading(), to_rows(entries))
    return path


def test_purposes_are_words_of_the_rules_and_only_what_is_stored_without_goes_without(
    database: Database, tmp_path: Path
) -> None:
    items = ItemCatalogue(database)
    items.import_example(actor=ACTOR)
    code, ahead = "370105002002", datetime(2099, 1, 1).date()
    stored = items.current().versions("item", code)[0].model_copy(update={"version": 1, "purposes": None})
    before = stored.model_copy(update={"effective_from": datetime(2025, 1, 1).date(), "law_covers": None})
    row = service._row(before, datetime.now(UTC), ACTOR)
    assert "purposes" not in row.definition
    assert "law" not in row.definition
    database.write(lambda tx: store.put(tx.conn, [row]))
    items.forget()
    assert items.export_file(tmp_path / "all.csv") == 63
    assert items.import_file(tmp_path / "all.csv", actor=ACTOR).unchanged == 63
    for purposes, word in (None, "新版本须写明用途"), (("teacher-training",), "teacher-training"):
        table = tmp_path / "t.csv"
        new = before.model_copy(update={"version": 3, "effective_from": ahead, "purposes": purposes})
        write_table(table, heading(), to_rows([new]))
        (fault,) = items.import_file(table, actor=ACTOR).faults
        assert fault.column == "purposes"
        assert word in fault.reason_zh
        assert "teacher-qualification" in fault.reason_zh


def test_what_one_row_cannot_show_is_checked_too(database: Database, tmp_path: Path) -> None:
    items = ItemCatalogue(database)
    items.import_example(actor=ACTOR)
    code = next(e.key for e in items.current().entries() if e.kind == "implementation" and e.limit == 10)  # type: ignore[union-attr]
    out_of_order = changed(items, tmp_path / "a.csv", code, version=2)
    assert [f.column for f in items.import_file(out_of_order, actor=ACTOR).faults] == ["effective_from"]
    too_long = changed(items, tmp_path / "b.csv", code, version=2, limit=11,
                       effective_from=datetime(2030, 1, 1).date())  # fmt: skip
    assert [f.column for f in items.import_file(too_long, actor=ACTOR).faults] == ["limit"]
    orphan = changed(items, tmp_path / "c.csv", code, code=code[:19] + "999999999999")
    assert [f.column for f in items.import_file(orphan, actor=ACTOR).faults] == ["code"]
    with database.read() as conn:
        assert len(store.load(conn)) == 62


@pytest.mark.parametrize(
    ("change", "column", "said"),
    [
        ({"endpoint": "nowhere"}, "endpoint", "没有此端点"),
        ({"endpoint": "registry-only"}, "endpoint", "registry"),
        ({"service": "registry"}, "service", "ecert-library"),
        ({"endpoint": "library"}, None, ""),
        ({}, None, ""),
    ],
)
def test_a_source_is_one_that_can_be_asked(
    database: Database, tmp_path: Path, change: dict[str, str], column: str | None, said: str
) -> None:
    items = ItemCatalogue(database)
    items.import_example(actor=ACTOR)

    def register(tx: Tx) -> None:
        tx.conn.execute(sa.insert(t.systems).values(id="s", name="s", enabled=True, created_at=tx.now))
        for name, serves in ("registry-only", "registry"), ("library", "ecert-library"):
            tx.conn.execute(
                sa.insert(t.endpoints).values(
                    id=name, system_id="s", adapter="a", service=serves, region="370000", base_url="https://127.0.0.1",
                    max_concurrency=1, timeout_s=5, created_at=tx.now,
                )
            )  # fmt: skip

    database.write(register)
    ahead = {"version": 2, "effective_from": datetime(2030, 1, 1).date()}
    report = items.import_file(changed(items, tmp_path / "a.csv", "id-card/370000", **ahead, **change), actor=ACTOR)
    assert [fault.column for fault in report.faults] == ([column] if column else [])
    assert all(said in fault.reason_zh for fault in report.faults)


def test_rows_are_checked_together_while_other_cells_have_faults(database: Database, tmp_path: Path) -> None:
    """One round of mending: what the table says as a whole is told beside each cell's fault, and nothing that only follows."""
    items = ItemCatalogue(database)
    items.export_file(tmp_path / "head.csv")
    with as_file(files("hub.ecerts") / "data" / "items.csv") as path:
        text = path.read_text(encoding="utf-8-sig")
    text = text.replace(",province,30,", ",province,thirty,", 1)  # row 2: its implementation is told nothing of it
    text = text.replace("teacher-qualification,,", "teacher-training,,", 2)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    faults = items.import_file(tmp_path / "t.csv", actor=ACTOR).faults
    assert {fault.column for fault in faults} == {"limit", "purposes"}
    assert [fault.row for fault in faults if fault.column == "limit"] == [2]
    assert ["teacher-training" in fault.reason_zh for fault in faults if fault.column == "purposes"] == [True]
    assert items.current().items(datetime.now(UTC)) == []


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state")) as running:
        items = ItemCatalogue(running.db)
        items.import_example(actor=ACTOR)
        gate = assembly.create_gate(running.settings, running.db, running.directory)
        limiter = RateLimiter(1000, 1000)
        running.app.include_router(items_router(gate, items, Cursors(b"k" * 32), limiter))
        yield running


def get(hub: RunningHub, path: str, **parameters: str) -> httpx.Response:
    return httpx.get(f"{hub.url}{path}", params=parameters)


def test_an_item_is_told_to_anybody_with_who_handles_it_here(hub: RunningHub) -> None:
    answer = get(hub, "/v1/items/370105002002", region="370102").json()
    assert answer["item"]["titleZh"] == "招用高校毕业生企业登记"
    assert answer["item"]["requiresConsent"] is False
    assert answer["item"]["purposes"] == ["hiring-registration"]
    assert answer["item"]["lawCovers"] == ["business-licence@organisation", "identity-check"]
    assert answer["handling"]["region"] == "370100"
    assert answer["handling"]["reason"] == "delegated"
    assert answer["handling"]["rule"] == "delegate-hiring-jinan"
    assert {source["ecertType"] for source in answer["sources"]} == {"business-licence", "id-card", "identity-check"}
    by_code = get(hub, f"/v1/items/{answer['handling']['code']}").json()
    assert by_code["item"] == answer["item"]
    assert "handling" not in by_code
    nobody = get(hub, "/v1/items/370105003001", region="370000").json()
    assert nobody["notHandled"] == "region-too-coarse"


def test_pages_hold_every_item_once(hub: RunningHub) -> None:
    codes: list[str] = []
    parameters = {"limit": "4", "at": "2026-06-01"}
    while True:
        page = get(hub, "/v1/items", **parameters).json()
        codes += [view["item"]["basicCode"] for view in page["items"]]
        if "nextCursor" not in page:
            break
        parameters["cursor"] = page["nextCursor"]
    assert len(codes) == 9
    assert codes == sorted(set(codes))
    stolen = get(hub, "/v1/items", limit="4", at="2026-06-02", cursor=parameters["cursor"])
    assert stolen.json()["code"] == "page-cursor-invalid"
    assert get(hub, "/v1/items", at="2025-12-31").json() == {"items": []}
    assert len(get(hub, "/v1/items", level="province").json()["items"]) == 3


@pytest.mark.parametrize(("path", "parameters", "status", "code"), [
    ("/v1/items/370105009999", {}, 404, "item-unknown"),
    ("/v1/items/x", {}, 404, "item-unknown"),
    ("/v1/items/1137010000000000002370105001001", {}, 404, "item-unknown"),
    ("/v1/items/370105001001", {"at": "2020-01-01"}, 404, "item-unknown"),
    ("/v1/items/370105001001", {"at": "yesterday"}, 422, "message-invalid"),
    ("/v1/items/370105001001", {"region": "999999"}, 422, "message-invalid"),
    ("/v1/items/370105001001", {"area": "sco-zone"}, 422, "message-invalid"),
    ("/v1/items/370105001001", {"region": "370200", "area": "sco-zoen"}, 422, "message-invalid"),
    ("/v1/items", {"region": "370102", "area": "sco-zone"}, 422, "message-invalid"),
    ("/v1/items", {"level": "village"}, 422, "message-invalid"),
    ("/v1/items", {"limit": "0"}, 422, "message-invalid"),
    ("/v1/items", {"nonsense": "1"}, 422, "message-invalid"),
    ("/v1/items", {"cursor": "nonsense"}, 400, "page-cursor-invalid"),
])  # fmt: skip
def test_refusals(hub: RunningHub, path: str, parameters: dict[str, str], status: int, code: str) -> None:
    response = get(hub, path, **parameters)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_an_area_that_is_none_is_told_with_those_that_there_are(hub: RunningHub) -> None:
    (told,) = get(hub, "/v1/items", region="370200", area="sco-zoen").json()["faults"]
    assert (told["path"], told["rule"]) == ("query:area", "not-in-list")
    assert "sco-zone" in told["cure"]
    (told,) = get(hub, "/v1/items", region="370100", area="sco-zone").json()["faults"]
    assert "该区域没有片区" in told["cure"]


def test_the_description_holds_the_schemas(hub: RunningHub) -> None:
    hub.app.openapi_schema = None
    document = httpx.get(f"{hub.url}/openapi.json").json()
    assert document["paths"]["/v1/items/{code}"]["get"]["operationId"] == "GetItem"
    assert "ItemView" in document["components"]["schemas"]


def test_one_address_is_bounded(tmp_path: Path) -> None:
    with running_hub(tmp_path) as running:
        gate = assembly.create_gate(running.settings, running.db, running.directory)
        limiter = RateLimiter(0.001, 2)
        running.app.include_router(items_router(gate, ItemCatalogue(running.db), Cursors(b"k" * 32), limiter))
        codes = [get(running, "/v1/items").status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_the_commands(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    run = CliRunner()
    assert "62" in run.invoke(command.app, ["import", "--example"]).stdout
    out = tmp_path / "out.xlsx"
    assert run.invoke(command.app, ["export", str(out)]).exit_code == 0
    assert "unchanged 62" in run.invoke(command.app, ["import", str(out)]).stdout
    listed = run.invoke(command.app, ["list", "--region", "370102"])
    assert "370105001001" in listed.stdout
    bad = tmp_path / "bad.csv"
    bad.write_text("record,basic_code\nitem,12\n", encoding="utf-8")
    refused = run.invoke(command.app, ["import", str(bad)])
    assert refused.exit_code == 1
    assert "第 2 行, basic_code 列" in refused.stderr
    rows = out.with_suffix(".csv")
    assert run.invoke(command.app, ["export", str(rows)]).exit_code == 0
    spoilt = rows.read_text(encoding="utf-8-sig").replace(",province,30,", ",province,thirty,", 1)
    bad.write_text(spoilt.replace("id-card,yes", "id-crad,yes", 1), encoding="utf-8")
    told = run.invoke(command.app, ["import", str(bad)]).stderr.splitlines()
    assert [line.partition(":")[0] for line in told[:2]] == ["第 2 行, limit 列", "第 3 行, evidence 列"]
    assert run.invoke(command.app, ["import", str(tmp_path / "none.csv")]).exit_code == 1
    assert run.invoke(command.app, ["list", "--region", "000000"]).exit_code == 1


def test_the_list_says_who_handles_an_item_in_a_named_area(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the demonstration area of Qingdao all is delegated, but for what its negative list keeps."""
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")
    run = CliRunner()
    run.invoke(command.app, ["import", "--example"])

    def handled(*options: str) -> dict[str, str]:
        """By basic code, what stands in the last column."""
        listed = run.invoke(command.app, ["list", "--at", "2026-06-01", *options])
        assert listed.exit_code == 0, listed.stderr
        rows = [[cell.strip() for cell in line.split("│")] for line in listed.stdout.splitlines()]
        return {cells[1]: cells[-2] for cells in rows if len(cells) > 2 and cells[1].isdigit()}

    outside, inside = handled("--region", "370200"), handled("--region", "370200", "--area", "sco-zone")
    assert "by-level" in outside["370105002001"]
    assert "delegated" in inside["370105002001"]
    assert "negative-list" in inside["370105001001"]
    alone = run.invoke(command.app, ["list", "--area", "sco-zone"])
    assert alone.exit_code == 1
    assert "--area 须与 --region 同用" in alone.stderr
    slip = run.invoke(command.app, ["list", "--region", "370200", "--area", "sco-zoen"])
    assert slip.exit_code == 1
    assert "没有片区 sco-zoen; 已有: sco-zone" in slip.stderr
