"""The stage: a folder, the hub as a process of its own, registered parties, trust; and everything cleared away at the end."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from adapters.registry import manifest
from certs.trust import Anchor, TrustStore
from certs.x509.signing_cert import SigningCert
from hub.access.parties_file import load_parties, read_parties
from hub.config import Settings
from hub.demo.cast import Cast, StageFailed, gather, start_simulators, write_parties_file
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys

START_S = 40.0
STOP_S = 20.0


@dataclass
class Stage:
    cast: Cast
    settings: Settings
    url: str
    links: list[str] = field(default_factory=list)  # one-time links, role: url
    log: Path = Path()


@contextmanager
def stage() -> Iterator[Stage]:
    """Everything up; on leaving, whatever the reason, every process ended and the folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="hub-demo-"))
    cast = Cast(folder)
    hub: subprocess.Popen[str] | None = None
    try:
        port = _free_port()
        settings = Settings(
            state_dir=folder / "state", port=port, retry_base_s=0.5, retry_cap_s=3, breaker_failures=3, breaker_open_s=2,
            probe_interval_s=2, workers=24, sign_answers=True, node="demo", log_level="warning",
        )  # fmt: skip
        url = settings.effective_public_url
        own = OwnKeys.ensure(settings.state_dir)
        cast = gather(folder)
        start_simulators(cast, url, own)
        _register(settings, cast, own)
        _trust(settings, folder / "anchors")
        built = Stage(cast, settings, url, log=folder / "hub.log")
        with built.log.open("w", encoding="utf-8") as log:
            hub = _start_hub(settings, log)
        built.links = _wait_for_hub(hub, built.log)
        yield built
    finally:
        if hub is not None:
            _stop(hub)
        cast.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _register(settings: Settings, cast: Cast, own: OwnKeys) -> None:
    """What ``hub systems load parties.toml`` does."""
    parties = read_parties(write_parties_file(cast, own))
    vault = open_vault(settings)
    db = open_database(settings, vault)
    try:
        db.write(
            lambda tx: load_parties(
                tx,
                "operator:demo",
                parties,
                folder=cast.folder,
                vault=vault,
                find_manifest=manifest,
                lease_s=settings.lease_s,
            )
        )
    finally:
        db.close()


def _trust(settings: Settings, anchors: Path) -> None:
    """The library's own authority: its root is trusted for seals, its issuer's certificate and lists are at hand."""
    root = SigningCert.from_pem((anchors / "root.pem").read_bytes())
    store = TrustStore().with_anchor(Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC), label="演示"))
    store.save(settings.state_dir / "trust")
    for name, target in (("issuing.pem", "issuers"), *((file.name, "crls") for file in anchors.glob("*.crl"))):
        (settings.state_dir / target).mkdir(exist_ok=True)
        shutil.copy(anchors / name, settings.state_dir / target / name)


def _start_hub(settings: Settings, log: IO[str]) -> subprocess.Popen[str]:
    given = {f"HUB_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    return subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "serve"],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


def _wait_for_hub(hub: subprocess.Popen[str], log: Path) -> list[str]:
    """Until it listens; gives the one-time links of its first start."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in hub.stdout or ():
            lines.put(line.strip())
        lines.put("")

    threading.Thread(target=read, name="hub-output", daemon=True).start()
    links: list[str] = []
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            continue
        if not line:
            break
        if "/console/link/" in line:
            links.append(line)
        if line.startswith("listening on"):
            _wait_for_port(line.rsplit(":", 1)[1], end)
            return links
    tail = log.read_text(encoding="utf-8")[-2000:]
    raise StageFailed(f"枢纽未能启动, 其日志末尾: {tail}", "the hub did not start; the end of its log is above")


def _wait_for_port(port: str, end: float) -> None:
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise StageFailed(f"端口 {port} 无应答", f"nothing answers on port {port}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
