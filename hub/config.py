"""All settings, from the environment (``HUB_…``) or from ``hub.toml`` in the state folder; the environment wins.

docs/operations/settings.md lists them; a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.rules import FieldError, Rule, Step

LONGEST_DAYS: Final = 36_500  # so long ago there was a day; for ever is written so
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


def _rule(zh: str, cure_zh: str, en: str, cure_en: str) -> Rule:
    return Rule("setting", Step.MEANING, zh, en, cure_zh, cure_en)


_ADDRESS: Final = _rule("不是地址", "写作 https://主机:端口", "is no address", "write https://host:port")
_NETWORKS: Final = _rule(
    "不是地址或网段",
    "写作 10.0.0.1 或 10.0.0.0/8, 以逗号分隔",
    "is no address or network",
    "write 10.0.0.1 or 10.0.0.0/8, commas between",
)
_HOSTS: Final = _rule(
    "不是主机名",
    "写作 主机 或 主机:端口, 以逗号分隔, 不带 http://",
    "is no host",
    "write host or host:port, commas between, no http://",
)
_FILE: Final = _rule("文件不存在", "检查路径与权限", "there is no such file", "check the path and its permissions")
_FOLDER: Final = _rule(
    "文件夹不存在", "检查路径与权限", "there is no such folder", "check the path and its permissions"
)


class Settings(BaseSettings):
    """Every setting has a safe default: loopback, SQLite in the state folder, keys made on the first run."""

    model_config = SettingsConfigDict(env_prefix="HUB_", toml_file="hub.toml", extra="forbid")

    state_dir: Path = Field(Path("state"), description="Folder of the database, keys, trust store and logs")
    database_url: str | None = Field(None, description="SQLAlchemy URL; default: hub.sqlite in the state folder")
    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise")
    port: int = Field(8700, ge=1, le=65535, description="Port of REST, SOAP and the console")
    public_url: str | None = Field(None, description="How partners reach the hub; default http(s)://host:port")
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the hub speaks HTTPS")
    tls_key: Path | None = Field(None, description="PEM private key of tls_certificate")
    tls_client_ca: Path | None = Field(None, description="PEM of the CAs whose client certificates are accepted (mTLS)")
    trusted_proxy_header: str | None = Field(
        None, description="Header in which a TLS-terminating proxy hands over the client certificate (URL-encoded PEM)"
    )
    trusted_proxies: str = Field("", description="Comma-separated addresses from which that header is believed")
    role: Literal["all", "api", "worker"] = Field("all", description="What this process does")
    node: str = Field(
        socket.gethostname(), min_length=1, max_length=64, description="This node's name in leases, attempts and logs"
    )
    workers: int = Field(32, ge=1, le=512, description="Threads that attempt deliveries")
    lease_s: int = Field(
        60, ge=5, description="How long an attempt is another's to take over; above every call timeout"
    )
    vault_key: SecretStr | None = Field(
        None, description="Base64 of the 32-byte keys at rest, 'current' behind the one that seals; default: vault.key"
    )
    cipher: Literal["aes-256-gcm", "sm4-gcm"] = Field("aes-256-gcm", description="Cipher of payloads at rest")
    flows_dir: Path | None = Field(None, description="Folder of the flows' TOML files; default: those that ship")
    policy: str = Field("strict", description="Verification policy: strict, field, or the path of a TOML file")
    revocation_hosts: str = Field(
        "", description="Comma-separated hosts (host or host:port) that CRLs and OCSP answers are fetched from"
    )
    sm2_backend: Literal["auto", "libcrypto", "gmssl"] = Field("auto", description="Which SM2 implementation to use")
    max_body_kb: int = Field(1024, ge=1, description="Largest message that intake reads")
    max_batch_mb: int = Field(2048, ge=1, description="Largest batch file that collecting takes")
    collect_keep_days: int = Field(
        30,
        ge=1,
        le=LONGEST_DAYS,
        description="How long an ended batch, its rows and their files are kept: what can be sent again",
    )
    body_keep_days: int = Field(
        30, ge=1, le=LONGEST_DAYS, description="How long the body of an ended delivery is kept, but for open cases"
    )
    attempt_keep_days: int = Field(
        180, ge=1, le=LONGEST_DAYS, description="How long the attempts of ended deliveries are kept"
    )
    event_keep_days: int = Field(
        730, ge=1, le=LONGEST_DAYS, description="How long events are kept, but for those of open cases"
    )
    collect_pending_days: int = Field(
        7, ge=1, le=LONGEST_DAYS, description="How long a row may wait for a revocation list until it is faulty"
    )
    ecert_types: Path | None = Field(
        None, description="TOML of certificate types that are added to or changed from those that ship"
    )
    sealing: Path | None = Field(
        None, description="TOML of who may seal certificates for another issuer; default: nobody"
    )
    max_document_mb: int = Field(
        64, ge=1, le=64, description="Largest file that is verified for a caller or in the console"
    )
    message_age_s: int = Field(300, ge=1, description="How old a signed message may be, and how far in the future")
    caller_rate: float = Field(
        500.0, ge=0, description="Messages a second that one system may send to this node; 0 = any"
    )
    caller_burst: float = Field(1000.0, ge=1, description="How many of them at once")
    sign_answers: bool = Field(False, description="Sign the SOAP answers to callers that signed by WS-Security")
    retry_base_s: float = Field(2.0, gt=0, description="First wait of the backoff")
    retry_cap_s: float = Field(900.0, gt=0, description="Longest wait of the backoff")
    retry_limit: int = Field(12, ge=1, description="Attempts before a delivery is suspended")
    breaker_failures: int = Field(5, ge=1, description="Consecutive failures that open an endpoint's breaker")
    breaker_open_s: float = Field(30.0, gt=0, description="How long an open breaker waits before one probe")
    ask_after_s: float = Field(
        600.0, ge=1, description="When a party that took a step and has not decided is first asked, where it can be"
    )
    probe_interval_s: float = Field(30.0, ge=0, description="How often each endpoint is probed; 0 = never")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged")
    log_format: Literal["json", "console"] = Field("json", description="How it is logged")

    @field_validator("public_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            raise FieldError(_ADDRESS)
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise FieldError(_NETWORKS) from None
        return text

    @field_validator("revocation_hosts")
    @classmethod
    def _hosts(cls, text: str) -> str:
        if not all(_HOST.fullmatch(part) for part in filter(None, map(str.strip, text.split(",")))):
            raise FieldError(_HOSTS)
        return text

    @field_validator("tls_certificate", "tls_key", "tls_client_ca", "ecert_types", "sealing")
    @classmethod
    def _file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise FieldError(_FILE)
        return path

    @field_validator("flows_dir")
    @classmethod
    def _folder(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_dir():
            raise FieldError(_FOLDER)
        return path

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'hub.sqlite'}"

    @property
    def effective_public_url(self) -> str:
        scheme = "https" if self.tls_certificate else "http"
        return (self.public_url or f"{scheme}://{self.host}:{self.port}").rstrip("/")
