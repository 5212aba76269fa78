"""What a message says about its key (ds:KeyInfo), and the known certificates that it may mean.

Nothing here is trusted: a reference only selects among the keys that the caller knows, and the signature must then
verify with the selected one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lxml import etree

from certs.errors import MessageRefused
from certs.keys import PublicKey
from certs.x509.names import folded, normalised
from certs.x509.signing_cert import SigningCert
from certs.xml.algorithms import DSIG

_DS: Final = f"{{{DSIG}}}"


@dataclass(frozen=True, slots=True)
class KeyReference:
    """One way or several to name a key. ``certificate`` is DER and comes from the message: known it is not."""

    certificate: bytes | None = None
    issuer: str | None = None  # RFC 4514 or the looser forms of old stacks
    serial: int | None = None
    subject_key_identifier: bytes | None = None
    thumbprint_sha1: bytes | None = None
    key_name: str | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that the caller knows, and its certificate (DER) where it has one."""

    key: PublicKey
    certificate: bytes | None = None

    @classmethod
    def of_certificate(cls, certificate: bytes) -> SigningKey:
        """From a DER certificate; raises :class:`BadKey`."""
        return cls(SigningCert.from_der(certificate).public_key, certificate)


class KnownCertificates:
    """A key resolver over the certificates that are registered for the callers; parses each of them once.

    Takes DER; raises :class:`certs.errors.BadKey` for what is no certificate, or has a key of a kind that is not taken.
    """

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._by_certificate: dict[bytes, SigningKey] = {}
        self._by_serial: dict[int, list[tuple[tuple[str, ...], SigningKey]]] = {}
        self._by_identifier: dict[bytes, SigningKey] = {}
        self._by_thumbprint: dict[bytes, SigningKey] = {}
        for der in certificates:
            self._add(der)

    def __call__(self, reference: KeyReference) -> SigningKey | None:
        """The known key that ``reference`` means. A certificate in it decides alone; else all statements must agree."""
        if reference.certificate is not None:
            return self._by_certificate.get(reference.certificate)
        found: list[SigningKey | None] = []
        if reference.serial is not None and reference.issuer is not None:
            found.append(self._by_issuer_serial(reference.issuer, reference.serial))
        if reference.subject_key_identifier is not None:
            found.append(self._by_identifier.get(reference.subject_key_identifier))
        if reference.thumbprint_sha1 is not None:
            found.append(self._by_thumbprint.get(reference.thumbprint_sha1))
        return found[0] if found and all(one is found[0] for one in found) else None

    def _add(self, der: bytes) -> None:
        certificate = SigningCert.from_der(der)
        signer = SigningKey(certificate.public_key, der)
        self._by_certificate[der] = signer
        self._by_serial.setdefault(certificate.serial, []).append((_issuer_values(certificate), signer))
        if certificate.subject_key_id is not None:
            self._by_identifier[certificate.subject_key_id] = signer
        self._by_thumbprint[hashlib.sha1(der, usedforsecurity=False).digest()] = signer

    def _by_issuer_serial(self, issuer: str, serial: int) -> SigningKey | None:
        """Stacks write one name in many ways (order, OIDs, aliases), so only the values of its attributes count."""
        values = tuple(sorted(folded(value) for value in _name_values(issuer)))
        found = [signer for name, signer in self._by_serial.get(serial, []) if name and name == values]
        return found[0] if len(found) == 1 else None


def read_key_info(key_info: etree._Element | None) -> KeyReference:
    """XMLDSig 4.5: X509Data and KeyName. Without KeyInfo the reference is empty: the caller may know the key."""
    if key_info is None:
        return KeyReference()
    data = key_info.findall(f"{_DS}X509Data")
    if len(data) > 1:
        raise MessageRefused("key-info-unsupported", ("X509Data 多于一个", "more than one X509Data"))
    name = (key_info.findtext(f"{_DS}KeyName") or "").strip() or None
    return read_x509_data(data[0], name) if data else KeyReference(key_name=name)


def read_x509_data(data: etree._Element, key_name: str | None = None) -> KeyReference:
    """XMLDSig 4.5.4. Of several certificates (a chain) the first is taken as the signer's."""
    certificates = data.findall(f"{_DS}X509Certificate")
    certificate = read_base64(certificates[0], "X509Certificate") if certificates else None
    identifier = data.find(f"{_DS}X509SKI")
    issuer_serial = data.find(f"{_DS}X509IssuerSerial")
    issuer = serial = None
    if issuer_serial is not None:
        issuer = issuer_serial.findtext(f"{_DS}X509IssuerName") or ""
        number = (issuer_serial.findtext(f"{_DS}X509SerialNumber") or "").strip()
        if not re.fullmatch(r"-?[0-9]{1,60}", number):
            raise MessageRefused("key-info-unsupported", "X509SerialNumber")
        serial = int(number)
    return KeyReference(
        certificate=certificate,
        issuer=issuer,
        serial=serial,
        subject_key_identifier=None if identifier is None else read_base64(identifier, "X509SKI"),
        key_name=key_name,
    )


def read_base64(element: etree._Element, where: str) -> bytes:
    """xs:base64Binary in its canonical form, white space aside, so that one value has one spelling."""
    text = "".join((element.text or "").split())
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MessageRefused("signature-malformed", (f"{where} 不是 base64", f"{where} is not base64")) from None
    if len(element) or base64.b64encode(value).decode("ascii") != text:
        raise MessageRefused("signature-malformed", (f"{where} 不是规范的 base64", f"{where} is not canonical base64"))
    return value


def _issuer_values(certificate: SigningCert) -> tuple[str, ...]:
    name = normalised(certificate.issuer)
    if isinstance(name, bytes):
        return ()
    return tuple(sorted(folded(str(value)) for rdn in name for _, value in rdn))


# RFC 4514, 2.4 and 3, and the quoted form of RFC 1779 that .NET writes.
_VALUE: Final = re.compile(r'(?:^|[,;+])\s*[^=,;+"]+=\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^,;+\\"]|\\.)*))', re.DOTALL)
_HEX_PAIRS: Final = re.compile(r"(?:\\[0-9A-Fa-f]{2})+")


def _name_values(name: str) -> list[str]:
    return [_unescaped(quoted or plain) for quoted, plain in _VALUE.findall(name[:4096])]


def _unescaped(value: str) -> str:
    value = _HEX_PAIRS.sub(lambda m: bytes.fromhex(m.group().replace("\\", "")).decode("utf-8", "replace"), value)
    return re.sub(r"\\(.)", r"\1", value).strip()
