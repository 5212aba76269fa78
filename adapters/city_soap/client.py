"""The adapter of the city registry product: a signed SOAP call for each method.

Every call goes the same way (:meth:`CitySoap._call`): write by the WSDL → sign → send under the deadline → verify the
signature over the raw bytes of the answer → validate by the XSD → read. A signed answer must name our own request, so that
an older one cannot be served again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from lxml import etree

from adapters.city_soap import mapping, soap
from adapters.city_soap.mapping import Wire
from adapters.city_soap.soap import Outcome, SoapFailure
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
from adapters.manifests import load_manifest
from adapters.wire import Wire as HttpWire
from adapters.wire import WireResponse, check_status, unreadable
from certs.errors import BadKey, MessageRefused
from certs.keys import PrivateKey
from certs.x509.signing_cert import SigningCert
from certs.xml.key_info import KnownCertificates
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from schemas.ecerts import EnrolmentRecord
from schemas.transfers import Decision

MAX_AGE: Final = timedelta(minutes=5)  # of an answer's timestamp
T = TypeVar("T")
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CitySoap:
    """城市学籍管理平台 V2.1."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        settings = endpoint.settings
        self._key = _read_file(settings, "signing_key_file", PrivateKey.from_pem)
        _ = self._key.public_key  # computed once here; the object is then shared by threads
        self._certificate = _read_file(settings, "signing_cert_file", SigningCert.from_pem).der
        self._peers = KnownCertificates(_read_file(settings, "peer_certs_file", certificates))
        self._encoding = settings.get("encoding", self.manifest.encoding).lower()
        if self._encoding not in soap.ENCODINGS:
            raise PeerMisconfigured("settings-encoding", f"one of {', '.join(soap.ENCODINGS)}")
        soap.warm_up()
        self._wire = HttpWire(endpoint, max_idle=self.manifest.max_concurrency)

    def close(self) -> None:
        """Give connections back."""
        self._wire.close()

    def probe(self, deadline: Deadline) -> Health:
        """``FuwuZhuangtai``: signed like everything else, so an unknown certificate shows here."""
        reply = self._call("FuwuZhuangtai", {}, deadline, has_effect=False)
        version = reply.get("bbh")
        return Health(version=version if isinstance(version, str) else None)

    def deliver(self, message: Message, deadline: Deadline) -> Receipt | Decision:
        """A step (``TuisongZhuanxue``) or its cancellation (``ZuofeiHuanjie``); 流水号 is the idempotency key."""
        match message:
            case TransferStep():
                reply = self._call("TuisongZhuanxue", mapping.step_to_wire(message), deadline, has_effect=True)
            case StepCancelled():
                reply = self._call("ZuofeiHuanjie", mapping.cancelled_to_wire(message), deadline, has_effect=True)
            case _:
                raise PeerRefused("message-unsupported", f"a registry takes no {type(message).__name__}")
        answer = _read(mapping.answer_from_wire, reply, has_effect=True)
        if isinstance(answer, Decision):
            _must_belong(answer, message, has_effect=True)
        return answer

    def status(self, message: Message, deadline: Deadline) -> StatusAnswer:
        """``ChaxunZhuangtai`` by 流水号."""
        reply = self._call("ChaxunZhuangtai", {"lsh": message.idempotency_key}, deadline, has_effect=False)
        answer = _read(mapping.status_from_wire, reply, has_effect=False)
        if answer.decision is not None:
            _must_belong(answer.decision, message, has_effect=False)
        return answer

    def fetch_enrolment(self, query: EnrolmentQuery, deadline: Deadline) -> EnrolmentRecord:
        """``HuoquXueji``."""
        reply = self._call("HuoquXueji", mapping.enrolment_query_to_wire(query), deadline, has_effect=False)
        record = reply.get("xjxx")
        if not isinstance(record, dict):
            raise unreadable("xjxx missing", has_effect=False)
        found = _read(mapping.enrolment_from_wire, record, has_effect=False)
        if found.enrolment_number != query.enrolment_number:
            raise unreadable("an answer to another request", has_effect=False)
        return found

    # --- one call -----------------------------------------------------------------------------------------------------

    def _call(self, operation: str, record: Wire, deadline: Deadline, *, has_effect: bool) -> Wire:
        try:
            envelope = soap.request_envelope(operation, record)
        except SoapFailure as error:
            raise PeerRefused("message-unfit", str(error)) from None
        sign_envelope(envelope, key=self._key, certificate=self._certificate, created=datetime.now(UTC))
        response = self._wire.send(
            "POST",
            self._wire.url(),
            deadline=deadline,
            has_effect=has_effect,
            headers={
                "Content-Type": f"text/xml; charset={self._encoding}",
                "SOAPAction": f'"{soap.action(operation)}"',
            },
            body=soap.serialize(envelope, self._encoding),
        )
        body = self._checked_body(response, has_effect)
        if (fault := soap.fault_code(body)) is not None:
            raise _error(*fault, has_effect=has_effect)
        try:
            reply = soap.reply_record(operation, body)
        except SoapFailure as error:
            raise unreadable(str(error), has_effect=has_effect) from None
        if reply.get("lsh") != record.get("lsh"):
            raise unreadable("an answer to another request", has_effect=has_effect)
        if (code := str(reply["jgm"])) != "0000":
            wait = reply.get("cssj")
            raise _error(code, wait if isinstance(wait, int) else None, has_effect=has_effect)
        return reply

    def _checked_body(self, response: WireResponse, has_effect: bool) -> etree._Element:
        """The soap:Body that the city signed. SOAP 1.1 sends faults with HTTP 500 (6.2), so the body is read first."""
        try:
            return verify_envelope(response.body, now=datetime.now(UTC), max_age=MAX_AGE, resolve_key=self._peers).body
        except MessageRefused as error:
            check_status(response, has_effect=has_effect)  # an unsigned error page says no more than its status
            if response.status in (404, 410):
                raise PeerMisconfigured(f"http-{response.status}") from None
            if error.reason in ("key-unknown", "security-missing", "signature-missing"):
                raise PeerMisconfigured("answer-not-signed-by-peer", error.reason) from None
            raise unreadable(f"signature of the answer: {error.reason}", has_effect=has_effect) from None


def certificates(pem: bytes) -> list[bytes]:
    """DER of every certificate in a PEM file; BadKey if there is none, or one cannot be read."""
    found = [SigningCert.from_pem(one).der for one in _PEM.findall(pem)]
    if not found:
        raise BadKey("没有证书", "no certificate")
    return found


def _read_file(settings: Mapping[str, str], name: str, reader: Callable[[bytes], T]) -> T:
    try:
        return reader(Path(settings.get(name, "")).read_bytes())
    except (OSError, BadKey) as error:
        raise PeerMisconfigured("settings-keys", f"{name}: {type(error).__name__}") from None


def _read(reader: Callable[[Wire], T], record: Wire, *, has_effect: bool) -> T:
    try:
        return reader(record)
    except ValueError:  # the text of a validation error is not ours to show
        raise unreadable("values that break the interface's rules", has_effect=has_effect) from None


def _error(code: str, wait_s: int | None, *, has_effect: bool) -> AdapterError:
    result = soap.result_of(code)
    detail = f"jgm {code[:8]}" if code.isascii() and code.isalnum() else "a fault without a result code"
    match result.outcome:
        case Outcome.REFUSED:
            return PeerRefused(result.word, detail)
        case Outcome.MISCONFIGURED:
            return PeerMisconfigured(result.word, detail)
        case Outcome.RETRY:
            return RetryLater(result.word, detail, retry_after_s=wait_s)
        case Outcome.UNKNOWN | Outcome.OK:  # a fault with the code of success contradicts itself
            return OutcomeUnknown(result.word, detail) if has_effect else RetryLater(result.word, detail)


def _must_belong(decision: Decision, message: Message, *, has_effect: bool) -> None:
    if isinstance(message, TransferStep | StepCancelled) and (decision.case_id, decision.step) == (
        message.case_id,
        message.step,
    ):
        return
    raise unreadable("a decision of another step", has_effect=has_effect)
