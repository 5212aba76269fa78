"""FILL IN: what the product is, and how it answers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from adapters._template import mapping
from adapters.contract import (
    Deadline,
    Endpoint,
    Health,
    Manifest,
    Message,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    StatusAnswer,
    StepCancelled,
    TransferStep,
)
from adapters.json_wire import JsonObject, read_object, text, write_object
from adapters.manifests import load_manifest
from adapters.wire import Wire, check_status, unreadable


class Template:
    """FILL IN: the product's own name."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        """PeerMisconfigured if the settings or secrets cannot work."""
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)
        token = endpoint.secrets.get("access_token", "")
        if not token or not token.isascii() or not token.isprintable():
            raise PeerMisconfigured("secret-missing", "access_token")
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def probe(self, deadline: Deadline) -> Health:
        answer = self._call("GET", "/health", None, deadline, has_effect=False)
        try:
            return Health(version=text(answer, "version"))
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def deliver(self, message: Message, deadline: Deadline) -> Receipt:
        match message:
            case TransferStep():
                path, body = "/steps", mapping.step_to_wire(message)
            case StepCancelled():
                path, body = "/cancellations", mapping.cancellation_to_wire(message)
            case _:
                raise PeerMisconfigured("message-unsupported", type(message).__name__)
        answer = self._call("POST", path, body, deadline, has_effect=True, key=message.idempotency_key)
        try:
            return mapping.receipt_from_wire(answer)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=True) from None

    def status(self, message: Message, deadline: Deadline) -> StatusAnswer:
        path = f"/status/{quote(message.idempotency_key, safe='')}"
        answer = self._call("GET", path, None, deadline, has_effect=False)
        try:
            return mapping.status_from_wire(answer)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def close(self) -> None:
        self._wire.close()

    def _call(
        self, method: str, path: str, body: JsonObject | None, deadline: Deadline, *, has_effect: bool, key: str = ""
    ) -> JsonObject:
        response = self._wire.send(
            method,
            self._wire.url(path),
            headers={**self._headers, "Idempotency-Key": key} if key else self._headers,
            body=write_object(body) if body is not None else b"",
            deadline=deadline,
            has_effect=has_effect,
        )
        check_status(response, has_effect=has_effect)
        if response.status == 404:
            raise PeerMisconfigured("http-404", "no such interface there: is base_url right?")
        if response.status >= 400:
            raise PeerRefused(f"http-{response.status}")  # FILL IN: the peer's own codes, and what each asks of the hub
        try:
            return read_object(response.body)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=has_effect) from None
