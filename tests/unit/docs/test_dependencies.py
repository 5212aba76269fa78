"""Every dependency is argued for, and used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAMES = sorted(re.split(r"[\[>=<; ]", line)[0] for line in PROJECT["project"]["dependencies"])
# distribution -> what is imported, where that differs; None: used by name only
IMPORTED = {
    "chinesecalendar": "chinese_calendar", "gmssl-pyx": "gmssl_pyx", "http-sf": "http_sf", "prometheus-client": "prometheus_client",
    "psycopg": "psycopg", "pydantic-settings": "pydantic_settings", "python-stdnum": "stdnum",
    "python-multipart": None,  # FastAPI reads forms with it
    "tzdata": None,  # zoneinfo finds Asia/Shanghai in it
}  # fmt: skip
ROOMS = ("hub", "adapters", "certs", "schemas")
SOURCES = [path.read_text(encoding="utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("name", NAMES)
def test_a_dependency_is_argued_for(name: str) -> None:
    page = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    assert any(name in {word.strip() for word in row.split(",")} for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_dependency_is_used(name: str) -> None:
    module = IMPORTED.get(name, name)
    if module is not None:
        assert any(re.search(rf"^\s*(import|from) {module}\b", source, re.MULTILINE) for source in SOURCES)


def test_the_lock_names_the_public_index_only() -> None:
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\"]+)", lock))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
