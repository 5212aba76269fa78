"""The course of a collected certificate: in its order, awaited, told at its end, purged, reconciled; configured types."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from adapters.contract import CollectAction
from adapters.registry import manifest
from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.access import endpoints, registration
from hub.access.callers import Service
from hub.access.endpoints import EndpointSpec
from hub.cases.routing import Directory
from hub.cli import app as cli
from hub.db import Database, Tx
from hub.ecerts.collect.model import BatchState, CollectionRequest, DifferenceCure, DifferenceKind, Repair, RowState
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.revoked import notices_by
from hub.ecerts.evidence.assembly import evidence_parts
from hub.intake.operations import digest_of
from hub.own_keys import OwnKeys
from schemas.ecert_types import EcertTypesError, ecert_types, use_types
from tests.delivering import VAULT
from tests.integration import collect_world
from tests.integration.collect_world import REGION, SYSTEM, Library, World, caller, table, values


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with collect_world.running_library(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.fixture
def world(database: Database, tmp_path: Path, library: Library) -> Iterator[World]:
    with collect_world.opened(database, tmp_path, library) as made:
        yield made


def one(world: World, message_id: str, action: CollectAction = CollectAction.ISSUE, **changes: str) -> str:
    request = CollectionRequest(message_id=message_id, region=REGION, action=action, values=values(1, **changes))
    return world.collections.take_one(caller(), request, digest=digest_of(request)).id


def actions(world: World) -> list[list[str]]:
    """What the library was given, delivery by delivery, as our rows say."""
    with world.db.read() as conn:
        query = sa.select(t.collect_rows.c.delivery_key, t.collect_rows.c.batch_id).where(
            t.collect_rows.c.state == "delivered"
        )
        rows = conn.execute(query.order_by(t.collect_rows.c.delivery_key, t.collect_rows.c.batch_id)).all()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.delivery_key, []).append(row.batch_id)
    return list(found.values())


# --- order --------------------------------------------------------------------------------------------------------------


def test_change_and_revocation_follow_their_certificate(world: World) -> None:
    """Handed in before anything was delivered: three deliveries, one after the other."""
    ids = [one(world, "m-1"), one(world, "m-2", CollectAction.CHANGE, holderName="改名"),
           one(world, "m-3", CollectAction.REVOKE)]  # fmt: skip
    with world.worker():
        world.until_done(*ids)
    assert actions(world) == [[id_] for id_ in ids]
    later = one(world, "m-4", CollectAction.CHANGE, holderName="再改")  # and after it was delivered
    with world.worker():
        world.until_done(later)
    (found,) = world.reconciler().run(actor="test")
    assert (found.ours, found.theirs, found.differences) == (1, 1, ())


def test_nothing_overtakes_a_file_that_is_still_being_checked(world: World) -> None:
    """The revocation came later, and its certificate's row has not even been read."""
    batch_id = world.take(table([values(index) for index in range(600)]))
    revoked = world.collections.take_one(
        caller(),
        request := CollectionRequest(message_id="m-2", region=REGION, action=CollectAction.REVOKE, values=values(599)),
        digest=digest_of(request),
    ).id
    with world.db.engine.begin() as conn:  # another node has the file, and is slow
        lease = {"lease_token": "other", "lease_until": world.db.clock() + timedelta(seconds=3)}
        conn.execute(sa.update(t.collect_batches).where(t.collect_batches.c.id == batch_id).values(lease))
    world.parts.worker.feed()
    assert world.collections.view(caller(), revoked).waiting == 1
    with world.worker():
        world.until_done(batch_id, revoked)
    assert world.collections.view(caller(), revoked).delivered == 1
    (found,) = world.reconciler().run(actor="test")
    assert (found.ours, found.theirs, found.differences) == (600, 600, ())


def test_order_is_the_databases_not_that_of_ids(world: World) -> None:
    """Two nodes whose clocks differ: the revocation's id sorts before the issue's."""
    issued = one(world, "m-1")
    revoked = one(world, "m-2", CollectAction.REVOKE)
    assert issued < revoked
    with world.db.engine.begin() as conn:
        came = dict(conn.execute(sa.select(t.collect_rows.c.batch_id, t.collect_rows.c.came_at)).all())
        for id_, at in ((issued, came[revoked]), (revoked, came[issued])):
            conn.execute(sa.update(t.collect_rows).where(t.collect_rows.c.batch_id == id_).values(came_at=at))
    with world.worker():
        world.until_done(issued, revoked)
    assert actions(world) == [[issued]]  # the revocation went first, as it came first: the library does not know it
    assert world.collections.view(caller(), revoked).refused == 1
    (report,), _ = world.collections.reports(caller(), revoked, 0, 10)
    assert [(fault.row, fault.rule) for fault in report.faults] == [(report.row, "library-not-found")]


def test_a_suspended_issue_holds_its_revocation_back(world: World) -> None:
    issued, revoked = one(world, "m-1"), one(world, "m-2", CollectAction.REVOKE)
    with world.db.engine.begin() as conn:
        suspended = t.collect_rows.c.batch_id == issued
        conn.execute(sa.update(t.collect_rows).where(suspended).values(state=RowState.SUSPENDED.value))
    world.parts.worker.feed()
    assert world.collections.view(caller(), revoked).waiting == 1


def revocations(world: World) -> list[tuple[str, str]]:
    """(actor, outcome) of the entries of the audit log."""
    a = t.audit.c
    with world.db.read() as conn:
        rows = conn.execute(sa.select(a.actor, a.outcome).where(a.action == "evidence.revocation").order_by(a.seq))
        return [(row.actor, row.outcome) for row in rows]


def test_a_revocation_that_the_library_has_taken_is_a_revocation_notice(world: World) -> None:
    """One that it refused is none: who may hand in is not who may say that a certificate holds no longer."""
    own = OwnKeys.ensure(world.folder / "keys")
    world.revoked = notices_by(evidence_parts(world.db, VAULT, Directory(world.db), world.checker, own.http).follow_ups)
    world.renew()
    refused = one(world, "m-1", CollectAction.REVOKE)
    world.until_idle()
    assert world.collections.view(caller(), refused).refused == 1
    assert world.count(t.revoked_ecerts) == 0
    one(world, "m-2")
    one(world, "m-3", CollectAction.REVOKE)
    world.until_idle()
    assert (
        world.count(t.revoked_ecerts) == 0
    )  # it may not speak for this issuer: what the library did is between the two
    assert revocations(world) == [(f"system:{SYSTEM}", "access-denied")]
    world.db.write(lambda tx: registration.grant(tx, "test", SYSTEM, [Service.ECERT_COLLECT.value], REGION))
    one(world, "m-4", number="20183702100000777")
    one(world, "m-5", CollectAction.REVOKE, number="20183702100000777")
    world.until_idle()
    assert world.count(t.revoked_ecerts) == 1
    assert revocations(world)[1:] == [(f"system:{SYSTEM}", "told")]


# --- documents that wait ------------------------------------------------------------------------------------------------


def pending(world: World) -> str:
    rows, packed = collect_world.documents(world, (1,))
    (world.folder / "crls").rename(world.folder / "later")
    batch_id = world.take(collect_world.archive(rows, packed), form="zip")
    with world.worker():
        world.until(lambda: world.collections.view(caller(), batch_id).pending == 1)
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collect_rows).values(due_at=world.db.clock()))
    return batch_id


def test_a_document_waits_for_its_revocation_list(world: World) -> None:
    batch_id = pending(world)
    (report,), _ = world.collections.reports(caller(), batch_id, 0, 10)
    assert [(one.column, one.rule, one.blocking) for one in report.faults] == [
        ("file", "file-indeterminate-try-later", False)
    ]
    with world.worker():  # still not there: looked at again later
        world.until(lambda: due(world) > world.db.clock())
    assert world.collections.view(caller(), batch_id).pending == 1
    (world.folder / "later").rename(world.folder / "crls")
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collect_rows).values(due_at=world.db.clock()))
    world.reopen()
    with world.worker():
        world.until_done(batch_id)
    assert world.collections.view(caller(), batch_id).delivered == 1
    assert world.collections.reports(caller(), batch_id, 0, 10) == ([], None)


def test_a_row_that_cannot_be_judged_holds_up_no_other(world: World) -> None:
    """It stood before all others at every look, and no file was checked any more."""
    batch_id = pending(world)
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collect_rows).values(record_sealed=b"of a key that nobody has"))
    with world.worker():
        other = world.take(table([values(7)]), message_id="m-other")
        world.until_done(other)
    assert world.collections.view(caller(), batch_id).pending == 1
    assert min(dues(world)) > world.db.clock()  # looked at again later, and given up in time


def dues(world: World) -> list[datetime]:
    with world.db.read() as conn:
        query = sa.select(t.collect_rows.c.due_at).where(t.collect_rows.c.state == "pending")
        return list(conn.execute(query).scalars())


def due(world: World):  # type: ignore[no-untyped-def]
    with world.db.read() as conn:
        return conn.execute(sa.select(t.collect_rows.c.due_at)).scalar_one()


def test_a_document_does_not_wait_for_ever(world: World) -> None:
    batch_id = pending(world)
    world.give_up = timedelta(0)
    world.renew()
    with world.worker():
        world.until_done(batch_id)
    view = world.collections.view(caller(), batch_id)
    (report,), _ = world.collections.reports(caller(), batch_id, 0, 10)
    assert (view.state, view.faulty) == (BatchState.DONE, 1)
    assert [(one.rule, one.blocking) for one in report.faults] == [("file-indeterminate-try-later", True)]


# --- the end is told ----------------------------------------------------------------------------------------------------


def test_the_end_of_a_batch_is_told_to_its_system(world: World) -> None:
    own = OwnKeys.ensure(world.folder / "keys")
    with SimulatorProcess("adapters.cloudevents.simulator", ["--hub-key-file", str(own.http_public)]) as hook:
        signing = {"signing_key_file": str(own.http), "signing_key_id": "exchange-hub"}

        def subscribe(tx: Tx) -> None:
            for id_, system in (("hook", collect_world.SYSTEM), ("other", "stranger")):
                spec = EndpointSpec(
                    id_, system, "cloudevents", "events", "370000", f"{hook.url}/{id_}", signing, timeout_s=4
                )
                endpoints.add_endpoint(tx, "test", VAULT, manifest("cloudevents"), spec, lease_s=60)
                endpoints.subscribe(tx, "test", id_, "collection.*", "370000", source_only=True)

        world.db.write(subscribe)
        batch = world.take(table([values(1), values(2, holderName=""), values(3, identifier="")]))
        unread = world.take(b"a;b", message_id="m-2")
        faulty = one(world, "m-3", number="")
        with world.worker():
            world.until_done(batch, unread)
            world.until(lambda: len(hook.effects()) == 3)
        came = {event["subject"]: event for event in httpx.get(f"{hook.url}/events").json()["events"]}
    assert came[batch]["type"] == "cn.sd.edu.exchange.collection.ended"
    path = f"/v1/collections/batches/{batch}"
    assert came[batch]["data"] == {
        "collectionId": batch, "messageId": "m-1", "state": "done", "reason": "", "taken": "3", "delivered": "2", "refused": "0",
        "faulty": "1", "view": path, "faults": f"{path}/faults"}  # fmt: skip
    assert (came[unread]["data"]["state"], came[unread]["data"]["reason"]) == ("unreadable", "separator")
    assert (came[faulty]["data"]["state"], came[faulty]["data"]["faulty"]) == ("done", "1")
    assert "示例" not in json.dumps(came, ensure_ascii=False)


# --- purge --------------------------------------------------------------------------------------------------------------


def test_what_ended_long_ago_is_dropped_and_reconciliation_goes_on(world: World) -> None:
    old = world.take(table([values(index) for index in range(150)]))
    world.until_idle()
    kept = one(world, "m-2", number="20183702199999999")
    world.until_idle()
    with world.db.engine.begin() as conn:
        long_ago = world.db.clock() - timedelta(days=31)
        conn.execute(sa.update(t.collect_batches).where(t.collect_batches.c.id == old).values(finished_at=long_ago))
    dropped = purge(world.db, timedelta(days=30), "test")
    assert (dropped.batches, dropped.rows) == (1, 150)
    assert (world.count(t.collect_batches), world.count(t.collect_rows), world.count(t.deliveries)) == (1, 1, 1)
    assert world.collections.view(caller(), kept).delivered == 1
    (found,) = world.reconciler().run(actor="test")
    assert (found.ours, found.theirs, found.differences) == (151, 151, ())
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    (found,) = world.reconciler().run(actor="test")
    assert Counter(one.cure for one in found.differences) == {
        DifferenceCure.HAND_IN_AGAIN: 150,
        DifferenceCure.SEND_AGAIN: 1,
    }
    assert world.reconciler().repair("library", adopt=False, actor="test") == Repair(sent=1, gone=150)
    assert purge(world.db, timedelta(days=30), "test").batches == 0


# --- reconciliation -----------------------------------------------------------------------------------------------------


def test_every_kind_of_difference_is_repaired(world: World) -> None:
    """Missing there (once revoked, too), missing here, and differing in contents and standing; then none."""
    ids = [one(world, "m-1"), one(world, "m-2", CollectAction.REVOKE),
           world.take(table([values(index) for index in range(2, 7)]), message_id="m-3")]  # fmt: skip
    world.until_idle()
    with world.db.engine.begin() as conn:
        rows = conn.execute(sa.select(t.collected).where(t.collected.c.standing == "valid")).all()
        by = {row.row: t.collected.c.identifier_index == row.identifier_index for row in rows}
        conn.execute(sa.update(t.collected).where(by[2]).values(digest="f" * 64))
        conn.execute(sa.update(t.collected).where(by[3]).values(standing="revoked"))
        conn.execute(sa.delete(t.collected).where(by[4]))
    (found,) = world.reconciler().run(actor="test")
    again = DifferenceCure.SEND_AGAIN
    assert {(one.kind, one.cure, one.collection, one.row) for one in found.differences} == {
        (DifferenceKind.DIGEST, again, ids[2], 2), (DifferenceKind.STANDING, again, ids[2], 3),
        (DifferenceKind.SURPLUS, DifferenceCure.ADOPT, None, None)}  # fmt: skip
    assert world.reconciler().repair("library", adopt=False, actor="test") == Repair(sent=2, left=1)
    assert world.reconciler().repair("library", adopt=True, actor="test") == Repair(adopted=1)
    world.until_idle()
    (after,) = world.reconciler().run(actor="test")
    assert (after.ours, after.theirs, after.differences) == (6, 6, ())
    world.library.forget()
    (lost,) = world.reconciler().run(actor="test")
    assert {one.kind for one in lost.differences} == {DifferenceKind.MISSING}
    assert Counter(one.cure for one in lost.differences) == {again: 5, DifferenceCure.HAND_IN_AGAIN: 1}
    # the adopted one was handed in by nobody here: only its issuer can send it again
    assert world.reconciler().repair("library", adopt=False, actor="test") == Repair(sent=5, gone=1)
    world.until_idle()
    (filled,) = world.reconciler().run(actor="test")
    assert [(one.kind, one.collection) for one in filled.differences] == [(DifferenceKind.MISSING, None)]


def test_daily_by_one_node_and_again_soon_after_an_error(world: World) -> None:
    one(world, "m-1")
    world.until_idle()
    assert [one.ours for one in world.reconciler().daily("node:a")] == [1]
    assert world.reconciler().daily("node:b") == []
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.reconciliations).values(due_at=world.db.clock()))
    world.library.fail("down")
    (failed,) = world.reconciler().daily("node:b")
    assert failed.error is not None
    with world.db.read() as conn:
        row = conn.execute(sa.select(t.reconciliations)).one()
    assert timedelta(minutes=50) < row.due_at - world.db.clock() < timedelta(minutes=70)


def test_by_command(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """hub collect reconcile lists with row ids and exits with 1, --repair sends again, then there is nothing."""
    one(world, "m-1")
    world.until_idle()
    for name, value in (("HUB_STATE_DIR", str(world.folder)), ("HUB_DATABASE_URL", database_url)):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hub.commands.context.open_vault", lambda _settings: VAULT)

    def hub(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["collect", *arguments])
        return done.exit_code, done.output

    assert hub("reconcile")[0] == 0
    with world.db.engine.begin() as conn:
        conn.execute(sa.update(t.collected).values(digest="f" * 64))
    code, output = hub("reconcile")
    assert code == 1
    assert "内容不同 / other contents" in output
    assert "可重新报送 / Send again" in output
    assert "digest" not in output
    assert "send-again" not in output
    assert hub("reconcile", "--repair")[0] == 0
    world.until_idle()
    assert hub("reconcile")[0] == 0
    assert hub("purge")[0] == 0
    world.library.fail("down")
    assert hub("reconcile")[0] == 2


def test_faults_by_command(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file, of its rows and of the library, each with its cure, by column; more than a table shows by --json."""
    batch = world.take(table([values(11), values(12, holderName=""), values(13, issuedOn="2018-6-5")]))
    refused = one(world, "m-2", CollectAction.REVOKE)
    broken = world.take(b"", message_id="m-3")
    world.until_idle()
    for name, value in (("HUB_STATE_DIR", str(world.folder)), ("HUB_DATABASE_URL", database_url)):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hub.commands.context.open_vault", lambda _settings: VAULT)
    monkeypatch.setattr("hub.commands.collect._PAGE", 1)

    def faults(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["collect", "faults", *arguments])
        return done.exit_code, done.output

    code, output = faults(batch)
    assert code == 0
    assert "差错 faults 2" in output
    (missing,) = (line for line in output.splitlines() if "faulty" in line)
    told = ("3", "有差错 faulty", "持证主体 holderName", "missing", "请填写此列 / fill it in")
    assert [text in missing for text in told] == [True] * 5
    (warned,) = (line for line in output.splitlines() if "delivered" in line)
    assert "date-format (提示 warning)" in warned
    listed = [json.loads(line) for line in faults(batch, "--json")[1].splitlines()]
    assert [(told["row"], told["state"], told["rule"]) for told in listed] == [
        (3, "faulty", "missing"), (4, "delivered", "date-format")]  # fmt: skip
    monkeypatch.setattr("hub.commands.collect.SHOWN", 1)
    assert "--json" in faults(batch)[1]
    assert "library-not-found" in faults(refused)[1]
    assert [text in faults(broken)[1] for text in ("unreadable (empty)", "文件 file")] == [True] * 2
    code, output = faults("col_00000000000000000000000000")
    assert (code, "there is no batch" in output) == (1, True)


# --- types by configuration ---------------------------------------------------------------------------------------------


@pytest.fixture
def types_file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "types.toml"
    use_types(None)


def test_a_seventh_type_and_one_less_by_configuration_only(world: World, types_file: Path) -> None:
    taken = one(world, "m-1", type="course-completion")
    world.until_idle()
    types_file.write_text(
        '[sports-coach]\ncode = "11100000000013338W907"\ntitle_zh = "体育教练员证书"\ntitle_en = "Sports coach"\ncollect = true\n'
        "[course-completion]\ncollect = false\n",
        encoding="utf-8",
    )
    use_types(types_file)
    assert sum(kind.collect for kind in ecert_types().values()) == 6
    batch_id = world.take(
        table([values(1, type="sports-coach"), values(2, type="体育教练员证书"), values(3, type="course-completion"),
               values(4, type="diploma")]),
        message_id="m-2",
    )  # fmt: skip
    world.until_idle()
    view = world.collections.view(caller(), batch_id)
    reports, _ = world.collections.reports(caller(), batch_id, 0, 10)
    assert (view.delivered, view.faulty) == (3, 1)
    assert [(one.row, one.faults[0].rule) for one in reports] == [(4, "type-not-collected")]
    (found,) = world.reconciler().run(actor="test")  # what was collected of the removed type is still compared
    assert (found.ours, found.theirs, found.differences) == (4, 4, ())
    assert world.collections.view(caller(), taken).delivered == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[x", "types.toml"),
        ("x = 1", "must be a table"),
        ('[x]\ncode = "1"', "code must be"),
        ('[x]\ncode = "11100000000013338W907"', "title_en, title_zh is missing"),
        ("[diploma]\ncolour = true", "colour"),
        ('[diploma]\ncollect = "yes"', "collect"),
        ('[diploma]\nnumber_rule = "other"', "number_rule"),
        ('[diploma]\ncode = "11100000000013338W905"', "several types"),
    ],
)
def test_a_file_of_types_that_is_not_right(text: str, told: str, types_file: Path) -> None:
    types_file.write_text(text, encoding="utf-8")
    with pytest.raises(EcertTypesError, match=told):
        use_types(types_file)
    assert "diploma" in ecert_types()
