"""hub verify: what may be relied on in a document, axis by axis, and why.

It knows what the hub knows: anchors in ``trust/`` of the state folder, issuers in ``issuers/``, lists in ``crls/``, and downloads
from the hosts of the setting ``revocation_hosts``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from certs import sm2
from certs.errors import BadConfiguration
from certs.policy import load_policy
from certs.render import report_to_json, report_to_text
from certs.report import Indication
from certs.verify import MAX_DOCUMENT_BYTES
from hub.commands.settings import read_settings
from hub.commands.telling import fail, refusal
from hub.ecerts.check import opened
from hub.ecerts.issuer import examine
from hub.ecerts.sealing import load_sealing
from hub.ecerts.trust import TrustFolder
from hub.working_days import SHANGHAI
from schemas.ecert_types import EcertTypesError, use_types
from schemas.told import Told

TIMES = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
EXIT = {Indication.PASSED: 0, Indication.FAILED: 1, Indication.INDETERMINATE: 2}


def verify(
    files: Annotated[list[Path], typer.Argument(help="OFD、PDF、CMS、XML 或 JWS 文件 / OFD, PDF, CMS, XML or JWS")],
    as_json: Annotated[bool, typer.Option("--json", help="每行一个 JSON 对象 / one JSON object a line")] = False,
    policy: Annotated[
        str | None,
        typer.Option(help="strict、field 等, 缺省为设置 HUB_POLICY / strict, field …; default: the setting HUB_POLICY"),
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            help="按此时刻判定: 北京时间, 除非以 Z 或 +08:00 结尾; 缺省为当前 / "
            "judge as of this time: Asia/Shanghai unless it ends with Z or +08:00; default: now",
            formats=TIMES,
        ),
    ] = None,
    language: Annotated[Literal["zh", "en"], typer.Option("--lang", help="文本的语言 / language of the text")] = "zh",
) -> None:
    """验证文件。全部通过为 0, 任一不通过为 1, 否则为 2 (无法判定); 未能验证为 3。不查吊销、注销通知。
    Verify documents. Exit 0 if all PASSED, 1 if any FAILED, else 2 (INDETERMINATE); 3 if it could not be done. Knows no notices.
    """
    settings = read_settings(code=3)
    worst = 0
    try:
        sm2.select_backend(settings.sm2_backend)
        folder = TrustFolder.of(settings)
        chosen = load_policy(policy or settings.policy)
        use_types(settings.ecert_types)
        sealing = load_sealing(settings.sealing)
    except (BadConfiguration, EcertTypesError) as error:
        raise refusal(error, code=3) from None
    try:
        moment = datetime.now(UTC) if at is None else (at if at.tzinfo else at.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except OverflowError:  # the first hours of year 1 in Shandong
        raise refusal(Told("没有此时刻", "there is no such time"), code=3) from None
    for file in files:
        content, trust, fetchers = _read(file), folder.store(), folder.fetchers()
        report = examine(
            content, opened(content), policy=chosen, at=moment, trust=trust, fetchers=fetchers, sealing=sealing
        ).report
        if as_json:
            typer.echo(json.dumps({"file": str(file), **report_to_json(report)}, ensure_ascii=False))
        else:
            typer.echo(f"{file}\n{report_to_text(report, language=language)}\n")
        code = EXIT[report.indication]
        worst = 1 if 1 in (code, worst) else max(code, worst)
    raise typer.Exit(worst)


def _read(file: Path) -> bytes:
    """No more than tells that a document is too large."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise fail(f"{file}: 无法读取", f"cannot be read: {error.strerror}", code=3) from None
