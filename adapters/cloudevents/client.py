"""The adapter of a webhook that takes CloudEvents: one signed POST for each event; any 2xx is the receipt."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from adapters.cloudevents import mapping
from adapters.contract import (
    CaseEvent,
    Deadline,
    Endpoint,
    Health,
    Manifest,
    Message,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
)
from adapters.json_wire import write_object
from adapters.manifests import load_manifest
from adapters.signing import RequestSigner
from adapters.wire import Wire, check_status

MAX_ANSWER: int = 64 * 1024  # nothing in it is read


class CloudEvents:
    """CloudEvents 1.0, structured JSON, HTTP binding 1.0.2, signed by RFC 9421."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        """PeerMisconfigured without a signing key: a subscriber could not tell our events from anybody's."""
        signer = RequestSigner.of(endpoint)
        if signer is None:
            raise PeerMisconfigured("signing-key", "signing_key_file and signing_key_id are needed")
        self._signer = signer
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)
        self._url = self._wire.url(endpoint.settings.get("path", ""))

    def probe(self, deadline: Deadline) -> Health:
        """OPTIONS, as the abuse protection of CloudEvents web hooks asks (Webhooks 1.0, 4.1)."""
        headers = self._signer.headers("OPTIONS", self._url, {"WebHook-Request-Origin": "exchange-hub"}, b"")
        response = self._wire.send(
            "OPTIONS", self._url, headers=headers, deadline=deadline, has_effect=False, max_bytes=MAX_ANSWER
        )
        if response.status in (404, 405, 501):  # a server that answers is up; many know no OPTIONS
            return Health(detail="OPTIONS is not answered there")
        check_status(response, has_effect=False)
        return Health()

    def deliver(self, message: Message, deadline: Deadline) -> Receipt:
        if not isinstance(message, CaseEvent):
            raise PeerMisconfigured("message-unsupported", type(message).__name__)
        body = write_object(mapping.event_to_wire(message))
        headers = {"Content-Type": mapping.MEDIA_TYPE, "Idempotency-Key": message.idempotency_key}
        response = self._wire.send(
            "POST",
            self._url,
            headers=self._signer.headers("POST", self._url, headers, body),
            body=body,
            deadline=deadline,
            has_effect=True,
            max_bytes=MAX_ANSWER,
        )
        check_status(response, has_effect=True)
        if response.status in (404, 410):  # Webhooks 1.0, 2.2: 410 means that the subscriber is gone
            raise PeerMisconfigured(f"http-{response.status}", "nobody takes events there")
        if not 200 <= response.status < 300:
            raise PeerRefused(f"http-{response.status}")
        return Receipt(peer_reference=message.id)

    def close(self) -> None:
        self._wire.close()
