"""The library's side of the UseFor dialect. No HTTP here; see :mod:`.simulator`."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Final

from adapters.ecert_usefor import mapping
from adapters.holdings import Holder, Holding, Holdings, State
from adapters.json_wire import JsonObject, maybe_text, text
from adapters.library_simulation import Authorization, CodeExpired, CodeUnknown, read_code
from schemas.ecert_types import EcertType
from schemas.ecerts import EcertStatus

VERSION: Final = "2"
_NOT_FOUND, _NO_PERMISSION, _TYPE_UNPUBLISHED, _RESTRICTED, _BAD_VALUE = "1001", "1002", "1003", "1004", "1005"
_CODE_UNKNOWN, _CODE_EXPIRED, _CODE_USED, _NOT_PROVIDED = "1101", "1102", "1103", "2002"
# What is not told by a code is told by CertificateStatus; a spoilt file is told by nothing but its verification.
_TOLD_AS: Final = {
    State.REVOKED: EcertStatus.REVOKED,
    State.EXPIRED: EcertStatus.EXPIRED,
    State.SUSPENDED: EcertStatus.SUSPENDED,
    State.NOT_ACTIVATED: EcertStatus.NOT_ACTIVATED,
}


class Refused(Exception):
    """With the dialect's code."""


class UseforServer:
    """Answers operations; holds authorizations in memory. ``authorize_after_s``: when a person answers on the phone."""

    def __init__(self, holdings: Holdings, *, authorize_after_s: float) -> None:
        self._holdings = holdings
        self._authorize_after_s = authorize_after_s
        self._authorizations: dict[str, Authorization] = {}
        self._used: set[str] = set()

    def answer(self, operation: str, request: JsonObject) -> JsonObject:
        """``data`` of the answer. Refused or ValueError."""
        if not text(request, "orgName") or not text(request, "username") or not text(request, "businessCode"):
            raise Refused(_NO_PERMISSION)
        match operation:
            case "ping":
                return {"version": VERSION}
            case "query":
                return _told(self._of_holder(request))
            case "file":
                return self._file(self._of_holder(request), request)
            case "auth":
                return self._authorize(request)
            case "auth/status":
                return {"AuthStatus": mapping.AUTHORIZATIONS[self._authorization(request).state]}
            case "auth/query":
                return _told(self._authorized(request))
            case "auth/file":
                return self._file(self._authorized(request), request)
        raise Refused(_NOT_PROVIDED)

    # --- what is held -------------------------------------------------------------------------------------------------------

    def _of_holder(self, request: JsonObject) -> Holding:
        _cause(request)
        kind = self._kind(text(request, "CertificateType"))
        holder = self._holdings.holder(text(request, "CertificateHolderCode"), text(request, "CertificateHolderType"))
        if holder is None:
            raise Refused(_NOT_FOUND)
        return self._newest(holder, kind, maybe_text(request, "CertificateNumber"))

    def _kind(self, type_code: str) -> EcertType:
        kind = self._holdings.kind(type_code)
        if kind is None:
            raise Refused(_TYPE_UNPUBLISHED)
        return kind

    def _newest(self, holder: Holder, kind: EcertType, number: str | None = None) -> Holding:
        found = [one for one in self._holdings.of(holder, kind) if number in (None, one.metadata.number)]
        if not found:
            raise Refused(_NOT_FOUND)
        if found[-1].state is State.RESTRICTED:
            raise Refused(_RESTRICTED)
        return found[-1]

    def _file(self, holding: Holding, request: JsonObject) -> JsonObject:
        if text(request, "CertificateID") != holding.metadata.identifier:
            raise Refused(_NOT_FOUND)
        return {"FileData": base64.b64encode(self._holdings.file(holding)).decode()}

    # --- authorization codes --------------------------------------------------------------------------------------------------

    def _authorize(self, request: JsonObject) -> JsonObject:
        """Codes are those of :mod:`adapters.library_simulation`; each is good once."""
        _cause(request)
        if not text(request, "biz_num"):
            raise Refused(_NO_PERMISSION)
        code = text(request, "auth_code")
        try:
            holder, agrees = read_code(self._holdings, code)
        except CodeUnknown:
            raise Refused(_CODE_UNKNOWN) from None
        except CodeExpired:
            raise Refused(_CODE_EXPIRED) from None
        if code in self._used:
            raise Refused(_CODE_USED)
        types = frozenset(self._kind(one).code for one in text(request, "CertificateType").split(","))
        self._used.add(code)
        name = secrets.token_hex(16)
        answered_at = time.monotonic() + self._authorize_after_s
        self._authorizations[name] = Authorization(holder, agrees, types, answered_at)
        return {"AuthID": name}

    def _authorization(self, request: JsonObject) -> Authorization:
        found = self._authorizations.get(text(request, "AuthID"))
        if found is None:
            raise Refused(_NOT_FOUND)
        return found

    def _authorized(self, request: JsonObject) -> Holding:
        _cause(request)
        found, kind = self._authorization(request), self._kind(text(request, "CertificateType"))
        if not found.covers(kind.code):
            raise Refused(_NO_PERMISSION)
        return self._newest(found.holder, kind)


def _told(holding: Holding) -> JsonObject:
    status = _TOLD_AS.get(holding.state, EcertStatus.VALID)
    return {**mapping.metadata_to_wire(holding.metadata), "CertificateStatus": mapping.STATUSES[status]}


def _cause(request: JsonObject) -> None:
    """Nothing is told to who does not say what for."""
    if not text(request, "UseFor") or not text(request, "itemName"):
        raise Refused(_NO_PERMISSION)
