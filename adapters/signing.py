"""The hub's own signature on outgoing requests: RFC 9421 with the key that the endpoint's settings name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from adapters.contract import Endpoint, PeerMisconfigured
from certs.errors import BadKey
from certs.http.signatures import sign_request
from certs.keys import PrivateKey


class RequestSigner:
    """Signs requests of one endpoint. The key never shows itself."""

    def __init__(self, key: PrivateKey, key_id: str) -> None:
        self._key = key
        self._key_id = key_id
        _ = key.public_key  # computed once here; the object is then shared by threads

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self | None:
        """By the settings ``signing_key_file`` and ``signing_key_id``; None if neither is set; else PeerMisconfigured."""
        path, key_id = endpoint.settings.get("signing_key_file"), endpoint.settings.get("signing_key_id")
        if not path and not key_id:
            return None
        if not path or not key_id:
            raise PeerMisconfigured("signing-key", "signing_key_file and signing_key_id belong together")
        try:
            return cls(PrivateKey.from_pem(Path(path).read_bytes()), key_id)
        except (OSError, BadKey) as error:
            raise PeerMisconfigured("signing-key", f"signing_key_file: {type(error).__name__}") from None

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """``headers`` with Content-Digest, Signature-Input and Signature."""
        added = sign_request(
            method,
            url,
            headers.items(),
            body,
            key=self._key,
            key_id=self._key_id,
            created=datetime.now(UTC),
            nonce=secrets.token_urlsafe(16),
        )
        return {**headers, **added}
