"""The adapter of the UseFor dialect: one query, and the file by its CertificateID."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from adapters.contract import (
    AdapterError,
    Deadline,
    EcertDocument,
    EcertStanding,
    Endpoint,
    Health,
    Manifest,
    PeerMisconfigured,
    PeerRefused,
    RetryLater,
)
from adapters.ecert_usefor import mapping
from adapters.json_wire import JsonObject, part, read_object, text, write_object
from adapters.manifests import load_manifest
from adapters.wire import Wire, check_status, unreadable
from schemas.ecerts import EcertQuery, EcertStatus

MAX_REPLY: Final = 32 << 20
# code of the answer -> what it asks of the hub; unconfirmed but for their existence
REFUSALS: Final[dict[str, AdapterError]] = {
    "1001": PeerRefused("not-found"),
    "1002": PeerRefused("no-permission"),
    "1003": PeerRefused("type-unpublished"),
    "2001": PeerMisconfigured("authentication-failed"),
}


class EcertUsefor:
    """外省电子证照库."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        names = ("org_name", "username", "business_code")
        if not all(endpoint.settings.get(name) for name in names) or not endpoint.secrets.get("app_key", "").isalnum():
            raise PeerMisconfigured("settings-missing", "org_name, username, business_code and app_key are needed")
        self._org, self._user, self._business = (endpoint.settings[name] for name in names)
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)
        self._headers = {"Content-Type": "application/json; charset=utf-8", "appKey": endpoint.secrets["app_key"]}

    def close(self) -> None:
        self._wire.close()

    def probe(self, deadline: Deadline) -> Health:
        data = self._call("/certificate/ping", {"username": self._user}, deadline)
        try:
            return Health(version=text(data, "version"))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None

    def ecert_status(self, query: EcertQuery, deadline: Deadline) -> EcertStanding:
        """PeerRefused (not-found, revoked, expired …) where there is no valid one."""
        data = self._call("/certificate/query", self._question(query), deadline)
        try:
            found = EcertStanding(metadata=mapping.metadata_from_wire(data), status=mapping.status_from_wire(data))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None
        if found.status is not EcertStatus.VALID:
            raise PeerRefused(found.status.value)
        return found

    def fetch_ecert(self, query: EcertQuery, deadline: Deadline) -> EcertDocument:
        """The query, then the file of what it found."""
        found = self.ecert_status(query, deadline)
        if found.metadata.identifier is None:
            raise unreadable("CertificateID missing", has_effect=False)
        question = {**self._question(query), "CertificateID": found.metadata.identifier}
        data = self._call("/certificate/file", question, deadline)
        try:
            content = mapping.content_from_wire(data)
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None
        if not content.startswith(b"PK\x03\x04"):
            raise unreadable("the file is no OFD", has_effect=False)
        return EcertDocument(
            content=content, media_type="application/ofd", metadata=found.metadata, status=found.status
        )

    def _question(self, query: EcertQuery) -> JsonObject:
        return mapping.query_to_wire(query, org_name=self._org, username=self._user, business_code=self._business)

    def _call(self, path: str, body: JsonObject, deadline: Deadline) -> JsonObject:
        """``data`` of ``{"code", "msg", "data"}``; the message is never quoted."""
        response = self._wire.send(
            "POST", self._wire.url(path), headers=self._headers, body=write_object(body), deadline=deadline,
            has_effect=False, max_bytes=MAX_REPLY,
        )  # fmt: skip
        check_status(response, has_effect=False)
        if response.status >= 400:
            raise PeerMisconfigured(f"http-{response.status}")
        try:
            reply = read_object(response.body)
            code = text(reply, "code")
            if code == "0":
                return part(reply, "data")
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None
        match REFUSALS.get(code):
            case PeerRefused(code=word):
                raise PeerRefused(word)
            case PeerMisconfigured(code=word):
                raise PeerMisconfigured(word)
        raise RetryLater("code-unlisted")
