"""The image and the compose file, checked without an engine: what they promise stands in them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.config import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_the_process_is_not_root(instructions: list[tuple[str, str]]) -> None:
    users = [value for name, value in instructions if name == "USER"]
    assert users == ["hub"]
    after = [name for name, _ in instructions][[name for name, _ in instructions].index("USER") :]
    assert "RUN" not in after


def test_the_image_says_how_it_is(instructions: list[tuple[str, str]]) -> None:
    names = [name for name, _ in instructions]
    assert "HEALTHCHECK" in names
    assert dict(instructions)["CMD"] == '["serve"]'


def test_every_copied_path_exists_and_is_sent_to_the_engine(instructions: list[tuple[str, str]]) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    for name, value in instructions:
        if name == "COPY" and "--from" not in value:
            *sources, _ = shlex.split(value)
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source in sent, f"{source} is ignored by .dockerignore"


def test_every_setting_in_the_files_is_one(instructions: list[tuple[str, str]], compose: dict[str, Any]) -> None:
    named = {
        word.split("=")[0] for name, value in instructions if name == "ENV" for word in value.split() if "HUB_" in word
    }
    named |= set(compose["services"]["hub"]["environment"])
    assert named <= {f"HUB_{name.upper()}" for name in Settings.model_fields}


def test_the_container_is_locked_down(compose: dict[str, Any]) -> None:
    hub = compose["services"]["hub"]
    assert hub["read_only"] is True
    assert hub["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in hub["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in hub["ports"])
    assert "environment" not in compose["services"]["database"] or not any(
        name.endswith("PASSWORD") for name in compose["services"]["database"]["environment"]
    )


def test_every_volume_and_secret_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
        for secret in service.get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in compose["secrets"]
