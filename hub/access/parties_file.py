"""Parties from a TOML file: ``hub systems load parties.toml``. docs/operations/parties.md describes it.

Loading is idempotent: what is not there is added, what differs is changed, what is the same is left alone, and nothing is ever
removed (revoke does that). One transaction: a file with a fault changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.contract import Manifest
from hub.access import endpoints, registration, store
from hub.access.callers import KeyKind
from hub.access.endpoints import EndpointSpec
from hub.access.key_files import KeyFileError, KeyMaterial, read_key_file
from hub.access.registration import RegistrationError
from hub.db import Tx
from hub.vault import Vault
from schemas.toml_file import faults_told, read_toml

FindManifest = Callable[[str], Manifest]  # RegistrationError for an adapter that there is none of


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RightPart(_Part):
    service: str
    region: str


class KeyPart(_Part):
    kind: KeyKind
    file: Path
    key_id: str | None = None
    allow_sha1: bool = False


class SystemPart(_Part):
    id: str
    name: str
    key: tuple[KeyPart, ...] = ()
    right: tuple[RightPart, ...] = ()


class SubscriptionPart(_Part):
    type: str
    region: str
    source_only: bool = False


class EndpointPart(_Part):
    id: str
    system: str
    adapter: str
    service: str
    region: str
    base_url: str
    settings: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    max_concurrency: int | None = None
    timeout_s: int | None = None
    service_hours: str | None = None
    subscription: tuple[SubscriptionPart, ...] = ()


class PartiesFile(_Part):
    system: tuple[SystemPart, ...] = ()
    endpoint: tuple[EndpointPart, ...] = ()


@dataclass(slots=True)
class Loaded:
    """What a load changed, for the administrator to read."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def read_parties(path: Path) -> PartiesFile:
    try:
        return PartiesFile.model_validate(read_toml(path, RegistrationError))
    except ValidationError as error:
        zh, en = faults_told(error)
        raise RegistrationError(f"{path.name}: {zh}", f"{path.name}: {en}") from None


def load_parties(
    tx: Tx, actor: str, parties: PartiesFile, *, folder: Path, vault: Vault, find_manifest: FindManifest, lease_s: int
) -> Loaded:
    """``folder`` is where the names of key and secret files are relative to."""
    loading = _Loading(tx, actor, folder, vault, lease_s)
    known = {system.id for system in store.systems(tx.conn)}
    for system in parties.system:
        if system.id not in known:
            registration.add_system(tx, actor, system.id, system.name)
            loading.done.added.append(f"system {system.id}")
        loading.keys(system)
        for right in system.right:
            for service in registration.grant(tx, actor, system.id, [right.service], right.region):
                loading.done.added.append(f"right {system.id} {service} {right.region}")
    for part in parties.endpoint:
        loading.endpoint(part, find_manifest(part.adapter))
    return loading.done


@dataclass(slots=True)
class _Loading:
    tx: Tx
    actor: str
    folder: Path
    vault: Vault
    lease_s: int
    done: Loaded = field(default_factory=Loaded)

    def keys(self, system: SystemPart) -> None:
        have = {(row.kind, row.material) for row in store.keys(self.tx.conn, system.id)}
        for part in system.key:
            material = read_key(part.kind, self.folder / part.file)
            if (part.kind.value, material.der) in have:
                continue
            named = registration.add_key(
                self.tx, self.actor, system.id, material, key_id=part.key_id, allow_sha1=part.allow_sha1
            )
            self.done.added.append(f"key {system.id} {part.kind} {named}")

    def endpoint(self, part: EndpointPart, manifest: Manifest) -> None:
        secrets = {name: resolve_secret(reference, self.folder) for name, reference in part.secrets.items()}
        row = store.endpoint(self.tx.conn, part.id)
        if row is not None:
            self._update(part, row, secrets, manifest)
        else:
            spec = EndpointSpec(
                part.id, part.system, part.adapter, part.service, part.region, part.base_url, part.settings, secrets,
                part.max_concurrency, part.timeout_s, part.service_hours,
            )  # fmt: skip
            endpoints.add_endpoint(self.tx, self.actor, self.vault, manifest, spec, lease_s=self.lease_s)
            self.done.added.append(f"endpoint {part.id}")
        for wanted in part.subscription:
            if endpoints.subscribe(
                self.tx, self.actor, part.id, wanted.type, wanted.region, source_only=wanted.source_only
            ):
                self.done.added.append(f"subscription {part.id} {wanted.type} {wanted.region}")

    def _update(
        self, part: EndpointPart, row: store.EndpointRow, secrets: Mapping[str, str], manifest: Manifest
    ) -> None:
        fixed = (part.system, part.adapter, part.service, part.region)
        if fixed != (row.system_id, row.adapter, row.service, row.region):
            raise RegistrationError(
                f"端点 {part.id}: 系统、适配器、服务和区域不能更改; 请另行登记",
                f"endpoint {part.id}: system, adapter, service and region do not change; add another",
            )
        settings = json.loads(row.settings)
        old_secrets = endpoints.open_secrets(self.vault, row.id, row.secrets_sealed)
        changed = endpoints.set_endpoint(
            self.tx,
            self.actor,
            self.vault,
            manifest,
            part.id,
            lease_s=self.lease_s,
            base_url=part.base_url if endpoints.check_url(part.base_url) != row.base_url else None,
            settings=part.settings if {**settings, **part.settings} != settings else None,
            secrets=secrets if {**old_secrets, **secrets} != old_secrets else None,
            max_concurrency=part.max_concurrency if part.max_concurrency != row.max_concurrency else None,
            timeout_s=part.timeout_s if part.timeout_s != row.timeout_s else None,
            service_hours=part.service_hours if part.service_hours != row.service_hours else None,
        )
        if changed:
            self.done.changed.append(f"endpoint {part.id} ({', '.join(changed)})")


def read_key(kind: KeyKind, path: Path) -> KeyMaterial:
    """The key of a file; RegistrationError if there is none."""
    try:
        return read_key_file(kind, path.read_bytes())
    except KeyFileError as error:
        raise RegistrationError(f"{path.name}: {error.zh}", error.en) from None
    except OSError as error:
        raise RegistrationError(
            f"{path.name} 无法读取: {type(error).__name__}", f"{path.name} cannot be read: {type(error).__name__}"
        ) from None


def resolve_secret(reference: str, folder: Path) -> str:
    """``env:NAME`` or ``file:PATH``: a secret itself never stands in a file that is kept or in a shell's history."""
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        value = os.environ.get(name)
        if not value:
            raise RegistrationError(f"环境变量中没有 {name}", f"the environment has no {name}")
        return value
    if kind == "file" and name:
        try:
            return (folder / name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RegistrationError(
                f"密钥文件 {name} 无法读取: {type(error).__name__}",
                f"the secret file {name} cannot be read: {type(error).__name__}",
            ) from None
    raise RegistrationError(
        "密钥应写作 env:NAME 或 file:PATH, 不得明文", "a secret is given as env:NAME or file:PATH, never in clear"
    )
