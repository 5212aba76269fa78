"""The command ``hub``. Each group of commands is a file in ``hub/commands``; docs/operations/commands.md lists them all.

A command's file is imported when the command is called: ``hub --help`` and ``hub version`` wait for nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import typer
from typer import core

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
    "serve": "Run the hub as the settings say (docs/operations/settings.md).",
    "demo": "Start everything on loopback, run the scenario, show what came of it; with a terminal, stay up until Ctrl-C.",
    "verify": "Verify documents. Exit 0 if all PASSED, 1 if any FAILED, else 2 (INDETERMINATE); 3 if it could not be done.",
    "health": "Exit 0 if the hub on this machine takes messages, 1 if not.",
    "version": "Print the version.",
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


def main() -> None:
    app()


if __name__ == "__main__":
    main()
