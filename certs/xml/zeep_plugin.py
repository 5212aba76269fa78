"""WS-Security for a zeep client: ``zeep.Client(wsdl, wsse=SignaturePlugin(...))``.

zeep's own ``zeep.wsse`` needs xmlsec, signs with SHA-1 unless told otherwise, and accepts wrapped signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from lxml import etree

from certs.keys import Signer
from certs.xml.dsig import DEFAULT_POLICY, KeyResolver, XmlPolicy
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope

_Headers = TypeVar("_Headers")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SignaturePlugin:
    """Signs every request; where ``resolve_key`` is given, an answer without a valid signature is refused.

    A refusal is :class:`certs.errors.MessageRefused`, out of the zeep call.
    """

    key: Signer
    certificate: bytes  # DER
    resolve_key: KeyResolver | None = None
    policy: XmlPolicy = DEFAULT_POLICY
    max_age: timedelta = timedelta(minutes=5)
    clock: Callable[[], datetime] = _now

    def apply(self, envelope: etree._Element, headers: _Headers) -> tuple[etree._Element, _Headers]:
        """zeep calls this with the SOAP envelope and the HTTP headers before it sends."""
        return sign_envelope(envelope, key=self.key, certificate=self.certificate, created=self.clock()), headers

    def verify(self, envelope: etree._Element) -> etree._Element:
        """zeep calls this with the answer; it goes on with what is returned, so the checked tree itself."""
        if self.resolve_key is not None:
            verify_envelope(
                envelope, now=self.clock(), max_age=self.max_age, resolve_key=self.resolve_key, policy=self.policy
            )
        return envelope
