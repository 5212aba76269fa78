"""A small certificate authority for tests, simulators and the demo: SM2, RSA, ECDSA and Ed25519 certificates and CRLs.

It ships because the simulators seal real documents with it. It is not a CA to run: keys lie in memory, and nothing checks
whom it certifies.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from certs import der
from certs.errors import BadKey
from certs.keys import PrivateKey, PublicKey, SignatureAlgorithm
from certs.x509 import extensions
from certs.x509.signing_cert import SigningCert

_NULL: Final = b"\x05\x00"
# The whole parameters of each algorithm: OID and what follows it.
ALGORITHM_OIDS: Final[Mapping[SignatureAlgorithm, str]] = {
    SignatureAlgorithm.SM2_SM3: "1.2.156.10197.1.501",
    SignatureAlgorithm.ECDSA_SHA256: "1.2.840.10045.4.3.2",
    SignatureAlgorithm.ECDSA_SHA384: "1.2.840.10045.4.3.3",
    SignatureAlgorithm.ECDSA_SHA512: "1.2.840.10045.4.3.4",
    SignatureAlgorithm.RSA_PKCS1_SHA256: "1.2.840.113549.1.1.11",
    SignatureAlgorithm.RSA_PKCS1_SHA384: "1.2.840.113549.1.1.12",
    SignatureAlgorithm.RSA_PKCS1_SHA512: "1.2.840.113549.1.1.13",
    SignatureAlgorithm.ED25519: "1.3.101.112",
}
_NAME_OIDS: Final = {"C": "2.5.4.6", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3"}
CA_USAGES: Final = (extensions.KEY_CERT_SIGN, extensions.CRL_SIGN)
SIGNING_USAGES: Final = (extensions.DIGITAL_SIGNATURE, extensions.NON_REPUDIATION)


@dataclass(frozen=True)
class Identity:
    """A key with its certificate; ``issuer`` is None for a root."""

    key: PrivateKey
    cert: SigningCert
    issuer: Identity | None = None

    @property
    def chain(self) -> tuple[SigningCert, ...]:
        """Certificates of the issuers, nearest first, root included."""
        return () if self.issuer is None else (self.issuer.cert, *self.issuer.chain)

    def sign(self, data: bytes) -> bytes:
        """DER (or RSA) signature with the key's default algorithm."""
        return self.key.sign(self.key.default_algorithm, data)

    def issue(
        self,
        name: str | Mapping[str, str],
        algorithm: SignatureAlgorithm | None = None,
        *,
        ca: bool = False,
        key: PrivateKey | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key_usages: Sequence[int] | None = None,
        extended: Sequence[str] = (),
        extended_critical: bool = False,
        crl_urls: Sequence[str] = (),
        ocsp_urls: Sequence[str] = (),
        extra_extensions: Sequence[bytes] = (),
        serial: int | None = None,
    ) -> Identity:
        """Issue a certificate for a new key of ``algorithm`` (default: the issuer's kind), or for ``key``.

        ``name`` is a common name or the attributes C, O, OU, CN. Validity defaults to that of the issuer.
        """
        key = key or PrivateKey.generate(algorithm or self.key.default_algorithm, rsa_bits=2048)
        template = _Template(
            subject=encode_name(name),
            key=key.public_key,
            not_before=not_before or self.cert.not_before,
            not_after=not_after or self.cert.not_after,
            ca=ca,
            usages=tuple(key_usages if key_usages is not None else CA_USAGES if ca else SIGNING_USAGES),
            serial=serial or secrets.randbits(120) | 1,
            extra=(
                *_extended_usage(extended, extended_critical),
                *_crl_points(crl_urls),
                *_ocsp_access(ocsp_urls),
                *extra_extensions,
            ),
        )
        return Identity(key, _certificate(template, self.cert.subject, self.key), self)

    def crl(
        self,
        revoked: Mapping[int, tuple[datetime, int]] | None = None,
        *,
        this_update: datetime,
        next_update: datetime,
        number: int = 1,
    ) -> bytes:
        """A complete CRL (RFC 5280, 5): serial -> (time of revocation, CRLReason)."""
        entries = [
            der.tlv(
                der.SEQUENCE,
                der.encode_integer(serial),
                _time(when),
                der.tlv(
                    der.SEQUENCE, extension(extensions.CRL_REASON, der.tlv(der.ENUMERATED, bytes((reason,))), False)
                ),
            )
            for serial, (when, reason) in (revoked or {}).items()
        ]
        lists = extension(extensions.CRL_NUMBER, der.encode_integer(number), False) + _authority_key(
            self.key.public_key
        )
        identifier = algorithm_identifier(self.key.default_algorithm)
        tbs = der.tlv(
            der.SEQUENCE,
            der.encode_integer(1),
            identifier,
            self.cert.subject,
            _time(this_update),
            _time(next_update),
            *([der.tlv(der.SEQUENCE, *entries)] if entries else []),
            der.tlv(0xA0, der.tlv(der.SEQUENCE, lists)),
        )
        return der.tlv(der.SEQUENCE, tbs, identifier, bit_string(self.sign(tbs)))


def new_root(
    name: str | Mapping[str, str],
    algorithm: SignatureAlgorithm = SignatureAlgorithm.SM2_SM3,
    *,
    not_before: datetime,
    not_after: datetime,
    key: PrivateKey | None = None,
) -> Identity:
    """A self-signed root; ``key`` keeps an existing one."""
    key = key or PrivateKey.generate(algorithm, rsa_bits=2048)
    subject = encode_name(name)
    template = _Template(subject, key.public_key, not_before, not_after, True, CA_USAGES, secrets.randbits(120) | 1)
    return Identity(key, _certificate(template, subject, key))


@dataclass(frozen=True)
class SealAuthority:
    """Root, intermediate, the seal maker and one signer: what it takes to seal documents."""

    root: Identity
    intermediate: Identity
    seal_maker: Identity
    signer: Identity

    @classmethod
    def create(
        cls,
        now: datetime,
        algorithm: SignatureAlgorithm = SignatureAlgorithm.SM2_SM3,
        *,
        organisation: str = "演示电子印章中心",
        signer_name: str = "演示教育局",
        days: int = 3650,
    ) -> SealAuthority:
        """All four, valid from a day before ``now``."""
        begin, end = now - timedelta(days=1), now + timedelta(days=days)
        name = {"C": "CN", "O": organisation}
        root = new_root({**name, "CN": f"{organisation}根证书"}, algorithm, not_before=begin, not_after=end)
        middle = root.issue({**name, "CN": f"{organisation}签发证书"}, ca=True)
        maker = middle.issue({**name, "CN": "制章人"})
        return cls(root, middle, maker, middle.issue({"C": "CN", "O": signer_name, "CN": signer_name}))


@dataclass(frozen=True)
class _Template:
    subject: bytes
    key: PublicKey
    not_before: datetime
    not_after: datetime
    ca: bool
    usages: tuple[int, ...]
    serial: int
    extra: tuple[bytes, ...] = field(default=())


def _certificate(template: _Template, issuer: bytes, issuer_key: PrivateKey) -> SigningCert:
    """RFC 5280, 4.1."""
    identifier = algorithm_identifier(issuer_key.default_algorithm)
    constraints = der.tlv(der.SEQUENCE, *([b"\x01\x01\xff"] if template.ca else []))
    key_id = der.tlv(der.OCTET_STRING, _key_id(template.key))
    listed = [
        extension(extensions.BASIC_CONSTRAINTS, constraints, True),
        extension(extensions.KEY_USAGE, _flags(template.usages), True),
        extension(extensions.SUBJECT_KEY_IDENTIFIER, key_id, False),
        _authority_key(issuer_key.public_key),
        *template.extra,
    ]
    tbs = der.tlv(
        der.SEQUENCE,
        der.tlv(0xA0, der.encode_integer(2)),
        der.encode_integer(template.serial),
        identifier,
        issuer,
        der.tlv(der.SEQUENCE, _time(template.not_before), _time(template.not_after)),
        template.subject,
        template.key.spki,
        der.tlv(0xA3, der.tlv(der.SEQUENCE, *listed)),
    )
    signature = issuer_key.sign(issuer_key.default_algorithm, tbs)
    return SigningCert.from_der(der.tlv(der.SEQUENCE, tbs, identifier, bit_string(signature)))


def algorithm_identifier(algorithm: SignatureAlgorithm) -> bytes:
    """AlgorithmIdentifier (RFC 5280, 4.1.1.2); RSA alone has NULL parameters (RFC 4055, 5)."""
    if algorithm not in ALGORITHM_OIDS:
        raise BadKey(f"此处证书不使用 {algorithm}", f"{algorithm} is not used in certificates here")
    parameters = _NULL if algorithm.startswith("rsa") else b""
    return der.tlv(der.SEQUENCE, der.encode_oid(ALGORITHM_OIDS[algorithm]), parameters)


def encode_name(name: str | Mapping[str, str]) -> bytes:
    """A Name from a common name or from C, O, OU, CN in the order given; an empty text gives an empty Name."""
    attributes = {"CN": name} if isinstance(name, str) else name
    rdns = []
    for kind, text in attributes.items():
        tag = der.PRINTABLE_STRING if kind == "C" else der.UTF8_STRING
        value = der.tlv(der.SEQUENCE, der.encode_oid(_NAME_OIDS[kind]), der.tlv(tag, text.encode()))
        rdns.append(der.tlv(der.SET, value))
    return der.tlv(der.SEQUENCE, *(rdns if any(attributes.values()) else []))


def extension(oid: str, value: bytes, critical: bool) -> bytes:
    """One Extension; ``value`` is the DER inside its OCTET STRING."""
    flag = b"\x01\x01\xff" if critical else b""
    return der.tlv(der.SEQUENCE, der.encode_oid(oid), flag, der.tlv(der.OCTET_STRING, value))


def bit_string(octets: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return der.tlv(der.BIT_STRING, b"\x00" + octets)


def _extended_usage(oids: Sequence[str], critical: bool) -> list[bytes]:
    value = der.tlv(der.SEQUENCE, *(der.encode_oid(oid) for oid in oids))
    return [extension(extensions.EXTENDED_KEY_USAGE, value, critical)] if oids else []


def _crl_points(urls: Sequence[str]) -> list[bytes]:
    points = [der.tlv(der.SEQUENCE, der.tlv(0xA0, der.tlv(0xA0, der.tlv(0x86, url.encode("ascii"))))) for url in urls]
    return [extension(extensions.CRL_DISTRIBUTION_POINTS, der.tlv(der.SEQUENCE, *points), False)] if urls else []


def _ocsp_access(urls: Sequence[str]) -> list[bytes]:
    method = der.encode_oid("1.3.6.1.5.5.7.48.1")
    found = [der.tlv(der.SEQUENCE, method, der.tlv(0x86, url.encode("ascii"))) for url in urls]
    return [extension(extensions.AUTHORITY_INFO_ACCESS, der.tlv(der.SEQUENCE, *found), False)] if urls else []


def _authority_key(key: PublicKey) -> bytes:
    return extension(extensions.AUTHORITY_KEY_IDENTIFIER, der.tlv(der.SEQUENCE, der.tlv(0x80, _key_id(key))), False)


def _key_id(key: PublicKey) -> bytes:
    """RFC 7093, 2, method 4: over the whole SubjectPublicKeyInfo."""
    return hashlib.sha256(key.spki).digest()[:20]


def _flags(bits: Sequence[int]) -> bytes:
    """A BIT STRING of named bits, all below 8."""
    octet = sum(0x80 >> bit for bit in bits)
    return der.tlv(der.BIT_STRING, bytes((7 - max(bits, default=7), octet)))


def _time(when: datetime) -> bytes:
    """UTCTime up to 2049, then GeneralizedTime (RFC 5280, 4.1.2.5)."""
    when = when.astimezone(UTC)
    if when.year < 2050:
        return der.tlv(der.UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.encode_time(when)
