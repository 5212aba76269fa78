"""The X.509 extensions that path validation and revocation read, decoded from raw DER (RFC 5280, 4.2 and 5.2).

Each function takes the content of one ``extnValue`` and gives a plain value; what it cannot read is
:class:`certs.der.Malformed`. An encoded default (``cA FALSE``, ``critical FALSE``) is accepted: real ones have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from certs import der
from certs.der import Element, Malformed

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
ISSUER_ALT_NAME = "2.5.29.18"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_NUMBER = "2.5.29.20"
CRL_REASON = "2.5.29.21"
INVALIDITY_DATE = "2.5.29.24"
DELTA_CRL_INDICATOR = "2.5.29.27"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
CERTIFICATE_ISSUER = "2.5.29.29"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
FRESHEST_CRL = "2.5.29.46"
INHIBIT_ANY_POLICY = "2.5.29.54"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"
OCSP_NO_CHECK = "1.3.6.1.5.5.7.48.1.5"

ANY_POLICY = "2.5.29.32.0"

# Bits of KeyUsage (4.2.1.3).
DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN, CRL_SIGN = 0, 1, 5, 6

# Kinds of GeneralName (4.2.1.6).
OTHER_NAME, RFC822, DNS, X400, DIRECTORY, EDI_PARTY, URI, IP, REGISTERED_ID = range(9)

MAX_EXTENSIONS = 64


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: its object identifier, whether it is critical, and the content of its extnValue."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class GeneralName:
    """``kind`` is the number of the choice; ``content`` the value without tag, for a directoryName the whole Name."""

    kind: int
    content: bytes


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """4.2.1.9."""

    ca: bool
    path_length: int | None


@dataclass(frozen=True, slots=True)
class PolicyConstraints:
    """4.2.1.11; None where a field is absent."""

    require_explicit: int | None
    inhibit_mapping: int | None


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """4.2.1.10. ``minimum`` and ``maximum`` other than the default are Malformed, as the RFC forbids them."""

    permitted: tuple[GeneralName, ...]
    excluded: tuple[GeneralName, ...]


@dataclass(frozen=True, slots=True)
class AuthorityKeyIdentifier:
    """4.2.1.1."""

    key_id: bytes | None
    issuer: tuple[GeneralName, ...]
    serial: int | None


@dataclass(frozen=True, slots=True)
class PointName:
    """DistributionPointName: full names, or one RDN relative to the CRL issuer (content of the SET)."""

    full: tuple[GeneralName, ...]
    relative: bytes | None


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """4.2.1.13. ``reasons`` None means all reasons."""

    name: PointName | None
    reasons: frozenset[int] | None
    crl_issuer: tuple[GeneralName, ...]


@dataclass(frozen=True, slots=True)
class IssuingDistributionPoint:
    """5.2.5."""

    name: PointName | None = None
    only_user: bool = False
    only_ca: bool = False
    only_reasons: frozenset[int] | None = None
    indirect: bool = False
    only_attribute: bool = False


def extensions(sequence: Element) -> dict[str, Extension]:
    """An ``Extensions`` SEQUENCE by object identifier; the same extension twice is Malformed (4.2)."""
    found: dict[str, Extension] = {}
    for member in sequence.members(der.SEQUENCE):
        reader = member.reader()
        oid = reader.take(der.OID).oid()
        critical = reader.maybe(der.BOOLEAN)
        value = reader.take(der.OCTET_STRING).content
        reader.finish()
        if oid in found:
            raise Malformed(f"扩展 {oid} 重复", f"extension {oid} stands twice")
        found[oid] = Extension(oid, critical is not None and critical.boolean(), value)
        if len(found) > MAX_EXTENSIONS:
            raise Malformed(f"扩展多于 {MAX_EXTENSIONS} 个", f"more than {MAX_EXTENSIONS} extensions")
    return found


@lru_cache(maxsize=256)
def basic_constraints(value: bytes) -> BasicConstraints:
    """BasicConstraints (4.2.1.9)."""
    reader = der.read(value, der.SEQUENCE).reader()
    ca = reader.maybe(der.BOOLEAN)
    length = reader.maybe(der.INTEGER)
    reader.finish()
    path_length = _count(length) if length else None
    return BasicConstraints(ca is not None and ca.boolean(), path_length)


@lru_cache(maxsize=256)
def key_usage(value: bytes) -> frozenset[int]:
    """KeyUsage (4.2.1.3), the bits that are set."""
    return der.read(value, der.BIT_STRING).flags()


@lru_cache(maxsize=256)
def key_purposes(value: bytes) -> tuple[str, ...]:
    """ExtKeyUsageSyntax (4.2.1.12)."""
    return tuple(member.oid() for member in _some(der.read(value, der.SEQUENCE).members(der.OID)))


def policies(value: bytes) -> tuple[str, ...]:
    """CertificatePolicies (4.2.1.4); qualifiers are not judged."""
    found = [
        member.reader().take(der.OID).oid() for member in _some(der.read(value, der.SEQUENCE).members(der.SEQUENCE))
    ]
    if len(set(found)) != len(found):
        raise Malformed("证书策略重复", "a policy stands twice")
    return tuple(found)


def policy_mappings(value: bytes) -> tuple[tuple[str, str], ...]:
    """PolicyMappings (4.2.1.5) as (issuerDomainPolicy, subjectDomainPolicy)."""
    found = []
    for member in _some(der.read(value, der.SEQUENCE).members(der.SEQUENCE)):
        reader = member.reader()
        found.append((reader.take(der.OID).oid(), reader.take(der.OID).oid()))
        reader.finish()
    return tuple(found)


def policy_constraints(value: bytes) -> PolicyConstraints:
    """PolicyConstraints (4.2.1.11)."""
    reader = der.read(value, der.SEQUENCE).reader()
    explicit, mapping = reader.maybe(0x80), reader.maybe(0x81)
    reader.finish()
    return PolicyConstraints(_count(explicit) if explicit else None, _count(mapping) if mapping else None)


def inhibit_any_policy(value: bytes) -> int:
    """InhibitAnyPolicy (4.2.1.14)."""
    return _count(der.read(value, der.INTEGER))


def general_names(value: bytes) -> tuple[GeneralName, ...]:
    """GeneralNames with its own SEQUENCE tag, as in subjectAltName."""
    return tuple(general_name(member) for member in der.read(value, der.SEQUENCE).members())


def general_name(element: Element) -> GeneralName:
    """One GeneralName (4.2.1.6)."""
    kind = element.tag & 0x1F
    if element.tag & 0xC0 != 0x80 or kind > REGISTERED_ID:
        raise Malformed("不是 GeneralName", "not a GeneralName")
    if kind == DIRECTORY:
        return GeneralName(kind, der.read(element.content, der.SEQUENCE).raw)
    return GeneralName(kind, element.content)


def name_constraints(value: bytes) -> NameConstraints:
    """NameConstraints (4.2.1.10)."""
    reader = der.read(value, der.SEQUENCE).reader()
    permitted, excluded = reader.maybe(0xA0), reader.maybe(0xA1)
    reader.finish()
    if permitted is None and excluded is None:
        raise Malformed("名称约束为空", "empty name constraints")
    return NameConstraints(_subtrees(permitted), _subtrees(excluded))


def _subtrees(element: Element | None) -> tuple[GeneralName, ...]:
    if element is None:
        return ()
    found = []
    for member in element.members(der.SEQUENCE):
        reader = member.reader()
        found.append(general_name(reader.take()))
        minimum, maximum = reader.maybe(0x80), reader.maybe(0x81)
        reader.finish()
        if maximum is not None or (minimum is not None and minimum.integer() != 0):
            raise Malformed("名称约束的子树带有 minimum 或 maximum", "a subtree with minimum or maximum")
    return tuple(found)


@lru_cache(maxsize=256)
def authority_key_identifier(value: bytes) -> AuthorityKeyIdentifier:
    """AuthorityKeyIdentifier (4.2.1.1)."""
    reader = der.read(value, der.SEQUENCE).reader()
    key_id, issuer, serial = reader.maybe(0x80), reader.maybe(0xA1), reader.maybe(0x82)
    reader.finish()
    return AuthorityKeyIdentifier(
        key_id.content if key_id else None,
        tuple(general_name(member) for member in issuer.members()) if issuer else (),
        serial.integer() if serial else None,
    )


def subject_key_identifier(value: bytes) -> bytes:
    """SubjectKeyIdentifier (4.2.1.2)."""
    return der.read(value, der.OCTET_STRING).content


@lru_cache(maxsize=256)
def distribution_points(value: bytes) -> tuple[DistributionPoint, ...]:
    """CRLDistributionPoints (4.2.1.13) and FreshestCRL (4.2.1.15)."""
    found = []
    for member in _some(der.read(value, der.SEQUENCE).members(der.SEQUENCE)):
        reader = member.reader()
        name, reasons, issuer = reader.maybe(0xA0), reader.maybe(0x81), reader.maybe(0xA2)
        reader.finish()
        found.append(
            DistributionPoint(
                _point_name(name) if name else None,
                reasons.flags() if reasons else None,
                tuple(general_name(n) for n in issuer.members()) if issuer else (),
            )
        )
    return tuple(found)


def issuing_distribution_point(value: bytes) -> IssuingDistributionPoint:
    """IssuingDistributionPoint (5.2.5); more than one of the three "only" flags is Malformed."""
    reader = der.read(value, der.SEQUENCE).reader()
    name, user, ca = reader.maybe(0xA0), reader.maybe(0x81), reader.maybe(0x82)
    reasons, indirect, attribute = reader.maybe(0x83), reader.maybe(0x84), reader.maybe(0x85)
    reader.finish()
    only = [flag is not None and flag.boolean() for flag in (user, ca, attribute)]
    if sum(only) > 1:
        raise Malformed(
            "颁发分布点（IssuingDistributionPoint）的范围自相矛盾",
            "an issuing distribution point with contradictory scopes",
        )
    return IssuingDistributionPoint(
        _point_name(name) if name else None,
        only[0],
        only[1],
        reasons.flags() if reasons else None,
        indirect is not None and indirect.boolean(),
        only[2],
    )


def _point_name(element: Element) -> PointName:
    inner = der.read(element.content)
    if inner.tag == 0xA0:
        return PointName(tuple(general_name(member) for member in inner.members()), None)
    if inner.tag == 0xA1:
        return PointName((), inner.content)
    raise Malformed("不是分布点名称", "not a distribution point name")


def access_locations(value: bytes, method: str) -> tuple[str, ...]:
    """The URIs of one access method in AuthorityInfoAccess (4.2.2.1)."""
    found = []
    for member in der.read(value, der.SEQUENCE).members(der.SEQUENCE):
        reader = member.reader()
        oid, location = reader.take(der.OID).oid(), general_name(reader.take())
        if oid == method and location.kind == URI:
            found.append(location.content.decode("ascii", "replace"))
    return tuple(found)


def _count(element: Element) -> int:
    value = int.from_bytes(element.content, "big", signed=True) if element.content else -1
    if value < 0:
        raise Malformed("计数小于 0", "a count below zero")
    return value


def _some(members: list[Element]) -> list[Element]:
    if not members:
        raise Malformed("列表为空，至少应有一项", "an empty list where at least one is due")
    return members
