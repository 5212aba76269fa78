"""hub systems and hub endpoints, as an administrator types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters import registry
from adapters.contract import Deadline, Endpoint, Health, PeerMisconfigured
from certs.keys import PrivateKey, SignatureAlgorithm
from hub.access.endpoints import open_secrets
from hub.access.store import endpoint as load_endpoint
from hub.audit.chain import verify_chain
from hub.commands import endpoints, systems
from hub.commands.context import open_hub
from tests.integration.intake_hub import REGISTRY, issue, pem

runner = CliRunner()
SHIPPED = registry.ADAPTERS


class ProbedAdapter:
    """Stands for a product: what is probed is its settings."""

    manifest = type(REGISTRY)(
        **{name: getattr(REGISTRY, name) for name in REGISTRY.__dataclass_fields__}
        | {"id": "probed", "settings": {"mode": "up or down"}, "secrets": {"password": "of our account there"}}
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def probe(self, deadline: Deadline) -> Health:
        if self._endpoint.settings.get("mode") != "up" or self._endpoint.secrets["password"] != "s3cret-word":
            raise PeerMisconfigured("bad-credentials")
        return Health(version="1.0")

    def close(self) -> None:
        return


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "ADAPTERS", {"probed": ProbedAdapter})
    return tmp_path


def hub(app: str, *arguments: str, code: int = 0, typed: str | None = None) -> Result:
    result = runner.invoke({"systems": systems.app, "endpoints": endpoints.app}[app], arguments, input=typed)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def listed(system_id: str) -> dict[str, object]:
    found: list[dict[str, object]] = json.loads(hub("systems", "list", "--json").stdout)
    return next(system for system in found if system["id"] == system_id)


def key_file(folder: Path, name: str) -> str:
    path = folder / name
    path.write_bytes(PrivateKey.generate(SignatureAlgorithm.ED25519).public_key.spki)
    return str(path)


def test_a_system_from_first_to_last(state: Path) -> None:
    made = hub("systems", "add", "qd", "--name", "青岛学籍", "--new-key", "sm2")
    assert made.stdout.startswith("-----BEGIN PRIVATE KEY-----")
    assert PrivateKey.from_pem(made.stdout.encode()).public_key.kind == "sm2"
    hub("systems", "grant", "qd", "transfer.submit", "transfer.query", "--region", "370200")
    assert "无新增 / nothing new" in hub("systems", "grant", "qd", "transfer.submit", "--region", "370200").stdout
    shown = listed("qd")
    assert shown["rights"] == [
        {"service": "transfer.query", "region": "370200"}, {"service": "transfer.submit", "region": "370200"},
    ]  # fmt: skip
    (key,) = shown["keys"]  # type: ignore[misc]
    hub("systems", "rotate", "qd", key_file(state, "new.der"), "--old", key["keyId"], "--key-id", "qd-2")
    keys = {k["keyId"]: k for k in listed("qd")["keys"]}  # type: ignore[attr-defined]
    assert keys[key["keyId"]]["notAfter"] is not None
    assert keys["qd-2"]["notAfter"] is None
    hub("systems", "revoke", "qd", "--key", "qd-2")
    hub("systems", "revoke", "qd", "--service", "transfer.query", "--region", "370200")
    hub("systems", "revoke", "qd")
    assert listed("qd")["enabled"] is False
    hub("systems", "enable", "qd")
    with open_hub() as opened, opened.db.read() as conn:
        assert verify_chain(conn, opened.vault.audit_key).faults == ()
    assert "青岛学籍" in hub("systems", "list").stdout


def test_mistakes_are_told_and_change_nothing(state: Path) -> None:
    hub("systems", "add", "qd", "--name", "x")
    assert "exists already" in hub("systems", "add", "qd", "--name", "x", code=1).stderr
    assert "no id" in hub("systems", "add", "QD!", "--name", "x", code=1).stderr
    assert "no region" in hub("systems", "grant", "qd", "transfer.submit", "--region", "110000", code=1).stderr
    assert "no system" in hub("systems", "grant", "zz", "transfer.submit", "--region", "370000", code=1).stderr
    secret = state / "private.pem"
    secret.write_bytes(PrivateKey.generate(SignatureAlgorithm.ED25519).to_pem())
    assert "private key" in hub("systems", "add-key", "qd", str(secret), code=1).stderr
    assert "certificate" in hub("systems", "add-key", "qd", key_file(state, "k"), "--kind", "tls", code=1).stderr
    key = key_file(state, "k2")
    hub("systems", "add-key", "qd", key)
    hub("systems", "add", "other", "--name", "y")
    assert "belongs to qd" in hub("systems", "add-key", "other", key, code=1).stderr
    assert "in force" in hub("systems", "revoke", "qd", "--key", "nothing", code=1).stderr


def test_an_endpoint_from_first_to_last(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QD_PASSWORD", "s3cret-word")
    hub("systems", "add", "qd", "--name", "x")
    common = ["--system", "qd", "--adapter", "probed", "--service", "registry", "--url", "https://xj.example/api/"]
    hub(
        "endpoints",
        "add",
        "qd-1",
        *common,
        "--region",
        "370202",
        "--setting",
        "mode=up",
        "--secret",
        "password=env:QD_PASSWORD",
    )
    hub("endpoints", "add", "qd-2", *common, "--region", "370203", typed="another\n")
    with open_hub() as opened, opened.db.read() as conn:
        row = load_endpoint(conn, "qd-1")
        assert row is not None
        assert row.secrets_sealed is not None
        assert b"s3cret-word" not in row.secrets_sealed
        assert open_secrets(opened.vault, "qd-1", row.secrets_sealed) == {"password": "s3cret-word"}
        assert (row.timeout_s, row.max_concurrency, row.base_url) == (5, 4, "https://xj.example/api")
    assert "1.0" in hub("endpoints", "check", "qd-1").stdout
    assert "bad-credentials" in hub("endpoints", "check", "qd-2", code=1).stderr
    assert "lease" in hub("endpoints", "set", "qd-1", "--timeout-s", "60", code=1).stderr
    assert "no setting" in hub("endpoints", "set", "qd-1", "--setting", "colour=red", code=1).stderr
    assert "env:NAME" in hub("endpoints", "set", "qd-1", "--secret", "password=clear", code=1).stderr
    hub("endpoints", "set", "qd-1", "--timeout-s", "20", "--service-hours", "07:30-20:00")
    hub("endpoints", "pause", "qd-1", "--reason", "迁移机房")
    shown = {one["id"]: one for one in json.loads(hub("endpoints", "list", "--json").stdout)}
    assert (shown["qd-1"]["pausedReason"], shown["qd-1"]["timeoutS"]) == ("迁移机房", 20)
    hub("endpoints", "resume", "qd-1", "--reason", "mended")
    hub("endpoints", "subscribe", "qd-1", "cn.sd.edu.exchange.case.*")
    hub("endpoints", "remove", "qd-1")
    assert "qd-2" in hub("endpoints", "list").stdout
    assert "probed" in hub("endpoints", "adapters").stdout


@pytest.fixture
def products(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapters that ship."""
    monkeypatch.setattr(registry, "ADAPTERS", SHIPPED)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(
    ("adapter", "service", "given", "told"),
    [
        (
            "cloudevents",
            "events",
            (),
            "needs the setting(s) (--setting NAME=VALUE; settings in a file) signing_key_file: PEM",
        ),
        (
            "cloudevents",
            "events",
            ("signing_key_file=k.pem", "signing_key_id="),
            "in a file) signing_key_id: the keyid",
        ),
        (
            "cloudevents",
            "registry",
            ("signing_key_file=k.pem", "signing_key_id=x"),
            "cannot serve registry, it serves events",
        ),
        ("county_rest", "events", (), "cannot serve events, it serves registry"),
        ("identity", "identity", (), "needs the setting(s) (--setting NAME=VALUE; settings in a file) app_id: "),
        ("county_rest", "bakery", (), "bakery is no service"),
    ],
)
def test_an_endpoint_that_cannot_work_is_not_registered(
    state: Path, adapter: str, service: str, given: tuple[str, ...], told: str
) -> None:
    """By command, which asks for no secret before, and by file."""
    hub("systems", "add", "x", "--name", "x")
    arguments = [
        "--system",
        "x",
        "--adapter",
        adapter,
        "--service",
        service,
        "--region",
        "370202",
        "--url",
        "http://127.0.0.1:9",
    ]
    settings = [part for pair in given for part in ("--setting", pair)]
    refused = hub("endpoints", "add", "one", *arguments, *settings, code=1)
    assert told in refused.stderr
    assert refused.stdout == ""
    (state / "secret").write_text("s")
    names = registry.manifest(adapter).secrets
    lines = ["[[endpoint]]", 'id = "one"', 'system = "x"', f'adapter = "{adapter}"', f'service = "{service}"']
    lines += ['region = "370202"', 'base_url = "http://127.0.0.1:9"', "[endpoint.settings]"]
    lines += ["{} = '{}'".format(*pair.split("=")) for pair in given]
    lines += ["[endpoint.secrets]", *(f'{name} = "file:secret"' for name in names)]
    (state / "parties.toml").write_text("\n".join(lines), encoding="utf-8")
    assert told in hub("systems", "load", str(state / "parties.toml"), code=1).stderr
    assert json.loads(hub("endpoints", "list", "--json").stdout) == []


@pytest.mark.usefixtures("products")
def test_a_needed_setting_is_not_taken_away() -> None:
    hub("systems", "add", "x", "--name", "x")
    hub("endpoints", "add", "one", "--system", "x", "--adapter", "cloudevents", "--service", "events", "--region", "370202",
        "--url", "http://127.0.0.1:9", "--setting", "signing_key_file=k.pem", "--setting", "signing_key_id=x")  # fmt: skip
    assert "signing_key_id: the keyid" in hub("endpoints", "set", "one", "--setting", "signing_key_id=", code=1).stderr


def test_a_name_with_brackets_is_listed_as_it_is() -> None:
    """Rich would read them as markup, and end in a traceback where a tag is closed that was never opened."""
    hub("systems", "add", "jn", "--name", "济南[市直][/b]")
    assert "济南[市直][/b]" in hub("systems", "list").stdout


@pytest.mark.usefixtures("products")
def test_adapters_are_listed_one_setting_a_line() -> None:
    """No table: nothing is cut, however narrow the terminal is."""
    every = hub("endpoints", "adapters").stdout.splitlines()
    assert len(every) < 80
    assert [line.split()[0] for line in every if line and not line.startswith(" ")][:-1] == sorted(SHIPPED)
    one = hub("endpoints", "adapters", "identity").stdout
    assert one.startswith("identity  统一身份认证服务 (REST 接口) / Unified identity service, REST interface\n")
    assert "  服务 --service: identity\n" in one
    assert "\n  * app_id  身份认证服务识别枢纽的应用标识 / the number" in one
    assert "\n    assertion_issuer  登录断言须写明的 iss" in one
    assert "\n  * app_secret  枢纽以 HMAC-SM3" in one
    assert "county_rest" not in one
    assert "no adapter 'unknown'" in hub("endpoints", "adapters", "unknown", code=1).stderr


def test_every_setting_is_told_in_chinese_first() -> None:
    for adapter in SHIPPED.values():
        for name, text in (*adapter.manifest.settings.items(), *adapter.manifest.secrets.items()):
            zh, _, en = text.partition(" / ")
            assert re.search("[一-鿿]", zh), name
            assert en, name


PARTIES = """
[[system]]
id = "qd"
name = "青岛市学籍系统"
right = [{ service = "transfer.submit", region = "370200" }, { service = "transfer.query", region = "370200" }]
[[system.key]]
kind = "http"
file = "qd.der"
key_id = "qd-2026"
[[system.key]]
kind = "wsse"
file = "qd.pem"

[[endpoint]]
id = "qd-registry"
system = "qd"
adapter = "probed"
service = "registry"
region = "370200"
base_url = "http://127.0.0.1:9"
settings = { mode = "up" }
secrets = { password = "file:password.txt" }
subscription = [{ type = "cn.sd.edu.exchange.case.*", region = "370200", source_only = true }]
"""


def test_a_parties_file_loads_once_and_again(state: Path) -> None:
    key_file(state, "qd.der")
    (state / "qd.pem").write_bytes(pem(issue("qd")))
    (state / "password.txt").write_text("s3cret-word\n")
    file = state / "parties.toml"
    file.write_text(PARTIES, encoding="utf-8")
    assert "新增 added 7, 变更 changed 0" in hub("systems", "load", str(file)).stdout
    assert "新增 added 0, 变更 changed 0" in hub("systems", "load", str(file)).stdout
    file.write_text(PARTIES.replace("127.0.0.1:9", "127.0.0.1:10"), encoding="utf-8")
    assert "~ endpoint qd-registry (base_url)" in hub("systems", "load", str(file)).stdout
    assert "1.0" in hub("endpoints", "check", "qd-registry").stdout


def test_a_parties_file_with_a_fault_changes_nothing(state: Path) -> None:
    file = state / "parties.toml"
    file.write_text(PARTIES, encoding="utf-8")  # its key files are not there
    assert "qd.der" in hub("systems", "load", str(file), code=1).stderr
    assert json.loads(hub("systems", "list", "--json").stdout) == []
    file.write_text("[[system]]\nid = 'x'\ncolour = 'red'", encoding="utf-8")
    assert "colour" in hub("systems", "load", str(file), code=1).stderr
    file.write_text("[[system]", encoding="utf-8")
    assert "no TOML" in hub("systems", "load", str(file), code=1).stderr
