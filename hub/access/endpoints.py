"""Registering endpoints: one county's installation of a product is a row. The adapter's manifest says what it needs.

As in :mod:`hub.access.registration`: inside the caller's transaction, audited, and a mistake is a RegistrationError.
Secrets are sealed by the vault under the context ``endpoints:<id>`` and are never read back to a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from adapters.contract import SERVICES, Endpoint, Manifest
from hub import tables as t
from hub.access import store
from hub.access.registration import RegistrationError, require_region, require_system
from hub.db import AuditEntry, Tx
from hub.ids import new_id
from hub.logs import mask
from hub.vault import Vault
from schemas.events import EventType, kept_pattern

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-4]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What an administrator says of an endpoint; None takes the manifest's default. ``secrets`` are in clear."""

    id: str
    system_id: str
    adapter: str
    service: str
    region: str
    base_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_concurrency: int | None = None
    timeout_s: int | None = None
    service_hours: str | None = None


def add_endpoint(tx: Tx, actor: str, vault: Vault, manifest: Manifest, spec: EndpointSpec, *, lease_s: int) -> None:
    if not _ID.fullmatch(spec.id):
        raise RegistrationError(
            f"{spec.id!r} 不能作为编号: 只用小写字母、数字和连字符, 至多 63 位",
            f"{spec.id!r} is no id: lower-case letters, digits and hyphens, at most 63",
        )
    if store.endpoint(tx.conn, spec.id) is not None:
        raise RegistrationError(
            f"已有端点 {spec.id}; 更改请用 hub endpoints set",
            f"endpoint {spec.id} exists already; hub endpoints set changes it",
        )
    require_system(tx, spec.system_id)
    require_region(spec.region)
    check_fit(manifest, spec.service, spec.settings)
    _check_secrets(manifest, spec.secrets)
    timeout_s = spec.timeout_s if spec.timeout_s is not None else max(1, round(manifest.timeout_s))
    values = {
        "id": spec.id,
        "system_id": spec.system_id,
        "adapter": manifest.id,
        "service": spec.service,
        "region": spec.region,
        "base_url": check_url(spec.base_url),
        "settings": json.dumps(dict(spec.settings), ensure_ascii=False, sort_keys=True),
        "secrets_sealed": seal_secrets(vault, spec.id, spec.secrets),
        "max_concurrency": _check_concurrency(
            spec.max_concurrency if spec.max_concurrency is not None else manifest.max_concurrency
        ),
        "timeout_s": _check_timeout(timeout_s, lease_s),
        "service_hours": _check_hours(spec.service_hours or manifest.service_hours),
        "created_at": tx.now,
    }
    store.insert(tx.conn, t.endpoints, values)
    detail = {"system": spec.system_id, "adapter": manifest.id, "service": spec.service, "region": spec.region}
    _audit(tx, actor, "endpoint.add", spec.id, detail)


def set_endpoint(
    tx: Tx,
    actor: str,
    vault: Vault,
    manifest: Manifest,
    endpoint_id: str,
    *,
    lease_s: int,
    base_url: str | None = None,
    settings: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    max_concurrency: int | None = None,
    timeout_s: int | None = None,
    service_hours: str | None = None,
) -> list[str]:
    """Change what is given; settings and secrets are merged by name. ``service_hours=""`` means always. Returns what changed."""
    row = require_endpoint(tx, endpoint_id)
    values: dict[str, object] = {}
    if base_url is not None:
        values["base_url"] = check_url(base_url)
    if settings:
        merged = {**json.loads(row.settings), **settings}
        _check_settings(manifest, merged)
        values["settings"] = json.dumps(merged, ensure_ascii=False, sort_keys=True)
    if secrets:
        merged = {**open_secrets(vault, row.id, row.secrets_sealed), **secrets}
        _check_secrets(manifest, merged)
        values["secrets_sealed"] = seal_secrets(vault, row.id, merged)
    if max_concurrency is not None:
        values["max_concurrency"] = _check_concurrency(max_concurrency)
    if timeout_s is not None:
        values["timeout_s"] = _check_timeout(timeout_s, lease_s)
    if service_hours is not None:
        values["service_hours"] = _check_hours(service_hours or None)
    changed = sorted(values)
    if "base_url" in values:
        values["tls_not_after"] = None  # that of the server before
    if values.keys() & {"base_url", "settings", "secrets_sealed"}:
        values["misconfigured_at"] = None  # what was wrong may be mended: the next probe says
    if values:
        store.update(tx.conn, t.endpoints, endpoint_id, values)
        _audit(tx, actor, "endpoint.set", endpoint_id, {"changed": ",".join(changed)})
    return changed


def pause_endpoint(tx: Tx, actor: str, endpoint_id: str, reason: str) -> None:
    """Nothing is sent to it until it is resumed; what is due waits."""
    require_endpoint(tx, endpoint_id)
    if not reason.strip():
        raise RegistrationError(
            "请写明暂停原因, 以便他人了解", "say why the endpoint is paused: whoever finds it paused will want to know"
        )
    store.update(tx.conn, t.endpoints, endpoint_id, {"paused_at": tx.now, "paused_reason": reason[:200]})
    _audit(tx, actor, "endpoint.pause", endpoint_id, {"reason": mask(reason)[:200]})


def resume_endpoint(tx: Tx, actor: str, endpoint_id: str, reason: str) -> None:
    """It is sent to again at once: the breaker is closed as well, and whether it is misconfigured the next call says."""
    require_endpoint(tx, endpoint_id)
    values = {"paused_at": None, "paused_reason": None, "breaker": "closed", "failures": 0, "open_at": tx.now,
              "misconfigured_at": None}  # fmt: skip
    store.update(tx.conn, t.endpoints, endpoint_id, values)
    _audit(tx, actor, "endpoint.resume", endpoint_id, {"reason": mask(reason)[:200]})


def remove_endpoint(tx: Tx, actor: str, endpoint_id: str) -> None:
    """Only what no case and no delivery ever used; else the history would lose its party."""
    require_endpoint(tx, endpoint_id)
    if store.is_endpoint_used(tx.conn, endpoint_id):
        raise RegistrationError(
            f"{endpoint_id} 已有办件或投递, 不能删除; 可暂停: hub endpoints pause {endpoint_id}",
            f"{endpoint_id} has cases or deliveries; pause it instead: hub endpoints pause {endpoint_id}",
        )
    store.delete_endpoint(tx.conn, endpoint_id)
    _audit(tx, actor, "endpoint.remove", endpoint_id)


def subscribe(tx: Tx, actor: str, endpoint_id: str, event_type: str, region: str, *, source_only: bool = False) -> bool:
    """Send events of a type (exact, or a prefix that ends in ``.*``) in a region to this endpoint; False if it is so already."""
    require_endpoint(tx, endpoint_id)
    require_region(region)
    pattern = kept_pattern(event_type)
    if pattern is None:
        known = ", ".join(EventType)
        raise RegistrationError(
            f"{event_type!r} 不是事件类型; 可用: {known}, 或以 .* 结尾的前缀, 例如 case.*",
            f"{event_type!r} means no event; there are {known}, and prefixes that end in .* such as case.*",
        )
    wanted = (pattern, region, source_only)
    if any(
        (row.event_type, row.region, row.source_only) == wanted for row in store.subscriptions(tx.conn, endpoint_id)
    ):
        return False
    values = {
        "id": new_id("sub"), "endpoint_id": endpoint_id, "event_type": pattern,
        "region": region, "source_only": source_only,
    }  # fmt: skip
    store.insert(tx.conn, t.subscriptions, values)
    _audit(tx, actor, "endpoint.subscribe", endpoint_id, {"type": pattern, "region": region})
    return True


def no_endpoint(endpoint_id: str) -> RegistrationError:
    return RegistrationError(
        f"没有端点 {endpoint_id}; hub endpoints list 列出全部",
        f"there is no endpoint {endpoint_id}; hub endpoints list shows them",
    )


def require_endpoint(tx: Tx, endpoint_id: str) -> store.EndpointRow:
    row = store.endpoint(tx.conn, endpoint_id)
    if row is None:
        raise no_endpoint(endpoint_id)
    return row


def seal_secrets(vault: Vault, endpoint_id: str, secrets: Mapping[str, str]) -> bytes | None:
    return vault.seal(json.dumps(dict(secrets)).encode(), f"endpoints:{endpoint_id}") if secrets else None


def open_secrets(vault: Vault, endpoint_id: str, sealed: bytes | None) -> dict[str, str]:
    """The secrets in clear, for an adapter and nobody else. VaultError if the row was altered."""
    if sealed is None:
        return {}
    opened: dict[str, str] = json.loads(vault.open(sealed, f"endpoints:{endpoint_id}"))
    return opened


def as_adapter_endpoint(vault: Vault, row: store.EndpointRow) -> Endpoint:
    """The row as an adapter takes it."""
    secrets = open_secrets(vault, row.id, row.secrets_sealed)
    return Endpoint(row.id, row.region, row.base_url, json.loads(row.settings), secrets)


def check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")  # what cannot be a host's name raises
    except ValueError:
        raise RegistrationError("地址不是 URL", "the address is no URL") from None
    if not parts.scheme or not parts.netloc or len(url) > 500:
        raise RegistrationError(
            "地址应为完整的 URL, 例如 https://xj.example.gov.cn/api",
            "the address must be absolute, for example https://xj.example.gov.cn/api",
        )
    if "@" in parts.netloc:
        raise RegistrationError(
            "地址中不得含用户名或密码; 请用 --secret",
            "the address must not hold a name or password; secrets have a place of their own",
        )
    return url.rstrip("/")


def check_fit(manifest: Manifest, service: str, settings: Mapping[str, str]) -> None:
    """Whether the adapter can be that service with these settings; RegistrationError if not."""
    if service not in SERVICES:
        raise RegistrationError(
            f"端点没有服务 {service}; 可用: {', '.join(SERVICES)}",
            f"{service} is no service of endpoints; there are {', '.join(SERVICES)}",
        )
    if service not in manifest.services:
        can = ", ".join(sorted(manifest.services))
        raise RegistrationError(
            f"适配器 {manifest.id} 不能提供服务 {service}, 只能提供 {can}; 各适配器见 hub endpoints adapters",
            f"adapter {manifest.id} cannot serve {service}, it serves {can}; hub endpoints adapters lists them all",
        )
    _check_settings(manifest, settings)


def _check_settings(manifest: Manifest, settings: Mapping[str, str]) -> None:
    if unknown := settings.keys() - manifest.settings.keys():
        named, known = ", ".join(sorted(unknown)), ", ".join(sorted(manifest.settings))
        raise RegistrationError(
            f"{manifest.id} 没有设置项 {named}; 可用: {known or '无'}",
            f"{manifest.id} has no setting {named}; it has: {known or 'none'}",
        )
    if missing := {name for name in manifest.needed if not settings.get(name)}:
        zh, en = _meanings(manifest.settings, missing)
        raise RegistrationError(
            f"{manifest.id} 还需要设置项 (--setting 名=值; 文件中为 settings) {zh}",
            f"{manifest.id} needs the setting(s) (--setting NAME=VALUE; settings in a file) {en}",
        )


def _check_secrets(manifest: Manifest, secrets: Mapping[str, str]) -> None:
    if unknown := secrets.keys() - manifest.secrets.keys():
        named, known = ", ".join(sorted(unknown)), ", ".join(sorted(manifest.secrets))
        raise RegistrationError(
            f"{manifest.id} 没有密钥项 {named}; 可用: {known or '无'}",
            f"{manifest.id} has no secret {named}; it has: {known or 'none'}",
        )
    if missing := manifest.secrets.keys() - secrets.keys():
        zh, en = _meanings(manifest.secrets, missing)
        raise RegistrationError(f"{manifest.id} 还需要密钥项 {zh}", f"{manifest.id} needs the secret(s) {en}")


def _meanings(told: Mapping[str, str], names: Iterable[str]) -> tuple[str, str]:
    """Names with what they mean, in Chinese and in English; a manifest writes ``Chinese / English``."""
    parts = [(name, *told[name].partition(" / ")) for name in sorted(names)]
    zh, en = (f"{name}: {zh}" for name, zh, _, _ in parts), (f"{name}: {en or zh}" for name, zh, _, en in parts)
    return "; ".join(zh), "; ".join(en)


def _check_timeout(timeout_s: int, lease_s: int) -> int:
    """The lease must outlive the call, or another node takes the delivery up while it is being sent."""
    if not 1 <= timeout_s < lease_s:
        raise RegistrationError(
            f"超时 {timeout_s} 秒: 应不少于 1 秒, 且短于租约 {lease_s} 秒",
            f"timeout {timeout_s} s: must be at least 1 s and below the lease of {lease_s} s",
        )
    return timeout_s


def _check_concurrency(limit: int) -> int:
    if not 1 <= limit <= 512:
        raise RegistrationError("并发数应为 1 至 512", "concurrency is 1 to 512 calls at once")
    return limit


def _check_hours(hours: str | None) -> str | None:
    if hours is not None and not _HOURS.fullmatch(hours):
        raise RegistrationError(
            "服务时间应写作 07:30-20:00 (北京时间)", "service hours look like 07:30-20:00 (Asia/Shanghai)"
        )
    return hours


def _audit(tx: Tx, actor: str, action: str, object_id: str, detail: dict[str, str] | None = None) -> None:
    tx.audit.append(AuditEntry(actor, action, object_id, "done", detail or {}))
