"""Signing a SOAP envelope as our own WS-Security profile wants it: the hub as a client, and its answers."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from certs.errors import MessageRefused
from certs.keys import SignatureAlgorithm, Signer
from certs.xml.dsig import WSU
from certs.xml.sign import Reference, append_signature
from certs.xml.tokens import BASE64_BINARY, WSSE, X509_V3
from certs.xml.wsse import SOAP_1_1, SOAP_1_2

DEFAULT_LIFETIME: Final = timedelta(minutes=5)
_WS: Final = f"{{{WSSE}}}"
_WU: Final = f"{{{WSU}}}"


def sign_envelope(
    envelope: etree._Element,
    *,
    key: Signer,
    certificate: bytes,
    created: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    algorithm: SignatureAlgorithm | None = None,
) -> etree._Element:
    """Add a wsse:Security header that signs the Body, the Timestamp and the token; returns the same ``envelope``.

    ``certificate`` is DER and travels as BinarySecurityToken; ``created`` is aware. Exclusive canonical XML, SHA-256 or
    the digest of the algorithm (SM3 with SM2). Header blocks that carry a wsu:Id already are signed too.
    """
    namespace = etree.QName(envelope).namespace
    body = envelope.find(f"{{{namespace}}}Body")
    if namespace not in (SOAP_1_1, SOAP_1_2) or body is None:
        raise MessageRefused("soap-malformed", ("不是含 Body 的 SOAP 信封", "not a SOAP envelope with a Body"))
    header = envelope.find(f"{{{namespace}}}Header")
    if header is None:
        header = etree.Element(f"{{{namespace}}}Header")
        envelope.insert(0, header)
    others = [block for block in header if block.get(f"{_WU}Id")]
    security = etree.SubElement(header, f"{_WS}Security", nsmap={"wsse": WSSE, "wsu": WSU})
    security.set(f"{{{namespace}}}mustUnderstand", "1")
    token = _token(security, certificate)
    timestamp = _timestamp(security, created, lifetime)
    references = [_reference(element) for element in (body, timestamp, token, *others)]
    append_signature(security, references, key=key, key_info=_str(_identifier(token)), algorithm=algorithm)
    return envelope


def _token(security: etree._Element, certificate: bytes) -> etree._Element:
    token = etree.SubElement(security, f"{_WS}BinarySecurityToken", EncodingType=BASE64_BINARY, ValueType=X509_V3)
    token.text = base64.b64encode(certificate).decode("ascii")
    return token


def _timestamp(security: etree._Element, created: datetime, lifetime: timedelta) -> etree._Element:
    timestamp = etree.SubElement(security, f"{_WU}Timestamp")
    for name, moment in (("Created", created), ("Expires", created + lifetime)):
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        etree.SubElement(timestamp, f"{_WU}{name}").text = text
    return timestamp


def _str(identifier: str) -> etree._Element:
    reference = etree.Element(f"{_WS}SecurityTokenReference", nsmap={"wsse": WSSE})
    etree.SubElement(reference, f"{_WS}Reference", URI=f"#{identifier}", ValueType=X509_V3)
    return reference


def _reference(element: etree._Element) -> Reference:
    return Reference(f"#{_identifier(element)}", element)


def _identifier(element: etree._Element) -> str:
    """The element's wsu:Id, made (unguessable, so that it meets no other) where it has none."""
    found = element.get(f"{_WU}Id")
    if found is None:
        found = f"id-{secrets.token_hex(16)}"
        element.set(f"{_WU}Id", found)
    return found
