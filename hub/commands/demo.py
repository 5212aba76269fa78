"""hub demo: see the whole hub work on this machine, with nothing to prepare."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from adapters.simulator_process import SimulatorFailed
from hub.commands.telling import fail, refusal
from hub.demo import counter_scene, evidence_scene
from hub.demo.cast import StageFailed
from hub.demo.play import Play, Run
from hub.demo.stage import Stage, stage
from hub.demo.summary import judge, table


def demo() -> None:
    """在本机启动全部演示, 运行场景并显示结果; 有终端时保持运行, 直至 Ctrl-C。
    Start everything on loopback, run the scenario, show what came of it; with a terminal, stay up until Ctrl-C.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    screen = Console(width=None if interactive else 160)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started here is ended as well
    screen.print(
        "教育政务互通枢纽 演示: 正在启动枢纽与各地系统 (本机回环地址) / starting the hub and the others on loopback ..."
    )
    began = time.monotonic()
    try:
        with stage() as built:
            screen.print(f"枢纽 hub: {built.url}    启动用时 started in {time.monotonic() - began:.1f} s")
            play_began = time.monotonic()
            evidence_scene.prepare(built)
            with Live(console=screen, auto_refresh=False, transient=True) as live:

                def watch(runs: list[Run]) -> None:
                    if interactive:
                        live.update(progress(runs, time.monotonic() - play_began), refresh=True)

                runs = Play(built, watch).run()
            shown = [evidence_scene.play(built), *counter_scene.play(built)]
            rows = judge(built, runs)
            rows[-1:-1] = shown  # the audit log stays last
            screen.print(table(rows, time.monotonic() - play_began))
            good = all(row.as_expected for row in rows)
            if interactive:
                screen.print("\n控制台 console (一次性链接 one-time link):")
                for link in built.links:
                    screen.print("  " + link, soft_wrap=True)
                screen.print("\n供接入系统的开发者粘贴 for developers to paste (docs/how-to/connect-a-system.md):")
                for line in for_developers(built):
                    screen.print("  " + line, soft_wrap=True, markup=False, highlight=False)
                screen.print("\nCtrl-C 结束 ends everything.")
                _wait()
    except StageFailed as error:
        raise refusal(error) from None
    except SimulatorFailed as error:  # in the middle of the play
        raise fail(
            f"模拟系统中途失去应答 ({error}), 请重新运行", "a simulator failed in mid-play: run it again"
        ) from None
    except KeyboardInterrupt:
        screen.print("已中断 interrupted")
        raise typer.Exit(130) from None
    if not good:
        screen.print("有场景与预期不符 / something did not go as expected")
        raise typer.Exit(1)


def for_developers(built: Stage) -> list[str]:
    """What brings a system of one's own into this hub: the guide's commands, and where they find it."""
    programs, state = Path(sys.executable).parent, built.settings.state_dir
    return [
        f'export PATH="{programs}:$PATH" HUB_STATE_DIR="{state}" HUB={built.url}',
        "openssl genpkey -algorithm ed25519 -out key.pem && openssl pkey -in key.pem -pubout -out key.pub.pem",
        "hub systems add qd-registry --name 青岛市学籍系统 --key key.pub.pem --key-id qd-2026",
        "hub systems grant qd-registry transfer.submit transfer.query transfer.decide --region 370200",
    ]


def progress(runs: list[Run], seconds: float) -> Table:
    """The live display."""
    shown = Table(title=f"办理中 in progress ({seconds:.0f} s)")
    for heading in ("场景 scene", "提交 submitted", "办完 ended", ""):
        shown.add_column(heading)
    for run in runs:
        wanted, ended = len(run.scene.students), run.ended
        bar = "█" * (20 * ended // wanted) + "░" * (20 - 20 * ended // wanted)
        shown.add_row(f"{run.scene.title_zh} {run.scene.title_en}", f"{len(run.cases)}/{wanted}", str(ended), bar)
    return shown


def _wait() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
