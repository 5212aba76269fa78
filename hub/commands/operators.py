"""hub operators: who may use the console. Nobody has a default password; everybody begins with a one-time link."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from hub.access.operators import OperatorError, Operators, Role
from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import refusal, show
from hub.working_days import SHANGHAI

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="用户名 / name")]


@app.command("list")
def list_operators() -> None:
    """列出控制台用户、角色及是否已设密码。
    List operators, their roles, and whether they have a password.
    """
    table = Table("用户名 name", "角色 role", "口令 password", "创建 since", "停用 disabled")
    with open_hub() as hub:
        for row in Operators(hub.db).list():
            since = row.created_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
            table.add_row(
                row.name,
                row.role,
                "是 yes" if row.password_hash else "否 no",
                since,
                "是 yes" if row.disabled_at else "",
            )
    show(table)


@app.command("add")
def add(
    name: Name, role: Annotated[Role, typer.Option(help="三权分立的角色之一 / one of the three separated roles")]
) -> None:
    """添加控制台用户, 并显示一次性链接。
    Add an operator and print a one-time link.
    """
    with open_hub() as hub:
        try:
            token = Operators(hub.db).add(name, role, by=ACTOR)
        except OperatorError as error:
            raise refusal(error) from None
        typer.echo(f"{hub.settings.effective_public_url}/console/link/{token}")


@app.command("link")
def link(name: Name) -> None:
    """为无法登录的用户再显示一个一次性链接。
    Print another one-time link for an operator who is locked out.
    """
    with open_hub() as hub:
        try:
            token = Operators(hub.db).link(name, by=ACTOR)
        except OperatorError as error:
            raise refusal(error) from None
        typer.echo(f"{hub.settings.effective_public_url}/console/link/{token}")


@app.command("disable")
def disable(name: Name) -> None:
    """停用控制台用户, 其会话和链接全部失效。
    End an operator's sessions and links for good.
    """
    with open_hub() as hub:
        try:
            Operators(hub.db).disable(name, by=ACTOR)
        except OperatorError as error:
            raise refusal(error) from None
