"""The library's side of the dialect: envelope, tokens, SM2, every operation. No HTTP here; see :mod:`.simulator`."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from adapters.contract import PresentationState
from adapters.ecert_share.collections import Collections, Refusal
from adapters.ecert_share.library import ENCRYPTED, PUSH, SUMMARY, TOKEN_OPERATION
from adapters.ecert_share.mapping import (
    AUTHENTICATION_FAILED,
    STATUS_FIELD,
    USE_CAUSE_LIMIT,
    Json,
    metadata_to_wire,
    status_of,
)
from adapters.holdings import Holder, Holding, Holdings, State
from adapters.library_simulation import Authorization, CodeExpired, CodeUnknown, read_code
from certs import sm2
from certs.errors import DecryptionFailed
from certs.ofd.metadata import read_ecert_fields
from schemas.code_tables import HOLDER_CODE_TYPES
from schemas.ecert_types import EcertType

NOT_PROVIDED, NOT_FOUND, FIELD_EMPTY, TYPE_UNPUBLISHED, EXPIRED, NO_PERMISSION, BAD_VALUE, BAD_HOLDER_TYPE = (
    2,
    10,
    12,
    13,
    22,
    100,
    102,
    103,
)
# How this library tells a state: by refusing the query with a status, or by certificateStatus of the record.
REFUSALS: Final = {State.REVOKED: 21, State.EXPIRED: 22, State.RESTRICTED: 23, State.NOT_FOUND: 10}
_RECORD_STATUS: Final = {State.NOT_ACTIVATED: "1", State.SUSPENDED: "2", State.REVOKED: "3"}
_VERIFY_STATUS: Final = {PresentationState.PENDING: 1, PresentationState.AUTHORIZED: 2, PresentationState.FAILED: 3}
_STAMP_S: Final = 300.0
_LINKS_KEPT: Final = 50_000  # then the expired ones are forgotten
_MISSING: Final = {"certNo": 109, "holderCode": 110, "holder": 111}  # fields that have a code of their own


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call, and the keys of both sides. SM2 keys: private 32 octets, public 65."""

    access_id: str
    access_key: str = field(repr=False)
    library_key: bytes = field(repr=False)
    hub_public_key: bytes


@dataclass(frozen=True, slots=True)
class Options:
    """How this installation behaves."""

    pinyin: bool = False  # metadata in pinyin initials instead of English words
    token_s: float = 7200.0  # how long a token is taken ...
    token_says_s: int | None = None  # ... and how long the library says that it is
    one_token: bool = False  # a new token ends the former one
    stale_links: int = 0  # so many links are expired when they are given out
    authorize_after_s: float = 0.5  # when a person answers a request for authorization


class LibraryServer:
    """Answers operations; holds tokens, links and transactions in memory."""

    def __init__(self, holdings: Holdings, access: Access, options: Options, collections: Collections) -> None:
        self._collections = collections
        self._holdings = holdings
        self._access = access
        self._options = options
        self._tokens: dict[str, float] = {}
        self._links: dict[str, tuple[Holding, float]] = {}
        self._stale = options.stale_links
        self._transactions: dict[str, Authorization] = {}
        self._operations: Mapping[str, Callable[[Mapping[str, Json], str], Json]] = {
            "CertShare/queryCertInfo": self._query_info,
            "CertShare/queryCertInfoByHolderCode": self._query_by_holder,
            "CertShare/queryCertInfoByQRcode": self._query_by_qrcode,
            "CertShare/queryCertInfosByVerifyTrx": self._query_by_transaction,
            "CertShare/downloadUrl": self._download_url,
            "CertShare/downloadUrlsByHolderCode": self._download_urls,
            "CertShare/downloadFile": self._download_file,
            "CertShare/verifyCertInfo": self._verify_info,
            "CertShare/verifyFile": self._verify_file,
            "CertShare/getCertRemarkInfo": self._remark_info,
            PUSH: self._collections.push,
            SUMMARY: self._collections.summary,
            "ChannelVerify/begin/verify": self._begin,
            "ChannelVerify/current/status": self._status,
        }

    def answer(self, operation: str, body: bytes, files_url: str) -> dict[str, Json]:
        """The reply envelope to a request envelope. ``files_url`` is where links point."""
        try:
            data = self._answer(operation, body, files_url)
        except Refusal as refusal:
            return reply(refusal.status)
        return reply(0, data)

    def file(self, link: str) -> bytes | None:
        """What a link leads to; None when it has expired or never was."""
        holding, until = self._links.get(link, (None, 0.0))
        return self._holdings.file(holding) if holding is not None and time.monotonic() < until else None

    def _answer(self, operation: str, body: bytes, files_url: str) -> Json:
        request = _parse(body)
        head, data = request.get("head"), request.get("data")
        if not isinstance(head, dict) or head.get("accessId") != self._access.access_id:
            raise Refusal(AUTHENTICATION_FAILED)
        if operation == TOKEN_OPERATION:
            return self._issue_token(data if isinstance(data, dict) else {})
        if time.monotonic() >= self._tokens.get(str(head.get("accessToken")), 0.0):
            raise Refusal(AUTHENTICATION_FAILED)
        work = self._operations.get(operation)
        if work is None:
            raise Refusal(NOT_PROVIDED)
        encrypted = ENCRYPTED.get(operation)
        if encrypted == "data":
            data = self._unseal(data)
        elif encrypted == "certData" and isinstance(data, dict) and "certData" in data:
            data = {**data, "certData": self._unseal(data["certData"])}
        if not isinstance(data, dict):
            raise Refusal(BAD_VALUE)
        answer = work(data, files_url)
        if encrypted == "data":
            return self._seal(answer)
        if encrypted == "certData" and isinstance(answer, dict) and "certData" in answer:
            return {**answer, "certData": self._seal(answer["certData"])}
        return answer

    def _issue_token(self, data: Mapping[str, Json]) -> Json:
        stamp, access = str(data.get("timestamp")), self._access
        wanted = sm2.sm3(f"{access.access_id}{stamp}{access.access_key}".encode()).hex()
        fresh = stamp.isdigit() and abs(time.time() - int(stamp) / 1000) < _STAMP_S
        if not fresh or not hmac.compare_digest(wanted, str(data.get("sign"))):
            raise Refusal(AUTHENTICATION_FAILED)
        if self._options.one_token:
            self._tokens.clear()
        token = secrets.token_hex(16)
        self._tokens[token] = time.monotonic() + self._options.token_s
        says = self._options.token_says_s
        return {"accessToken": token, "expiresIn": int(self._options.token_s) if says is None else says}

    # --- SM2 ----------------------------------------------------------------------------------------------------------

    def _seal(self, value: Json) -> str:
        return sm2.encrypt(self._access.hub_public_key, json.dumps(value, ensure_ascii=False).encode(), "C1C2C3").hex()

    def _unseal(self, value: Json) -> Json:
        try:
            return cast(Json, json.loads(sm2.decrypt(self._access.library_key, bytes.fromhex(str(value)), "C1C2C3")))
        except (DecryptionFailed, ValueError):
            raise Refusal(BAD_VALUE) from None

    # --- queries ------------------------------------------------------------------------------------------------------

    def _query_info(self, data: Mapping[str, Json], _files_url: str) -> Json:
        _use_cause(data)
        return self._told((self._by_identifier(data, "certIdentifier"),))

    def _query_by_holder(self, data: Mapping[str, Json], _files_url: str) -> Json:
        _use_cause(data)
        return self._told(self._of_holder(data))

    def _query_by_qrcode(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """A shown certificate: the code is ``CERT:`` and its identifier."""
        _use_cause(data)
        code = _required(data, "qrcode")
        return self._told((self._by_identifier({"id": code.removeprefix("CERT:").partition("#")[0]}, "id"),))

    def _query_by_transaction(self, data: Mapping[str, Json], _files_url: str) -> Json:
        _use_cause(data)
        transaction = self._transactions.get(_required(data, "trxId"))
        kind = self._kind(data)
        if transaction is None:
            raise Refusal(NOT_FOUND)
        if not transaction.covers(kind.code):
            raise Refusal(NO_PERMISSION)
        return self._told(_standing_ones(transaction.holder, self._holdings.of(transaction.holder, kind)))

    def _told(self, holdings: tuple[Holding, ...]) -> Json:
        pinyin = self._options.pinyin
        return {
            "certData": [
                {**metadata_to_wire(one.metadata, pinyin=pinyin), STATUS_FIELD: _record_status(one)} for one in holdings
            ]
        }

    def _by_identifier(self, data: Mapping[str, Json], name: str) -> Holding:
        found = self._holdings.by_identifier(_required(data, name))
        if found is None:
            raise Refusal(NOT_FOUND)
        if found.state in REFUSALS:
            raise Refusal(REFUSALS[found.state])
        return found

    def _of_holder(self, data: Mapping[str, Json], *, expired: bool = False) -> tuple[Holding, ...]:
        """``expired``: with those that ran out (files of them are handed out, their records are not: unconfirmed)."""
        code, code_type, kind = _required(data, "holderCode"), _required(data, "holderTypeCode"), self._kind(data)
        if code_type not in HOLDER_CODE_TYPES:
            raise Refusal(BAD_HOLDER_TYPE)
        holder = self._holdings.holder(code, code_type)
        if holder is None:
            raise Refusal(NOT_FOUND)
        found = self._holdings.of(holder, kind)
        if not (expired and found and found[-1].state is State.EXPIRED):
            found = _standing_ones(holder, found)
        wanted = data.get("certNo")
        if wanted and not (found := tuple(one for one in found if one.metadata.number == wanted)):
            raise Refusal(NOT_FOUND)
        return found

    def _kind(self, data: Mapping[str, Json]) -> EcertType:
        kind = self._holdings.kind(_required(data, "certTypeCode"))
        if kind is None:
            raise Refusal(TYPE_UNPUBLISHED)
        return kind

    def _remark_info(self, data: Mapping[str, Json], _files_url: str) -> Json:
        kind = self._kind(data)
        return {
            "certName": kind.title_zh,
            "certTypeCode": kind.code,
            "remark": "演示证照类型" if kind.placeholder else "",
        }

    # --- files --------------------------------------------------------------------------------------------------------

    def _download_url(self, data: Mapping[str, Json], files_url: str) -> Json:
        _use_cause(data)
        return {"downloadUrl": self._link(self._by_identifier(data, "certIdentifier"), data, files_url)}

    def _download_urls(self, data: Mapping[str, Json], files_url: str) -> Json:
        _use_cause(data)
        return {"downloadUrls": [self._link(one, data, files_url) for one in self._of_holder(data, expired=True)]}

    def _link(self, holding: Holding, data: Mapping[str, Json], files_url: str) -> str:
        seconds = _seconds(data, "expiryTime")
        if self._stale > 0:
            self._stale -= 1
            seconds = 0
        if len(self._links) >= _LINKS_KEPT:
            now = time.monotonic()
            self._links = {link: held for link, held in self._links.items() if held[1] > now}
        link = secrets.token_urlsafe(24)
        self._links[link] = (holding, time.monotonic() + seconds)
        return f"{files_url}/files/{link}"

    def _download_file(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """The sealed file, or a picture of it: a copy that says what for, and that nobody can verify."""
        cause, form = _required(data, "certificateCopyCause"), _required(data, "fileType")
        _seconds(data, "certificateCopyExpiringTime")
        if form not in ("ofd", "png"):
            raise Refusal(BAD_VALUE)
        found = self._by_identifier(data, "certificateIdentifier")
        content = self._holdings.file(found) if form == "ofd" else picture(f"{found.metadata.identifier} {cause}")
        return {"fileType": form, "content": base64.b64encode(content).decode("ascii")}

    # --- verification -------------------------------------------------------------------------------------------------

    def _verify_info(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """verifyResult 0 valid … 7 partly wrong (domain page §2)."""
        _use_cause(data)
        kind, stated = self._kind(data), data.get("certData")
        if not isinstance(stated, dict) or not stated:
            return {"verifyResult": 6}
        code = stated.get("holderCode")
        if not code:
            return {"verifyResult": 4}
        holder = self._holdings.holder(str(code), "111") or self._holdings.holder(str(code), "001")
        found = self._holdings.of(holder, kind) if holder is not None else ()
        if not found:
            return {"verifyResult": 5}
        wanted = {"holder": found[-1].metadata.holder_name, "certNo": found[-1].metadata.number}
        if any(stated.get(name) not in (None, "", value) for name, value in wanted.items()):
            return {"verifyResult": 7}
        return {"verifyResult": _standing(found[-1])}

    def _verify_file(self, data: Mapping[str, Json], _files_url: str) -> Json:
        _use_cause(data)
        kind = self._kind(data)
        if data.get("contentType") != "base64":
            raise Refusal(BAD_VALUE)
        try:
            content = base64.b64decode(_required(data, "content"), validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(BAD_VALUE) from None
        found = self._holdings.by_identifier(read_ecert_fields(content).get("identifier", ""))
        if found is None or found.kind != kind:
            return {"verifyResult": 5}
        return {"verifyResult": _standing(found) if self._holdings.file(found) == content else 7}

    # --- a person's authorization -------------------------------------------------------------------------------------

    def _begin(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """Codes are those of :mod:`adapters.library_simulation`."""
        try:
            holder, agrees = read_code(self._holdings, _required(data, "qrcode"))
        except CodeUnknown:
            raise Refusal(NOT_FOUND) from None
        except CodeExpired:
            raise Refusal(EXPIRED) from None
        codes = data.get("certCodes")
        if not isinstance(codes, list) or not codes:
            raise Refusal(FIELD_EMPTY)
        trx = secrets.token_hex(16)
        answered_at = time.monotonic() + self._options.authorize_after_s
        types = frozenset(str(code) for code in codes)
        self._transactions[trx] = Authorization(holder, agrees, types, answered_at)
        return {"trxId": trx}

    def _status(self, data: Mapping[str, Json], _files_url: str) -> Json:
        transaction = self._transactions.get(_required(data, "trxId"))
        if transaction is None:
            raise Refusal(NOT_FOUND)
        return {"verifyStatus": _VERIFY_STATUS[transaction.state]}


def reply(status: int, data: Json = None) -> dict[str, Json]:
    """A reply envelope."""
    return {"head": {"status": str(status), "message": status_of(status).zh}, "data": data}


def _parse(body: bytes) -> Mapping[str, Json]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(BAD_VALUE) from None
    if not isinstance(request, dict):
        raise Refusal(BAD_VALUE)
    return request


def _required(data: Mapping[str, Json], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(_MISSING.get(name, FIELD_EMPTY))
    return value


def _seconds(data: Mapping[str, Json], name: str) -> int:
    """How long something is good: 600 s unless the caller says."""
    seconds = data.get(name, 600)
    if not isinstance(seconds, int) or not 0 < seconds <= 86_400:
        raise Refusal(BAD_VALUE)
    return seconds


def picture(text: str) -> bytes:
    """A grey PNG of one pixel with a text in it (PNG third edition, 11.3.3.4 iTXt)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    note = b"Comment\0\0\0\0\0" + text.encode()
    parts = ((b"IHDR", head), (b"iTXt", note), (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in parts)


def _use_cause(data: Mapping[str, Json]) -> None:
    """A JSON string of at most 200 characters that says for what (domain page §2)."""
    text = _required(data, "useCause")
    try:
        cause = json.loads(text)
    except ValueError:
        raise Refusal(BAD_VALUE) from None
    if len(text) > USE_CAUSE_LIMIT or not isinstance(cause, dict) or not cause.get("certificateCopyCause"):
        raise Refusal(BAD_VALUE)


def _standing_ones(holder: Holder, found: tuple[Holding, ...]) -> tuple[Holding, ...]:
    """What a query by holder tells; the status of the newest where that is a refusal."""
    if not found:
        raise Refusal(NOT_FOUND)
    if found[-1].state in REFUSALS:
        raise Refusal(REFUSALS[found[-1].state])
    return found


def _standing(holding: Holding) -> int:
    if holding.state in (State.EXPIRED, State.RESTRICTED):
        return 3
    return int(_record_status(holding))


def _record_status(holding: Holding) -> str:
    return _RECORD_STATUS.get(holding.state, "0")
