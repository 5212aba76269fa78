"""The adapter of the identity service: asks whether a name belongs to a number, and checks login assertions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from adapters.contract import (
    AdapterError,
    Deadline,
    Endpoint,
    Health,
    LoginAssertion,
    Manifest,
    PeerMisconfigured,
    PeerRefused,
    PersonAnswer,
    PersonQuery,
    RetryLater,
)
from adapters.identity import mapping
from adapters.identity.assertions import AssertionRules, check_assertion
from adapters.json_wire import JsonObject, maybe_text, part, read_object, text, write_object
from adapters.manifests import load_manifest
from adapters.wire import Wire, check_status, unreadable
from certs.errors import BadKey
from certs.x509.signing_cert import public_key_from_pem


class Identity:
    """统一身份认证服务."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        """PeerMisconfigured if the settings or secrets cannot work."""
        self._app_id, self._secret = endpoint.settings.get("app_id", ""), endpoint.secrets.get("app_secret", "")
        if not self._secret:
            raise PeerMisconfigured("secret-missing", "app_secret")
        if not self._app_id or not self._app_id.isascii() or not self._app_id.isprintable():
            raise PeerMisconfigured("setting-missing", "app_id")
        self._rules = _assertion_rules(endpoint, self._app_id)
        self._asks_status = _asks_status(endpoint)
        self._wire = Wire(endpoint, max_idle=self.manifest.max_concurrency)

    def probe(self, deadline: Deadline) -> Health:
        data = self._ask("/api/health", {}, deadline)
        try:
            return Health(version=maybe_text(data, "version"))
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def verify_person(self, query: PersonQuery, deadline: Deadline) -> PersonAnswer:
        data = self._ask("/api/person/verify", mapping.person_to_wire(query), deadline)
        try:
            return mapping.answer_from_wire(data)
        except ValueError as fault:
            raise unreadable(str(fault), has_effect=False) from None

    def verify_login(self, assertion: str, nonce: str, deadline: Deadline) -> LoginAssertion:
        """By the registered key; then, where ``assertion_status`` says so, the service is asked whether the login still stands."""
        if self._rules is None:
            raise PeerMisconfigured("setting-missing", "assertion_key_file and assertion_issuer")
        person = check_assertion(assertion, self._rules, nonce=nonce, now=datetime.now(UTC))
        if self._asks_status:
            data = self._ask("/api/login/status", {"assertion": assertion}, deadline)
            try:
                standing = mapping.login_standing(data)
            except ValueError as fault:
                raise unreadable(str(fault), has_effect=False) from None
            if standing is not mapping.LoginStanding.IN_FORCE:
                raise PeerRefused("assertion-ended")
        return person

    def close(self) -> None:
        self._wire.close()

    def _ask(self, path: str, body: JsonObject, deadline: Deadline) -> JsonObject:
        """``data`` of the answer's envelope ``{"code", "msg", "data"}``; a refusal in it raises."""
        content, now = write_object(body), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-App-Id": self._app_id,
            "X-App-Time": now,
            "X-App-Signature": mapping.call_signature(self._secret, now, content),
        }
        response = self._wire.send(
            "POST", self._wire.url(path), headers=headers, body=content, deadline=deadline, has_effect=False
        )
        check_status(response, has_effect=False)
        try:
            envelope = read_object(response.body)
            code = text(envelope, "code")
            if code == mapping.OK:
                return part(envelope, "data")
        except ValueError as fault:
            if response.status == 404:
                raise PeerMisconfigured("http-404", "no such interface there: is base_url right?") from None
            if response.status >= 400:
                raise PeerRefused(f"http-{response.status}") from None
            raise unreadable(str(fault), has_effect=False) from None
        raise _refusal(code)


def _refusal(code: str) -> AdapterError:
    """``msg`` may quote the person, so it goes nowhere."""
    match code:
        case mapping.NOT_ADMITTED:
            return PeerMisconfigured(code, "the service does not take our app_id, app_secret or clock")
        case mapping.INVALID:
            return PeerRefused(code)
        case _:
            return RetryLater(code if code.isascii() and code.isalnum() and len(code) <= 8 else "code-unknown")


def _asks_status(endpoint: Endpoint) -> bool:
    match endpoint.settings.get("assertion_status", "signature"):
        case "signature":
            return False
        case "ask":
            return True
    raise PeerMisconfigured("setting-unknown", "assertion_status: signature or ask")


def _assertion_rules(endpoint: Endpoint, app_id: str) -> AssertionRules | None:
    path, issuer = endpoint.settings.get("assertion_key_file"), endpoint.settings.get("assertion_issuer")
    if not path and not issuer:
        return None
    if not path or not issuer:
        raise PeerMisconfigured("setting-missing", "assertion_key_file and assertion_issuer belong together")
    try:
        key = public_key_from_pem(Path(path).read_bytes())
    except (OSError, BadKey) as error:
        raise PeerMisconfigured("assertion-key", f"assertion_key_file: {type(error).__name__}") from None
    return AssertionRules(key, issuer, endpoint.settings.get("assertion_audience") or app_id)
