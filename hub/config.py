"""All settings, from the environment (``HUB_…``) or from ``hub.toml`` in the state folder; the environment wins.

docs/operations/settings.md lists them; a test holds the two together.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    """Every setting has a safe default: loopback, SQLite in the state folder, keys made on the first run."""

    model_config = SettingsConfigDict(env_prefix="HUB_", toml_file="hub.toml", extra="forbid")

    state_dir: Path = Field(Path("state"), description="Folder of the database, keys, trust store and logs")
    database_url: str | None = Field(None, description="SQLAlchemy URL; default: hub.sqlite in the state folder")
    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise")
    port: int = Field(8700, description="Port of REST, SOAP and the console")
    public_url: str | None = Field(None, description="How partners reach the hub; default http(s)://host:port")
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the hub speaks HTTPS")
    tls_key: Path | None = Field(None, description="PEM private key of tls_certificate")
    tls_client_ca: Path | None = Field(None, description="PEM of the CAs whose client certificates are accepted (mTLS)")
    trusted_proxy_header: str | None = Field(
        None, description="Header in which a TLS-terminating proxy hands over the client certificate (URL-encoded PEM)"
    )
    trusted_proxies: str = Field("", description="Comma-separated addresses from which that header is believed")
    role: Literal["all", "api", "worker"] = Field("all", description="What this process does")
    node: str = Field(socket.gethostname(), description="This node's name in leases, attempts and logs")
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
    max_body_kb: int = Field(1024, description="Largest message that intake reads")
    max_batch_mb: int = Field(2048, ge=1, description="Largest batch file that collecting takes")
    collect_keep_days: int = Field(
        30, ge=1, description="How long an ended batch, its rows and their files are kept: what can be sent again"
    )
    body_keep_days: int = Field(30, ge=1, description="How long the body of an ended delivery is kept")
    attempt_keep_days: int = Field(180, ge=1, description="How long the attempts of ended deliveries are kept")
    event_keep_days: int = Field(730, ge=1, description="How long events are kept, but for those of open cases")
    collect_pending_days: int = Field(
        7, ge=1, description="How long a row may wait for a revocation list until it is faulty"
    )
    ecert_types: Path | None = Field(
        None, description="TOML of certificate types that are added to or changed from those that ship"
    )
    max_document_mb: int = Field(
        64, ge=1, le=64, description="Largest file that is verified for a caller or in the console"
    )
    message_age_s: int = Field(300, description="How old a signed message may be, and how far in the future")
    caller_rate: float = Field(
        500.0, ge=0, description="Messages a second that one system may send to this node; 0 = any"
    )
    caller_burst: float = Field(1000.0, ge=1, description="How many of them at once")
    sign_answers: bool = Field(False, description="Sign the SOAP answers to callers that signed by WS-Security")
    retry_base_s: float = Field(2.0, description="First wait of the backoff")
    retry_cap_s: float = Field(900.0, description="Longest wait of the backoff")
    retry_limit: int = Field(12, description="Attempts before a delivery is suspended")
    breaker_failures: int = Field(5, description="Consecutive failures that open an endpoint's breaker")
    breaker_open_s: float = Field(30.0, description="How long an open breaker waits before one probe")
    probe_interval_s: float = Field(30.0, description="How often each endpoint is probed; 0 = never")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged")
    log_format: Literal["json", "console"] = Field("json", description="How it is logged")

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
