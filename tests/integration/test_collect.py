"""Collecting: taken once, identifiers assigned, seals verified, delivered once, reconciled and repaired."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from openpyxl import Workbook
from sqlalchemy.engine import Connection

from adapters.contract import CollectAction
from certs.http.signatures import sign_request
from certs.keys import PrivateKey, SignatureAlgorithm
from hub import tables as t
from hub.access import registration
from hub.access.callers import CallerDirectory, KeyKind, Service
from hub.access.key_files import KeyMaterial
from hub.audit.chain import AuditChain
from hub.config import Settings
from hub.db import Database, Tx
from hub.ecerts.collect import store as collect_store
from hub.ecerts.collect.model import BatchState, DifferenceKind, Repair, RowState
from hub.intake.assembly import create_gate
from hub.intake.collect import collect_router
from hub.intake.cursors import Cursors
from schemas.numbers import CheckVerdict, EcertIdentifier
from schemas.problems import (
    ACCESS_DENIED,
    MESSAGE_ID_CONFLICT,
    MESSAGE_REPLAYED,
    HubProblem,
)
from tests.conftest import AUDIT_KEY
from tests.integration import collect_world
from tests.integration.collect_fixtures import library, one, refused, world
from tests.integration.collect_world import REGION, World, caller, table, values

__all__ = ["library", "world"]  # fixtures
HEAD = (",".join(collect_world.HEADINGS) + "\n").encode()


def test_one_by_one(world: World) -> None:
    taken = one(world)
    assert (taken.state, taken.assigned, taken.faults) == (RowState.WAITING, True, ())
    assert EcertIdentifier.parse(str(taken.identifier)).check is CheckVerdict.PASSED
    assert one(world) == taken  # the same message again
    with pytest.raises(HubProblem) as other:
        one(world, number="20183702100000002")
    assert refused(other) == MESSAGE_ID_CONFLICT.code
    changed = one(world, "m-2", CollectAction.CHANGE, holderName="改名")
    revoked = one(world, "m-3", CollectAction.REVOKE)
    assert changed.identifier == revoked.identifier == taken.identifier
    with world.worker():
        world.until_done(taken.id, changed.id, revoked.id)
    found = world.reconciler().run(actor="test")
    assert [(one.ours, one.theirs, one.differences) for one in found] == [(1, 1, ())]
    with world.db.read() as conn:
        assert conn.execute(sa.select(t.collected.c.standing)).scalars().all() == ["revoked"]
        sealed = b"".join(conn.execute(sa.select(t.collect_rows.c.record_sealed)).scalars())
        texts = "".join(str(row) for row in conn.execute(sa.select(t.audit)))
    assert "示例教师".encode() not in sealed
    assert "示例教师" not in texts


def test_rights_replays_and_conflicts(world: World) -> None:
    with pytest.raises(HubProblem) as denied:
        world.take(table([values(1)]), who=caller(region="370200"))
    assert refused(denied) == ACCESS_DENIED.code
    batch_id = world.take(table([values(1)]), who=caller(nonce="n-1"))
    with pytest.raises(HubProblem) as replayed:
        world.take(table([values(1)]), who=caller(nonce="n-1"))
    assert refused(replayed) == MESSAGE_REPLAYED.code
    assert world.take(table([values(1)]), who=caller(nonce="n-2")) == batch_id
    with pytest.raises(HubProblem) as conflict:
        world.take(table([values(2)]))
    assert refused(conflict) == MESSAGE_ID_CONFLICT.code
    assert world.count(t.collect_files) == 1


def at_two_nodes(world: World, monkeypatch: pytest.MonkeyPatch, take: Callable[[], str]) -> tuple[str, str]:
    """``take``, while another node takes the same between its looking for the message and its writing of it."""
    look, others = collect_store.batch_by_message, []

    def late(conn: Connection, system_id: str, message_id: str) -> collect_store.BatchRow | None:
        found = look(conn, system_id, message_id)
        if not others and conn.get_execution_options().get("hub_writer"):
            others.append("")  # it looks too
            others[0] = take_elsewhere()
        return found

    url = world.db.url.render_as_string(hide_password=False)
    elsewhere = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)

    def take_elsewhere() -> str:
        ours, world.collections.db = world.collections.db, elsewhere
        try:
            return take()
        finally:
            world.collections.db = ours

    monkeypatch.setattr(collect_store, "batch_by_message", late)
    try:
        return take(), others[0]
    finally:
        elsewhere.close()


def test_the_same_message_at_two_nodes_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    if world.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    ours, theirs = at_two_nodes(world, monkeypatch, lambda: one(world).id)
    assert ours == theirs
    ours, theirs = at_two_nodes(world, monkeypatch, lambda: world.take(table([values(7)]), message_id="m-2"))
    assert ours == theirs
    contents = iter([table([values(8)]), table([values(9)])])
    with pytest.raises(HubProblem) as other:
        at_two_nodes(world, monkeypatch, lambda: world.take(next(contents), message_id="m-3"))
    assert refused(other) == MESSAGE_ID_CONFLICT.code
    assert world.count(t.collect_batches) == 3


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_part_that_is_missing_is_not_the_end_of_the_file(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    content = table([values(n) for n in range(40)])
    monkeypatch.setattr("hub.ecerts.collect.files.PART", len(content) // 3 + 1)
    batch_id = world.take(content)
    part = (t.collect_files.c.batch_id == batch_id, t.collect_files.c.part == lost)
    world.db.write(lambda tx: tx.conn.execute(sa.delete(t.collect_files).where(*part)))
    with world.worker():
        world.until_done(batch_id)
    view = world.collections.view(caller(), batch_id)
    assert (view.state, view.reason, view.rows) == (BatchState.UNREADABLE, "file-lost", 0)


@pytest.mark.parametrize(
    ("content", "form", "reason"),
    [
        (b"", "csv", "empty"),
        (b"number\n1\n", "csv", "headings"),
        (b"type;number\n1;2\n", "csv", "separator"),
        (HEAD + b'"a', "csv", "not-a-table"),
        (HEAD, "csv", "no-rows"),  # a failed export, not a success
        (HEAD + b"\xff\xff\xff", "csv", "encoding"),
        (codecs.BOM_UTF16_LE + "type".encode("utf-16-le"), "csv", "encoding"),
        (b"PK\x03\x04", "zip", "not-a-zip"),
        (b"PK\x03\x04", "xlsx", "not-an-excel-file"),
    ],
)
def test_files_that_are_none(world: World, content: bytes, form: str, reason: str) -> None:
    batch_id = world.take(content, form=form)
    with world.worker():
        world.until_done(batch_id)
    view = world.collections.view(caller(), batch_id)
    assert (view.state, view.reason) == (BatchState.UNREADABLE, reason)


def test_excel_and_zip_with_documents(world: World) -> None:
    """A sealed document that says what its row says goes on; altered, somebody else's or under another's seal it does not."""
    rows, files_ = collect_world.documents(world, (1, 41, 42, 3, 900))
    rows[3]["file"] = "gone.ofd"
    book = Workbook()
    book.active.append(list(values(0)))  # type: ignore[union-attr]
    book.active.append(list(values(7).values()))  # type: ignore[union-attr]
    excel = io.BytesIO()
    book.save(excel)
    first = world.take(collect_world.archive(rows, files_), form="zip")
    second = world.take(excel.getvalue(), form="xlsx", message_id="m-2")
    with world.worker():
        world.until_done(first, second)
    reports, _ = world.collections.reports(caller(), first, 0, 10)
    told = {fault.row: fault.rule for report in reports for fault in report.faults if fault.blocking}
    assert told.pop(6) == "file-sealed-by-another"
    assert told.pop(5) == "file-missing"
    assert told.pop(4) in ("file-holder-mismatch", "file-holder-code-mismatch")
    assert told.pop(3).startswith("file-")
    assert told == {}
    assert world.collections.view(caller(), first).delivered == 1
    assert world.collections.view(caller(), second).delivered == 1


def test_reconciliation_finds_and_repairs(world: World) -> None:
    batch_id = world.take(table([values(index) for index in range(250)]))
    with world.worker():
        world.until_done(batch_id)
    with world.db.engine.begin() as conn:  # our account is altered: the library differs by a digest and a standing
        some = conn.execute(
            sa.select(t.collected.c.identifier_index).order_by(t.collected.c.identifier_index).limit(2)
        ).scalars()
        digest, standing = some.all()
        conn.execute(sa.update(t.collected).where(t.collected.c.identifier_index == digest).values(digest="f" * 64))
        conn.execute(
            sa.update(t.collected).where(t.collected.c.identifier_index == standing).values(standing="revoked")
        )
    (found,) = world.reconciler().run(actor="test")
    assert sorted(one.kind for one in found.differences) == [DifferenceKind.DIGEST, DifferenceKind.STANDING]
    assert {(one.system, one.collection) for one in found.differences} == {(collect_world.SYSTEM, batch_id)}
    assert all(one.row for one in found.differences)
    assert (found.ours, found.theirs) == (250, 250)
    assert world.reconciler().repair("library", adopt=False, actor="test") == Repair(sent=2)
    with world.db.read() as conn:
        sealed = sa.select(sa.func.count(t.collect_rows.c.identifier_sealed)).where(
            t.collect_rows.c.batch_id != batch_id
        )
        assert conn.execute(sealed).scalar_one() == 2
    world.until_idle()
    (after,) = world.reconciler().run(actor="test")
    assert after.differences == ()


def test_a_library_that_lost_everything_is_filled_again(world: World) -> None:
    batch_id = world.take(table([values(index) for index in range(120)]))
    with world.worker():
        world.until_done(batch_id)
    world.library.forget()
    (found,) = world.reconciler().run(actor="test")
    assert {one.kind for one in found.differences} == {DifferenceKind.MISSING}
    assert found.theirs == 0
    assert world.reconciler().repair("library", adopt=False, actor="test").sent == 120
    world.until_idle()
    (after,) = world.reconciler().run(actor="test")
    assert (after.ours, after.theirs, after.differences) == (120, 120, ())


def test_lost_answers_are_one_effect(world: World) -> None:
    library = world.library
    batch_id = world.take(table([values(index) for index in range(300)]))
    library.fail("reset-after", times=3)
    with world.worker():
        world.until_done(batch_id)
    assert world.collections.view(caller(), batch_id).delivered == 300
    assert set(library.effects().values()) == {1}


# --- over HTTP ----------------------------------------------------------------------------------------------------------------


def test_over_http(world: World) -> None:
    """The routes of the hub with a real signature, over all of a spooled file too."""
    key = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)

    def grant(tx: Tx) -> None:
        material = KeyMaterial(KeyKind.HTTP, key.public_key.spki, hashlib.sha256(key.public_key.spki).hexdigest())
        registration.add_key(tx, "test", collect_world.SYSTEM, material, key_id="k-1")
        registration.grant(tx, "test", collect_world.SYSTEM, [Service.ECERT_COLLECT.value], "370000")

    world.db.write(grant)
    app = FastAPI()
    gate = create_gate(Settings(state_dir=world.folder), world.db, CallerDirectory(world.db))
    app.include_router(collect_router(gate, world.collections, Cursors(b"c" * 32), 4 << 20))
    client = TestClient(app, base_url="http://hub.test")

    def send(method: str, path: str, body: bytes = b"", media: str = "application/json", **spoil: bytes) -> Response:
        url = f"http://hub.test{path}"
        headers = {"content-type": media} if body else {}
        nonce = secrets.token_hex(12)
        signed = sign_request(method, url, list(headers.items()), body, key=key, key_id="k-1",
                              created=datetime.now(UTC), nonce=nonce)  # fmt: skip
        response: Response = client.request(
            method, url, headers={**headers, **signed}, content=spoil.get("other", body)
        )
        return response

    one_ = {"messageId": "h-1", "region": REGION, "values": values(1, issuedOn="2018-6-5")}
    taken = send("POST", "/v1/collections", json.dumps(one_).encode())
    assert taken.status_code == 202, taken.text
    assert [fault["column"] for fault in taken.json()["faults"]] == ["issuedOn"]
    content = table([values(index) for index in range(2, 400)] + [values(400, holderName="")])
    path = f"/v1/collections/batches?messageId=h-2&region={REGION}"
    assert send("POST", path, content, "text/csv", other=content[:-2]).status_code == 401
    batch = send("POST", path, content, "text/csv")
    assert batch.status_code == 202, batch.text
    assert send("POST", path, b"x" * (5 << 20), "text/csv").status_code == 413
    assert send("POST", path, content, "text/plain").status_code == 415
    assert send("POST", path.replace("370102", "379999"), content, "text/csv").status_code == 422
    for query, told in (
        ("", [("query:messageId", "missing"), ("query:region", "missing")]),
        ("?messageId=h-2", [("query:region", "missing")]),
        ("?region=3701", [("query:messageId", "missing"), ("query:region", "wrong-format")]),
    ):
        refusal = send("POST", f"/v1/collections/batches{query}", content, "text/csv")
        assert refusal.status_code == 422
        assert [(fault["path"], fault["rule"]) for fault in refusal.json()["faults"]] == told
    with world.worker():
        world.until_done(batch.json()["id"], taken.json()["id"])
    where = batch.headers["location"].removeprefix("http://hub.test")
    seen = send("GET", where).json()
    assert (seen["state"], seen["rows"], seen["delivered"], seen["faulty"]) == ("done", 399, 398, 1)
    page = send("GET", f"{where}/faults?limit=1").json()
    assert [(row["row"], row["faults"][0]["column"]) for row in page["items"]] == [(400, "holderName")]
    rows, cursor = [], ""
    while page := send("GET", f"{where}/rows?limit=100{cursor}").json():
        rows += page["items"]
        if "nextCursor" not in page:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert [row["row"] for row in rows] == list(range(2, 401))
    assert (rows[0]["state"], rows[0]["assigned"], len({row.get("identifier") for row in rows})) == (
        "delivered",
        True,
        399,
    )
    assert "identifier" not in rows[-1]
    other = send("GET", f"{where}/faults?limit=1{cursor}")
    assert (other.status_code, other.json()["code"]) == (400, "page-cursor-invalid")  # of the rows, not of the faults
    assert send("GET", f"{where}/rows?limit=101").status_code == 422
    alone = send("GET", f"/v1/collections/batches/{taken.json()['id']}").json()  # one certificate is followed alike
    assert (alone["state"], alone["rows"], alone["delivered"]) == ("done", 1, 1)
    told = send("GET", f"/v1/collections/batches/{taken.json()['id']}/rows").json()["items"]
    assert [(row["row"], row["state"], row["identifier"]) for row in told] == [
        (1, "delivered", taken.json()["identifier"])
    ]
    assert send("GET", "/v1/collections/batches/col_x").status_code == 404
