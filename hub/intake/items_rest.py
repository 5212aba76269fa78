"""REST: ``/v1/items``, the public item catalogue. No signature is asked for; an address is served at a bounded rate."""

from __future__ import annotations

import asyncio
from datetime import datetime, time
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from hub.ecerts.catalogue import Catalogue, Handling, HandlingReason, NoHandlerReason
from hub.ecerts.entries import Channel, Item, Level, LimitUnit, Source
from hub.ecerts.items.service import ItemCatalogue
from hub.intake.cursors import Cursors
from hub.intake.gate import Exchange, Gate
from hub.intake.limits import RateLimiter
from hub.intake.openapi import LANGUAGE, Document, publish, responses_of
from hub.intake.rest import add_route, answer, page_limit, parameter_fault, query_of
from hub.working_days import SHANGHAI
from schemas import problems as p
from schemas import rules
from schemas.base import Canonical
from schemas.fields import iso_day
from schemas.problems import ITEM_UNKNOWN, HubProblem
from schemas.regions import REGIONS
from schemas.rules import FieldError

TAG: Final = "事项 Items"
RATE, BURST = 50.0, 200.0  # of one address, a second and at once
_NOON = time(12)


class HandlingView(Canonical):
    """Who handles the item for the region asked, and why this organ."""

    code: str
    organ: str
    organ_code: str
    region: str
    channels: tuple[Channel, ...]
    limit: int
    limit_unit: LimitUnit
    placeholder: bool
    reason: HandlingReason
    rule: str | None = None
    rule_legal_basis: str | None = None


class ItemView(Canonical):
    """An item as it stands on the day asked. ``handling``, ``notHandled`` and ``sources`` only where a region was asked for."""

    item: Item
    handling: HandlingView | None = None
    not_handled: NoHandlerReason | None = None
    sources: tuple[Source, ...] | None = None


class ItemPage(Canonical):
    """One page of items by basic code. ``nextCursor`` is absent on the last page."""

    items: tuple[ItemView, ...]
    next_cursor: str | None = None


def _parameter(name: str, description: str, schema: dict[str, object]) -> dict[str, object]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_ASKED: Final = [
    _parameter("region", "Region code of the applicant: who handles it there", {"type": "string", "pattern": "^[0-9]{6}$"}),
    _parameter("area", "Named area of the region, such as a free-trade zone", {"type": "string"}),
    _parameter("at", "The day asked about (Asia/Shanghai); today by default", {"type": "string", "format": "date"}),
]  # fmt: skip
_KINDS: Final = [p.MESSAGE_INVALID, p.MESSAGE_TOO_LARGE, p.RATE_LIMITED, p.HUB_FAULT, p.HUB_BUSY]

LIST_ITEMS: Final = Document(
    "ListItems",
    "查询事项目录 List items",
    "The items in effect on a day. Public. Follow nextCursor until it is absent.",
    200,
    responses_of(200, ItemPage, "One page", [*_KINDS, p.PAGE_CURSOR_INVALID]),
    {
        "parameters": [
            *_ASKED,
            _parameter("level", "Whose authority it is", {"type": "string", "enum": [level.value for level in Level]}),
            _parameter("limit", "Items of a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
            _parameter("cursor", "nextCursor of the page before", {"type": "string"}),
            LANGUAGE,
        ],
        "security": [],
    },
)
GET_ITEM: Final = Document(
    "GetItem",
    "查询事项 Get an item",
    "One item by basic code (12), implementation code (31) or handling item (33): requirements, limit, legal basis; with a region, "
    "who handles it there and which source issues each evidence. Public.",
    200,
    responses_of(200, ItemView, "The item", [*_KINDS, ITEM_UNKNOWN]),
    {
        "parameters": [
            {"name": "code", "in": "path", "required": True, "schema": {"type": "string"}, "example": "370105001001"},
            *_ASKED,
            LANGUAGE,
        ],
        "security": [],
    },
)


def items_router(gate: Gate, items: ItemCatalogue, cursors: Cursors, limiter: RateLimiter | None = None) -> APIRouter:
    """``limiter`` counts by the address that the connection comes from."""
    publish(ItemPage, "serialization")
    publish(ItemView, "serialization")
    router = APIRouter()
    bounded = limiter or RateLimiter(RATE, BURST)

    async def admit(exchange: Exchange) -> None:
        await gate.read(exchange)
        client = exchange.request.client
        bounded.require(str(hash(client.host) % 65_536) if client else "")  # so many buckets and no more

    async def get_one(exchange: Exchange) -> Response:
        await admit(exchange)
        catalogue = await asyncio.to_thread(items.current)
        asked = _Asked(exchange, gate.now(), catalogue)
        code: str = exchange.request.path_params["code"]
        item = catalogue.item(code, asked.at)
        if item is None or (len(code) > 12 and catalogue.implementation(code, asked.at) is None):
            raise HubProblem(ITEM_UNKNOWN)
        return answer(_view(catalogue, item, asked, code=code, with_sources=True))

    async def get_page(exchange: Exchange) -> Response:
        await admit(exchange)
        catalogue = await asyncio.to_thread(items.current)
        asked = _Asked(exchange, gate.now(), catalogue)
        scope = f"items\n{asked.at.date()}\n{asked.region}\n{asked.area}\n{asked.level}"
        after = cursors.read(asked.cursor, scope=scope) if asked.cursor is not None else ""
        found = [
            item for item in catalogue.items(asked.at) if item.basic_code > after and asked.level in (None, item.level)
        ]
        page, more = found[: asked.limit], len(found) > asked.limit
        views = tuple(_view(catalogue, item, asked) for item in page)
        return answer(
            ItemPage(items=views, next_cursor=cursors.make(page[-1].basic_code, scope=scope) if more else None)
        )

    add_route(router, gate, "GET", "/v1/items", LIST_ITEMS, get_page, TAG)
    add_route(router, gate, "GET", "/v1/items/{code}", GET_ITEM, get_one, TAG)
    return router


class _Asked:
    """The query, checked; HubProblem(MESSAGE_INVALID) with the parameter."""

    def __init__(self, exchange: Exchange, now: datetime, catalogue: Catalogue) -> None:
        given = query_of(exchange)
        self.region = given.get("region")
        if self.region is not None and self.region not in REGIONS:
            raise parameter_fault("region", "", "", rules.REGION_UNKNOWN)
        self.area = given.get("area")
        if self.area is not None and self.region is None:
            raise parameter_fault("area", "与 region 同用", "it goes with region", rules.WRONG_FORMAT)
        if self.area is not None and self.region is not None:
            areas = catalogue.areas(self.region)
            if self.area not in areas:  # else a slip of the pen would be answered as for the whole region
                some, none = ", ".join(areas), ("该区域没有片区, 请去掉此参数", "the region has none: leave it out")
                raise parameter_fault("area", some or none[0], some or none[1], rules.NOT_IN_LIST)
        self.at = _noon(given["at"]) if "at" in given else now
        self.level: Level | None = None
        if "level" in given:
            if given["level"] not in set(Level):
                raise parameter_fault("level", "、".join(Level), ", ".join(Level), rules.NOT_IN_LIST)
            self.level = Level(given["level"])
        self.limit = page_limit(given)
        self.cursor = given.get("cursor")


def _noon(text: str) -> datetime:
    try:
        day = iso_day(text)
    except FieldError:
        raise parameter_fault("at", "", "", rules.DATE_FORMAT) from None
    return datetime.combine(day, _NOON, SHANGHAI)


def _view(catalogue: Catalogue, item: Item, asked: _Asked, *, code: str = "", with_sources: bool = False) -> ItemView:
    if asked.region is None:
        return ItemView(item=item)
    found = catalogue.who_handles(item, asked.region, asked.at, area=asked.area, code=code)
    sources = None
    if with_sources:
        types = {d.type for r in item.requirements for documents in r.alternatives for d in documents}
        known = (catalogue.source(name, asked.region, asked.at) for name in sorted(types))
        sources = tuple(source for source in known if source is not None)
    if isinstance(found, Handling):
        return ItemView(item=item, handling=_handling(found), sources=sources)
    return ItemView(item=item, not_handled=found.reason, sources=sources)


def _handling(found: Handling) -> HandlingView:
    one, rule = found.implementation, found.rule
    return HandlingView(
        code=one.code,
        organ=one.organ,
        organ_code=one.code[:18],
        region=one.region,
        channels=one.channels,
        limit=one.limit,
        limit_unit=one.limit_unit,
        placeholder=one.placeholder,
        reason=found.reason,
        rule=rule.rule if rule else None,
        rule_legal_basis=rule.legal_basis if rule else None,
    )
