"""hub verify: what may be relied on in a document, axis by axis, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from certs.errors import CertsError
from certs.policy import load_policy
from certs.render import report_to_json, report_to_text
from certs.report import Indication
from certs.trust import TrustStore
from certs.verify import Fetchers, verify
from hub.config import Settings

EXIT = {Indication.PASSED: 0, Indication.FAILED: 1, Indication.INDETERMINATE: 2}


def verify_files(
    files: Annotated[list[Path], typer.Argument(help="OFD, PDF, CMS or JWS", exists=True, dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    policy: Annotated[str | None, typer.Option(help="strict, field …; default: the setting HUB_POLICY")] = None,
    at: Annotated[datetime | None, typer.Option(help="judge as of this time (UTC); default: now")] = None,
    language: Annotated[str, typer.Option("--lang", help="zh or en")] = "zh",
) -> None:
    """Verify documents. Exit 0 if all PASSED, 1 if any FAILED, else 2 (INDETERMINATE)."""
    settings = Settings()
    worst = 0
    try:
        trust = TrustStore.load(settings.state_dir / "trust")
        chosen = load_policy(policy or settings.policy)
    except CertsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from None
    moment = at.replace(tzinfo=UTC) if at is not None else datetime.now(UTC)
    for file in files:
        report = verify(file.read_bytes(), policy=chosen, at=moment, trust=trust, fetchers=Fetchers())
        if as_json:
            typer.echo(json.dumps({"file": str(file), **report_to_json(report)}, ensure_ascii=False))
        else:
            typer.echo(f"{file}\n{report_to_text(report, language=language)}\n")
        code = EXIT[report.indication]
        worst = 1 if 1 in (code, worst) else max(code, worst)
    raise typer.Exit(worst)
