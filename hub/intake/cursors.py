"""Page cursors: opaque to the caller, and good only for the caller, the filter and the hub that made them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from schemas.problems import PAGE_CURSOR_INVALID, HubProblem

_MAC = 16


class Cursors:
    """Signs where the next page starts, so that a cursor that was altered or is another's is refused."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.new(key, b"page-cursor", hashlib.sha256).digest()

    def make(self, position: str, *, scope: str) -> str:
        """``scope`` is what the cursor is bound to: the caller and the filter."""
        data = position.encode()
        return base64.urlsafe_b64encode(self._mac(data, scope) + data).decode().rstrip("=")

    def read(self, cursor: str, *, scope: str) -> str:
        """The position, or HubProblem(PAGE_CURSOR_INVALID)."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mac, data = raw[:_MAC], raw[_MAC:]
            if hmac.compare_digest(mac, self._mac(data, scope)):
                return data.decode()
        except (binascii.Error, ValueError):
            pass
        raise HubProblem(PAGE_CURSOR_INVALID)

    def _mac(self, data: bytes, scope: str) -> bytes:
        return hmac.new(self._key, scope.encode() + b"\n" + data, hashlib.sha256).digest()[:_MAC]
