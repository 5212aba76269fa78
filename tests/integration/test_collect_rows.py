"""Collected rows: judged cell by cell and kept raw, their faults told by row and column, each with how it stands."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from openpyxl import Workbook

from hub import tables as t
from hub.ecerts.collect.cells import raw_row
from hub.ecerts.collect.model import BatchState, CollectionRequest, RowFault, RowState
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.rows import Place
from hub.intake.operations import digest_of
from schemas.ecert_types import ecert_types
from schemas.numbers import EcertIdentifier
from schemas.problems import (
    COLLECTION_UNKNOWN,
    MESSAGE_INVALID,
    HubProblem,
)
from tests.integration import collect_world
from tests.integration.collect_fixtures import library, one, refused, world
from tests.integration.collect_world import REGION, World, caller, table, values

__all__ = ["library", "world"]  # fixtures


def blocking(faults: Iterable[RowFault]) -> list[tuple[str, str]]:
    return [(fault.column, fault.rule) for fault in faults if fault.blocking]


def test_raw_values_go_on_and_faults_are_told_by_row_and_column(world: World) -> None:
    rows = [
        values(1, issuedOn="2021-1-5"),
        values(2, holderCode="370102199001010000"),  # wrong check digit
        values(3, type="no-such-type"),
        values(4, holderName=""),
        values(5),
        values(5),  # doubled
        values(6, identifier="1.2.3"),
        values(7, file="a.ofd"),  # no zip
        values(8, type="教师资格证书", colour="red"),
    ]
    batch_id = world.take(table(rows, encoding="gb18030"))
    with world.worker():
        world.until_done(batch_id)
    view = world.collections.view(caller(), batch_id)
    assert (view.state, view.rows, view.delivered, view.faulty) == (BatchState.DONE, 9, 4, 5)
    reports, following = world.collections.reports(caller(), batch_id, 0, 100)
    told = {(fault.row, fault.column, fault.rule, fault.blocking) for report in reports for fault in report.faults}
    assert following is None
    assert told == {
        (2, "issuedOn", "date-format", False),
        (3, "holderCode", "resident-id-check", False),
        (4, "type", "type-not-collected", True),
        (5, "holderName", "missing", True),
        (7, "", "doubled", True),
        (8, "identifier", "identifier-format", True),
        (9, "file", "file-without-zip", True),
    }
    assert all(fault.cure_zh and fault.cure_en for report in reports for fault in report.faults)
    doubled = next(fault for report in reports for fault in report.faults if fault.rule == "doubled")
    assert (doubled.reason_zh[-7:], doubled.reason_en[-8:]) == ("(第 6 行)", " (row 6)")
    assert world.count(t.collect_files) == 0  # the file is gone once it is checked
    first, following = world.collections.reports(caller(), batch_id, 0, 3)
    assert following == first[-1].row
    with pytest.raises(HubProblem) as foreign:
        world.collections.view(caller(system="stranger"), batch_id)
    assert refused(foreign) == COLLECTION_UNKNOWN.code


CELLS = [
    ("holderName", "  ", "missing"),
    ("holderName", "\u3000", "missing"),
    ("holderName", "王" * 2_500, "too-long"),
    ("holderName", "王\n建国", "hidden-character"),
    ("holderName", "王\u200b建国", "hidden-character"),
    ("holderName", "\u200b", "hidden-character"),
    ("issuerName", "=1+1", "formula"),
    ("issuerName", "#N/A", "cell-error"),
    ("number", " ", "missing"),
    ("number", "2.01837E+16", "digits-lost"),
    ("KZ_备注", "一\n二", None),  # of several lines, as such cells are
    ("holderName", "\u3000王建国 ", None),
    ("identifier", " ", None),
]


def test_a_cell_is_judged_alike_however_it_is_handed_in(world: World) -> None:
    """By itself, in a CSV and in a workbook: the same faults, and no identifier for a row that is not passed on."""
    rows = [values(at, **{column: text}) for at, (column, text, _) in enumerate(CELLS)]
    expected = [[(column, rule)] if rule else [] for column, _, rule in CELLS]
    singles = [one(world, f"m-{at}", **row) for at, row in enumerate(rows)]
    assert [blocking(taken.faults) for taken in singles] == expected
    assert [(taken.state is RowState.FAULTY, taken.identifier is None) for taken in singles] == [
        (rule is not None,) * 2 for _, _, rule in CELLS
    ]
    book = Workbook()
    names = list(dict.fromkeys(name for row in rows for name in row))
    for line in (names, *([row.get(name, "") for name in names] for row in rows)):
        book.active.append(line)  # type: ignore[union-attr]
    for cells in book.active.iter_rows():  # type: ignore[union-attr]
        for cell in cells:
            cell.data_type = "s"  # text that looks like a formula or an error is still text
    excel = io.BytesIO()
    book.save(excel)
    batches = [world.take(table(rows), message_id="csv"), world.take(excel.getvalue(), form="xlsx", message_id="xlsx")]
    with world.worker():
        world.until_done(*batches, *(taken.id for taken in singles))
    for batch_id in batches:
        reports, _ = world.collections.reports(caller(), batch_id, 0, 100)
        told = {report.row: blocking(report.faults) for report in reports}
        assert [told.get(number, []) for number in range(2, 2 + len(CELLS))] == expected


def test_what_is_issued_in_the_future_is_told_by_the_hubs_clock(world: World) -> None:
    """By the day in Shandong: of the same moment, there it is the 2nd when it is the 1st in UTC."""
    maker = world.collections.maker
    place = Place("col_x", "library", collect_world.SYSTEM, world.db.clock())
    row = raw_row(2, values(1, issuedOn="2026-03-02").items())
    for hour, told in ((15, ["issued-in-future"]), (16, [])):
        at = datetime(2026, 3, 1, hour, 0, tzinfo=UTC)
        made = replace(maker, clock=lambda at=at: at).make(place, row, None)  # type: ignore[misc]
        assert ([fault.rule for fault in made.faults], made.state) == (told, RowState.WAITING)


def test_an_empty_identifier_is_an_assigned_one_when_the_message_comes_again_too(world: World) -> None:
    taken = one(world, identifier=" ")
    assert taken.assigned
    assert one(world, identifier=" ") == taken


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        ({"action": "revoke"}, ["/values/action"]),
        ({"action": "bogus", "file": "a.ofd"}, ["/values/action", "/values/file"]),
        ({"操作": "注销", "文件": ""}, ["/values/操作", "/values/文件"]),
        ({"Action": "revoke", " action ": ""}, ["/values/Action", "/values/ action "]),
    ],
)
def test_what_stands_beside_values_is_refused_inside(world: World, names: dict[str, str], paths: list[str]) -> None:
    """Before, ``values.action: revoke`` issued the certificate, and ``values.file`` was dropped."""
    request = CollectionRequest(message_id="m-1", region=REGION, values=values(1, **names))
    with pytest.raises(HubProblem) as problem:
        world.collections.take_one(caller(), request, digest=digest_of(request))
    assert refused(problem) == MESSAGE_INVALID.code
    assert [(fault.path, fault.rule) for fault in problem.value.faults] == [(path, "unknown-field") for path in paths]
    first = problem.value.faults[0]
    assert first.cure_zh.endswith("请将 action 写在报文顶层, 与 values 并列")
    assert first.cure_en.endswith("write action at the top of the message, beside values")
    assert world.count(t.collect_batches) == 0


def test_each_row_of_a_batch_says_how_it_stands_and_its_identifier(world: World) -> None:
    """What the hub assigned is told row by row, as for one certificate; it rests sealed and goes with its batch."""
    own = str(EcertIdentifier.assign(ecert_types()["teacher-qualification"].code, REGION, "77"))
    batch_id = world.take(table([values(1), values(2, holderName=""), values(3, identifier=own), values(1)]))
    unknown = world.take(table([values(9, action="revoke")]), message_id="m-2")
    with world.worker():
        world.until_done(batch_id, unknown)
    single = one(world, "m-3")
    rows, following = world.collections.rows(caller(), batch_id, 0, 100)
    assert following is None
    assert [(row.row, row.state, row.identifier, row.assigned, row.code) for row in rows] == [
        (2, RowState.DELIVERED, single.identifier, True, None),
        (3, RowState.FAULTY, None, False, None),
        (4, RowState.DELIVERED, own, False, None),
        (5, RowState.FAULTY, single.identifier, True, None),  # doubled: it says of what
    ]
    ((refused_row,), _) = world.collections.rows(caller(), unknown, 0, 100)
    assert (refused_row.state, refused_row.code, refused_row.assigned) == (RowState.REFUSED, "not-found", True)
    ((alone,), _) = world.collections.rows(caller(), single.id, 0, 100)
    assert (alone.row, alone.identifier, alone.assigned) == (1, single.identifier, True)
    first, following = world.collections.rows(caller(), batch_id, 0, 3)
    assert (first, following) == (rows[:3], 4)
    assert world.collections.rows(caller(), batch_id, 4, 3) == (rows[3:], None)
    with world.db.read() as conn:
        sealed = conn.execute(sa.select(t.collect_rows.c.identifier_sealed)).scalars().all()
    assert sorted(value is None for value in sealed) == [False] * 5 + [True]
    assert all(own.encode() not in value for value in sealed if value is not None)
    with pytest.raises(HubProblem) as foreign:
        world.collections.rows(caller(system="stranger"), batch_id, 0, 100)
    assert refused(foreign) == COLLECTION_UNKNOWN.code
    purge(world.db, timedelta(0), "test")
    with pytest.raises(HubProblem) as gone:
        world.collections.rows(caller(), batch_id, 0, 100)
    assert refused(gone) == COLLECTION_UNKNOWN.code


def test_a_faulty_document_gets_the_same_answer_when_the_message_comes_again(world: World) -> None:
    """The identifier too: it was told the first time."""
    request = CollectionRequest(message_id="m-1", region=REGION, values=values(1), file=base64.b64encode(b"no OFD"))
    first, again = (world.collections.take_one(caller(), request, digest=digest_of(request)) for _ in range(2))
    assert (first.state, first.assigned, first.identifier is None) == (RowState.FAULTY, True, False)
    assert again == first
