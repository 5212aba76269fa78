"""hub collect: reconciliation with the provincial library, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from adapters.contract import Adapter, PeerMisconfigured
from adapters.registry import create
from hub.commands.context import ACTOR, OpenHub, open_hub
from hub.commands.telling import show, tell
from hub.deliveries import store as deliveries
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.collect.model import Reconciliation
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.reconciling.compare import Reconciler

app = typer.Typer(no_args_is_help=True)
SHOWN = 1000


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
            table.add_row(
                difference.type_code, difference.identifier, difference.kind.value, difference.cure.value, *place
            )
        if count > SHOWN:
            typer.echo(f"… 只列出前 {SHOWN} 项 only the first {SHOWN} are listed")
    if table.row_count:
        show(table)
