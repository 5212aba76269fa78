"""hub notices: extension notices, by which e-certificates that ran out are deemed valid until a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from pydantic.alias_generators import to_snake
from rich.table import Table
from typer.models import OptionInfo

from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import show, tell
from hub.ecerts import notices, store
from hub.ecerts.notices import Notice
from schemas.parsing import validation_faults
from schemas.problems import FieldFault

app = typer.Typer(no_args_is_help=True)
_GIVEN: Final = {"id": "NUMBER", "ecert_type": "--type"}  # by field; the other options are called as their fields


def _day(help_: str) -> OptionInfo:
    option: OptionInfo = typer.Option(formats=["%Y-%m-%d"], help=help_)
    return option


Number = Annotated[str, typer.Argument(help="文号 / the notice's number")]


@app.command("add")
def add(
    number: Number,
    *,
    ecert_type: Annotated[
        str, typer.Option("--type", help="证照类型 / e-certificate type, such as private-school-licence")
    ],
    title: Annotated[str, typer.Option(help="标题 / title")],
    source: Annotated[str, typer.Option(help="公布处 / where it was published")],
    issued_on: Annotated[datetime, _day("公告日期 / when it was published")],
    expired_from: Annotated[datetime, _day("自此日起到期的证照 / certificates that ran out from this day")],
    expired_until: Annotated[datetime, _day("至此日到期的证照 / to this day")],
    deemed_valid_until: Annotated[datetime, _day("视为有效至 / are deemed valid until")],
    region: Annotated[str, typer.Option(help="适用区域 / where it holds")] = "370000",
) -> None:
    """登记延期公告: 某类证照在两日之间到期的, 视为有效至第三日。
    Certificates of a type that ran out from one day to another are deemed valid until a third.
    """
    try:
        notice = Notice(
            id=number, ecert_type=ecert_type, title=title, source=source, region=region, issued_on=issued_on.date(),
            expired_from=expired_from.date(), expired_until=expired_until.date(),
            deemed_valid_until=deemed_valid_until.date(),
        )  # fmt: skip
    except ValidationError as error:
        raise _refused(validation_faults(error)) from None
    with open_hub() as hub:
        hub.write(lambda tx: notices.add(tx, ACTOR, notice))
    typer.echo(f"已登记 / added: {number}")


def option(field: str) -> str:
    """What an administrator gives for a field of a notice."""
    return _GIVEN.get(field, "--" + field.replace("_", "-"))


def _refused(faults: Sequence[FieldFault]) -> typer.Exit:
    """By the option that the administrator gave, not by the field that it became."""
    for fault in faults:
        given = option(to_snake(fault.path.strip("/")))
        tell(f"{given}: {fault.reason_zh}, {fault.cure_zh}", f"{fault.reason_en}: {fault.cure_en}")
    return typer.Exit(1)


@app.command("withdraw")
def withdraw(number: Number) -> None:
    """撤回公告: 此后不再有证照据其视为有效。
    From now on no certificate is deemed valid by this notice.
    """
    with open_hub() as hub:
        hub.write(lambda tx: notices.withdraw(tx, ACTOR, number))
    typer.echo(f"已撤回 / withdrawn: {number}")


@app.command("list")
def list_notices() -> None:
    """列出全部公告, 含已撤回的。
    List every notice, the withdrawn ones too.
    """
    table = Table(
        "文号 number", "标题 title", "类型 type", "区域 region", "到期日在 ran out", "视为有效至 until", "状态 state"
    )
    with open_hub() as hub, hub.db.read() as conn:
        rows = store.notices(conn)
    for row in rows:
        one = Notice.model_validate_json(row.definition)
        state = "在用 in force" if row.withdrawn_at is None else "已撤回 withdrawn"
        ran_out = f"{one.expired_from} … {one.expired_until}"
        table.add_row(one.id, one.title, one.ecert_type, one.region, ran_out, str(one.deemed_valid_until), state)
    show(table)
