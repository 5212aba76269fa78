"""hub audit: what was done, by whom; and the proof that no row of the log was altered, removed or swapped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from hub.audit import store
from hub.audit.chain import Fault, FaultKind, read_anchors, verify_chain, write_anchor
from hub.commands.context import open_hub
from hub.commands.telling import fail, tell
from hub.working_days import SHANGHAI

app = typer.Typer(no_args_is_help=True)


_BROKEN = {
    FaultKind.ALTERED: "内容被改动",
    FaultKind.MISSING: "起有行被删除",
    FaultKind.MOVED: "起未按原次序相接",
    FaultKind.CUT_OFF: "起的记录被截去",
    FaultKind.HEAD: "与链头不符",
    FaultKind.ANCHOR: "与锚点不符",
}


@app.command("verify")
def verify(
    anchors: Annotated[
        Path | None,
        typer.Option(
            help="另处保存的锚点, 缺省为状态目录中的 / anchors kept elsewhere; default: those of the state folder"
        ),
    ] = None,
) -> None:
    """核验整个审计记录; 完整则退出码为 0, 否则逐一列出问题, 退出码为 1; 给出的锚点无法读取则为 2。
    Walk the whole log. Exit 0 if it is whole; each fault is printed and the exit code is 1; 2 if the anchors given cannot be read.
    """
    with open_hub() as hub:
        path = anchors or hub.settings.state_dir / "audit-anchors.log"
        known = read_anchors(path)
        if anchors is not None and not known:  # else a path that is mistyped would pass for a proof
            raise fail(f"{anchors}: 文件不存在, 或没有锚点", f"{anchors}: is not there, or holds no anchor", code=2)
        with hub.db.read() as conn:
            report = verify_chain(conn, hub.vault.audit_key, known)
    if not known:
        tell(
            "没有锚点: 记录连同链头一并被截去时无从发现",
            "no anchor: a log cut off together with its head is not noticed",
        )
    for first, last in _runs(report.faults):
        rows, rows_en = f"第 {first.seq} 行", f"row {first.seq}"
        if last is not first:
            rows, rows_en = f"第 {first.seq} 至 {last.seq} 行", f"rows {first.seq} to {last.seq}"
        tell(f"{rows}{_BROKEN[first.kind]}", f"{first.kind.value} at {rows_en} {first.detail}".rstrip())
    typer.echo(f"行 rows {report.rows}, 锚点 anchors {report.anchors}, 错误 faults {len(report.faults)}")
    if report.faults:
        raise typer.Exit(1)


def _runs(faults: Sequence[Fault]) -> Iterator[tuple[Fault, Fault]]:
    """First and last of each run of rows with the same fault: a log under another key is one line, not one for each row."""
    for _, run in groupby(enumerate(faults), key=lambda one: (one[1].seq - one[0], one[1].kind, one[1].detail)):
        numbered = [fault for _, fault in run]
        yield numbered[0], numbered[-1]


@app.command("show")
def show(
    object_id: Annotated[
        str,
        typer.Argument(help="办件、投递、问题、系统、端点等的编号 / a case, delivery, problem, system, endpoint … id"),
    ],
) -> None:
    """列出某一对象的审计记录, 每行一个 JSON 对象。
    Print the entries about one object, one JSON object a line.
    """
    with open_hub() as hub, hub.db.read() as conn:
        for row in store.search(conn, object_id):
            at = row.at.astimezone(SHANGHAI).isoformat(timespec="milliseconds")
            entry = {"seq": row.seq, "at": at, "actor": row.actor, "action": row.action, "outcome": row.outcome}
            typer.echo(json.dumps(entry | {"detail": json.loads(row.detail)}, ensure_ascii=False))


@app.command("anchor")
def anchor(
    file: Annotated[
        Path,
        typer.Argument(
            help="数据库管理员不能写入的介质上的文件 / a file on a medium that the database's administrator cannot write"
        ),
    ],
) -> None:
    """将审计链头追加到文件; 运行中的枢纽会自动写入状态目录。
    Append the head of the log to a file now; a running hub does so in its state folder by itself.
    """
    with open_hub() as hub, hub.db.read() as conn:
        written = write_anchor(conn, file)
    typer.echo(f"第 {written.seq} 行 / row {written.seq}" if written else "无新增 / nothing new")
