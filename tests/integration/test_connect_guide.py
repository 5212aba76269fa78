"""docs/how-to/connect-a-system.md: its scripts are run as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.access.callers import KeyKind
from hub.access.parties_file import PartiesFile
from tests.integration.intake_hub import SYSTEM, RunningHub, running_hub, transfer

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "how-to" / "connect-a-system.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def folder(hub: RunningHub, tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the guide makes its key with the openssl command line, which is not here")
    subprocess.run(["sh", "-ec", block("sh")], cwd=tmp_path, check=True, capture_output=True)
    hub.register(SYSTEM, KeyKind.HTTP, (tmp_path / "key.pub.pem").read_bytes(), key_id=tmp_path.name)
    (tmp_path / "transfer.json").write_text(json.dumps(transfer(), ensure_ascii=False), encoding="utf-8")
    return tmp_path


def run(hub: RunningHub, folder: Path, *command: str) -> str:
    environment = {**os.environ, "HUB": hub.url, "KEYID": folder.name, "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_script(hub: RunningHub, folder: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("needs bash and curl")
    output = run(hub, folder, "bash", "-ec", block("bash"))
    assert " 202 " in output.splitlines()[0]
    assert "location: " in output.lower()


def test_the_python_script(hub: RunningHub, folder: Path) -> None:
    output = run(hub, folder, sys.executable, "-c", block("python"))
    assert output.startswith("202 ")
    assert "'state': 'open'" in output


def test_the_example_of_a_parties_file_is_one() -> None:
    page = (DOCS / "operations" / "parties.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    parties = PartiesFile.model_validate(tomllib.loads(found[1]))
    assert (len(parties.system), len(parties.endpoint)) == (1, 1)
