"""hub backup: a copy of what a hub is made of, taken beside a running one."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.context import open_hub
from hub.commands.telling import fail, tell

KEPT: Final = ("audit-anchors.log", "hub.toml", "keys", "trust", "issuers", "crls")  # of the state folder


def backup(
    folder: Annotated[Path, typer.Argument(help="新文件夹 / a folder that is not there yet, or is empty")],
) -> None:
    """备份数据库 (SQLite) 和状态目录, 枢纽可继续运行; 静态加密密钥 vault.key 不在其中, 须另行保管。
    Copy the database (SQLite) and the state folder beside a running hub; not vault.key, which is kept apart.
    """
    with open_hub() as hub:
        if folder.exists() and any(folder.iterdir()):
            raise fail(f"{folder}: 文件夹不为空", f"{folder}: is not empty")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = hub.settings.state_dir
        for name in KEPT:  # the anchors before the database: a copy that is older than its anchor looks cut off
            if (state / name).is_dir():
                shutil.copytree(state / name, folder / name)
            elif (state / name).exists():
                shutil.copy2(state / name, folder / name)
        if hub.db.is_sqlite:
            _copy(Path(str(hub.db.url.database)), folder / "hub.sqlite")
        else:
            tell("数据库请用 pg_dump 备份", "copy the database with pg_dump")
    typer.echo(f"{folder}: 已备份 / backed up")
    tell(
        "vault.key 未备份: 没有它, 任何内容都无法解密, 请另行保管",
        "vault.key is not in it: keep it apart; without it nothing opens",
    )


def _copy(database: Path, copy: Path) -> None:
    """With everything that is committed, also what is still in the write-ahead log, which a copy of the file leaves out."""
    source, target = sqlite3.connect(database), sqlite3.connect(copy)
    try:
        source.backup(target)
        if target.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise fail(f"{copy}: 备份不完整, 请检查磁盘", f"{copy}: the copy is not whole; look at the disks")
    except sqlite3.Error as error:
        raise fail(f"{copy}: 无法备份 ({error})", f"{copy}: cannot be made: {error}") from None
    finally:
        target.close()
        source.close()
