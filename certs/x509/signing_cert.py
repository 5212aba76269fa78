"""An X.509 certificate read from raw DER: key, TBS, serial and validity exactly, names only as well as they can be.

``cryptography`` and strict ASN.1 readers refuse certificates that are in use (broken UTF-8 in names, an encoded default
in BasicConstraints), so nothing here depends on them. Signatures and extensions are judged elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Final

from certs import der
from certs.der import Element, Malformed
from certs.errors import BadKey
from certs.keys import PublicKey
from certs.pkcs8 import unarmour
from certs.x509 import extensions
from certs.x509.extensions import Extension

MAX_CERT_BYTES: Final = 64 * 1024
# X.520 attribute types that people know by a short name (RFC 4514, 3).
_SHORT: Final = {
    "2.5.4.3": "CN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "1.2.840.113549.1.9.1": "E",
}


@dataclass(frozen=True, eq=False, repr=False)
class SigningCert:
    """Compared and hashed by ``der``. Byte fields are raw DER: ``subject`` and ``issuer`` are whole Names, ``algorithm``
    the whole AlgorithmIdentifier of the signature; ``signature`` is the content of the BIT STRING."""

    der: bytes
    tbs: bytes
    algorithm: bytes
    signature: bytes
    version: int
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    spki: bytes
    extensions: dict[str, Extension]

    @classmethod
    def from_der(cls, data: bytes) -> SigningCert:
        """Read a certificate of at most 64 KiB; BadKey if it is not one. Results are cached by their bytes."""
        return _parse(bytes(data))

    @classmethod
    def from_pem(cls, data: bytes) -> SigningCert:
        """The first CERTIFICATE of a PEM file."""
        return cls.from_der(unarmour(data, ("CERTIFICATE",))[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningCert) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<SigningCert {self.fingerprint[:16]}>"

    @cached_property
    def public_key(self) -> PublicKey:
        """The subject's key; BadKey if it is weak or of a kind that is not taken."""
        return PublicKey.from_spki_der(self.spki)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the DER certificate, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def serial_hex(self) -> str:
        """The serial number as people compare it."""
        return f"{self.serial:x}"

    @cached_property
    def subject_text(self) -> str:
        """The subject for people, best effort."""
        return readable_name(self.subject)

    @cached_property
    def issuer_text(self) -> str:
        """The issuer for people, best effort."""
        return readable_name(self.issuer)

    @cached_property
    def is_ca(self) -> bool:
        """Whether BasicConstraints say so; a malformed one does not."""
        stated = self.extensions.get(extensions.BASIC_CONSTRAINTS)
        try:
            return stated is not None and extensions.basic_constraints(stated.value).ca
        except Malformed:
            return False

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """Content of the SubjectKeyIdentifier, or None."""
        stated = self.extensions.get(extensions.SUBJECT_KEY_IDENTIFIER)
        try:
            return der.read(stated.value, der.OCTET_STRING).content if stated else None
        except Malformed:
            return None

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """keyIdentifier of the AuthorityKeyIdentifier, or None."""
        stated = self.extensions.get(extensions.AUTHORITY_KEY_IDENTIFIER)
        try:
            return extensions.authority_key_identifier(stated.value).key_id if stated else None
        except Malformed:
            return None


@lru_cache(maxsize=2048)
def _parse(data: bytes) -> SigningCert:
    """RFC 5280, 4.1."""
    if len(data) > MAX_CERT_BYTES:
        raise BadKey(f"证书超过 {MAX_CERT_BYTES} 字节", f"a certificate above {MAX_CERT_BYTES} bytes")
    try:
        outer = der.read(data, der.SEQUENCE).reader()
        tbs, algorithm, signature = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE), outer.take(der.BIT_STRING)
        outer.finish()
        reader = tbs.reader()
        wrapped_version = reader.maybe(0xA0)
        version = der.read(wrapped_version.content, der.INTEGER).integer() + 1 if wrapped_version else 1
        serial = reader.take(der.INTEGER).integer()
        if reader.take(der.SEQUENCE).raw != algorithm.raw:
            raise Malformed(
                "证书内外的签名算法不一致（RFC 5280 4.1.1.2）",
                "the signature algorithms inside and outside differ (4.1.1.2)",
            )
        issuer = reader.take(der.SEQUENCE)
        validity = reader.take(der.SEQUENCE).reader()
        not_before, not_after = validity.take().time(), validity.take().time()
        subject, spki = reader.take(der.SEQUENCE), reader.take(der.SEQUENCE)
        reader.maybe(0x81), reader.maybe(0x82), reader.maybe(0xA1), reader.maybe(0xA2)  # unique identifiers
        wrapped = reader.maybe(0xA3)
        reader.finish()
        found = extensions.extensions(der.read(wrapped.content, der.SEQUENCE)) if wrapped else {}
        return SigningCert(
            der=data,
            tbs=tbs.raw,
            algorithm=algorithm.raw,
            signature=signature.bits(),
            version=version,
            serial=serial,
            issuer=issuer.raw,
            subject=subject.raw,
            not_before=not_before,
            not_after=not_after,
            spki=spki.raw,
            extensions=found,
        )
    except Malformed as error:
        raise BadKey(f"不是证书：{error.zh}", f"not a certificate: {error.en}") from None


def readable_name(name: bytes) -> str:
    """``C=CN, O=…, CN=…`` for people. What cannot be decoded is shown with replacement characters; it never raises."""
    try:
        parts = [_attribute(member) for rdn in der.read(name, der.SEQUENCE).members() for member in rdn.members()]
    except Malformed:
        return ""
    return ", ".join(parts)[:1000]


def _attribute(element: Element) -> str:
    reader = element.reader()
    oid, value = reader.take(der.OID).oid(), reader.take()
    return f"{_SHORT.get(oid, oid)}={_printable(readable_text(value))}"


def readable_text(value: Element) -> str:
    """The text of a string value: by its tag, then as the encodings that broken ones turn out to be in."""
    codecs = {der.BMP_STRING: ("utf-16-be",), der.UNIVERSAL_STRING: ("utf-32-be",)}.get(value.tag, ("utf-8", "gb18030"))
    for codec in codecs:
        try:
            return value.content.decode(codec)
        except UnicodeDecodeError:
            continue
    return value.content.decode(codecs[0], "replace")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def public_key_from_pem(pem: bytes) -> PublicKey:
    """The key in ``PUBLIC KEY`` or ``CERTIFICATE`` in PEM (broken names do not matter); BadKey if there is none."""
    label, content = unarmour(pem, ("PUBLIC KEY", "CERTIFICATE"))
    return SigningCert.from_der(content).public_key if label == "CERTIFICATE" else PublicKey.from_spki_der(content)
