"""Each adapter reaches the tier that it declares; and the scale itself finds what it should."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import MappingProxyType

import pytest

from adapters.manifests import WIRE_SETTINGS
from adapters.registry import ADAPTERS, manifest
from tests.contract.conftest import harness_of
from tests.contract.quality import ROOT, RULES, TIERS, faults

GUIDE = ROOT / "docs" / "how-to" / "write-an-adapter.md"


@pytest.mark.parametrize("adapter_id", sorted(ADAPTERS))
def test_reaches_the_tier_that_it_declares(adapter_id: str) -> None:
    assert faults(manifest(adapter_id), harness_of(adapter_id)) == []


def test_every_adapter_folder_is_in_the_registry() -> None:
    folders = {path.parent.name for path in (ROOT / "adapters").glob("*/manifest.toml")}
    assert folders - {"_template"} == set(ADAPTERS)
    assert list(ADAPTERS) == sorted(ADAPTERS)


def test_no_adapter_imports_another() -> None:
    for adapter_id in ADAPTERS:
        for path in (ROOT / "adapters" / adapter_id).rglob("*.py"):
            imported = set(re.findall(r"^\s*(?:from|import) adapters\.(\w+)", path.read_text("utf-8"), re.MULTILINE))
            assert imported & set(ADAPTERS) <= {adapter_id}, path


def test_the_scale_finds_what_is_missing() -> None:
    harness, good = harness_of("county_rest"), manifest("county_rest")

    def of(**changes: object) -> str:
        return " ".join(faults(dataclasses.replace(good, **changes), harness))  # type: ignore[arg-type]

    nowhere = MappingProxyType({"guide": "the product has no public description at all"})
    assert "files" in of(path=Path("/nonexistent/manifest.toml"))
    assert "two-languages" in of(product_zh="County")
    assert "two-languages" in of(product="县级")
    assert "no-operator-after-timeout" in of(status_query=False)
    assert "known-to-the-peer" in of(settings=WIRE_SETTINGS, secrets={})
    assert "guide" in of(secrets={"something_new": "x"})
    assert "stands for nothing" in of(exemptions=nowhere)
    assert "no such rule" in of(exemptions={"no-such-rule": "because it is not one"})
    assert "stands for nothing" in of(
        tier="bronze", status_query=False, exemptions={"status-query": "not owed at bronze"}
    )
    assert of(status_query=False, idempotent=True, exemptions={"status-query": "repeats are recognised"}) == ""
    assert "refusals" in " ".join(faults(good, dataclasses.replace(harness, refusals=())))
    assert "rare-characters" in " ".join(
        faults(good, dataclasses.replace(harness, round_trips=harness.round_trips[-1:]))
    )
    assert "round-trips" in " ".join(faults(good, dataclasses.replace(harness, round_trips=())))


def test_the_guide_explains_every_rule_and_every_manifest_field() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for rule in RULES:
        assert f"`{rule.name}`" in text
    for tier in TIERS:
        assert f"**{tier}**" in text
    for field in dataclasses.fields(manifest("county_rest")):
        if field.name != "path":
            assert f"`{field.name}`" in text or f"`[{field.name}]`" in text
    for setting in WIRE_SETTINGS:
        assert f"`{setting}`" in text
