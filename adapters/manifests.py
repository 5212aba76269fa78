"""manifest.toml → :class:`Manifest`, checked. Whatever is wrong with the file, only :class:`ManifestError` leaves here.

docs/how-to/write-an-adapter.md explains each field.
"""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from adapters.contract import SERVICES, Capability, Manifest

# Settings that every adapter has, because adapters/wire.py reads them.
WIRE_SETTINGS: Final = MappingProxyType(
    {
        "ca_file": "签发对方 TLS 证书的机构的 PEM 文件; 未给出则用本机所信任的 / "
        "PEM file of the authorities that may certify the peer's TLS server; without it, the machine's own",
        "client_cert_file": "枢纽向对方出示的客户端证书 (含证书链) 的 PEM 文件 / "
        "PEM file of the client certificate (with its chain) that the hub shows to the peer",
        "client_key_file": "该证书私钥的 PEM 文件, 若不在 client_cert_file 中 / "
        "PEM file of that certificate's private key, if it is not in client_cert_file",
    }
)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Service = Annotated[str, Field(pattern=f"^({'|'.join(SERVICES)})$")]
Words = Annotated[str, Field(min_length=3, max_length=300)]


class ManifestError(Exception):
    """A manifest that cannot be used: which file, and what is wrong at which field."""


class _File(BaseModel):
    """manifest.toml as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    product: Words
    product_zh: Words
    protocol: Literal["soap-1.1", "rest-json", "ecert-share", "cloudevents"]
    services: Annotated[frozenset[Service], Field(min_length=1)]
    capabilities: Annotated[frozenset[Capability], Field(min_length=1)]
    idempotent: bool
    status_query: bool
    timeout_s: Annotated[float, Field(gt=0, le=300)]
    max_concurrency: Annotated[int, Field(ge=1, le=512)]
    encoding: str
    service_hours: (
        Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")] | None
    ) = None
    settings: dict[Name, Words] = {}
    needed: frozenset[Name] = frozenset()
    secrets: dict[Name, Words] = {}
    tier: Literal["bronze", "silver", "gold"]
    exemptions: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")], Annotated[str, Field(min_length=10)]
    ] = {}

    @field_validator("encoding")
    @classmethod
    def _is_a_codec(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except (LookupError, ValueError):
            raise ValueError("Python knows no such encoding") from None
        return name

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.status_query != (Capability.STATUS in self.capabilities):
            raise ValueError("status_query and the capability 'status' say the same thing: both or neither")
        if Capability.PROBE not in self.capabilities:
            raise ValueError("every adapter can be probed: add the capability 'probe'")
        if doubled := self.settings.keys() & (WIRE_SETTINGS.keys() | self.secrets.keys()):
            raise ValueError(f"{', '.join(sorted(doubled))}: is a setting of every adapter, or a secret as well")
        if unknown := self.needed - self.settings.keys():
            raise ValueError(f"needed: {', '.join(sorted(unknown))}: no such setting")
        return self


def load_manifest(folder: Path) -> Manifest:
    """The manifest in an adapter's folder; its id must be the folder's name. Raises :class:`ManifestError`."""
    path = folder / "manifest.toml"
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or type(error).__name__}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: no TOML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors())
        raise ManifestError(f"{path}: {faults}") from None
    if found.id != folder.name:
        raise ManifestError(f"{path}: id: must be the folder's name {folder.name!r}")
    return Manifest(
        id=found.id,
        product=found.product,
        product_zh=found.product_zh,
        protocol=found.protocol,
        services=found.services,
        capabilities=found.capabilities,
        idempotent=found.idempotent,
        status_query=found.status_query,
        timeout_s=found.timeout_s,
        max_concurrency=found.max_concurrency,
        encoding=found.encoding,
        service_hours=found.service_hours,
        settings=MappingProxyType({**found.settings, **WIRE_SETTINGS}),
        needed=found.needed,
        secrets=MappingProxyType(found.secrets),
        tier=found.tier,
        exemptions=MappingProxyType(found.exemptions),
        path=path,
    )
