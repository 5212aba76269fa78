"""The adapter of the county registry product. Every answer is ``{"code", "msg", "data"}``, HTTP 200 even on refusal."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from adapters.contract import (
    AdapterError,
    Deadline,
    Endpoint,
    EnrolmentQuery,
    Health,
    Manifest,
    Message,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    Receipt,
    RetryLater,
    StatusAnswer,
    StepCancelled,
    TransferStep,
)
from adapters.county_rest import mapping
from adapters.county_rest.mapping import Result
from adapters.json_wire import JsonObject, maybe_text, part, read_object, text, write_object
from adapters.manifests import load_manifest
from adapters.signing import RequestSigner
from adapters.wire import Wire, check_status, unreadable
from schemas.ecerts import EnrolmentRecord
from schemas.transfers import Decision


class CountyRest:
    """县级学籍管理系统 V3."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        """PeerMisconfigured if the settings or secrets cannot work."""
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)
        self._signer = RequestSigner.of(endpoint)
        token = endpoint.secrets.get("access_token", "")
        if not token or not token.isascii() or not token.isprintable():
            raise PeerMisconfigured("secret-missing", "access_token")
        self._headers = {"Content-Type": "application/json", "X-Access-Token": token}

    def probe(self, deadline: Deadline) -> Health:
        data = self._call("GET", "/api/heartbeat", None, deadline, has_effect=False)
        try:
            return Health(version=maybe_text(data, "version"))
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def deliver(self, message: Message, deadline: Deadline) -> Receipt | Decision:
        key = message.idempotency_key
        match message:
            case TransferStep():
                body = mapping.step_to_wire(message)
                data = self._call("POST", "/api/xjyd/apply", body, deadline, has_effect=True, key=key)
                try:
                    answer = mapping.receipt_from_wire(data)
                except ValueError as fault:
                    raise unreadable(str(fault), has_effect=True) from None
                if isinstance(answer, Decision):
                    _require_same(message, answer)
                return answer
            case StepCancelled():
                body = mapping.cancellation_to_wire(message)
                self._call("POST", "/api/xjyd/cancel", body, deadline, has_effect=True, key=key)
                return Receipt()
            case _:
                raise PeerMisconfigured("message-unsupported", type(message).__name__)

    def status(self, message: Message, deadline: Deadline) -> StatusAnswer:
        path = f"/api/xjyd/status/{quote(message.idempotency_key, safe='')}"
        data = self._call("GET", path, None, deadline, has_effect=False)
        try:
            answer = mapping.status_from_wire(data)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None
        if answer.decision is not None and isinstance(message, TransferStep):
            _require_same(message, answer.decision)
        return answer

    def fetch_enrolment(self, query: EnrolmentQuery, deadline: Deadline) -> EnrolmentRecord:
        # A query by POST: an ID number has no place in a URL, which every proxy on the way writes to its log.
        data = self._call("POST", "/api/xs/query", mapping.query_to_wire(query), deadline, has_effect=False)
        try:
            return mapping.record_from_wire(data)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def close(self) -> None:
        self._wire.close()

    def _call(
        self, method: str, path: str, body: JsonObject | None, deadline: Deadline, *, has_effect: bool, key: str = ""
    ) -> JsonObject:
        """``data`` of the answer's envelope, empty if it has none; a refusal in the envelope raises."""
        url = self._wire.url(path)
        headers = {**self._headers, "Idempotency-Key": key} if key else self._headers
        content = write_object(body) if body is not None else b""
        if self._signer is not None:
            headers = self._signer.headers(method, url, headers, content)
        response = self._wire.send(method, url, headers=headers, body=content, deadline=deadline, has_effect=has_effect)
        check_status(response, has_effect=has_effect)
        try:
            envelope = read_object(response.body)
            code = text(envelope, "code")
            if code == Result.OK:
                return part(envelope, "data") if envelope.get("data") is not None else {}
        except ValueError as fault:
            if response.status == 404:
                raise PeerMisconfigured("http-404", "no such interface there: is base_url right?") from None
            if response.status >= 400:
                raise PeerRefused(f"http-{response.status}") from None
            raise unreadable(str(fault), has_effect=has_effect) from None
        raise _refusal(code, has_effect=has_effect)


def _refusal(code: str, *, has_effect: bool) -> AdapterError:
    """The registry's own refusals. ``msg`` may quote the student, so it goes nowhere."""
    match code:
        case Result.NOT_FOUND:
            return PeerRefused("not-found", code)
        case Result.INVALID | Result.NOT_OPEN:
            return PeerRefused(code)
        case Result.NOT_ADMITTED:
            return PeerMisconfigured(code, "the registry does not take our access_token or signature")
        case Result.BUSY:
            return RetryLater(code)
        case _:  # 9999 and whatever we do not know: it may have done the work
            safe = code if code.isascii() and code.isalnum() and len(code) <= 8 else "code-unknown"
            return OutcomeUnknown(safe) if has_effect else RetryLater(safe)


def _require_same(message: TransferStep, decision: Decision) -> None:
    """A decision about another case or step would be entered under ours."""
    if (decision.case_id, decision.step) != (message.case_id, message.step):
        raise OutcomeUnknown("decision-elsewhere", "the decision names another case or step")
