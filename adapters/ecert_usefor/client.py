"""The adapter of the UseFor dialect: one query, and the file by its CertificateID; the same behind an authorization code."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from adapters.contract import (
    Deadline,
    EcertDocument,
    EcertStanding,
    Endpoint,
    Health,
    Manifest,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PresentationBegun,
    PresentationRequest,
    PresentationStanding,
    PresentedQuery,
    RetryLater,
    ShownKind,
)
from adapters.ecert_usefor import mapping
from adapters.json_wire import JsonObject, part, read_object, text, write_object
from adapters.manifests import load_manifest
from adapters.wire import Wire, check_status, unreadable
from schemas.ecerts import EcertQuery, EcertStatus

MAX_REPLY: Final = 32 << 20


class EcertUsefor:
    """外省电子证照库."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        names = ("org_name", "username", "business_code")
        if not all(endpoint.settings.get(name) for name in names) or not endpoint.secrets.get("app_key", "").isalnum():
            raise PeerMisconfigured("settings-missing", "org_name, username, business_code and app_key are needed")
        self._caller = mapping.caller_to_wire(**{name: endpoint.settings[name] for name in names})
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)
        self._headers = {"Content-Type": "application/json; charset=utf-8", "appKey": endpoint.secrets["app_key"]}

    def close(self) -> None:
        self._wire.close()

    def probe(self, deadline: Deadline) -> Health:
        data = self._call("/certificate/ping", {}, deadline)
        try:
            return Health(version=text(data, "version"))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None

    # --- by holder --------------------------------------------------------------------------------------------------------

    def ecert_status(self, query: EcertQuery, deadline: Deadline) -> EcertStanding:
        """PeerRefused (not-found, revoked, suspended …) where there is none to be fetched."""
        return self._find("/certificate/query", mapping.query_to_wire(query), deadline, expired_too=query.expired_too)

    def fetch_ecert(self, query: EcertQuery, deadline: Deadline) -> EcertDocument:
        """The query, then the file of what it found; of one that ran out too, where it is wanted: its date is in the answer."""
        question = mapping.query_to_wire(query)
        found = self._find("/certificate/query", question, deadline, expired_too=query.expired_too)
        return self._load("/certificate/file", question, found, deadline)

    # --- by authorization code ---------------------------------------------------------------------------------------------

    def begin_presentation(self, request: PresentationRequest, deadline: Deadline) -> PresentationBegun:
        """The code is used up by this: after it was sent and not answered, its outcome is unknown."""
        if request.kind is not ShownKind.AUTHORIZATION_CODE:
            raise PeerRefused("kind-not-provided", "this library's e-certificates are not shown by a code")
        data = self._call("/certificate/auth", mapping.presentation_to_wire(request), deadline, has_effect=True)
        try:
            return PresentationBegun(reference=text(data, "AuthID"))
        except ValueError as error:
            raise unreadable(str(error), has_effect=True) from None

    def presentation_status(self, begun: PresentationBegun, deadline: Deadline) -> PresentationStanding:
        data = self._call("/certificate/auth/status", {"AuthID": begun.reference}, deadline)
        try:
            return PresentationStanding(state=mapping.authorization_from_wire(data))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None

    def fetch_presented(self, query: PresentedQuery, deadline: Deadline) -> EcertDocument:
        """As :meth:`fetch_ecert`, with the transaction in the place of the holder."""
        question = mapping.presented_to_wire(query)
        found = self._find("/certificate/auth/query", question, deadline)
        return self._load("/certificate/auth/file", question, found, deadline)

    # --- one call -----------------------------------------------------------------------------------------------------------

    def _find(self, path: str, question: JsonObject, deadline: Deadline, *, expired_too: bool = False) -> EcertStanding:
        data = self._call(path, question, deadline)
        try:
            found = EcertStanding(metadata=mapping.metadata_from_wire(data), status=mapping.status_from_wire(data))
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None
        wanted = found.status is EcertStatus.VALID or (expired_too and found.status is EcertStatus.EXPIRED)
        if not wanted:
            raise PeerRefused(found.status.value)
        return found

    def _load(self, path: str, question: JsonObject, found: EcertStanding, deadline: Deadline) -> EcertDocument:
        if found.metadata.identifier is None:
            raise unreadable("CertificateID missing", has_effect=False)
        data = self._call(path, {**question, "CertificateID": found.metadata.identifier}, deadline)
        try:
            content = mapping.content_from_wire(data)
        except ValueError as error:
            raise unreadable(str(error), has_effect=False) from None
        if not content.startswith(b"PK\x03\x04"):
            raise unreadable("the file is no OFD", has_effect=False)
        return EcertDocument(
            content=content, media_type="application/ofd", metadata=found.metadata, status=found.status
        )

    def _call(self, path: str, question: JsonObject, deadline: Deadline, *, has_effect: bool = False) -> JsonObject:
        """``data`` of ``{"code", "msg", "data"}``; the message is never quoted."""
        response = self._wire.send(
            "POST", self._wire.url(path), headers=self._headers, body=write_object({**question, **self._caller}),
            deadline=deadline, has_effect=has_effect, max_bytes=MAX_REPLY,
        )  # fmt: skip
        check_status(response, has_effect=has_effect)
        if response.status >= 400:
            raise PeerMisconfigured(f"http-{response.status}")
        try:
            reply = read_object(response.body)
            code = text(reply, "code")
            if code == mapping.OK:
                return part(reply, "data")
        except ValueError as error:
            raise unreadable(str(error), has_effect=has_effect) from None
        if code in mapping.REFUSED:
            raise PeerRefused(mapping.REFUSED[code])
        if code in mapping.MISCONFIGURED:
            raise PeerMisconfigured(mapping.MISCONFIGURED[code])
        raise OutcomeUnknown("code-unlisted") if has_effect else RetryLater("code-unlisted")
