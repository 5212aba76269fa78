"""REST: ``/v1/collections``. A batch file is spooled while it comes, verified over all of it, and never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import IO, Any, Final

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from hub.access.callers import Caller, Service
from hub.ecerts.collect import files
from hub.ecerts.collect.model import (
    CollectionAccepted,
    CollectionRequest,
    CollectionView,
    RowReportPage,
    RowStandingPage,
)
from hub.ecerts.collect.service import Collections
from hub.intake.cursors import Cursors
from hub.intake.gate import Exchange, Gate
from hub.intake.openapi import ANY, ANY_BODY, LANGUAGE, SECURITY, Document, body_of, publish, responses_of
from hub.intake.operations import digest_of
from hub.intake.rest import (
    add_route,
    admit_without_body,
    answer,
    caller_of,
    page_limit,
    query_of,
    read_message,
)
from hub.threads import Places
from schemas import problems as p
from schemas import rules
from schemas.base import Canonical
from schemas.fields import MessageId, RegionCode
from schemas.parsing import fault, invalid, validation_faults
from schemas.problems import (
    COLLECTION_UNKNOWN,
    MEDIA_TYPE_REFUSED,
    MESSAGE_TOO_LARGE,
    MESSAGE_UNREADABLE,
    FieldFault,
    HubProblem,
)

Pages = Callable[[Caller, str, int, int], tuple[Sequence[Canonical], int | None]]

TAG: Final = "归集 Collecting"
FORMS: Final = {
    "text/csv": "csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/zip": "zip",
}
AT_ONCE: Final = 4  # files that one node takes at the same time
EACH: Final = 2  # of one caller
QUIET_S: Final = 30.0  # a sender that says nothing for so long is given up
LEAST_RATE: Final = 32 << 10  # bytes a second, over all that came after the first QUIET_S: a slower one is given up too
BUSY_RETRY_S: Final = 10
_ID: Final = re.compile(r"col_[0-9a-hjkmnp-tv-z]{26}")
_MESSAGE_ID: Final = TypeAdapter(MessageId)
_REGION: Final = TypeAdapter(RegionCode)

EXAMPLE: Final[dict[str, Any]] = {
    "messageId": "jszg-20260901-000031",
    "region": "370102",
    "action": "issue",
    "values": {
        "type": "teacher-qualification", "number": "20183710211000123", "holderName": "王建国", "holderCodeType": "111",
        "holderCode": "370102198501011233", "issuerName": "历下区教育局", "issuerCode": "370102", "issuedOn": "2018-6-5",
    },
}  # fmt: skip


def _path(name: str = "id") -> dict[str, object]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, text: str, *, required: bool = False, type_: str = "string") -> dict[str, object]:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": {"type": type_}}


TAKE_ONE: Final = Document(
    "CollectOne",
    "归集一份证照 Collect one certificate",
    "Checked at once. 202 also with state faulty: the row is kept as it came, and the faults say why it is not passed on.",
    202,
    responses_of(202, CollectionAccepted, "Committed", [*ANY_BODY, p.MESSAGE_ID_CONFLICT, p.NO_ROUTE]),
    {"requestBody": body_of(CollectionRequest, EXAMPLE), "parameters": [LANGUAGE], "security": SECURITY},
)
TAKE_FILE: Final = Document(
    "CollectBatch",
    "批量归集 Collect a batch",
    "CSV, Excel or a zip of one such table and its OFDs, as the raw body; checked row by row afterwards. "
    "Progress is at the Location.",
    202,
    responses_of(202, CollectionView, "Committed", [*ANY_BODY, p.MESSAGE_ID_CONFLICT, p.NO_ROUTE]),
    {
        "requestBody": {
            "required": True,
            "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in FORMS},
        },
        "parameters": [
            _query("messageId", "Idempotency: the same id with the same file is the same batch", required=True),
            _query("region", "Region code of the issuing system", required=True),
            LANGUAGE,
        ],
        "security": SECURITY,
    },
)
VIEW: Final = Document(
    "QueryCollection",
    "查询归集进度 Query a collection",
    "Counts of rows by state. Certificates handed in one by one are found here too.",
    200,
    responses_of(200, CollectionView, "As it stands", [COLLECTION_UNKNOWN, *ANY]),
    {"parameters": [_path(), LANGUAGE], "security": SECURITY},
)
PAGED: Final = [
    _path(),
    _query("limit", "Rows of a page, 1 to 100", type_="integer"),
    _query("cursor", "nextCursor of the page before"),
    LANGUAGE,
]
PAGED_PROBLEMS: Final = [COLLECTION_UNKNOWN, p.MESSAGE_INVALID, p.PAGE_CURSOR_INVALID, *ANY]
REPORTS: Final = Document(
    "ListCollectionFaults",
    "查询归集差错 List the faults of a collection",
    "Rows with faults and rows that the library refused, by row and column. Follow nextCursor until it is absent.",
    200,
    responses_of(200, RowReportPage, "One page", PAGED_PROBLEMS),
    {"parameters": PAGED, "security": SECURITY},
)
ROWS: Final = Document(
    "ListCollectionRows",
    "查询归集各行 List the rows of a collection",
    "How each row stands, with its identifier, the hub's own where it assigned one. Follow nextCursor until it is absent; while "
    "the file is being checked, these are the rows read so far.",
    200,
    responses_of(200, RowStandingPage, "One page", PAGED_PROBLEMS),
    {"parameters": PAGED, "security": SECURITY},
)


def collect_router(gate: Gate, collections: Collections, cursors: Cursors, largest: int) -> APIRouter:
    """``largest``: bytes of a batch file."""
    publish(CollectionRequest, "validation")
    for model in (CollectionAccepted, CollectionView, RowReportPage, RowStandingPage):
        publish(model, "serialization")
    router = APIRouter()
    places = Places("collect-files", AT_ONCE, EACH, retry_s=BUSY_RETRY_S)

    def location(exchange: Exchange, batch_id: str) -> dict[str, str]:
        return {"Location": f"{gate.base_url(exchange.request)}/v1/collections/batches/{batch_id}"}

    async def take_one(exchange: Exchange) -> Response:
        request = await read_message(gate, exchange, CollectionRequest)
        caller, digest = caller_of(exchange), digest_of(request)
        taken = await asyncio.to_thread(lambda: collections.take_one(caller, request, digest=digest))
        return answer(taken, 202, location(exchange, taken.id))

    async def take_file(exchange: Exchange) -> Response:
        headers = exchange.request.headers
        form = FORMS.get(headers.get("content-type", "").partition(";")[0].strip().lower())
        if form is None or headers.get("content-encoding", "identity").lower() != "identity":
            raise HubProblem(MEDIA_TYPE_REFUSED, ", ".join(FORMS))
        caller = gate.foresee(exchange)
        caller.require_somewhere(Service.ECERT_COLLECT)
        with places.one(caller.system_id):
            if exchange.identity is not None:  # now: a recorded head must not hold a place while its body does not come
                await gate.remember(exchange.identity)
            return await _take(exchange, form)

    async def _take(exchange: Exchange, form: str) -> Response:
        with files.spool(collections.folder) as file:
            await _receive(exchange.request, file, largest)
            with files.as_bytes(file) as whole:
                exchange.body = whole
                try:
                    await gate.admit(exchange)
                    digest = await asyncio.to_thread(lambda: hashlib.sha256(whole).hexdigest())
                finally:
                    exchange.body = b""
            caller = replace(caller_of(exchange), nonces=())  # remembered before its body was read
            message_id, region = _asked(exchange)
            caller.require(Service.ECERT_COLLECT, region)
            view = await asyncio.to_thread(
                lambda: collections.take_file(caller, message_id, region, form, file, digest)
            )
        return answer(view, 202, location(exchange, view.id))

    async def view(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        caller, batch_id = caller_of(exchange), _id(exchange)
        return answer(await asyncio.to_thread(collections.view, caller, batch_id))

    faults = _paged(gate, cursors, "collect", collections.reports, RowReportPage)
    rows = _paged(gate, cursors, "collect-rows", collections.rows, RowStandingPage)
    add_route(router, gate, "POST", "/v1/collections", TAKE_ONE, take_one, TAG)
    add_route(router, gate, "POST", "/v1/collections/batches", TAKE_FILE, take_file, TAG)
    add_route(router, gate, "GET", "/v1/collections/batches/{id}", VIEW, view, TAG)
    add_route(router, gate, "GET", "/v1/collections/batches/{id}/faults", REPORTS, faults, TAG)
    add_route(router, gate, "GET", "/v1/collections/batches/{id}/rows", ROWS, rows, TAG)
    return router


def _paged(
    gate: Gate, cursors: Cursors, name: str, read: Pages, page_of: Callable[..., Canonical]
) -> Callable[[Exchange], Awaitable[Response]]:
    """Rows of a batch page by page; ``name`` keeps the cursors of one list out of the other."""

    async def serve(exchange: Exchange) -> Response:
        await admit_without_body(gate, exchange)
        caller, batch_id = caller_of(exchange), _id(exchange)
        cursor, limit = _page(exchange)
        scope = f"{name}\n{caller.system_id}\n{batch_id}"
        after = int(cursors.read(cursor, scope=scope)) if cursor is not None else 0
        items, following = await asyncio.to_thread(read, caller, batch_id, after, limit)
        next_cursor = cursors.make(str(following), scope=scope) if following is not None else None
        return answer(page_of(items=tuple(items), next_cursor=next_cursor))

    return serve


async def _receive(request: Request, file: IO[bytes], largest: int) -> None:
    """To the disk, part by part."""
    size = 0
    began = time.monotonic()
    parts = request.stream().__aiter__()
    while True:
        left = began + QUIET_S + size / LEAST_RATE - time.monotonic()
        try:
            part = await asyncio.wait_for(anext(parts), max(0.0, min(QUIET_S, left)))
        except StopAsyncIteration:
            return
        except TimeoutError:
            said = (
                f"{QUIET_S:.0f} 秒内没有收到数据, 或每秒不足 {LEAST_RATE >> 10} KiB",
                f"nothing came for {QUIET_S:.0f} s, or less than {LEAST_RATE >> 10} KiB a second",
            )
            raise HubProblem(MESSAGE_UNREADABLE, "body-timeout", said) from None
        size += len(part)
        if size > largest:
            raise HubProblem(MESSAGE_TOO_LARGE, said=(f"至多 {largest} 字节", f"at most {largest} bytes"))
        await asyncio.to_thread(file.write, part)


def _asked(exchange: Exchange) -> tuple[str, str]:
    """Message id and region; HubProblem with every fault of both."""
    given, faults = query_of(exchange), list[FieldFault]()
    for name, type_ in (("messageId", _MESSAGE_ID), ("region", _REGION)):
        if name not in given:
            faults.append(fault(f"query:{name}", rules.MISSING))
            continue
        try:
            type_.validate_python(given[name])
        except ValidationError as error:
            faults += [replace(one, path=f"query:{name}") for one in validation_faults(error)]
    if faults:
        raise invalid(faults)
    return given["messageId"], given["region"]


def _page(exchange: Exchange) -> tuple[str | None, int]:
    given = query_of(exchange)
    return given.get("cursor"), page_limit(given)


def _id(exchange: Exchange) -> str:
    text: str = exchange.request.path_params["id"]
    if not _ID.fullmatch(text):
        raise HubProblem(COLLECTION_UNKNOWN)
    return text
