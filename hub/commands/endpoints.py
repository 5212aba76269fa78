"""hub endpoints: where the hub delivers to and fetches from. The adapter's manifest says what an endpoint needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from adapters.contract import (
    SERVICES,
    AdapterError,
    Deadline,
    Manifest,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    RetryLater,
)
from hub.access import endpoints, store
from hub.access.endpoints import EndpointSpec
from hub.access.parties_file import resolve_secret
from hub.access.registration import RegistrationError
from hub.commands.context import ACTOR, OpenHub, open_hub
from hub.commands.systems import find_manifest
from hub.commands.telling import fail, refusal, show
from hub.health.overview import EndpointHealth, EndpointState, overview
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS
from schemas.told import Told

app = typer.Typer(no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="端点编号 / the endpoint's id, for example qd-shinan")]
AsJson = Annotated[
    bool, typer.Option("--json", help="输出一个 JSON 文档, 不输出表格 / one JSON document instead of a table")
]
Pairs = Annotated[
    list[str] | None,
    typer.Option("--setting", help="名=值, 按适配器清单所列 / NAME=VALUE, as the adapter's manifest lists them"),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        help="名=env:变量 或 名=file:路径; 未给出则询问 / NAME=env:VARIABLE or NAME=file:PATH; asked for if left out",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(help="同时调用数, 缺省按适配器清单 / calls at once; default: the manifest's")
]
Timeout = Annotated[
    int | None, typer.Option(help="单次调用的秒数, 缺省按适配器清单 / seconds for one call; default: the manifest's")
]
Hours = Annotated[
    str | None,
    typer.Option(
        help="服务时段, 如 07:30-20:00 (北京时间), 缺省按适配器清单 / "
        "07:30-20:00 Asia/Shanghai; default: the manifest's"
    ),
]


_MEANS: Final = {  # why an endpoint is not up
    RetryLater: ("对方暂时不可用, 请稍后再试", "it is not available now, try again later"),
    OutcomeUnknown: ("对方没有答复, 请检查地址与网络", "it does not answer, look at its address and the network"),
    PeerRefused: ("对方拒绝", "it refuses"),
    PeerMisconfigured: ("配置有误, 请检查地址、设置与密钥", "look at its address, settings and secrets"),
}


@app.command("add")
def add(  # noqa: PLR0917  each is an option of the command
    endpoint_id: Id,
    system: Annotated[
        str,
        typer.Option(
            help="所属系统, 即可以对其环节作出决定的一方 / "
            "whose installation it is: the party that may decide its steps"
        ),
    ],
    adapter: Annotated[
        str,
        typer.Option(
            help="产品 (适配器); 清单见 hub endpoints adapters / the product; hub endpoints adapters lists them"
        ),
    ],
    service: Annotated[str, typer.Option(help=f"服务 / service: {', '.join(SERVICES)}")],
    region: Annotated[
        str,
        typer.Option(
            help="GB/T 2260 区划代码; 也服务于下级没有自己端点的区划 / "
            "GB/T 2260 code; serves the regions below it that have none of their own"
        ),
    ],
    url: Annotated[str, typer.Option(help="地址 / its address")],
    setting: Pairs = None,
    secret: Secrets = None,
    max_concurrency: Concurrency = None,
    timeout_s: Timeout = None,
    service_hours: Hours = None,
) -> None:
    """登记对接端点; 适配器不能提供该服务, 或缺少必需的设置, 则不予登记。密码等取自环境变量、文件或提示输入, 加密保存。
    Register an endpoint; refused if the adapter cannot serve the service or a needed setting is missing. Secrets come from the
    environment, a file or a prompt, and are kept encrypted.
    """
    with open_hub() as hub:
        manifest = _or_fail_manifest(adapter)
        settings, given = _pairs(setting), _secrets(secret)
        try:
            endpoints.check_fit(manifest, service, settings)  # before secrets are asked for
        except RegistrationError as error:
            raise refusal(error) from None
        for name in sorted(manifest.secrets.keys() - given.keys()):
            given[name] = typer.prompt(f"{name} ({manifest.secrets[name]})", hide_input=True)
        spec = EndpointSpec(
            endpoint_id, system, adapter, service, region, url, settings, given, max_concurrency, timeout_s,
            service_hours,
        )  # fmt: skip
        hub.write(lambda tx: endpoints.add_endpoint(tx, ACTOR, hub.vault, manifest, spec, lease_s=hub.settings.lease_s))
    typer.echo(f"端点 {endpoint_id} 已登记 / registered; try it: hub endpoints check {endpoint_id}")


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """列出对接端点及其状况。
    List endpoints and how they do.
    """
    with open_hub() as hub, hub.db.read() as conn:
        rows = store.endpoints(conn)
        healths = {one.id: one for one in overview(conn, hub.db.clock()).endpoints}
    if as_json:
        typer.echo(json.dumps([_as_json(row, healths[row.id]) for row in rows], ensure_ascii=False, indent=2))
        return
    table = Table(
        "端点 id",
        "服务 service",
        "区域 region",
        "适配器 adapter",
        "系统 system",
        "状态 state",
        "最近应答 last answer",
        "地址 address",
    )
    for row in rows:
        seen = row.last_ok_at.astimezone(SHANGHAI).strftime("%m-%d %H:%M:%S") if row.last_ok_at else "-"
        region = f"{REGIONS.get(row.region).name} {row.region}" if row.region in REGIONS else row.region
        table.add_row(
            row.id, row.service, region, row.adapter, row.system_id, _state(row, healths[row.id]), seen, row.base_url
        )
    show(table)
    for one in healths.values():
        if one.misconfigured_at is not None:
            then = f"resume {one.id} --reason …" if one.state is EndpointState.PAUSED else f"check {one.id}"
            typer.echo(
                f"{one.id}: 配置有误, 重试无用; 查看对方应答: hub endpoints check {one.id}, 修改: hub endpoints set {one.id} …, "
                f"再 hub endpoints {then} / misconfigured: retrying does not help; look, mend, then try as these commands do"
            )


@app.command("adapters")
def adapters(
    name: Annotated[
        str | None, typer.Argument(metavar="[ADAPTER]", help="只列出该适配器 / this adapter only", show_default=False)
    ] = None,
) -> None:
    """列出可对接的产品 (适配器) 及各自需要的设置; 可只列一个。
    List the products that the hub can speak with, or one of them, and what each needs to be told.
    """
    from adapters import registry
    from adapters.manifests import WIRE_SETTINGS

    for adapter_id in sorted(registry.ADAPTERS) if name is None else [name]:
        manifest = _or_fail_manifest(adapter_id)
        typer.echo(f"{manifest.id}  {manifest.product_zh} / {manifest.product}")
        typer.echo(f"  服务 --service: {', '.join(sorted(manifest.services))}")
        own = {name: text for name, text in manifest.settings.items() if name not in WIRE_SETTINGS}
        for heading, part, needed in (
            ("设置 --setting", own, manifest.needed),
            ("密钥 --secret", manifest.secrets, manifest.secrets.keys()),
        ):
            if part:
                typer.echo(f"  {heading} (* 必需 needed):")
            for one, meaning in part.items():
                typer.echo(f"  {'*' if one in needed else ' '} {one}  {meaning}")
        typer.echo()
    typer.echo("各适配器均可有的设置 / settings that every adapter may have:")
    for one, meaning in WIRE_SETTINGS.items():
        typer.echo(f"    {one}  {meaning}")


@app.command("set")
def set_(
    endpoint_id: Id,
    url: Annotated[str | None, typer.Option(help="新地址 / a new address")] = None,
    setting: Pairs = None,
    secret: Secrets = None,
    max_concurrency: Concurrency = None,
    timeout_s: Timeout = None,
    service_hours: Annotated[
        str | None, typer.Option(help='服务时段 (北京时间), "" 为全天 / 07:30-20:00 Asia/Shanghai; "" = always')
    ] = None,
) -> None:
    """修改给出的各项, 其余不变。
    Change what is given and leave the rest.
    """
    with open_hub() as hub:
        manifest = _or_fail_manifest(_row(hub, endpoint_id).adapter)
        changed = hub.write(
            lambda tx: endpoints.set_endpoint(
                tx,
                ACTOR,
                hub.vault,
                manifest,
                endpoint_id,
                lease_s=hub.settings.lease_s,
                base_url=url,
                settings=_pairs(setting),
                secrets=_secrets(secret),
                max_concurrency=max_concurrency,
                timeout_s=timeout_s,
                service_hours=service_hours,
            )
        )
    typer.echo(f"{endpoint_id}: 已更改 / changed: {', '.join(changed) or '无 / nothing'}")


@app.command("pause")
def pause(endpoint_id: Id, reason: Annotated[str, typer.Option(help="原因 / why")]) -> None:
    """暂停投递, 直至恢复; 到期的投递等待。
    Send nothing to it until it is resumed; what is due waits.
    """
    with open_hub() as hub:
        hub.write(lambda tx: endpoints.pause_endpoint(tx, ACTOR, endpoint_id, reason))
    typer.echo(f"{endpoint_id}: 已暂停 / paused")


@app.command("resume")
def resume(endpoint_id: Id, reason: Annotated[str, typer.Option(help="原因 / why")]) -> None:
    """立即恢复投递, 熔断复位。
    Send to it again, at once; its breaker is closed.
    """
    with open_hub() as hub:
        hub.write(lambda tx: endpoints.resume_endpoint(tx, ACTOR, endpoint_id, reason))
    typer.echo(f"{endpoint_id}: 已恢复 / resumed")


@app.command("remove")
def remove(endpoint_id: Id) -> None:
    """删除从未被办件和投递用过的端点。
    Remove an endpoint that no case and no delivery ever used.
    """
    with open_hub() as hub:
        hub.write(lambda tx: endpoints.remove_endpoint(tx, ACTOR, endpoint_id))
    typer.echo(f"{endpoint_id}: 已移除 / removed")


@app.command("subscribe")
def subscribe(
    endpoint_id: Id,
    event_type: Annotated[
        str, typer.Argument(help="完整类型, 或以 .* 结尾的前缀 / exact, or a prefix that ends in .*")
    ],
    region: Annotated[
        str, typer.Option(help="GB/T 2260 区划代码; 含下级区划 / GB/T 2260 code; covers the regions below it")
    ] = "370000",
    source_only: Annotated[
        bool,
        typer.Option(help="仅限该端点所属系统自己提交的办件 / only cases that the endpoint's own system submitted"),
    ] = False,
) -> None:
    """向其推送某类事件。
    Send it the events of a type.
    """
    with open_hub() as hub:
        new = hub.write(
            lambda tx: endpoints.subscribe(tx, ACTOR, endpoint_id, event_type, region, source_only=source_only)
        )
    typer.echo(
        f"{endpoint_id}: {'已订阅 / subscribed to' if new else '此前已订阅 / had already'} {event_type} {region}"
    )


@app.command("check")
def check(endpoint_id: Id) -> None:
    """探测对方是否在线、是否认可本枢纽, 不产生业务影响; 否则退出码为 1。
    Ask the peer, without any effect, whether it is up and knows us. Exit 1 if not.
    """
    from adapters import registry

    with open_hub() as hub:
        row = _row(hub, endpoint_id)
        try:
            adapter = registry.create(row.adapter, endpoints.as_adapter_endpoint(hub.vault, row))
            try:
                health = adapter.probe(Deadline.after(row.timeout_s))
            finally:
                adapter.close()
        except (AdapterError, Told) as error:
            raise _not_up(endpoint_id, error) from None
    typer.echo(f"{endpoint_id}: 正常 / up {health.version or ''} {health.detail}".rstrip())


def _not_up(endpoint_id: str, error: AdapterError | Told) -> typer.Exit:
    if isinstance(error, Told):
        return fail(f"{endpoint_id}: {error.zh}", error.en)
    zh, en = _MEANS[type(error)]
    return fail(f"{endpoint_id}: {zh} ({error})", en)


def _row(hub: OpenHub, endpoint_id: str) -> store.EndpointRow:
    with hub.db.read() as conn:
        row = store.endpoint(conn, endpoint_id)
    if row is None:
        raise refusal(endpoints.no_endpoint(endpoint_id))
    return row


def _or_fail_manifest(adapter_id: str) -> Manifest:
    try:
        return find_manifest(adapter_id)
    except RegistrationError as error:
        raise refusal(error) from None


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise fail(f"{name!r}: 应写作 NAME=VALUE", f"{name!r}: write NAME=VALUE")
        pairs[name] = value
    return pairs


def _secrets(texts: list[str] | None) -> dict[str, str]:
    try:
        return {name: resolve_secret(reference, Path()) for name, reference in _pairs(texts).items()}
    except RegistrationError as error:
        raise refusal(error) from None


_STATES: Final = {
    EndpointState.OK: "正常 well",
    EndpointState.ILL: "异常 ill",
    EndpointState.MISCONFIGURED: "配置有误 misconfigured",
    EndpointState.BREAKER_OPEN: "熔断 breaker open",
    EndpointState.PAUSED: "已暂停 paused",
    EndpointState.CLOSED: "暂不投递 closed",
}


def _state(row: store.EndpointRow, health: EndpointHealth) -> str:
    """As the console says it: the state, since when, and why."""
    since = f" {health.since.astimezone(SHANGHAI):%m-%d %H:%M}" if health.since else ""
    why = row.paused_reason or (row.last_error if health.state is not EndpointState.OK else None) or health.reason
    return f"{_STATES[health.state]}{since}" + (f": {why}" if why and health.state is not EndpointState.OK else "")


def _as_json(row: store.EndpointRow, health: EndpointHealth) -> dict[str, object]:
    return {
        "id": row.id,
        "state": health.state.value,
        "since": health.since.isoformat() if health.since else None,
        "system": row.system_id,
        "adapter": row.adapter,
        "service": row.service,
        "region": row.region,
        "baseUrl": row.base_url,
        "settings": json.loads(row.settings),
        "hasSecrets": row.secrets_sealed is not None,
        "maxConcurrency": row.max_concurrency,
        "timeoutS": row.timeout_s,
        "serviceHours": row.service_hours,
        "pausedReason": row.paused_reason,
        "breaker": row.breaker,
        "lastOkAt": row.last_ok_at.isoformat() if row.last_ok_at else None,
        "lastError": row.last_error,
    }
