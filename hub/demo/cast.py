"""Who plays: connected systems with their keys, the simulators behind their endpoints, and the file that registers them."""

from __future__ import annotations

import csv
import secrets
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.ecert_share.simulator import load_access
from adapters.harness import write_key_pair
from adapters.identity.simulator import ISSUER
from adapters.population import family
from adapters.simulator_process import SimulatorFailed, SimulatorProcess
from certs.issuing.authority import new_root
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.pkcs8 import armour
from hub.demo.scenario import HUANGDAO, LIXIA, SCENES, ZHANGQIU, Twist
from hub.own_keys import OwnKeys
from schemas.told import Told

PATHS = {"city_soap": "/services/sjjh"}  # where a product's service is below its address
APP_ID = "exchange-hub"  # under which the identity service knows the hub
CALLBACK_S = "0.8"  # a registry decides so long after it accepted


class StageFailed(Told):
    """Something did not start; the text says what."""


@dataclass(frozen=True, slots=True)
class Party:
    """A connected system: ``http_key`` signs its REST messages, ``wsse_key`` with ``wsse_cert`` its SOAP messages."""

    id: str
    name: str
    region: str
    registry: str  # adapter of its registry; empty where it has none
    http_key: PrivateKey
    wsse_key: PrivateKey | None = None
    wsse_cert: bytes = b""
    rights: tuple[str, ...] = ("transfer.submit", "transfer.query", "transfer.decide")

    @property
    def key_id(self) -> str:
        return f"{self.id}-2026"


@dataclass
class Cast:
    """Everybody, and the folder where their keys are."""

    folder: Path
    parties: dict[str, Party] = field(default_factory=dict)  # with their registries
    services: dict[str, Party] = field(default_factory=dict)  # an app and a counter: they only call
    simulators: dict[str, SimulatorProcess] = field(default_factory=dict)

    def stop(self) -> None:
        """All of them; one that does not end by itself is killed, and the others are ended all the same."""
        for simulator in self.simulators.values():
            with suppress(SimulatorFailed):
                simulator.stop()


def gather(folder: Path) -> Cast:
    """Make the parties and their keys: REST systems sign by ECDSA or SM2, SOAP systems by RSA, as their stacks do."""
    cast = Cast(folder)
    sm2, ecdsa = SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.ECDSA_P256_SHA256
    for id_, name, region, algorithm in (
        ("lixia", "历下区学籍系统", LIXIA, sm2),
        ("zhangqiu", "章丘区学籍系统", ZHANGQIU, ecdsa),
        ("huangdao", "黄岛区学籍系统", HUANGDAO, ecdsa),
    ):
        cast.parties[id_] = Party(id_, name, region, "county_rest", PrivateKey.generate(algorithm))
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(days=30)
    rsa = SignatureAlgorithm.RSA_PKCS1_SHA256
    root = new_root("演示 CA", ecdsa, not_before=begin, not_after=end)
    for id_, name, region in (("jinan", "济南市学籍平台", "370100"), ("qingdao", "青岛市学籍平台", "370200")):
        key = PrivateKey.generate(rsa, rsa_bits=2048)
        identity = root.issue(name, rsa, key=key, not_before=begin, not_after=end)
        cast.parties[id_] = Party(id_, name, region, "city_soap", PrivateKey.generate(ecdsa), key, identity.cert.der)
    for id_, name, rights in (
        ("app", "爱山东 App", ("authorization.issue",)),
        ("hall", "历下区政务服务大厅", ("authorization.redeem", "evidence")),
    ):
        cast.services[id_] = Party(id_, name, LIXIA, "", PrivateKey.generate(sm2), rights=rights)
    for party in (*cast.parties.values(), *cast.services.values()):
        _write_keys(folder, party)
    write_key_pair(folder, "login", sm2)  # by which the identity service signs who has logged in
    return cast


def _write_keys(folder: Path, party: Party) -> None:
    (folder / f"{party.id}.pem").write_bytes(party.http_key.to_pem())
    (folder / f"{party.id}.pub.pem").write_bytes(armour("PUBLIC KEY", party.http_key.public_key.spki))
    if party.wsse_key is not None:
        (folder / f"{party.id}.wsse.pem").write_bytes(party.wsse_key.to_pem())
        (folder / f"{party.id}.wsse.crt").write_text(ssl.DER_cert_to_PEM_cert(party.wsse_cert), encoding="ascii")


def start_simulators(cast: Cast, hub_url: str, own: OwnKeys) -> None:
    """Every endpoint as a process of its own, all started side by side; StageFailed if one of them does not start."""
    folder = cast.folder
    with (folder / "other-names.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "id_number"])
        for scene in SCENES:
            if scene.twist is Twist.NAME:
                rows.writerows(["另一人", family(scene.releasing, n).student.id_number] for n in scene.students)
    (folder / "identity.secret").write_text(secrets.token_hex(16), encoding="ascii")
    commands: dict[str, tuple[str, list[str]]] = {
        "identity": ("adapters.identity.simulator", [
            "--app-id", APP_ID, "--app-secret", (folder / "identity.secret").read_text(encoding="ascii"),
            "--population", str(folder / "other-names.csv"), "--assertion-key-file", str(folder / "login.key.pem")]),
        "library": ("adapters.ecert_share.simulator", [
            "--keys", str(folder / "library"), "--export-anchors", str(folder / "anchors")]),
        "monitor": ("adapters.cloudevents.simulator", ["--hub-key-file", str(own.http_public)]),
    }  # fmt: skip
    for party in cast.parties.values():
        (folder / f"{party.id}.token").write_text(secrets.token_hex(16), encoding="ascii")
        commands[party.id] = _registry_command(folder, party, hub_url, own)
    with ThreadPoolExecutor(len(commands)) as pool:
        started = {name: pool.submit(SimulatorProcess, *command) for name, command in commands.items()}
    cast.simulators = {name: future.result() for name, future in started.items() if future.exception() is None}
    failed = {name: future.exception() for name, future in started.items() if future.exception() is not None}
    if failed:
        name, error = next(iter(failed.items()))
        if not isinstance(error, SimulatorFailed):
            started[name].result()  # a fault of ours, raised as it is
        raise StageFailed(
            f"模拟系统 {', '.join(failed)} 未能启动 ({error}); 机器繁忙时请稍后再运行, "
            f"仍不能启动则单独运行查看其输出: python -m {commands[name][0]} --help",
            f"simulators did not start ({error}): run it again when the machine is less busy; if that does not help, "
            f"start that one by itself and read what it says",
        ) from None


def _registry_command(folder: Path, party: Party, hub_url: str, own: OwnKeys) -> tuple[str, list[str]]:
    common = ["--region", party.region, "--decide-after", CALLBACK_S]
    if party.registry == "county_rest":
        token = (folder / f"{party.id}.token").read_text(encoding="ascii")
        return "adapters.county_rest.simulator", [
            *common, "--token", token, "--hub", hub_url, "--key-file", str(folder / f"{party.id}.pem"),
            "--key-id", party.key_id, "--hub-key-file", str(own.http_public),
        ]  # fmt: skip
    return "adapters.city_soap.simulator", [
        *common, "--hub", f"{hub_url}/soap/v1/exchange", "--key-file", str(folder / f"{party.id}.wsse.pem"),
        "--cert-file", str(folder / f"{party.id}.wsse.crt"), "--hub-cert-file", str(own.wsse_certificate),
    ]  # fmt: skip


def write_parties_file(cast: Cast, own: OwnKeys) -> Path:
    """The TOML that ``hub systems load`` takes: what an administrator would write."""
    folder, path = cast.folder, cast.folder / "parties.toml"
    lines = ["# Everybody who takes part in the demo. hub systems load parties.toml registers them.", ""]
    for party in (*cast.parties.values(), *cast.services.values()):
        lines += ["[[system]]", f'id = "{party.id}"', f'name = "{party.name}"']
        lines += ["[[system.key]]", 'kind = "http"', f'file = "{party.id}.pub.pem"', f'key_id = "{party.key_id}"']
        if party.wsse_key is not None:
            lines += ["[[system.key]]", 'kind = "wsse"', f'file = "{party.id}.wsse.crt"']
        for service in party.rights:
            lines += ["[[system.right]]", f'service = "{service}"', f'region = "{party.region}"']
        lines.append("")
    lines += ["[[system]]", 'id = "province"', 'name = "省级平台"', ""]
    for party in cast.parties.values():
        lines += [
            *_endpoint(party.id + "-registry", party.id, party.registry, "registry", party.region, cast, party.id)
        ]
        if party.registry == "county_rest":
            hang = ["timeout_s = 3"] if party.id == "huangdao" else []
            lines += [
                *hang,
                "[endpoint.settings]",
                f'signing_key_file = "{own.http}"',
                'signing_key_id = "exchange-hub"',
            ]
            lines += ["[endpoint.secrets]", f'access_token = "file:{party.id}.token"', ""]
        else:
            lines += ["[endpoint.settings]", f'signing_key_file = "{own.wsse}"']
            lines += [f'signing_cert_file = "{own.wsse_certificate}"']
            lines += [f'peer_certs_file = "{folder / f"{party.id}.wsse.crt"}"', ""]
    access = load_access(folder / "library")
    for name in ("access_key", "sm2_private_key"):
        (folder / f"library.{name}").write_text(access[name], encoding="ascii")
    lines += [*_endpoint("ecert-library", "province", "ecert_share", "ecert-library", "370000", cast, "library")]
    lines += ["[endpoint.settings]", f'access_id = "{access["access_id"]}"']
    lines += [f'sm2_public_key = "{access["sm2_public_key"]}"', "[endpoint.secrets]"]
    lines += ['access_key = "file:library.access_key"', 'sm2_private_key = "file:library.sm2_private_key"', ""]
    lines += [*_endpoint("identity", "province", "identity", "identity", "370000", cast, "identity")]
    lines += ["[endpoint.settings]", f'app_id = "{APP_ID}"', f'assertion_issuer = "{ISSUER}"']
    lines += [f'assertion_key_file = "{folder / "login.pub.pem"}"', "[endpoint.secrets]"]
    lines += ['app_secret = "file:identity.secret"', ""]
    lines += [*_endpoint("monitor", "province", "cloudevents", "events", "370000", cast, "monitor")]
    lines += ["[endpoint.settings]", f'signing_key_file = "{own.http}"', 'signing_key_id = "exchange-hub"']
    lines += ["[[endpoint.subscription]]", 'type = "case.*"', 'region = "370000"', ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _endpoint(id_: str, system: str, adapter: str, service: str, region: str, cast: Cast, simulator: str) -> list[str]:
    return [
        "[[endpoint]]", f'id = "{id_}"', f'system = "{system}"', f'adapter = "{adapter}"', f'service = "{service}"',
        f'region = "{region}"', f'base_url = "{cast.simulators[simulator].url}{PATHS.get(adapter, "")}"',
    ]  # fmt: skip
