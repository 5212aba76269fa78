"""Manifests: every fault is a ManifestError that names the field; and the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import Capability, Endpoint
from adapters.manifests import WIRE_SETTINGS, ManifestError, load_manifest
from adapters.registry import ADAPTERS, UnknownAdapter, adapter_class, create, manifest

GOOD = """
id = "some_registry"
product = "Some registry"
product_zh = "某学籍系统"
protocol = "rest-json"
services = ["registry"]
capabilities = ["probe", "deliver", "status"]
idempotent = false
status_query = true
timeout_s = 15
max_concurrency = 8
encoding = "gb18030"
service_hours = "07:30-20:00"
tier = "bronze"
needed = ["path"]
[settings]
path = "where it is"
[secrets]
token = "what it is"
"""


def written(folder: Path, text: str | bytes, name: str = "some_registry") -> Path:
    target = folder / name
    target.mkdir()
    (target / "manifest.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return target


def test_a_good_one(tmp_path: Path) -> None:
    found = load_manifest(written(tmp_path, GOOD))
    assert found.capabilities == {Capability.PROBE, Capability.DELIVER, Capability.STATUS}
    assert found.settings.keys() == {"path", *WIRE_SETTINGS}
    assert (found.services, found.needed) == ({"registry"}, {"path"})
    assert found.service_hours == "07:30-20:00"
    assert found.path.name == "manifest.toml"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "some_registry"', 'id = "other"', "id"),
        ('id = "some_registry"', "", "id"),
        ("timeout_s = 15", "timeout_s = 0", "timeout_s"),
        ("timeout_s = 15", 'timeout_s = "soon"', "timeout_s"),
        ('services = ["registry"]', 'services = ["bakery"]', "services"),
        ('services = ["registry"]', "", "services"),
        ('needed = ["path"]', 'needed = ["way"]', "way"),
        ("max_concurrency = 8", "max_concurrency = 0", "max_concurrency"),
        ('protocol = "rest-json"', 'protocol = "carrier-pigeon"', "protocol"),
        ('"probe", "deliver", "status"', '"probe", "fly"', "capabilities"),
        ('"probe", "deliver", "status"', '"deliver", "status"', "probe"),
        ("status_query = true", "status_query = false", "status_query"),
        ('encoding = "gb18030"', 'encoding = "klingon"', "encoding"),
        ('encoding = "gb18030"', 'encoding = "a\\u0000b"', "encoding"),
        ("07:30-20:00", "7-20", "service_hours"),
        ("07:30-20:00", "07:30-24:30", "service_hours"),
        ('tier = "bronze"', 'tier = "wood"', "tier"),
        ("[settings]", "colour = 1\n[settings]", "colour"),
        ('path = "where it is"', 'ca_file = "where it is"', "ca_file"),
        ('path = "where it is"', 'token = "where it is"', "token"),
        ('token = "what it is"', "token = 1", "token"),
        ("[secrets]", '[exemptions]\nguide = "no"\n[secrets]', "exemptions"),
        ("[secrets]", "[secrets", "no TOML"),
    ],
)
def test_faults(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(ManifestError, match=told):
        load_manifest(written(tmp_path, GOOD.replace(old, new, 1)))


def test_what_is_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        load_manifest(tmp_path)
    with pytest.raises(ManifestError, match="no TOML"):
        load_manifest(written(tmp_path, b"\xff\xfe\x00"))


def test_the_registry() -> None:
    for adapter_id, one in ADAPTERS.items():
        assert adapter_class(adapter_id) is one
        assert manifest(adapter_id).id == adapter_id
    for ask in (adapter_class, manifest):
        with pytest.raises(UnknownAdapter, match="county_rest"):
            ask("nobody")
    with pytest.raises(UnknownAdapter):
        create("nobody", Endpoint("e", "370102", "http://127.0.0.1:9"))
