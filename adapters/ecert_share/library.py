"""The sharing interface, operation by operation: envelope, access token, SM2, status codes, links. Nothing of the hub's own.

``POST /CertShare/<operation>`` with ``{"head": {accessId, accessToken}, "data": {…}}``; the reply ``{"head": {status,
message}, "data": {…}}`` is HTTP 200 even on refusal. What is sensitive travels as SM2 ciphertext in hexadecimal, C1‖C2‖C3:
``data.certData`` of queries, all of ``data`` for links. Every operation only reads but CertCollect/push and
ChannelVerify/begin/verify (a person is asked on the phone): after one of those was sent and not answered, its outcome is unknown.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from adapters.contract import (
    Deadline,
    Endpoint,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PresentationState,
    RetryLater,
)
from adapters.ecert_share.mapping import (
    AUTHENTICATION_FAILED,
    NO_STANDINGS,
    STANDINGS,
    Json,
    Outcome,
    Record,
    authorization_state,
    records_from_wire,
    status_of,
)
from adapters.wire import Wire, WireResponse, check_status, unreadable
from certs import sm2
from certs.errors import BadKey, DecryptionFailed
from schemas.ecerts import EcertStatus

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
MAX_FILE_BYTES: Final = 32 * 1024 * 1024
_TOKEN_MARGIN_S: Final = 30.0  # a token is renewed so long before it ends: clocks and calls take time
_LINK_GONE: Final = frozenset({403, 404, 410})

Encrypted = Literal["certData", "data"]
# What is SM2 ciphertext, in the request where it is present and in the reply; all the rest travels in clear under TLS.
ENCRYPTED: Final[Mapping[str, Encrypted]] = {
    "CertShare/queryCertInfo": "certData",
    "CertShare/queryCertInfoByHolderCode": "certData",
    "CertShare/queryCertInfoByQRcode": "certData",
    "CertShare/queryCertInfosByVerifyTrx": "certData",
    "CertShare/verifyCertInfo": "certData",
    "CertShare/downloadUrl": "data",
    "CertShare/downloadUrlsByHolderCode": "data",
    "CertCollect/push": "certData",
}
# UNCONFIRMED: the public documents of the sharing interface have no operation for collecting (归集). These two are ours, in the
# interface's own envelope, until the province's are known; everything that leans on them is in this folder.
PUSH: Final = "CertCollect/push"
SUMMARY: Final = "CertCollect/summary"
# How a token is obtained could not be confirmed for this library; the operation's name is in one place, here.
TOKEN_OPERATION: Final = "CertShare/getAccessToken"  # noqa: S105 - a name, no secret


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file can be loaded until it expires."""

    url: str


class LinkExpired(Exception):
    """The link is no longer good; ask for a new one."""


class Library:
    """One installation of the library. Used by many threads at once."""

    def __init__(self, endpoint: Endpoint, *, max_idle: int) -> None:
        settings, secrets = endpoint.settings, endpoint.secrets
        self._access_id = settings.get("access_id", "")
        self._access_key = secrets.get("access_key", "")
        if not self._access_id or not self._access_key:
            raise PeerMisconfigured("settings-access", "access_id and access_key are needed")
        try:
            self._their_key = bytes.fromhex(settings.get("sm2_public_key", ""))
            self._our_key = bytes.fromhex(secrets.get("sm2_private_key", ""))
            sm2.encrypt(self._their_key, b"\0")
            sm2.public_key(self._our_key)
        except (BadKey, ValueError):
            raise PeerMisconfigured("settings-keys", "sm2_public_key or sm2_private_key cannot be used") from None
        self._wire = Wire(endpoint, max_idle=max_idle)
        origins = [origin.strip() for origin in settings.get("download_origins", "").split(",") if origin.strip()]
        self._files = {
            origin: Wire(Endpoint(endpoint.id, endpoint.region, origin, settings), max_idle=max_idle)
            for origin in map(_origin, origins or [endpoint.base_url])
        }
        self._obtaining = threading.Lock()
        self._lock = threading.Lock()  # of the token
        self._token: tuple[str, float] | None = None  # and until when, on the monotonic clock

    def close(self) -> None:
        """Give connections back."""
        for wire in (self._wire, *self._files.values()):
            wire.close()

    # --- queries ------------------------------------------------------------------------------------------------------

    def query(self, operation: str, data: Record, deadline: Deadline) -> tuple[Record, ...]:
        """One of queryCertInfo, queryCertInfoByHolderCode, queryCertInfoByQRcode, queryCertInfosByVerifyTrx."""
        reply = self.call(f"CertShare/{operation}", data, deadline)
        try:
            return records_from_wire(_member(reply, "certData"))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None

    def remark_info(self, cert_name: str, type_code: str, deadline: Deadline) -> Record:
        """getCertRemarkInfo: what the library says of a certificate type."""
        return _record(
            self.call("CertShare/getCertRemarkInfo", {"certName": cert_name, "certTypeCode": type_code}, deadline)
        )

    def verify_info(self, type_code: str, cert_data: Record, use_cause: str, deadline: Deadline) -> EcertStatus:
        """verifyCertInfo: how a certificate with these data stands. ``PeerRefused`` where the library cannot say."""
        data: Record = {"certTypeCode": type_code, "certData": cert_data, "useCause": use_cause}
        return _standing(_member(self.call("CertShare/verifyCertInfo", data, deadline), "verifyResult"))

    def verify_file(self, type_code: str, content: bytes, use_cause: str, deadline: Deadline) -> EcertStatus:
        """verifyFile: how the certificate in this file stands."""
        encoded = base64.b64encode(content).decode("ascii")
        data = {"certTypeCode": type_code, "contentType": "base64", "content": encoded, "useCause": use_cause}
        return _standing(_member(self.call("CertShare/verifyFile", data, deadline), "verifyResult"))

    # --- files --------------------------------------------------------------------------------------------------------

    def link(self, identifier: str, use_cause: str, seconds: int, deadline: Deadline) -> Link:
        """downloadUrl: a link that expires after ``seconds``."""
        data: Record = {"certIdentifier": identifier, "useCause": use_cause, "expiryTime": seconds}
        return _link(_member(self.call("CertShare/downloadUrl", data, deadline), "downloadUrl"))

    def links_by_holder(self, data: Record, deadline: Deadline) -> tuple[Link, ...]:
        """downloadUrlsByHolderCode."""
        found = _member(self.call("CertShare/downloadUrlsByHolderCode", data, deadline), "downloadUrls")
        if not isinstance(found, list):
            raise unreadable("downloadUrls", has_effect=False)
        return tuple(_link(one) for one in found)

    def load(self, link: Link, deadline: Deadline) -> bytes:
        """The file behind a link; :class:`LinkExpired` if it is no longer good. Foreign hosts are never asked."""
        wire = self._files.get(_origin(link.url))
        if wire is None:
            raise PeerMisconfigured("download-elsewhere", "a link to a host that is not among download_origins")
        parts = urlsplit(link.url)
        url = wire.url(parts.path + (f"?{parts.query}" if parts.query else ""))  # in our own spelling of the origin
        response = wire.send("GET", url, deadline=deadline, has_effect=False, max_bytes=MAX_FILE_BYTES)
        if response.status in _LINK_GONE:
            raise LinkExpired
        check_status(response, has_effect=False)
        if response.status != 200:
            raise unreadable(f"http {response.status}", has_effect=False)
        return response.body

    def file(
        self, identifier: str, copy_cause: str, seconds: int, deadline: Deadline, *, file_type: str = "ofd"
    ) -> bytes:
        """downloadFile: the file itself, in the reply."""
        data: Record = {
            "fileType": file_type,
            "certificateIdentifier": identifier,
            "certificateCopyCause": copy_cause,
            "certificateCopyExpiringTime": seconds,
        }
        content = _member(self.call("CertShare/downloadFile", data, deadline, max_bytes=MAX_FILE_BYTES), "content")
        try:
            return base64.b64decode(content if isinstance(content, str) else "", validate=True)
        except (binascii.Error, ValueError):
            raise unreadable("content is no base64", has_effect=False) from None

    # --- a person's authorization -------------------------------------------------------------------------------------

    def begin_authorization(self, qrcode: str, type_codes: tuple[str, ...], deadline: Deadline) -> str:
        """ChannelVerify/begin/verify: the transaction that the person is asked to authorize."""
        data: Record = {"qrcode": qrcode, "certCodes": list(type_codes)}
        reply = self.call("ChannelVerify/begin/verify", data, deadline, has_effect=True)
        trx = reply.get("trxId") if isinstance(reply, dict) else None
        if not isinstance(trx, str) or not trx:
            raise unreadable("trxId", has_effect=True)
        return trx

    def authorization(self, trx_id: str, deadline: Deadline) -> PresentationState:
        """ChannelVerify/current/status."""
        reply = self.call("ChannelVerify/current/status", {"trxId": trx_id}, deadline)
        return authorization_state(_member(reply, "verifyStatus"))

    # --- one call -----------------------------------------------------------------------------------------------------

    def collect(self, batch_no: str, records: Sequence[Record], deadline: Deadline) -> Json:
        """CertCollect/push: the records of one batch, each with its action; the library recognises a repeated ``batch_no``."""
        return self.call(PUSH, {"batchNo": batch_no, "certData": records}, deadline, has_effect=True)

    def collected(self, type_code: str, bucket: str | None, deadline: Deadline) -> Json:
        """CertCollect/summary: sums of the buckets of a type, or the entries of one."""
        data = {"certTypeCode": type_code, **({"bucket": bucket} if bucket is not None else {})}
        return self.call(SUMMARY, data, deadline, max_bytes=MAX_FILE_BYTES)

    def call(
        self,
        operation: str,
        data: Record,
        deadline: Deadline,
        *,
        max_bytes: int = MAX_REPLY_BYTES,
        has_effect: bool = False,
    ) -> Json:
        """Any operation: ``data`` of its reply, decrypted. A token that the library no longer takes is renewed once."""
        sealed = self._encrypt(operation, data)
        token = self._access_token(deadline)
        status, reply = self._post(operation, sealed, deadline, token, max_bytes, has_effect)
        if status == AUTHENTICATION_FAILED:  # it was refused before it did anything
            token = self._access_token(deadline, refused=token)
            status, reply = self._post(operation, sealed, deadline, token, max_bytes, has_effect)
        if status == AUTHENTICATION_FAILED:
            self._forget(token)
        _raise_for(status, has_effect=has_effect)
        return self._decrypt(operation, reply)

    def _access_token(self, deadline: Deadline, *, refused: str = "") -> str:
        """A token, not the ``refused`` one. One thread obtains it for all: a library may let a new token end the former one."""
        if (held := self._usable(refused)) is not None:
            return held
        if not self._obtaining.acquire(timeout=deadline.remaining()):
            raise RetryLater("token-awaited", "another call was still obtaining it")
        try:
            return self._usable(refused) or self._obtain_token(deadline)
        finally:
            self._obtaining.release()

    def _usable(self, refused: str) -> str | None:
        held = self._token
        return held[0] if held is not None and held[0] != refused and time.monotonic() < held[1] else None

    def _obtain_token(self, deadline: Deadline) -> str:
        stamp = str(int(time.time() * 1000))
        signature = sm2.sm3(f"{self._access_id}{stamp}{self._access_key}".encode()).hex()
        status, reply = self._post(
            TOKEN_OPERATION, {"timestamp": stamp, "sign": signature}, deadline, "", MAX_REPLY_BYTES
        )
        _raise_for(status)
        token, seconds = _member(reply, "accessToken"), _member(reply, "expiresIn")
        if not isinstance(token, str) or not token or not isinstance(seconds, int):
            raise unreadable("accessToken", has_effect=False)
        with self._lock:
            self._token = (token, time.monotonic() + max(0.0, seconds - _TOKEN_MARGIN_S))
        return token

    def _forget(self, token: str) -> None:
        """Unless another thread has renewed it meanwhile."""
        with self._lock:
            if self._token is not None and self._token[0] == token:
                self._token = None

    def _post(
        self,
        operation: str,
        data: Json,
        deadline: Deadline,
        token: str,
        max_bytes: int,
        has_effect: bool = False,
    ) -> tuple[int, Json]:
        envelope = {"head": {"accessId": self._access_id, "accessToken": token}, "data": data}
        response = self._wire.send(
            "POST",
            self._wire.url(f"/{operation}"),
            deadline=deadline,
            has_effect=has_effect,
            headers={"Content-Type": "application/json; charset=utf-8"},
            body=json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode("utf-8"),
            max_bytes=max_bytes,
        )
        check_status(response, has_effect=has_effect)
        if response.status in (404, 410):
            raise PeerMisconfigured(f"http-{response.status}")
        return _open(response, has_effect=has_effect)

    # --- SM2 ----------------------------------------------------------------------------------------------------------

    def _encrypt(self, operation: str, data: Record) -> Json:
        match ENCRYPTED.get(operation):
            case "data":
                return self._seal(data)
            case "certData" if "certData" in data:
                return {**data, "certData": self._seal(data["certData"])}
            case _:
                return data

    def _seal(self, value: Json) -> str:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        return sm2.encrypt(self._their_key, text, "C1C2C3").hex()

    def _decrypt(self, operation: str, data: Json) -> Json:
        match ENCRYPTED.get(operation):
            case "data":
                return self._unseal(data)
            case "certData" if isinstance(data, dict) and "certData" in data:
                return {**data, "certData": self._unseal(data["certData"])}
            case _:
                return data

    def _unseal(self, value: Json) -> Json:
        try:
            plain = sm2.decrypt(self._our_key, bytes.fromhex(value if isinstance(value, str) else ""), "C1C2C3")
            return _json(plain)
        except DecryptionFailed:
            raise unreadable("ciphertext that is not for our key", has_effect=False) from None
        except ValueError:
            raise unreadable("ciphertext or what stands in it", has_effect=False) from None


# --- reading --------------------------------------------------------------------------------------------------------------


def _json(content: bytes) -> Json:
    """ValueError for everything that is no JSON; the parser's RecursionError on deep nesting included."""
    try:
        return cast(Json, json.loads(content.decode("utf-8")))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _open(response: WireResponse, *, has_effect: bool = False) -> tuple[int, Json]:
    try:
        reply = _json(response.body)
    except ValueError:
        raise unreadable("no JSON in UTF-8", has_effect=has_effect) from None
    head = reply.get("head") if isinstance(reply, dict) else None
    status = str(head.get("status")) if isinstance(head, dict) else ""
    if not isinstance(reply, dict) or not status.isascii() or not status.isdigit() or len(status) > 6:
        raise unreadable("no head with a status", has_effect=has_effect)
    return int(status), reply.get("data")


def _raise_for(code: int, *, has_effect: bool = False) -> None:
    """A status that explains nothing (99, one that is in no table) does not say that nothing was done."""
    status = status_of(code)
    detail = f"status {code}"
    match status.outcome:
        case Outcome.OK:
            return
        case Outcome.REFUSED:
            raise PeerRefused(status.word, detail)
        case Outcome.MISCONFIGURED:
            raise PeerMisconfigured(status.word, detail)
        case Outcome.RETRY:
            raise (OutcomeUnknown if has_effect else RetryLater)(status.word, detail)


def _member(data: Json, name: str) -> Json:
    if not isinstance(data, dict) or name not in data:
        raise unreadable(f"{name} missing", has_effect=False)
    return cast(Json, data[name])


def _record(data: Json) -> Record:
    if not isinstance(data, dict):
        raise unreadable("data is no object", has_effect=False)
    return cast(Record, data)


def _standing(result: Json) -> EcertStatus:
    code = str(result)
    if code in NO_STANDINGS:
        raise PeerRefused(NO_STANDINGS[code], f"verifyResult {code}")
    if code not in STANDINGS:
        raise RetryLater("verify-result-unlisted")
    return STANDINGS[code]


def _link(url: Json) -> Link:
    if not isinstance(url, str) or not url.isascii() or any(character <= " " for character in url):
        raise unreadable("downloadUrl", has_effect=False)
    return Link(url)


def _origin(url: str) -> str:
    """Scheme, host and port in one spelling; "" for what is no http(s) address or carries a name or password."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}"
