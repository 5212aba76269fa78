"""hub items: the item catalogue, imported from and exported to CSV and Excel."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import fail, refusal, show, tell
from hub.db import utc_now
from hub.ecerts.catalogue import Handling
from hub.ecerts.items.service import ImportReport, ItemCatalogue
from hub.ecerts.items.table_file import TableError
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_items(
    file: Annotated[Path | None, typer.Argument(help=".csv 或 .xlsx")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查, 不写入 / check only")] = False,
    example: Annotated[bool, typer.Option("--example", help="导入随附示例 / the catalogue that ships")] = False,
) -> None:
    """导入事项、实施清单、办理项和来源; 按行列报告全部差错; 要么全部导入, 要么都不导入。
    Import items, implementations, handling rules and sources; every fault by row and column. All or nothing.
    """
    if (file is None) != example or (example and dry_run):
        raise fail("给出文件, 或 --example", "give a file, or --example")
    with open_hub() as hub:
        items = ItemCatalogue(hub.db)
        try:
            report = (
                items.import_example(actor=ACTOR)
                if file is None
                else items.import_file(file, actor=ACTOR, dry_run=dry_run)
            )
        except TableError as error:
            raise refusal(error) from None
    _tell(report, dry_run)


def _tell(report: ImportReport, dry_run: bool) -> None:
    for fault in sorted(report.faults, key=lambda fault: fault.row):  # an item is read after its requirements
        tell(f"{fault.place}: {fault.reason_zh}", fault.reason_en)
    if report.faults:
        count = len(report.faults)
        raise fail(f"{count} 处错误, 未写入任何内容", f"{count} faults, nothing was written")
    done = "检查通过, 未写入 / checked, not written" if dry_run else "已导入 / imported"
    typer.echo(
        f"{done}: 新增 added {report.added}, 替换 replaced {report.replaced}, 未变 unchanged {report.unchanged}, "
        f"占位编码 placeholder codes {report.placeholders}"
    )


@app.command("export")
def export_items(file: Annotated[Path, typer.Argument(help=".csv 或 .xlsx")]) -> None:
    """导出全部条目的全部版本, 可再次导入。
    Write every version of every entry as a table that can be imported again.
    """
    with open_hub() as hub:
        try:
            count = ItemCatalogue(hub.db).export_file(file)
        except TableError as error:
            raise refusal(error) from None
        except OSError as error:
            raise fail(f"{file}: 无法写入", f"cannot be written: {type(error).__name__}") from None
    typer.echo(f"已导出 / exported: {count}")


@app.command("list")
def list_items(
    region: Annotated[str | None, typer.Option(help="区域代码: 由谁办理 / who handles it there")] = None,
    area: Annotated[str | None, typer.Option(help="片区, 与 --region 同用 / a named area in the region")] = None,
    at: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="日期, 默认今天 / the day")] = None,
) -> None:
    """列出现行事项; 给出区划时, 并列出由谁办理、依据为何, 可指定其中的功能区。
    List the items in effect; with a region, who handles each and why, also in a named area of it.
    """
    if region is not None and region not in REGIONS:
        raise fail(f"没有区域 {region}", f"there is no region {region}")
    if area is not None and region is None:
        raise fail("--area 须与 --region 同用", "--area goes with --region")
    moment = at.replace(hour=12, tzinfo=SHANGHAI) if at is not None else utc_now()
    table = Table(
        "编码 code",
        "事项 item",
        "层级 level",
        "时限 limit",
        "占位 placeholder",
        *(["办理 handled by"] if region else []),
    )
    with open_hub() as hub:
        catalogue = ItemCatalogue(hub.db).current()
    if area is not None and region is not None and area not in (areas := catalogue.areas(region)):
        some = ", ".join(areas)
        raise fail(
            f"区域 {region} 没有片区 {area}; 已有: {some or '无'}",
            f"region {region} has no area {area}; there are: {some or 'none'}",
        )
    for item in catalogue.items(moment):
        cells = [item.basic_code, f"{item.title_zh}\n{item.title_en}", item.level.value, f"{item.limit} {item.limit_unit}",
                 "是" if item.placeholder else ""]  # fmt: skip
        if region is not None:
            found = catalogue.who_handles(item, region, moment, area=area)
            who = (
                f"{found.implementation.organ} ({found.reason})" if isinstance(found, Handling) else found.reason.value
            )
            cells.append(who)
        table.add_row(*cells)
    show(table)
