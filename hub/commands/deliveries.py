"""hub deliveries: what waits for an operator's decision, and the decision."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub.app import case_rooms
from hub.commands.context import ACTOR, open_hub
from hub.console.store import suspended
from hub.deliveries import store

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="投递编号 / the delivery's id")]
Reason = Annotated[str, typer.Option(help="原因, 记入审计 / why; it stands in the audit log")]


@app.command("list")
def list_suspended() -> None:
    """列出挂起的投递, 最早的在前。
    List suspended deliveries, oldest first.
    """
    table = Table("投递 delivery", "端点 endpoint", "种类 kind", "办件 case", "次数 attempts", "最近错误 last error")
    with open_hub() as hub, hub.db.read() as conn:
        for row in suspended(conn):
            table.add_row(
                row.id, row.endpoint_id, f"{row.kind} {row.subject}", row.case_id, str(row.attempts), row.last_error
            )
    Console(width=180).print(table)


@app.command("replay")
def replay(delivery_id: Id, reason: Reason) -> None:
    """重新投递挂起的一条。
    Try a suspended delivery again.
    """
    with open_hub() as hub:
        hub.write(lambda tx: store.replay(tx, delivery_id, ACTOR, reason))


@app.command("refuse")
def refuse(delivery_id: Id, reason: Reason) -> None:
    """放弃挂起的一条投递, 并告知其办件。
    Give a suspended delivery up; its case hears of it.
    """
    with open_hub() as hub:
        handlers = case_rooms(hub.settings, hub.db, hub.vault).handlers
        hub.write(lambda tx: store.refuse(tx, delivery_id, ACTOR, reason, handlers=handlers))
