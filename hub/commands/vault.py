"""hub vault: the keys at rest. A new key becomes current, older ones still open, and what rests under them is sealed anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hub.commands.context import ACTOR, OpenHub, open_hub
from hub.commands.telling import fail, refusal, show, tell
from hub.db import AuditEntry
from hub.keyring import KeyRing, VaultError
from hub.opening import key_file
from hub.resealing import work

app = typer.Typer(no_args_is_help=True)

NOT_HANDED_ON = (
    "数据库可能由多个节点共用: 先 hub vault prepare, 把 vault.key 分发到每个节点, 再执行本命令",
    "other nodes may work on this database: first hub vault prepare, hand vault.key to every node, then this again",
)
BACK_UP = "先备份 vault.key: 丢失密钥即丢失数据", "back up vault.key first: without it nothing opens"


@app.command("status")
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="输出一个 JSON 文档, 不输出表格 / one JSON document instead of a table")
    ] = False,
) -> None:
    """列出密钥、各自的状态及其加密的数据量。
    List the keys, what each is, and how many values rest under it.
    """
    with open_hub() as hub:
        ring, header, rest = hub.vault.ring, hub.vault.header, work.resting(hub.db)
    strangers = {found[1:].hex() for held in rest.columns.values() for found in held} - set(ring.ids)
    keys = [
        {"id": one, "is": _standing(ring, one), "values": rest.under(one)} for one in (*ring.ids, *sorted(strangers))
    ]
    waiting = rest.otherwise(header)
    if as_json:
        columns = {name: {found.hex(): count for found, count in held.items()} for name, held in rest.columns.items()}
        typer.echo(json.dumps({"keys": keys, "toReseal": waiting, "columns": columns}, ensure_ascii=False, indent=2))
        return
    table = Table("密钥 key", "作用 is", "加密的数据 values under it")
    for key in keys:
        table.add_row(str(key["id"]), str(key["is"]), str(key["values"]))
    show(table)
    if waiting:
        typer.echo(f"{waiting} 项待重新加密 / to be sealed anew: hub vault reseal")


@app.command("prepare")
def prepare() -> None:
    """生成备用密钥: 只解密, 尚不加密, 使各节点先知道它。
    Make a key that opens but does not seal yet, so that every node may know it before any uses it.
    """
    with open_hub() as hub:
        ring = _change(hub, "vault.prepare", lambda old: old.with_new(), lambda new: new.ids[-1])
    tell(f"密钥 {ring.ids[-1]} 已备好, 尚未启用", "is prepared; it seals nothing yet")
    tell(*BACK_UP)


@app.command("rotate")
def rotate() -> None:
    """启用备用密钥; 使用 SQLite 且没有备用密钥时先生成。
    Make the prepared key the current one; with SQLite, make one first if there is none.
    """
    with open_hub() as hub:
        alone = hub.db.is_sqlite and hub.settings.vault_key is None

        def newest(old: KeyRing) -> KeyRing:
            if not old.prepared and not alone:
                raise VaultError(*NOT_HANDED_ON)
            return (old if old.prepared else old.with_new()).using_newest()

        ring = _change(hub, "vault.rotate", newest, lambda new: new.current)
    tell(f"当前密钥 {ring.current}; 旧密钥仍可解密", "is the current key; older keys still open")
    tell(*BACK_UP)
    tell("接着执行: hub vault reseal", "next")


@app.command("reseal")
def reseal(
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="一次提交的行数 / values in one commit")] = work.BATCH,
) -> None:
    """在枢纽运行的同时, 将其他密钥或算法加密的数据重新加密; 可随时中断, 下次继续。
    Seal anew what rests under another key or cipher, beside a running hub; stopped at any moment, the next run goes on.
    """
    with open_hub() as hub, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=work.resting(hub.db).otherwise(hub.vault.header))

        def told(column: str, done: int) -> None:
            progress.update(task, completed=done, description=column)

        done = work.reseal(hub.db, hub.vault, ACTOR, told, batch)
        left = work.resting(hub.db).otherwise(hub.vault.header)
    typer.echo(f"{done.resealed} 项已重新加密 / sealed anew, {left} 项仍待处理 / left")
    for column, count in done.unreadable.items():
        tell(f"{column}: {count} 项无法解密", "do not open")
    if left:
        raise typer.Exit(1)


@app.command("forget")
def forget(
    key_id: Annotated[str, typer.Argument(help="密钥编号 / the key's id, as hub vault status shows it")],
) -> None:
    """删除已不再加密任何数据的旧密钥。
    Remove an old key under which nothing rests any more.
    """
    with open_hub() as hub:
        held = work.resting(hub.db).under(key_id)
        if held:
            raise fail(
                f"{key_id}: {held} 项仍由它加密; 先 hub vault reseal", "values still rest under it: hub vault reseal"
            )
        _change(hub, "vault.forget", lambda old: old.without(key_id), lambda _: key_id)
    tell(f"密钥 {key_id} 已移除; 旧备份仍需要它", "is forgotten; older backups still need it")


def _change(
    hub: OpenHub, action: str, change: Callable[[KeyRing], KeyRing], named: Callable[[KeyRing], str]
) -> KeyRing:
    """Intent in the audit log, then the file, then the outcome. Keys of the environment cannot be changed: they are printed."""
    given = hub.settings.vault_key is not None
    try:
        ring = change(hub.vault.ring)
        entry = AuditEntry(ACTOR, action, named(ring), "intended", {"current": ring.current})
        hub.write(lambda tx: tx.audit.append(entry))
        if not given:
            ring = key_file(hub.settings).change(lambda old: ring if old == hub.vault.ring else change(old))
    except VaultError as error:
        raise refusal(error) from None
    outcome = AuditEntry(ACTOR, action, named(ring), "printed" if given else "done", {"current": ring.current})
    hub.write(lambda tx: tx.audit.append(outcome))
    if given:
        tell("HUB_VAULT_KEY 的新值, 用于每个节点:", "the new value of HUB_VAULT_KEY, for every node:")
        typer.echo(" ".join(ring.to_text().split()))
    return ring


def _standing(ring: KeyRing, key_id: str) -> str:
    words = []
    if key_id not in ring.ids:
        return "不在密钥环 / not in the ring"
    if key_id == ring.current:
        words.append("当前 / current")
    if key_id in ring.prepared:
        words.append("待用 / prepared")
    if key_id == ring.root:
        words.append("根: 索引与审计 / root: indexes and audit")
    return "; ".join(words) or "旧 / old"
