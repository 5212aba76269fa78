"""Registering parties: systems, their keys and their rights. Used by the command line, the TOML loader and the console.

Each function writes inside a transaction that the caller opened and leaves an audit entry. ``actor`` is who did it
(``operator:…``). A mistake raises :class:`RegistrationError` with a text for the administrator; nothing is written then.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from hub import tables as t
from hub.access import store
from hub.access.callers import KeyKind, Service
from hub.access.key_files import KeyMaterial
from hub.db import AuditEntry, Tx
from hub.ids import new_id
from schemas.regions import REGIONS
from schemas.told import Told

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}")
DEFAULT_OVERLAP = timedelta(days=7)


class RegistrationError(Told):
    """What an administrator asked for cannot be done; the text says why and what to do."""


# --- systems ------------------------------------------------------------------------------------------------------------


def add_system(tx: Tx, actor: str, system_id: str, name: str) -> None:
    if not _ID.fullmatch(system_id):
        raise RegistrationError(
            f"{system_id!r} 不能作为编号: 只用小写字母、数字和连字符, 至多 63 位",
            f"{system_id!r} is no id: lower-case letters, digits and hyphens, at most 63",
        )
    if not name or len(name) > 200:
        raise RegistrationError("系统名称应为 1 至 200 个字符", "a system has a name of 1 to 200 characters")
    if _system(tx, system_id) is not None:
        raise RegistrationError(
            f"已有系统 {system_id}, 请换一个编号", f"system {system_id} exists already: choose another id"
        )
    values = {"id": system_id, "name": name, "enabled": True, "created_at": tx.now}
    store.insert(tx.conn, t.systems, values)
    _audit(tx, actor, "system.add", system_id)


def set_system_enabled(tx: Tx, actor: str, system_id: str, enabled: bool) -> None:
    """A disabled system is unknown by every key that it has; enabling it again brings keys and rights back."""
    require_system(tx, system_id)
    store.update(tx.conn, t.systems, system_id, {"enabled": enabled})
    _audit(tx, actor, "system.enable" if enabled else "system.revoke", system_id)


def require_system(tx: Tx, system_id: str) -> store.SystemRow:
    system = _system(tx, system_id)
    if system is None:
        raise RegistrationError(
            f"没有系统 {system_id}; hub systems list 列出全部",
            f"there is no system {system_id}; hub systems list shows them",
        )
    return system


def _system(tx: Tx, system_id: str) -> store.SystemRow | None:
    return next((system for system in store.systems(tx.conn) if system.id == system_id), None)


# --- keys ---------------------------------------------------------------------------------------------------------------


def add_key(
    tx: Tx,
    actor: str,
    system_id: str,
    material: KeyMaterial,
    *,
    key_id: str | None = None,
    allow_sha1: bool = False,
    not_after: datetime | None = None,
) -> str:
    """Register one key and return its key id: the keyid of RFC 9421, or the SHA-256 fingerprint of the certificate."""
    require_system(tx, system_id)
    named = (
        (key_id or f"{system_id}-{material.fingerprint[:8]}") if material.kind is KeyKind.HTTP else material.fingerprint
    )
    if not _KEY_ID.fullmatch(named):
        raise RegistrationError(
            "密钥编号只用字母、数字和 . _ : @ / -, 至多 200 位",
            "a key id has letters, digits and . _ : @ / -, at most 200",
        )
    for row in store.keys(tx.conn):
        if (row.kind, row.key_id) == (material.kind.value, named):
            on = f"{row.revoked_at:%Y-%m-%d}" if row.revoked_at else ""
            raise RegistrationError(
                f"{material.kind} 密钥 {named} 已登记在 {row.system_id} 名下 ({f'{on} 已撤销' if on else '在用'})",
                f"{material.kind} key {named} is registered for {row.system_id} already "
                f"({f'revoked {on}' if on else 'in force'})",
            )
        if material.kind is KeyKind.HTTP and row.material == material.der and row.system_id != system_id:
            raise RegistrationError(
                f"此密钥已属于 {row.system_id}; 每个系统应使用自己的密钥",
                f"this very key belongs to {row.system_id} already; every system has keys of its own",
            )
    ends = [moment for moment in (material.not_after, not_after) if moment is not None]
    values = {
        "id": new_id("key"),
        "system_id": system_id,
        "kind": material.kind.value,
        "key_id": named,
        "material": material.der,
        "allow_sha1": allow_sha1,
        "not_before": material.not_before,
        "not_after": min(ends) if ends else None,
        "added_at": tx.now,
        "revoked_at": None,
    }
    store.insert(tx.conn, t.system_keys, values)
    detail = {"kind": material.kind.value, "key": named, "fingerprint": material.fingerprint}
    if allow_sha1:
        detail["allowSha1"] = "true"
    _audit(tx, actor, "system.key.add", system_id, detail)
    return named


def rotate_key(
    tx: Tx, actor: str, system_id: str, old_key_id: str, material: KeyMaterial, *, key_id: str | None = None,
    overlap: timedelta = DEFAULT_OVERLAP,
) -> str:  # fmt: skip
    """Register the new key; the old one of the same kind stays good for ``overlap`` so that nobody has to switch at one moment."""
    old = _key(tx, system_id, old_key_id)
    if old.kind != material.kind.value:
        raise RegistrationError(
            f"{old_key_id} 是 {old.kind} 密钥, 新密钥却是 {material.kind} 密钥: 请用 --kind {old.kind}",
            f"{old_key_id} is a {old.kind} key, the new one is a {material.kind} key: use --kind {old.kind}",
        )
    named = add_key(tx, actor, system_id, material, key_id=key_id, allow_sha1=old.allow_sha1)
    end = tx.now + overlap
    if old.not_after is None or old.not_after > end:
        store.update(tx.conn, t.system_keys, old.id, {"not_after": end})
    detail = {"kind": old.kind, "old": old_key_id, "new": named, "oldUntil": end.isoformat()}
    _audit(tx, actor, "system.key.rotate", system_id, detail)
    return named


def revoke_key(tx: Tx, actor: str, system_id: str, key_id: str) -> None:
    """From the next two seconds on nothing is accepted under this key, on any node."""
    key = _key(tx, system_id, key_id)
    store.update(tx.conn, t.system_keys, key.id, {"revoked_at": tx.now})
    _audit(tx, actor, "system.key.revoke", system_id, {"kind": key.kind, "key": key_id})


def _key(tx: Tx, system_id: str, key_id: str) -> store.KeyRow:
    require_system(tx, system_id)
    found = [
        row
        for row in store.keys(tx.conn, system_id)
        if row.revoked_at is None and (row.key_id == key_id or (row.kind != "http" and row.key_id.startswith(key_id)))
    ]
    if len(found) != 1:
        raise RegistrationError(
            f"{system_id} 有 {len(found)} 个在用密钥与 {key_id} 相符; hub systems list 列出全部",
            f"{system_id} has {len(found)} keys in force that {key_id} can mean; hub systems list shows them",
        )
    return found[0]


# --- rights -------------------------------------------------------------------------------------------------------------


def grant(tx: Tx, actor: str, system_id: str, services: Collection[str], region: str) -> list[str]:
    """Grant services for a region and those below it; returns the services that were new."""
    require_system(tx, system_id)
    require_region(region)
    have = {(right.service, right.region) for right in store.rights(tx.conn, system_id)}
    new = []
    for service in services:
        if service not in set(Service):
            raise RegistrationError(
                f"没有服务 {service}; 可用: {', '.join(Service)}",
                f"{service} is no service; there are {', '.join(Service)}",
            )
        if (service, region) in have:
            continue
        have.add((service, region))
        values = {
            "system_id": system_id, "service": service, "region": region,
            "granted_at": tx.now, "granted_by": actor[:64],
        }  # fmt: skip
        store.insert(tx.conn, t.rights, values)
        _audit(tx, actor, "system.grant", system_id, {"service": service, "region": region})
        new.append(service)
    return new


def revoke_right(tx: Tx, actor: str, system_id: str, service: str, region: str) -> None:
    require_system(tx, system_id)
    if not store.delete_right(tx.conn, system_id, service, region):
        raise RegistrationError(
            f"{system_id} 在 {region} 没有 {service} 权限", f"{system_id} has no right to {service} in {region}"
        )
    _audit(tx, actor, "system.ungrant", system_id, {"service": service, "region": region})


def require_region(region: str) -> None:
    if region not in REGIONS:
        raise RegistrationError(
            f"区域表 (schemas/data/regions.csv) 中没有区域 {region}",
            f"{region} is no region of the table (schemas/data/regions.csv)",
        )


def _audit(tx: Tx, actor: str, action: str, object_id: str, detail: dict[str, str] | None = None) -> None:
    tx.audit.append(AuditEntry(actor, action, object_id, "done", detail or {}))
