"""hub systems: which systems are connected, by which keys they are known, and what each may do where."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from adapters.contract import Manifest
from certs.keys import PrivateKey, SignatureAlgorithm
from hub.access import registration, store
from hub.access.callers import KeyKind, Service
from hub.access.key_files import KeyMaterial, read_key_file
from hub.access.parties_file import load_parties, read_key, read_parties
from hub.access.registration import RegistrationError
from hub.commands.context import ACTOR, open_hub
from hub.commands.telling import fail, refusal, show, tell
from hub.db import Tx
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS

app = typer.Typer(no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="系统编号 / the system's id, for example qd-registry")]
AsJson = Annotated[
    bool, typer.Option("--json", help="输出一个 JSON 文档, 不输出表格 / one JSON document instead of a table")
]
Kind = Annotated[
    KeyKind,
    typer.Option(
        help="http 报文签名; tls 客户端证书; wsse SOAP 签名 / "
        "http: message signatures; tls: client certificate; wsse: SOAP signatures"
    ),
]


class NewKey(StrEnum):
    """What ``--new-key`` can make."""

    SM2 = "sm2"
    P256 = "p256"
    ED25519 = "ed25519"
    RSA = "rsa"


_ALGORITHMS = {
    NewKey.SM2: SignatureAlgorithm.SM2_SM3,
    NewKey.P256: SignatureAlgorithm.ECDSA_P256_SHA256,
    NewKey.ED25519: SignatureAlgorithm.ED25519,
    NewKey.RSA: SignatureAlgorithm.RSA_PSS_SHA512,
}


@app.command("add")
def add(
    system_id: Id,
    name: Annotated[str, typer.Option(help="全称 / the full name")],
    key: Annotated[
        Path | None,
        typer.Option(help="对方的公钥或证书 (PEM 或 DER) / public key or certificate of the partner (PEM or DER)"),
    ] = None,
    kind: Kind = KeyKind.HTTP,
    key_id: Annotated[
        str | None,
        typer.Option(
            help="http 密钥的 keyid, 缺省由系统编号生成 / keyid of an http key; default: made from the system's id"
        ),
    ] = None,
    new_key: Annotated[
        NewKey | None,
        typer.Option(
            help="生成 http 密钥对; 私钥只显示一次, 枢纽不保存 / "
            "make an http key pair; the private key is printed once and not kept"
        ),
    ] = None,
    allow_sha1: Annotated[
        bool,
        typer.Option(help="对方的 wsse 软件只能用 SHA-1 签名 / a wsse partner whose stack can only sign with SHA-1"),
    ] = False,
) -> None:
    """登记系统, 可同时登记首个密钥; 授权之前不能使用任何服务。
    Register a system, with a first key if given. It may do nothing until rights are granted.
    """
    made = PrivateKey.generate(_ALGORITHMS[new_key]) if new_key else None

    def write(tx: Tx) -> str | None:
        registration.add_system(tx, ACTOR, system_id, name)
        if made is not None:
            material = read_key_file(KeyKind.HTTP, made.public_key.spki)
            return registration.add_key(tx, ACTOR, system_id, material, key_id=key_id)
        if key is not None:
            return registration.add_key(tx, ACTOR, system_id, read_key(kind, key), key_id=key_id, allow_sha1=allow_sha1)
        return None

    with open_hub() as hub:
        named = hub.write(write)
    done = f"系统 {system_id} 已登记", "registered" + (f"; key id: {named}" if named else "")
    if made is None:
        typer.echo(" / ".join(done))
    else:
        tell(*done)
        tell("私钥只显示这一次, 请安全转交:", "this private key is shown once; hand it over safely:")
        typer.echo(made.to_pem().decode(), nl=False)


@app.command("list")
def list_systems(as_json: AsJson = False) -> None:
    """列出系统及其密钥和权限。
    List systems with their keys and rights.
    """
    with open_hub() as hub, hub.db.read() as conn:
        systems, keys, rights = store.systems(conn), store.keys(conn), store.rights(conn)
        now = hub.db.clock()
    if as_json:
        typer.echo(json.dumps([_as_json(system, keys, rights) for system in systems], ensure_ascii=False, indent=2))
        return
    table = Table("系统 id", "名称 name", "状态 state", "密钥 keys", "权限 rights")
    for system in systems:
        shown = [
            f"{key.kind} {_short(key.key_id)} {_key_state(key, now)}" for key in keys if key.system_id == system.id
        ]
        may = [f"{right.service} {_region(right.region)}" for right in rights if right.system_id == system.id]
        state = "正常 enabled" if system.enabled else "已吊销 revoked"
        table.add_row(system.id, system.name, state, "\n".join(shown), "\n".join(may))
    show(table)


@app.command("grant")
def grant(
    system_id: Id,
    service: Annotated[list[Service], typer.Argument(help="服务 / what it may do")],
    region: Annotated[str, typer.Option(help="区划代码 / GB/T 2260 code; covers the regions below it")],
) -> None:
    """授予系统在某区划使用服务的权限。
    Let a system use services in a region.
    """
    with open_hub() as hub:
        new = hub.write(lambda tx: registration.grant(tx, ACTOR, system_id, service, region))
    typer.echo(f"{system_id}: 已授予 / granted: {', '.join(new) or '无新增 / nothing new'} @ {_region(region)}")


@app.command("revoke")
def revoke(
    system_id: Id,
    key: Annotated[
        str | None,
        typer.Option(help="吊销一个密钥: 编号, 或指纹的开头 / revoke one key: its id, or the start of its fingerprint"),
    ] = None,
    service: Annotated[
        Service | None, typer.Option(help="收回一项权限; 与 --region 同用 / revoke one right; with --region")
    ] = None,
    region: Annotated[str | None, typer.Option(help="该权限的区划 / the region of that right")] = None,
) -> None:
    """吊销一个密钥或一项权限; 均未给出则停用整个系统。两秒内在各节点生效。
    Revoke one key or one right; with neither, the whole system. In force on every node within two seconds.
    """
    if (service is None) != (region is None):
        raise fail("--service 与 --region 须同时给出", "--service and --region go together")

    def write(tx: Tx) -> str:
        if key is not None:
            registration.revoke_key(tx, ACTOR, system_id, key)
            return f"密钥 key {key}"
        if service is not None and region is not None:
            registration.revoke_right(tx, ACTOR, system_id, service, region)
            return f"{service} {region}"
        registration.set_system_enabled(tx, ACTOR, system_id, False)
        return "整个系统 the whole system"

    with open_hub() as hub:
        what = hub.write(write)
    typer.echo(f"{system_id}: 已吊销 / revoked: {what}")


@app.command("enable")
def enable(system_id: Id) -> None:
    """恢复整个停用的系统, 密钥和权限照旧。
    Undo the revocation of a whole system; its keys and rights are as they were.
    """
    with open_hub() as hub:
        hub.write(lambda tx: registration.set_system_enabled(tx, ACTOR, system_id, True))
    typer.echo(f"{system_id}: 已恢复 / enabled")


@app.command("add-key")
def add_key(
    system_id: Id,
    key: Annotated[Path, typer.Argument(help="公钥或证书 (PEM 或 DER) / public key or certificate (PEM or DER)")],
    kind: Kind = KeyKind.HTTP,
    key_id: Annotated[str | None, typer.Option(help="http 密钥的 keyid / keyid of an http key")] = None,
    allow_sha1: Annotated[
        bool,
        typer.Option(help="对方的 wsse 软件只能用 SHA-1 签名 / a wsse partner whose stack can only sign with SHA-1"),
    ] = False,
) -> None:
    """再登记一个密钥。
    Register one more key.
    """
    with open_hub() as hub:
        material = _material(kind, key)
        named = hub.write(
            lambda tx: registration.add_key(tx, ACTOR, system_id, material, key_id=key_id, allow_sha1=allow_sha1)
        )
    typer.echo(f"{system_id}: 已登记密钥 / key registered: {kind} {named}")


@app.command("rotate")
def rotate(
    system_id: Id,
    key: Annotated[Path, typer.Argument(help="新的公钥或证书 / the new public key or certificate")],
    old: Annotated[
        str,
        typer.Option(
            help="被替换的密钥: 编号, 或指纹的开头 / the key that it replaces: its id, or the start of its fingerprint"
        ),
    ],
    kind: Kind = KeyKind.HTTP,
    key_id: Annotated[str | None, typer.Option(help="新 http 密钥的 keyid / keyid of the new http key")] = None,
    overlap_days: Annotated[
        float, typer.Option(min=0, help="旧密钥继续有效的天数 / how long the old one stays good")
    ] = 7,
) -> None:
    """更换密钥; 过渡期内新旧都有效。
    Replace a key; for some days both are good.
    """
    with open_hub() as hub:
        material = _material(kind, key)
        named = hub.write(
            lambda tx: registration.rotate_key(
                tx, ACTOR, system_id, old, material, key_id=key_id, overlap=timedelta(days=overlap_days)
            )
        )
    typer.echo(
        f"{system_id}: 已登记密钥 / key registered: {kind} {named}; {_short(old)} 失效于 / ends in {overlap_days:g} 天 days"
    )


@app.command("load")
def load(
    file: Annotated[
        Path,
        typer.Argument(
            help="TOML 文件, 见 docs/operations/parties.md / TOML; see docs/operations/parties.md",
            exists=True,
            dir_okay=False,
        ),
    ],
) -> None:
    """按文件登记系统、密钥、权限、端点和订阅; 已有的不变。
    Register the systems, keys, rights, endpoints and subscriptions of a file; what is there already is left alone.
    """
    with open_hub() as hub:
        try:
            parties = read_parties(file)
        except RegistrationError as error:
            raise refusal(error) from None
        done = hub.write(
            lambda tx: load_parties(
                tx,
                ACTOR,
                parties,
                folder=file.parent,
                vault=hub.vault,
                find_manifest=find_manifest,
                lease_s=hub.settings.lease_s,
            )
        )
    for line in done.added:
        typer.echo(f"+ {line}")
    for line in done.changed:
        typer.echo(f"~ {line}")
    typer.echo(f"新增 added {len(done.added)}, 变更 changed {len(done.changed)}")


def find_manifest(adapter_id: str) -> Manifest:
    from adapters import registry  # brings every adapter's libraries with it, and most commands need none

    try:
        return registry.manifest(adapter_id)
    except registry.UnknownAdapter as error:
        raise RegistrationError(error.zh, error.en) from None


def _material(kind: KeyKind, path: Path) -> KeyMaterial:
    try:
        return read_key(kind, path)
    except RegistrationError as error:
        raise refusal(error) from None


def _short(key_id: str) -> str:
    return key_id if len(key_id) <= 24 else f"{key_id[:16]}…"


def _key_state(key: store.KeyRow, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"已吊销 revoked {_day(key.revoked_at)}"
    if key.not_after is not None:
        return f"{'已过期 expired' if key.not_after <= now else '有效至 until'} {_day(key.not_after)}"
    return "有效 in force"


def _day(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d")


def _region(code: str) -> str:
    return f"{REGIONS.get(code).name} {code}" if code in REGIONS else code


def _as_json(system: store.SystemRow, keys: list[store.KeyRow], rights: list[store.RightRow]) -> dict[str, object]:
    return {
        "id": system.id,
        "name": system.name,
        "enabled": system.enabled,
        "keys": [
            {
                "kind": key.kind,
                "keyId": key.key_id,
                "notAfter": key.not_after.isoformat() if key.not_after else None,
                "revokedAt": key.revoked_at.isoformat() if key.revoked_at else None,
                "allowSha1": key.allow_sha1,
            }
            for key in keys
            if key.system_id == system.id
        ],
        "rights": [{"service": r.service, "region": r.region} for r in rights if r.system_id == system.id],
    }
