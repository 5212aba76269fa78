"""The command ``hub``. Each group of commands is a file in ``hub/commands``; docs/operations/commands.md lists them all.

A command's file is imported when the command is called: ``hub --help`` and ``hub version`` wait for nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

import typer
from typer import core

from hub.commands.telling import tell

if TYPE_CHECKING:  # typer keeps these names to itself
    from typer._click import Command, Context

GROUPS = {  # files whose ``app`` holds several commands
    "systems": "接入系统 / connected systems, their keys and rights",
    "endpoints": "对接端点 / where the hub delivers to and fetches from",
    "deliveries": "投递 / deliveries that wait for a decision",
    "operators": "控制台用户 / who may use the console",
    "trust": "信任根 / certificates that are trusted, and for what",
    "vault": "静态加密密钥 / the keys at rest, and what rests under each",
    "audit": "审计记录 / the audit log",
    "evidence": "证明材料 / which system may ask for evidence with which purpose",
    "collect": "归集 / collecting",
    "items": "事项目录 / the item catalogue",
    "notices": "延期公告 / certificates that are deemed valid beyond their date",
}
COMMANDS = {  # files whose function of the same name is the command
    "serve": "按设置运行枢纽 (docs/operations/settings.md)。\n"
    "Run the hub as the settings say (docs/operations/settings.md).",
    "demo": "在本机启动全部演示, 运行场景并显示结果; 有终端时保持运行, 直至 Ctrl-C。\n"
    "Start everything on loopback, run the scenario, show what came of it; with a terminal, stay up until Ctrl-C.",
    "verify": "验证文件。全部通过为 0, 任一不通过为 1, 否则为 2 (无法判定); 未能验证为 3。不查吊销、注销通知。\n"
    "Verify documents. Exit 0 if all PASSED, 1 if any FAILED, else 2 (INDETERMINATE); 3 if it could not be done. Knows no notices.",
    "backup": "备份数据库 (SQLite) 和状态目录, 枢纽可继续运行; 静态加密密钥 vault.key 不在其中, 须另行保管。\n"
    "Copy the database (SQLite) and the state folder beside a running hub; not vault.key, which is kept apart.",
    "health": "本机枢纽可接收报文则退出码为 0, 否则为 1。\nExit 0 if the hub on this machine takes messages, 1 if not.",
    "version": "显示版本。\nPrint the version.",
}


def load(name: str) -> Command:
    """The whole command or group of this name; imports its file."""
    module = import_module(f"hub.commands.{name}")
    holder = typer.Typer()
    if name in GROUPS:
        holder.add_typer(module.app, name=name, help=GROUPS[name])
    else:
        holder.command(name, help=COMMANDS[name])(getattr(module, name))
    return typer.main.get_group(holder).commands[name]


class _Outermost(core.TyperGroup):
    """Lists every command by its line of help, and imports the one that is called."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else listed, rest


app = typer.Typer(
    name="hub",
    cls=_Outermost,
    help="教育政务互通枢纽 / exchange hub",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _listed() -> None:
    """Stands in the list for a command that is not imported yet."""


for _name, _help in (COMMANDS | GROUPS).items():
    app.command(_name, help=_help)(_listed)


_WRONG_USAGE: Final = {  # typer's names for what it cannot take; its own text, in English, says what exactly
    "MissingParameter": "缺少必需的参数或选项",
    "NoSuchOption": "没有此选项",
    "BadParameter": "取值不正确",
    "FileError": "文件无法打开",
}


def main() -> NoReturn:
    """The command as a person calls it: what typer says about its arguments, we say in Chinese and English.

    Wrong usage ends with 64 (EX_USAGE of sysexits.h): 2 is an answer of some commands.
    """
    try:
        code = app(prog_name="hub", standalone_mode=False)
    except typer.TyperException as error:
        name = type(error).__name__
        if name != "NoArgsIsHelpError":  # then the help has been shown
            context: Context | None = getattr(error, "ctx", None)
            path = context.command_path if context else "hub"
            zh = _WRONG_USAGE.get(name, "命令用法不对")
            tell(f"{zh}, 用法见 {path} --help", f"{error.format_message().rstrip('.')}; see {path} --help")
        sys.exit(os.EX_USAGE)
    except typer.Abort:
        tell("已取消", "aborted")
        sys.exit(1)
    sys.exit(code)


if __name__ == "__main__":
    main()
