"""What was expected, what happened, and how the hub knows: one row for each scene, and whether all is as it should be."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rich.table import Table

from hub.audit.chain import read_anchors, verify_chain
from hub.cases.store import verification_reports
from hub.console.store import Found, find
from hub.demo.play import Run
from hub.demo.scenario import Twist
from hub.demo.stage import Stage
from hub.opening import open_database, open_vault
from schemas.transfers import CaseState

WORD = {
    CaseState.OPEN: "取证中 open", CaseState.WAITING: "办理中 waiting", CaseState.COMPLETED: "办结 completed",
    CaseState.REFUSED: "终止 refused", CaseState.WITHDRAWN: "撤回 withdrawn",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    scene: str
    expected: str
    happened: str
    known_by: str
    as_expected: bool


def judge(stage: Stage, runs: list[Run]) -> list[Row]:
    """One row for each scene, and one for the audit log."""
    vault = open_vault(stage.settings)
    db = open_database(stage.settings, vault)
    try:
        with db.read() as conn:
            found = {run.scene.key: find(conn, run.cases[0]) for run in runs if run.cases}
            for run in runs:
                if run.scene.twist is Twist.ALTERED and run.cases:
                    run.facts["finding"] = _why(verification_reports(conn, run.cases[0]))
            report = verify_chain(conn, vault.audit_key, read_anchors(stage.settings.state_dir / "audit-anchors.log"))
    finally:
        db.close()
    rows = [_row(run, found.get(run.scene.key)) for run in runs]
    faults = len(report.faults)
    rows.append(
        Row(
            "审计日志 audit log",
            "链条完整 the chain is whole",
            f"{report.rows} 条 rows, {faults} faults",
            "逐条核对链式摘要 every row's keyed hash",
            faults == 0,
        )
    )
    return rows


def _why(reports: dict[str, str]) -> str:
    """What the verifier said of the document that failed, with its clause."""
    for report in reports.values():
        for finding in json.loads(report)["findings"]:
            if finding["indication"] == "FAILED":
                return f"{finding['detail_zh']} {finding['detail_en']} [{finding['clause']}]"
    return ""


def _row(run: Run, found: Found | None) -> Row:
    scene, facts = run.scene, run.facts
    counted: dict[str, int] = {}
    for state in run.states.values():
        counted[WORD[state]] = counted.get(WORD[state], 0) + 1
    happened = ", ".join(f"{count} × {word}" for word, count in counted.items())
    if run.refused:
        happened += f"; 未受理 not taken: {', '.join(run.refused)}"
    good = len(run.cases) == len(scene.students) and all(state is scene.expected for state in run.states.values())
    known = [f"模拟器计数 simulators counted {facts.get('effects')}/{facts.get('steps')} effects, none twice"]
    doubled = int(facts.get("most", "0")) > 1
    if scene.expected is CaseState.COMPLETED:
        good = good and not doubled and facts.get("effects") == facts.get("steps")
    else:
        known = [facts.get("reason", "")]
        good = good and not doubled
    match scene.twist:
        case Twist.DOWN:
            tries = max((delivery.attempts for delivery in found.deliveries), default=0) if found else 0
            known.append(f"最多尝试 up to {tries} attempts of one delivery")
            good = good and tries > 1
        case Twist.HANGS:
            known.append(f"超时后查询 asked after the timeout: {facts.get('asked')}")
            good = good and int(facts.get("asked", "0")) >= 2
        case Twist.DUPLICATE:
            known.append(f"再发 again: {facts.get('again')}; 改后 changed: {facts.get('changed')}")
            good = good and facts.get("again") == "same case" and facts.get("changed") == "message-id-conflict"
        case Twist.ALTERED:
            known.append(facts.get("finding", ""))
            good = good and "hash-failure" in facts.get("reason", "")
        case Twist.NAME:
            good = good and "person-name-mismatch" in facts.get("reason", "")
        case Twist.SUSPENDED:
            good = good and "enrolment-suspended" in facts.get("reason", "")
    return Row(
        f"{scene.title_zh} {scene.title_en}",
        f"{scene.expected_zh} {scene.expected_en}",
        happened,
        "; ".join(known),
        good,
    )


def table(rows: list[Row], seconds: float) -> Table:
    """The rows for a terminal."""
    shown = Table(title=f"演示结果 what the demo showed ({seconds:.0f} s)", show_lines=True, expand=True)
    for heading in ("场景 scene", "预期 expected", "实际 what happened", "依据 how the hub knows", ""):
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(row.scene, row.expected, row.happened, row.known_by, "✓" if row.as_expected else "✗",
                      style=None if row.as_expected else "bold red")  # fmt: skip
    return shown
