"""``make adapter name=x``: what it makes is clean, typed, and passes the contract suite as it stands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.scaffold import ScaffoldError, create
from tests.contract.quality import ROOT

NAME = "laiwu_registry"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's code in another place, so that the new adapter lands there."""
    without = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("adapters", "certs", "schemas", "tests/contract"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=without)
    for file in ("pyproject.toml", "tests/__init__.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_a_new_adapter_works_as_it_stands(copy: Path) -> None:
    assert NAME in run(copy, "adapters.scaffold", NAME)
    run(copy, "ruff", "check", f"adapters/{NAME}", "adapters/registry.py")
    run(copy, "ruff", "format", "--check", f"adapters/{NAME}", "adapters/registry.py")
    # One hostile peer of each kind is enough here: the wire is the same for all.
    some = "reset-after-request or drip-body or json-bomb or json-wrong-types or hang-after"
    suite = f"{NAME} and (({some}) or not (transport or no_success or simulator_faults or unknown_outcome))"
    told = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", suite)
    assert " passed" in told
    assert "failed" not in told


def test_nothing_is_overwritten_and_names_are_checked(copy: Path) -> None:
    before = (copy / "adapters" / "registry.py").read_text("utf-8")
    for name in ("county_rest", "", "Upper", "with-hyphen", "1st", "_template", "../x", "x" * 41):
        with pytest.raises(ScaffoldError):
            create(name, copy / "adapters")
    assert (copy / "adapters" / "registry.py").read_text("utf-8") == before


def test_the_registry_stays_sorted(copy: Path) -> None:
    for name in ("aaa", "zzz", "d_e"):
        create(name, copy / "adapters")
    text = (copy / "adapters" / "registry.py").read_text("utf-8")
    assert text.index("import Aaa") < text.index("import CitySoap") < text.index("import DE") < text.index("import Zzz")
    assert text.index('"aaa"') < text.index('"city_soap"') < text.index('"d_e"') < text.index('"zzz"')
    run(copy, "ruff", "check", "adapters/registry.py", "adapters/zzz", "adapters/aaa")
    run(copy, "ruff", "format", "--check", "adapters/registry.py", "adapters/zzz", "adapters/aaa")
