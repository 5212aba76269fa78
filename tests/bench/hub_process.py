"""A real ``hub serve`` with one registered system and its registry, and messages that the system has signed."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from adapters.population import STUDENTS, transfer
from adapters.registry import manifest
from adapters.simulator_process import ROOT
from certs.http.signatures import sign_request
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.pkcs8 import armour
from hub.access.parties_file import load_parties, read_parties
from hub.config import Settings
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys
from tests.databases import free_port

REGIONS = ("370102", "370103", "370104", "370105", "370112", "370113", "370114", "370115")
START_S = 60.0
SECRETS = {"identity": ("app_secret",), "ecert_share": ("access_key", "sm2_private_key")}

# one step and no evidence: each accepted transfer is one signed delivery
FLOW = """
id = "bench"
version = 1
title_zh = "测速"
title_en = "Bench"
scope = "within-county"
limit_working_days = 15
near_working_days = 3
evidence_working_days = 2
[[group]]
[[group.step]]
name = "admit-record"
title_zh = "学籍调入"
title_en = "The record is admitted"
party = "receiving"
action = "admit"
limit_working_days = 3
"""


@dataclass(frozen=True)
class Party:
    """The one connected system: it may submit for all of Jinan."""

    folder: Path
    key: PrivateKey
    token: str

    @classmethod
    def new(cls, folder: Path) -> Party:
        key = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)
        party = cls(folder, key, secrets.token_hex(16))
        (folder / "bench.pub.pem").write_bytes(armour("PUBLIC KEY", key.public_key.spki))
        (folder / "bench.token").write_text(party.token, encoding="ascii")
        return party

    def register(self, settings: Settings, registry_url: str) -> None:
        """The system, and its registry for every kind of question: with the shipped flows, evidence is only stored."""
        own = OwnKeys.ensure(settings.state_dir)
        lines = ["[[system]]", 'id = "bench"', 'name = "bench"']
        lines += ["[[system.key]]", 'kind = "http"', 'file = "bench.pub.pem"', 'key_id = "bench"']
        lines += ["[[system.right]]", 'service = "transfer.submit"', 'region = "370100"']
        lines += [
            "[[endpoint]]", 'id = "registry"', 'system = "bench"', 'adapter = "county_rest"', 'service = "registry"',
            'region = "370100"', f'base_url = "{registry_url}"', "max_concurrency = 32",
            "[endpoint.settings]", f'signing_key_file = "{own.http}"', 'signing_key_id = "exchange-hub"',
            "[endpoint.secrets]", 'access_token = "file:bench.token"',
        ]  # fmt: skip
        for service, adapter, names in (
            ("identity", "identity", ("app_id",)),
            ("ecert-library", "ecert_share", ("access_id", "sm2_public_key")),
        ):
            lines += ["[[endpoint]]", f'id = "{service}"', 'system = "bench"', f'adapter = "{adapter}"']
            lines += [f'service = "{service}"', 'region = "370000"', f'base_url = "{registry_url}"']
            lines += ["[endpoint.settings]", *(f'{name} = "bench"' for name in names), "[endpoint.secrets]"]
            lines += [f'{name} = "file:bench.token"' for name in SECRETS[adapter]]
        path = self.folder / "parties.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        vault = open_vault(settings)
        db = open_database(settings, vault)
        try:
            parties = read_parties(path)
            db.write(
                lambda tx: load_parties(
                    tx, "operator:bench", parties, folder=self.folder, vault=vault, find_manifest=manifest,
                    lease_s=settings.lease_s,
                )
            )  # fmt: skip
        finally:
            db.close()

    def messages(self, url: str, count: int) -> list[bytes]:
        """So many transfers of different students as whole HTTP requests, signed now: good for five minutes."""
        made, target = [], f"{url}/v1/transfers"
        for n in range(count):
            region = REGIONS[n // STUDENTS]
            body = transfer(f"bench-{n}", region, n % STUDENTS, region).model_dump_json(
                by_alias=True, exclude_none=True
            )
            made.append(self._request(target, body.encode()))
        return made

    def _request(self, target: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        headers |= sign_request(
            "POST", target, headers.items(), body, key=self.key, key_id="bench", created=datetime.now(UTC),
            nonce=secrets.token_urlsafe(16),
        )  # fmt: skip
        host = target.split("/")[2]
        head = f"POST /v1/transfers HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{head}\r\n".encode() + body


def bench_settings(folder: Path, database_url: str | None, *, delivers: bool) -> Settings:
    """The defaults, but for the rate limit and the probes. Without deliveries the flows are those that ship, else the one above."""
    flows = folder / "flows" if delivers else None
    if flows is not None:
        flows.mkdir(exist_ok=True)
        (flows / "bench.toml").write_text(FLOW, encoding="utf-8")
    return Settings.model_validate(
        {
            "state_dir": folder / "state", "database_url": database_url, "port": free_port(),
            "role": "all" if delivers else "api",
            "flows_dir": flows, "caller_rate": 0.0, "probe_interval_s": 0.0, "log_level": "warning",
        }
    )  # fmt: skip


@dataclass
class Measured:
    """A running process: its processor time and memory."""

    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def resident_mb(self) -> float:
        return self.process.memory_info().rss / 2**20


@contextmanager
def hub_serve(settings: Settings) -> Iterator[Measured]:
    given = {
        f"HUB_{name.upper()}": str(value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    with _serving([sys.executable, "-m", "hub.cli", "serve"], settings.port, given, settings.state_dir.parent) as found:
        yield found


@contextmanager
def echo(port: int, folder: Path) -> Iterator[Measured]:
    command = [sys.executable, "-m", "tests.bench.floors", "--port", str(port)]
    with _serving(command, port, {}, folder) as found:
        yield found


@contextmanager
def _serving(command: list[str], port: int, given: dict[str, str], folder: Path) -> Iterator[Measured]:
    """Until it answers, and until it is told to stop."""
    with (folder / "output.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **given}, cwd=ROOT)
    try:
        _await(process, port, folder / "output.log")
        yield Measured(psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"it does not serve: {log.read_text(encoding='utf-8')[-2000:]}")
