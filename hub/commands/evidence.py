"""hub evidence: the purposes for which systems may ask for evidence, and revocation notices."""

from __future__ import annotations

import hashlib
from typing import Annotated

import typer
from rich.table import Table

from hub.app import case_rooms
from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import fail, show, tell
from hub.db import AuditEntry, Tx
from hub.ecerts.evidence import store
from hub.ecerts.evidence.revoking import Notice, reinstate, revoke
from hub.ecerts.evidence.rules import load_rules
from schemas.ecert_types import ecert_types
from schemas.numbers import EcertIdentifier, check_text_names_nobody
from schemas.revocations import RevocationReason
from schemas.rules import FieldError, Rule

app = typer.Typer(no_args_is_help=True)
System = Annotated[str, typer.Argument(help="系统编号 / system id")]
Purpose = Annotated[str, typer.Argument(help="用途 / purpose; hub evidence purposes 列出全部")]


@app.command("allow")
def allow(system: System, purpose: Purpose) -> None:
    """为系统登记用途: 可据此索取证明材料, 并看到该用途开放的字段。
    Register a purpose for a system: it may ask for evidence with it and sees the fields that the purpose opens.
    """
    if purpose not in load_rules().purpose:
        known = ", ".join(sorted(load_rules().purpose))
        raise fail(f"没有用途 {purpose}; 可用: {known}", f"there is no purpose {purpose}; there are {known}")

    def write(tx: Tx) -> bool:
        if not store.system_exists(tx.conn, system):
            return False
        if store.allow_purpose(tx.conn, system, purpose, tx.now, ACTOR):
            tx.audit.append(AuditEntry(ACTOR, "evidence.allow", system, purpose))
        return True

    with open_hub() as hub:
        if not hub.write(write):
            raise fail(
                f"没有系统 {system}; hub systems list 列出全部",
                f"there is no system {system}; hub systems list shows them",
            )
    typer.echo(f"已登记 / registered: {system} {purpose}")


@app.command("forbid")
def forbid(system: System, purpose: Purpose) -> None:
    """收回系统的一项用途。
    Take a purpose from a system.
    """

    def write(tx: Tx) -> bool:
        done = store.forbid_purpose(tx.conn, system, purpose)
        if done:
            tx.audit.append(AuditEntry(ACTOR, "evidence.forbid", system, purpose))
        return done

    with open_hub() as hub:
        if not hub.write(write):
            raise fail(f"{system} 没有用途 {purpose}", f"{system} has no purpose {purpose}")
    typer.echo(f"已取消 / taken: {system} {purpose}")


@app.command("purposes")
def purposes() -> None:
    """列出各用途可见的字段和已登记的系统, 以及文件保留多久、依据谁的规定。
    Every purpose, what it may see, which systems are registered for it; and how long documents are kept, by whose rule.
    """
    with open_hub() as hub, hub.db.read() as conn:
        registered = store.all_purposes(conn)
    table = Table("用途 purpose", "名称 title", "字段 fields", "系统 systems")
    for name, purpose in load_rules().purpose.items():
        whole = " (+ OFD)"
        fields = "\n".join(
            f"{kind}: {' '.join(names)}{whole if kind in purpose.documents else ''}"
            for kind, names in purpose.fields.items()
        )
        systems = " ".join(system for system, one in registered if one == name)
        table.add_row(name, f"{purpose.title_zh}\n{purpose.title_en}", fields, systems)
    show(table)
    kept = Table("类型 type", "缓存秒数 kept, seconds", "规则 by the rule of")
    for kind in ecert_types():
        seconds = load_rules().keep_s.get(kind)
        kept.add_row(
            kind, "不缓存 never" if seconds is None else str(seconds), "hub/ecerts/data/evidence.toml [keep_s]"
        )
    show(kept)


@app.command("revoked")
def revoked(
    identifiers: Annotated[list[str], typer.Argument(help="证照标识 / certificate identifiers")],
    source: Annotated[str, typer.Option(help="依据文号 / the decision or record behind it, by its number")],
    reason: Annotated[RevocationReason, typer.Option(help="原因 / reason")] = RevocationReason.REVOKED,
) -> None:
    """录入纸质的吊销通知: 同 POST /v1/revocations, 由操作人代发证系统提交。
    A revocation notice that came on paper: as POST /v1/revocations, with the operator in the issuing system's place.
    """
    for identifier in identifiers:
        _look_at(identifier)
    try:
        check_text_names_nobody(source)
    except FieldError as error:
        zh, en = _said("--source", error.rule)
        raise fail(zh, en) from None
    with open_hub() as hub:
        follow_ups = case_rooms(hub.settings, hub.db, hub.vault).evidence.follow_ups
        text = "\n".join((*sorted(identifiers), reason, source))
        digest = hashlib.sha256(text.encode()).hexdigest()
        notice = Notice(tuple(identifiers), reason, hub.db.clock(), source[:100], ACTOR, digest)
        told = hub.write(lambda tx: revoke(tx, follow_ups, notice))
    typer.echo(
        f"{told.id}: 证照 / certificates {told.certificates}, 涉及答复 / answers {told.answers}, "
        f"涉及办件 / cases {told.cases}, "
        f"已通知系统 / systems told {told.systems_told}/{told.systems}"
    )


def _look_at(identifier: str) -> None:
    """What was copied from paper: no identifier is refused; a wrong check character is told, as some issuers' are not right."""
    try:
        warning = EcertIdentifier.parse(identifier.upper()).warning
    except FieldError as error:
        raise fail(*_said(identifier, error.rule)) from None
    if warning is not None:
        zh, en = _said(identifier, warning)
        tell(f"注意: {zh}", f"note: {en}")


def _said(identifier: str, rule: Rule) -> tuple[str, str]:
    return f"{identifier}: {rule.zh}, {rule.cure_zh}", f"{rule.en}: {rule.cure_en}"


@app.command("reinstate")
def reinstate_(
    identifier: Annotated[str, typer.Argument(help="证照标识 / certificate identifier")],
    reason: Annotated[str, typer.Option(help="理由 / why the notice was wrong")],
) -> None:
    """撤回错误的吊销通知: 重新取得后该证照可再采信。
    Take a wrong revocation notice back: the certificate may be relied on again when it is fetched anew.
    """
    with open_hub() as hub:
        follow_ups = case_rooms(hub.settings, hub.db, hub.vault).evidence.follow_ups
        done = hub.write(lambda tx: reinstate(tx, follow_ups, identifier, ACTOR, reason))
    if not done:
        raise fail("没有该证照的吊销通知", "no notice names this certificate")
    typer.echo("已恢复 / reinstated")
