"""``hub evidence``, ``hub items`` and ``hub notices`` as an administrator uses them: another process, beside a hub that runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.evidence_fixtures import simulators
from tests.integration.evidence_world import PURPOSE, Peers, World
from tests.integration.test_evidence_rest import Node, body

__all__ = ["simulators"]  # fixtures
EXPIRED = 44
NUMBER = "鲁教函〔2026〕3号"


@pytest.fixture(scope="module")
def node(simulators: Peers) -> Iterator[Node]:
    made = Node(simulators)
    made.consent(made.hub.authorizations, EXPIRED)
    yield made
    made.stop()


def hub(simulators: Peers, *arguments: str) -> tuple[int, str, str]:
    """Exit code, what it printed, what it complained."""
    environment = {**os.environ, "HUB_STATE_DIR": str(simulators.folder / "state"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def is_in_two_languages(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text) and any("a" <= letter <= "z" for letter in text)


def asked(node: Node, **changes: Any) -> Any:
    return node.send("POST", "/v1/evidence", body(EXPIRED, **changes)).json()


def until(node: Node, wanted: bool) -> Any:
    """A running hub sees what a command changed within a few seconds."""
    end = time.monotonic() + 10
    while bool((found := asked(node)).get("notices")) is not wanted:
        assert time.monotonic() < end, found
        time.sleep(0.3)
    return found


def test_a_notice_holds_in_the_running_hub_from_now_on(node: Node, simulators: Peers) -> None:
    days = ["--issued-on", "2022-01-01", "--expired-from", "2022-01-01", "--expired-until", "2022-01-31"]
    notice = ["add", NUMBER, "--type", "id-card", "--title", "延期", "--source", "省教育厅网站", *days]
    assert {gap["state"] for one in asked(node)["requirements"] for gap in one["missing"]} == {"expired"}
    code, printed, _ = hub(simulators, "notices", *notice, "--deemed-valid-until", "2099-01-01")
    assert code == 0
    assert NUMBER in printed
    found = until(node, True)
    assert found["notices"] == [
        {"number": NUMBER, "title": "延期", "source": "省教育厅网站", "deemedValidUntil": "2099-01-01"}
    ]
    assert NUMBER in hub(simulators, "notices", "list")[1]
    refused = [
        [*notice, "--deemed-valid-until", "2099-01-01"],  # the number is taken
        [*notice[:1], "号", *notice[2:], "--deemed-valid-until", "2021-01-01"],  # ends before it begins
        ["withdraw", "没有这个号"],
    ]
    for arguments in refused:
        code, printed, complaint = hub(simulators, "notices", *arguments)
        assert (code, printed) == (1, "")
        assert is_in_two_languages(complaint)
    assert hub(simulators, "notices", "withdraw", NUMBER)[0] == 0
    until(node, False)
    assert hub(simulators, "notices", "add", NUMBER)[0] == 64  # options are missing


def test_a_purpose_that_is_taken_is_refused_at_once(node: Node, simulators: Peers) -> None:
    assert hub(simulators, "evidence", "forbid", "sdjs", PURPOSE)[0] == 0
    assert asked(node)["code"] == "evidence-purpose-refused"
    assert hub(simulators, "evidence", "allow", "sdjs", PURPOSE)[0] == 0
    assert "requirements" in asked(node)
    assert "sdjs" in hub(simulators, "evidence", "purposes")[1]
    for arguments in (
        ["allow", "nobody", PURPOSE],
        ["allow", "sdjs", "unheard-of"],
        ["forbid", "sdjs", "student-registry"],
    ):
        code, printed, complaint = hub(simulators, "evidence", *arguments)
        assert (code, printed) == (1, "")
        assert is_in_two_languages(complaint)


def test_an_item_that_was_imported_can_be_asked_for(node: Node, simulators: Peers, tmp_path: Path) -> None:
    code = "370109009001"
    sent = {"itemCode": code}
    assert asked(node, **sent)["code"] == "item-unknown"
    head = (
        "record,basic_code,version,effective_from,title_zh,title_en,level,limit,limit_unit,requires_consent,legal_basis,"
        "purposes,requirement,evidence,required,placeholder"
    )
    rows = [
        head,
        f"item,{code},1,2026-01-01,测试,test,province,5,working-day,yes,x,teacher-qualification,,,,yes",
        f"requirement,{code},1,,住所,residence,,,,,,,residence,unheard-of,yes,",
    ]
    file = tmp_path / "items.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    exit_code, printed, complaint = hub(simulators, "items", "import", str(file))
    assert (exit_code, printed) == (1, "")
    assert "第 3 行" in complaint  # where, and why, in both languages
    assert is_in_two_languages(complaint)
    file.write_text("\n".join(rows).replace("unheard-of", "degree | diploma"), encoding="utf-8")
    assert hub(simulators, "items", "import", str(file), "--dry-run")[0] == 0
    assert asked(node, **sent)["code"] == "item-unknown"
    assert hub(simulators, "items", "import", str(file))[0] == 0
    end = time.monotonic() + 10
    while "requirements" not in (found := asked(node, **sent)):
        assert time.monotonic() < end, found
        time.sleep(0.3)
    assert code in hub(simulators, "items", "list")[1]
    assert hub(simulators, "items", "list", "--region", "999999")[0] == 1
    out = tmp_path / "out.xlsx"
    assert hub(simulators, "items", "export", str(out))[0] == 0
    assert out.read_bytes().startswith(b"PK")
    code_, _, complaint = hub(simulators, "items", "import", str(tmp_path / "nowhere.csv"))
    assert code_ == 1
    assert is_in_two_languages(complaint)


def test_holders_stay_out_of_what_commands_print(node: Node, simulators: Peers) -> None:
    for arguments in (["evidence", "purposes"], ["notices", "list"], ["items", "list"]):
        assert World.holder(EXPIRED)["code"] not in hub(simulators, *arguments)[1]
