"""From one incoming message to the one system that sent it, or a refusal.

Three proofs are taken: a TLS client certificate, an HTTP Message Signature, a WS-Security signature. Whoever shows several must
be the same system by each; a proof that does not hold is a refusal, even beside one that does. Without any proof: unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lxml import etree

from certs.errors import MessageRefused
from certs.http.signatures import MAX_CLOCK_SKEW, SignedMessage, verify_request
from certs.keys import PublicKey
from certs.xml.dsig import DEFAULT_POLICY
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import SignedEnvelope, allow_sha1, verify_envelope
from hub.access.callers import Caller, CallerDirectory, KeyKind, Method, Nonce, RegisteredKey
from schemas.problems import CALLER_UNKNOWN, SIGNATURE_REFUSED, HubProblem


@dataclass(frozen=True, slots=True)
class Incoming:
    """What identity is told from. ``url`` is absolute, as the signer saw it; ``envelope`` is the root of a SOAP message.

    A ``body`` of None is still to come; who sends it is told by its head, and told again when it is there.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = field(repr=False)  # names in lower case
    body: bytes | None = field(repr=False)
    now: datetime
    tls_certificate: bytes | None = field(default=None, repr=False)
    envelope: etree._Element | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent the message, and the signatures that say so."""

    caller: Caller
    http: SignedMessage | None = None
    wsse: SignedEnvelope | None = None


class Identifier:
    """Verifies every proof of a message against the registered keys. No I/O but the directory's."""

    def __init__(self, directory: CallerDirectory, *, max_age: timedelta) -> None:
        self._directory = directory
        self._max_age = max_age

    def identify(self, message: Incoming) -> Identity:
        """The sender, or HubProblem(CALLER_UNKNOWN or SIGNATURE_REFUSED); the detail starts with the reason word."""
        proofs: list[tuple[RegisteredKey, Method]] = []
        nonces: list[Nonce] = []
        http = wsse = None
        if any(name in ("signature", "signature-input") for name, _ in message.headers):
            http = self._http(message)
            key = self._current(KeyKind.HTTP, http.key_id, message.now)
            proofs.append((key, Method.HTTP_SIGNATURE))
            nonces.append(self._nonce(key, http.nonce, http.created))
        if message.envelope is not None:
            wsse = self._wsse(message, message.envelope)
            key = self._wsse_key(wsse, message.now)
            proofs.append((key, Method.WSSE))
            nonces.append(self._nonce(key, wsse.replay_id, wsse.created))
        if message.tls_certificate is not None:
            fingerprint = hashlib.sha256(message.tls_certificate).hexdigest()
            proofs.append((self._current(KeyKind.TLS, fingerprint, message.now), Method.TLS))
        if not proofs:
            raise HubProblem(CALLER_UNKNOWN, "identity-missing")
        if len({key.system_id for key, _ in proofs}) > 1:
            raise HubProblem(SIGNATURE_REFUSED, "identities-disagree")
        return Identity(self._directory.caller(*proofs[0], tuple(nonces)), http, wsse)

    def _current(self, kind: KeyKind, key_id: str, now: datetime) -> RegisteredKey:
        key = self._directory.key(kind, key_id)
        if key is None:
            raise HubProblem(CALLER_UNKNOWN, "key-unknown")
        return key.require_current(now)

    def _http(self, message: Incoming) -> SignedMessage:
        def resolve(key_id: str) -> PublicKey:
            return self._current(KeyKind.HTTP, key_id, message.now).public_key

        try:
            return verify_request(
                message.method,
                message.url,
                message.headers,
                message.body,
                now=message.now,
                max_age=self._max_age,
                resolve_key=resolve,
            )
        except MessageRefused as error:
            raise _refused(error) from None

    def _wsse(self, message: Incoming, envelope: etree._Element) -> SignedEnvelope:
        """Strict first; what a legacy stack signed with SHA-1 is tried again with the keys that may do so, and only with them."""
        known, known_sha1 = self._directory.wsse_keys()
        try:
            return self._verify(envelope, message.now, known)
        except MessageRefused as error:
            if error.reason != "algorithm-weak":
                raise _refused(error) from None
        try:
            return self._verify(envelope, message.now, known_sha1, legacy=True)
        except MessageRefused as error:
            reason = "algorithm-weak" if error.reason == "key-unknown" else error.reason
            raise _refused(MessageRefused(reason, (error.zh, error.en))) from None

    def _verify(
        self, envelope: etree._Element, now: datetime, known: KnownCertificates, *, legacy: bool = False
    ) -> SignedEnvelope:
        policy = allow_sha1() if legacy else DEFAULT_POLICY
        return verify_envelope(
            envelope, now=now, max_age=self._max_age, resolve_key=known, policy=policy, understood=()
        )

    def _wsse_key(self, signed: SignedEnvelope, now: datetime) -> RegisteredKey:
        key = self._directory.wsse_key(signed.signer.certificate) if signed.signer.certificate is not None else None
        if key is None:
            raise HubProblem(CALLER_UNKNOWN, "key-unknown")
        return key.require_current(now)

    def _nonce(self, key: RegisteredKey, nonce: str, created: datetime) -> Nonce:
        digest = hashlib.sha256(f"{key.id}\n{nonce}".encode()).hexdigest()
        return Nonce(digest, created + self._max_age + MAX_CLOCK_SKEW)


def _refused(error: MessageRefused) -> HubProblem:
    kind = CALLER_UNKNOWN if error.reason == "key-unknown" else SIGNATURE_REFUSED
    return HubProblem(kind, error.reason, (error.zh, error.en))
