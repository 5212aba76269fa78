"""What an administrator does at night by command: a backup that is whole, lists that are, a proof that cannot be mistyped away."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from hub import tables as t
from hub.audit.chain import write_anchor
from hub.cli import app
from hub.config import Settings
from hub.db import Tx
from hub.keyring import KeyRing
from hub.opening import open_database, open_vault
from tests.delivering import add_endpoints, enqueue


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def serve(code: int) -> subprocess.CompletedProcess[str]:
    """As a process of its own: it sets up the logs for good."""
    command = [sys.executable, "-m", "hub.cli", "serve"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr
    return ended


def hub(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


# --- backup -------------------------------------------------------------------------------------------------------------


def test_a_backup_beside_a_writing_hub_is_whole_and_restores(state: Path, tmp_path: Path) -> None:
    hub("operators", "add", "wang", "--role", "audit-administrator")
    running = open_database(Settings(state_dir=state), open_vault(Settings(state_dir=state)))
    with running.read() as conn:
        write_anchor(conn, state / "audit-anchors.log")
        conn.execute(sa.select(t.operators)).all()  # a reader: nothing of the write-ahead log moves into the file now
        hub("operators", "add", "li", "--role", "system-administrator")
        done = hub("backup", str(tmp_path / "copy"))
    running.close()
    assert "vault.key" in done.stderr
    assert not (tmp_path / "copy" / "vault.key").exists()
    hub("backup", str(tmp_path / "copy"), code=1)  # never over another
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "copy", state)
    with sqlite3.connect(state / "hub.sqlite") as copied:
        names = {name for (name,) in copied.execute("SELECT name FROM operators")}
    assert {"wang", "li"} <= names


def test_the_restored_log_is_whole_under_its_own_anchors(state: Path, tmp_path: Path) -> None:
    hub("operators", "add", "wang", "--role", "audit-administrator")
    hub("audit", "anchor", str(state / "audit-anchors.log"))
    key = (state / "vault.key").read_bytes()
    hub("backup", str(tmp_path / "copy"))
    hub("operators", "add", "li", "--role", "system-administrator")
    hub("audit", "anchor", str(tmp_path / "later.log"))
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "copy", state)
    (state / "vault.key").write_bytes(key)
    assert "错误 faults 0" in hub("audit", "verify").stdout
    assert "截去" in hub("audit", "verify", "--anchors", str(tmp_path / "later.log"), code=1).stderr


def test_a_restored_database_without_its_key_gets_no_new_one(state: Path, tmp_path: Path) -> None:
    """A new key would continue the chain so that all of it looks altered, and open nothing."""
    hub("operators", "add", "wang", "--role", "audit-administrator")
    key = (state / "vault.key").read_bytes()
    hub("backup", str(tmp_path / "copy"))
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "copy", state)
    told = hub("audit", "verify", code=1).stderr
    assert "vault.key" in told
    assert "put its own vault.key back" in told
    assert "vault.key" in serve(1).stderr
    assert not (state / "vault.key").exists()
    (state / "vault.key").write_bytes(key)
    assert "错误 faults 0" in hub("audit", "verify").stdout


def test_a_log_under_another_key_is_told_in_one_line(state: Path) -> None:
    for name in ("wang", "li", "zhao"):
        hub("operators", "add", name, "--role", "audit-administrator")
    (state / "vault.key").write_text(KeyRing.of(bytes(32)).to_text())
    told = hub("audit", "verify", code=1).stderr
    assert "行内容被改动 / altered at rows 1 to " in told
    assert told.count("altered") == 1


# --- the proof of the log -----------------------------------------------------------------------------------------------


def test_anchors_that_are_not_there_prove_nothing(state: Path, tmp_path: Path) -> None:
    hub("operators", "add", "wang", "--role", "audit-administrator")
    assert "没有锚点" in hub("audit", "verify").stderr
    assert "不存在, 或没有锚点" in hub("audit", "verify", "--anchors", str(tmp_path / "none.log"), code=2).stderr
    (tmp_path / "empty.log").write_text("")
    hub("audit", "verify", "--anchors", str(tmp_path / "empty.log"), code=2)


# --- lists and replays ---------------------------------------------------------------------------------------------------

LONG = "a-registry-with-a-very-long-name-in-the-county-of-lixia"


def suspended(state: Path, count: int) -> list[str]:
    settings = Settings(state_dir=state)
    vault = open_vault(settings)
    db = open_database(settings, vault)
    add_endpoints(db, 1, prefix=LONG)
    ids = enqueue(db, f"{LONG}0", [f"key-{number}" for number in range(count)])

    def suspend(tx: Tx) -> None:
        tx.conn.execute(sa.update(t.deliveries).values(state="suspended", attempts=12, last_error="http-500"))

    db.write(suspend)
    db.close()
    return ids


def test_ids_are_whole_where_another_program_reads(state: Path) -> None:
    (first, *_) = suspended(state, 1)
    assert f"{LONG}0" in hub("endpoints", "list").stdout
    line = next(line for line in hub("deliveries", "list").stdout.splitlines() if first in line)
    assert f"{LONG}0" in line
    assert "http-500" in line


def test_everything_of_an_endpoint_is_replayed_at_once(state: Path) -> None:
    ids = suspended(state, 230)
    listed = hub("deliveries", "list").stdout
    assert "只列出前 200 项, 共 230 项" in listed
    assert "请填写原因" in hub("deliveries", "replay", ids[0], "--reason", "  ", code=1).stderr
    assert "--endpoint" in hub("deliveries", "replay", "--reason", "x", code=1).stderr
    mistyped = hub("deliveries", "replay", "--endpoint", LONG, "--reason", "x", code=1)
    assert "there is no endpoint" in mistyped.stderr
    assert "230" in hub("deliveries", "replay", "--endpoint", f"{LONG}0", "--reason", "mended").stdout
    assert "dlv_" not in hub("deliveries", "list").stdout


def test_an_endpoint_that_is_ill_is_not_said_to_be_well(state: Path) -> None:
    suspended(state, 0)
    settings = Settings(state_dir=state)
    db = open_database(settings, open_vault(settings))
    ill = {"ill_since": db.clock() - timedelta(minutes=5), "last_error": "tls-certificate"}
    db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(ill)))
    db.close()
    assert "异常 ill" in hub("endpoints", "list").stdout
    (shown,) = json.loads(hub("endpoints", "list", "--json").stdout)
    assert shown["state"] == "ill"
    assert shown["since"]


@pytest.mark.parametrize(("paused", "then"), [(False, "check {} /"), (True, "resume {} --reason")])
def test_an_endpoint_that_is_misconfigured_says_what_to_do(state: Path, paused: bool, then: str) -> None:
    suspended(state, 0)
    settings = Settings(state_dir=state)
    db = open_database(settings, open_vault(settings))
    now = db.clock()
    wrong = {"ill_since": now, "misconfigured_at": now, "last_error": "http-401"}
    if paused:
        wrong |= {"paused_at": now, "paused_reason": "http-401"}
    db.write(lambda tx: tx.conn.execute(sa.update(t.endpoints).values(wrong)))
    db.close()
    listed = hub("endpoints", "list").stdout
    assert ("已暂停 paused" if paused else "配置有误 misconfigured") in listed
    assert "异常" not in listed
    assert f"配置有误, 重试无用; 查看对方应答: hub endpoints check {LONG}0" in listed
    assert f"再 hub endpoints {then.format(LONG + '0')}" in listed


# --- what cannot be -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("systems", "list"), ("audit", "verify"), ("vault", "status"), ("serve",)])
@pytest.mark.parametrize(("url", "told"), [
    ("foo", "不是数据库地址"),
    ("postgresql+psycopg://u:p@127.0.0.1:1/x", "数据库无法连接"),
])  # fmt: skip
def test_a_database_that_cannot_be_reached_is_told_in_one_line(
    state: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], url: str, told: str
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    ended = serve(1) if command == ("serve",) else hub(*command, code=1)
    (line,) = ended.stderr.strip().splitlines()
    assert told in line
    assert " / " in line


def test_a_port_in_use_is_told_before_anybody_is_told_the_address(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("HUB_PORT", str(taken.getsockname()[1]))
        done = serve(1)
    assert "无法在 127.0.0.1" in done.stderr
    assert "listening on" not in done.stdout
