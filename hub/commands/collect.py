"""hub collect: reconciliation with the provincial library."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from adapters.contract import Adapter, AdapterError, PeerMisconfigured
from adapters.registry import create
from hub.commands.context import ACTOR, fail, open_hub
from hub.deliveries import store as deliveries
from hub.deliveries.adapters import AdapterCache
from hub.ecerts.collect.reconcile import Reconciler

app = typer.Typer(no_args_is_help=True)


@app.command("reconcile")
def reconcile(
    *, repair: Annotated[bool, typer.Option("--repair", help="重新报送有差异的证照 / send again what differs")] = False
) -> None:
    """Compare by count and digest with every library, list the differences, and send them again with --repair."""
    with open_hub() as hub:
        adapters = AdapterCache(hub.vault, create)

        def adapter_of(endpoint_id: str) -> Adapter:
            with hub.db.read() as conn:
                target = deliveries.target(conn, endpoint_id)
            if target is None:
                raise PeerMisconfigured("unknown-endpoint", endpoint_id)
            return adapters.of(target)

        try:
            found = Reconciler(hub.db, hub.vault, adapter_of).run(repair=repair, actor=ACTOR)
        except AdapterError as error:
            raise fail(f"证照库未答复 / the library did not answer: {error.code}") from None
        finally:
            adapters.close()
    table = Table("类型 type", "证照标识 identifier", "差异 difference")
    for one in found:
        typer.echo(f"{one.endpoint_id}: 本方 ours {one.ours}, 库方 theirs {one.theirs}, 差异 differences "
                   f"{len(one.differences)}, 重新报送 sent again {one.repaired}")  # fmt: skip
        for difference in one.differences:
            table.add_row(difference.type_code, difference.identifier, difference.kind.value)
    if table.row_count:
        Console().print(table)
        raise typer.Exit(0 if repair else 1)
