"""hub deliveries: what waits for an operator's decision, and the decision."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from hub.access.endpoints import require_endpoint
from hub.app import case_rooms
from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import fail, show
from hub.console.store import suspended, suspended_of, suspended_total
from hub.db import Tx
from hub.deliveries import store

app = typer.Typer(no_args_is_help=True)
REPLAYED_AT_ONCE = 500  # in one commit
Id = Annotated[str, typer.Argument(help="投递编号 / the delivery's id")]
Reason = Annotated[str, typer.Option(help="原因, 记入审计 / why; it stands in the audit log")]


@app.command("list")
def list_suspended() -> None:
    """列出挂起的投递, 最早的在前。
    List suspended deliveries, oldest first.
    """
    table = Table("投递 delivery", "端点 endpoint", "种类 kind", "办件 case", "次数 attempts", "最近错误 last error")
    with open_hub() as hub, hub.db.read() as conn:
        rows, total = suspended(conn), suspended_total(conn)
        for row in rows:
            table.add_row(
                row.id, row.endpoint_id, f"{row.kind} {row.subject}", row.case_id, str(row.attempts), row.last_error
            )
    show(table)
    if total > len(rows):
        typer.echo(f"… 只列出前 {len(rows)} 项, 共 {total} 项 / the first {len(rows)} of {total}")


@app.command("replay")
def replay(
    *,
    delivery_id: Annotated[str | None, typer.Argument(help="投递编号 / the delivery's id")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="该端点挂起的全部投递 / everything suspended of this endpoint")
    ] = None,
    reason: Reason,
) -> None:
    """重新投递挂起的一条, 或一个端点的全部。
    Try a suspended delivery again, or all of an endpoint.
    """
    if (delivery_id is None) is (endpoint is None):
        raise fail("请给出投递编号或 --endpoint 之一", "name a delivery or --endpoint, one of the two")

    def write(tx: Tx) -> int:
        if endpoint is not None:
            require_endpoint(tx, endpoint)  # else a slip of the finger would pass for nothing to do
        waiting = [delivery_id] if delivery_id else suspended_of(tx.conn, str(endpoint), limit=REPLAYED_AT_ONCE)
        for one in waiting:
            store.replay(tx, one, ACTOR, reason)
        return len(waiting)

    count = 0
    with open_hub() as hub:
        while step := hub.write(write):
            count += step
            if delivery_id or step < REPLAYED_AT_ONCE:
                break
    typer.echo(f"{delivery_id or endpoint}: 已重新排队 / queued again {count}")


@app.command("refuse")
def refuse(delivery_id: Id, reason: Reason) -> None:
    """放弃挂起的一条投递, 并告知其办件。
    Give a suspended delivery up; its case hears of it.
    """
    with open_hub() as hub:
        handlers = case_rooms(hub.settings, hub.db, hub.vault).handlers
        hub.write(lambda tx: store.refuse(tx, delivery_id, ACTOR, reason, handlers=handlers))
    typer.echo(f"{delivery_id}: 已终止 / given up")
