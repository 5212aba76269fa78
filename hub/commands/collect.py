"""hub collect: what is wrong with a batch, reconciliation with the provincial library, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Annotated

import typer
from rich.table import Table

from adapters.contract import Adapter, PeerMisconfigured
from adapters.registry import create
from hub.commands.context import ACTOR, OpenHub, open_hub
from hub.commands.telling import fail, show, tell
from hub.console.entries.words import ENTRY_WORDS
from hub.deliveries import store as deliveries
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.collect import store
from hub.ecerts.collect.model import BatchState, Reconciliation, RowFault
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.reconciling.compare import Reconciler
from hub.ecerts.collect.service import file_faults, report_of
from hub.ecerts.collect.words import CURES, DIFFERENCES

app = typer.Typer(no_args_is_help=True)
SHOWN = 1000
_PAGE = 500


@app.command("faults")
def faults(
    batch: Annotated[str, typer.Argument(help="批次编号 / the batch's id (col_…)")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="每行一个 JSON 对象, 不限行数 / one JSON object a line, however many")
    ] = False,
) -> None:
    """列出批次的差错: 文件的、各行的和证照库拒收的, 写明列、规则和处理; 不含单元格内容。
    List what is wrong with a batch: its file, its rows, what the library refused, with column, rule and cure, not what a cell says.
    """
    with open_hub() as hub:
        with hub.db.read() as conn:
            kept = store.batch(conn, batch)
        if kept is None:
            zh = f"没有归集批次 {batch}, 或已过保留期清除; 编号见报送的答复或控制台的归集批次"
            en = f"there is no batch {batch}, or it was purged; the id stands in the answer to its system and in the console"
            raise fail(zh, en)
        found = _faults(hub, kept)
        if as_json:
            for state, fault in found:
                told = fault.model_dump(mode="json", by_alias=True, exclude_none=True)
                typer.echo(json.dumps({"state": state, **told}, ensure_ascii=False))
        else:
            _show_faults(kept, found)
    if kept.state == BatchState.CHECKING.value:
        tell(f"文件检查至 {kept.percent}%, 只列已读各行", f"{kept.percent}% of the file is checked: rows read so far")


def _faults(hub: OpenHub, batch: store.BatchRow) -> Iterator[tuple[str, RowFault]]:
    """With how the row stands (the batch, for faults of the file): page by page, as a batch may have 200,000 rows."""
    for fault in file_faults(hub.vault, batch):
        yield batch.state, fault
    after = 0
    while True:
        with hub.db.read() as conn:
            rows = store.standings(conn, batch.id, after, _PAGE, told=True)
        for row in rows:
            report = report_of(row)
            for fault in report.faults:
                yield report.state.value, fault
        if len(rows) < _PAGE:
            return
        after = rows[-1].row


def _show_faults(batch: store.BatchRow, found: Iterator[tuple[str, RowFault]]) -> None:
    table = Table("行 row", "状态 state", "列 column", "规则 rule", "差错 fault", "处理 cure")
    for state, fault in islice(found, SHOWN):
        place = str(fault.row) if fault.row else "文件 file"
        column = " ".join(one for one in (fault.column_zh, fault.column) if one)
        rule = fault.rule if fault.blocking else f"{fault.rule} (提示 warning)"
        cure = f"{fault.cure_zh} / {fault.cure_en}" if fault.cure_zh else ""
        table.add_row(place, _state(state), column, rule, f"{fault.reason_zh} / {fault.reason_en}", cure)
    state = f"{_state(batch.state)} ({batch.reason})" if batch.reason else _state(batch.state)
    typer.echo(f"{batch.id}: {state}, 已读行数 rows read {batch.rows_read}, 差错 faults {table.row_count}")
    if table.row_count:
        show(table)
    if next(found, None) is not None:
        typer.echo(f"… 只列出前 {SHOWN} 项, 全部用 --json / only the first {SHOWN} are listed, all by --json")


def _state(word: str) -> str:
    """As the console says it, with the word of the interface."""
    return f"{ENTRY_WORDS['entry-state'][word][0]} {word}"


@app.command("reconcile")
def reconcile(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="重新报送有差异的证照 / send again what differs")] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="与 --repair 同用: 认可仅库方持有的证照 / with --repair: take what only the library has as ours",
        ),
    ] = False,
) -> None:
    """按数量和摘要与各证照库对账并列出差异; 加 --repair 则重新报送。
    Compare by count and digest with every library and list the differences; send them again with --repair.
    """
    with open_hub() as hub, _reconciler(hub) as reconciler:
        found = reconciler.run(actor=ACTOR)
        _show(found)
        left = sum(len(one.differences) for one in found)
        for one in found if repair else ():
            done = reconciler.repair(one.endpoint_id, adopt=adopt, actor=ACTOR)
            left -= done.sent + done.adopted
            typer.echo(f"{one.endpoint_id}: 重新报送 sent again {done.sent}, 认可 adopted {done.adopted}")
            typer.echo(
                f"  仅库方持有 only there {done.left}, 已清除, 须由发证系统重报 purged: hand in again {done.gone}"
            )
        if any(one.error for one in found):
            raise typer.Exit(2)
        if left:
            raise typer.Exit(1)


@app.command("purge")
def purge_now() -> None:
    """立即清除办结超过 HUB_COLLECT_KEEP_DAYS 的批次, 以及没有对应批次的文件。
    Drop what ended longer ago than HUB_COLLECT_KEEP_DAYS now, and files that no batch was taken for.
    """
    with open_hub() as hub:
        dropped = purge(hub.db, timedelta(days=hub.settings.collect_keep_days), ACTOR)
    typer.echo(
        f"清除 purged: 批次 batches {dropped.batches}, 行 rows {dropped.rows}, 文件块 parts of files {dropped.parts}"
    )


@contextmanager
def _reconciler(hub: OpenHub) -> Iterator[Reconciler]:
    adapters = AdapterCache(hub.vault, create)

    def adapter_of(endpoint_id: str) -> Adapter:
        with hub.db.read() as conn:
            target = deliveries.target(conn, endpoint_id)
        if target is None:
            raise PeerMisconfigured("unknown-endpoint", endpoint_id)
        return adapters.of(target)

    try:
        yield Reconciler(hub.db, hub.vault, adapter_of)
    finally:
        adapters.close()


def _show(found: list[Reconciliation]) -> None:
    table = Table(
        "类型 type", "证照标识 identifier", "差异 difference", "处理 cure", "系统 system", "批次 collection", "行 row"
    )
    for one in found:
        if one.error:
            tell(f"{one.endpoint_id}: 证照库未答复", f"the library did not answer: {one.error}")
            continue
        count = len(one.differences)
        typer.echo(f"{one.endpoint_id}: 本方 ours {one.ours}, 库方 theirs {one.theirs}, 差异 differences {count}")
        for difference in one.differences[:SHOWN]:
            place = (difference.system or "", difference.collection or "", str(difference.row or ""))
            kind, cure = " / ".join(DIFFERENCES[difference.kind]), " / ".join(CURES[difference.cure])
            table.add_row(difference.type_code, difference.identifier, kind, cure, *place)
        if count > SHOWN:
            typer.echo(f"… 只列出前 {SHOWN} 项 only the first {SHOWN} are listed")
    if table.row_count:
        show(table)
