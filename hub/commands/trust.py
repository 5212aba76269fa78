"""hub trust: which certificates are trusted for what. Changes are in the audit log before and after they take effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from certs.errors import BadConfiguration
from certs.trust import PURPOSES, Anchor, TrustStore, read_certificate
from hub.commands.context import ACTOR, OpenHub, open_hub
from hub.commands.settings import read_settings
from hub.commands.telling import fail, refusal
from hub.config import Settings
from hub.db import AuditEntry
from hub.working_days import SHANGHAI

app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[
    bool, typer.Option("--json", help="输出一个 JSON 文档, 不输出文本 / one JSON document instead of text")
]


@app.command("list")
def list_anchors(as_json: AsJson = False) -> None:
    """列出信任根及其指纹、用途和期限。
    List the anchors with fingerprint, purposes and expiry.
    """
    anchors = _load(read_settings()).anchors
    if as_json:
        typer.echo(json.dumps([_facts(anchor) for anchor in anchors], ensure_ascii=False, indent=2))
        return
    if not anchors:
        typer.echo("没有信任根 / no anchors; add one: hub trust add FILE --purpose seal")
    for anchor in anchors:  # no table: a fingerprint that is cut off to fit the screen cannot be compared
        until = f"  信任至 / trusted until {_day(anchor.expires_at)}" if anchor.expires_at else ""
        typer.echo(anchor.fingerprint)
        typer.echo(f"  {anchor.label or '-'}  {anchor.cert.subject_text}")
        typer.echo(f"  {' '.join(sorted(anchor.purposes))}  有效至 / valid until {_day(anchor.cert.not_after)}{until}")


@app.command("add")
def add(
    file: Annotated[
        Path, typer.Argument(help="证书, PEM 或 DER / certificate, PEM or DER", exists=True, dir_okay=False)
    ],
    purpose: Annotated[
        list[str], typer.Option(help=f"用途, 可重复 / purpose, may be repeated: {', '.join(sorted(PURPOSES))}")
    ],
    label: Annotated[str, typer.Option(help="通用名称 / what people call it", max=200)] = "",
    expires: Annotated[
        datetime | None,
        typer.Option(help="信任的最后一天 (北京时间) / last day of trust, Asia/Shanghai", formats=["%Y-%m-%d"]),
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="发布者公布的 SHA-256 指纹; 未给出则请您核对确认 / "
            "SHA-256 that the issuer published; asked to be confirmed if left out"
        ),
    ] = None,
) -> None:
    """信任一个证书。请与另一途径得到的指纹核对。
    Trust a certificate. Compare its fingerprint with one that reached you by another way.
    """
    until = (expires.replace(tzinfo=SHANGHAI) + timedelta(days=1, seconds=-1)).astimezone(UTC) if expires else None
    try:
        cert = read_certificate(file.read_bytes(), file.name)
        if fingerprint is None:
            typer.echo(f"{cert.subject_text}\nSHA-256 {cert.fingerprint}")
            typer.confirm("指纹核对无误？ / is this the fingerprint that was published?", abort=True)
        elif fingerprint.lower().replace(":", "").replace(" ", "") != cert.fingerprint:
            raise fail(
                f"文件是另一份证书, 其 SHA-256 为 {cert.fingerprint}",
                f"the file is another certificate: its SHA-256 is {cert.fingerprint}",
            )
        with open_hub() as hub:
            anchor = Anchor(cert, frozenset(purpose), datetime.now(UTC), until, label)
            detail = {"purposes": " ".join(sorted(purpose))}
            _change(hub, "trust.add", cert.fingerprint, detail, lambda store: store.with_anchor(anchor))
    except BadConfiguration as error:
        raise refusal(error) from None
    typer.echo(cert.fingerprint)


@app.command("remove")
def remove(
    fingerprint: Annotated[
        str, typer.Argument(help="SHA-256 指纹的前 8 位或更多 / the first 8 digits or more of its SHA-256")
    ],
) -> None:
    """不再信任一个证书。
    Trust a certificate no more.
    """
    with open_hub() as hub:
        try:
            before = _load(hub.settings)
            after = before.without(fingerprint)
            gone = next(anchor for anchor in before.anchors if anchor not in after.anchors)
            _change(hub, "trust.remove", gone.fingerprint, {}, lambda store: store.without(gone.fingerprint))
        except BadConfiguration as error:
            raise refusal(error) from None
    typer.echo(gone.fingerprint)


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """检查信任根: 过期或将过期、重复、过弱、未列入索引的文件; 有问题则退出码为 1。
    Tell what is wrong with the store: expired or expiring, duplicate or weak anchors, stray files. Exit 1 if any.
    """
    problems = _load(read_settings()).check(datetime.now(UTC))
    if as_json:
        facts = [{"kind": p.kind, "sha256": p.fingerprint, "zh": p.detail_zh, "en": p.detail_en} for p in problems]
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for problem in problems:
            typer.echo(f"{problem.kind:14} {problem.fingerprint[:16]:16}  {problem.detail_zh} / {problem.detail_en}")
        if not problems:
            typer.echo("信任根没有问题 / nothing is wrong")
    if problems:
        raise typer.Exit(1)


def _change(
    hub: OpenHub, action: str, fingerprint: str, detail: dict[str, str], change: Callable[[TrustStore], TrustStore]
) -> None:
    """Intent in the audit log, then the folder, then the outcome."""
    folder = hub.settings.state_dir / "trust"
    changed = change(TrustStore.load(folder))
    _audit(hub, AuditEntry(ACTOR, action, fingerprint, "intended", detail))
    changed.save(folder)
    _audit(hub, AuditEntry(ACTOR, action, fingerprint, "done", detail))


def _audit(hub: OpenHub, entry: AuditEntry) -> None:
    hub.write(lambda tx: tx.audit.append(entry))


def _load(settings: Settings) -> TrustStore:
    try:
        return TrustStore.load(settings.state_dir / "trust")
    except BadConfiguration as error:
        raise refusal(error) from None


def _facts(anchor: Anchor) -> dict[str, object]:
    return {
        "sha256": anchor.fingerprint,
        "label": anchor.label,
        "subject": anchor.cert.subject_text,
        "purposes": sorted(anchor.purposes),
        "valid_until": anchor.cert.not_after.isoformat(),
        "trusted_until": anchor.expires_at.isoformat() if anchor.expires_at else None,
    }


def _day(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d")
