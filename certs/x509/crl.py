"""Certificate revocation lists: reading, and whether one speaks about a certificate (RFC 5280, 5 and 6.3.3 (b)).

No signature is judged here; :mod:`certs.x509.revocation` does that. A list of up to :data:`MAX_CRL_BYTES` is read. Its
entries are walked only when they must be: if the bytes of the serial number stand nowhere in the list, and no entry has
a critical extension, the certificate is not on it, and that is told by two searches at C speed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache

from certs import der
from certs.der import Element, Malformed
from certs.x509 import extensions
from certs.x509.extensions import (
    DIRECTORY,
    DistributionPoint,
    Extension,
    GeneralName,
    IssuingDistributionPoint,
    PointName,
)
from certs.x509.names import normalised, same_name

MAX_CRL_BYTES = 32 * 1024 * 1024
_REMEMBERED_BYTES = 256 * 1024

EXPIRED_CERTS_ON_CRL = "2.5.29.60"
_KNOWN = {
    extensions.AUTHORITY_KEY_IDENTIFIER,
    extensions.ISSUER_ALT_NAME,
    extensions.CRL_NUMBER,
    extensions.DELTA_CRL_INDICATOR,
    extensions.ISSUING_DISTRIBUTION_POINT,
    extensions.FRESHEST_CRL,
    EXPIRED_CERTS_ON_CRL,
}
_KNOWN_IN_ENTRY = {extensions.CRL_REASON, extensions.INVALIDITY_DATE, extensions.CERTIFICATE_ISSUER}
_TRUE = re.compile(rb"\x01\x01[^\x00]\x04", re.DOTALL)  # "critical", and the tag of the extnValue behind it


class Reason(IntEnum):
    """CRLReason (RFC 5280, 5.3.1); ``UNSPECIFIED`` also stands for an absent reason."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


# ReasonFlags that may be scattered over CRLs (4.2.1.13): bits 1 to 8.
ALL_REASONS = frozenset(range(1, 9))


@dataclass(frozen=True, slots=True)
class Entry:
    """One revoked certificate; ``issuer`` is the Name of its issuer, which an indirect CRL says entry by entry."""

    serial: int
    issuer: bytes
    revoked_at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Crl:
    """A read CertificateList. ``algorithm`` is the whole AlgorithmIdentifier, the same inside and outside."""

    raw: bytes
    tbs: bytes
    algorithm: bytes
    signature: bytes
    issuer: bytes
    this_update: datetime
    next_update: datetime | None
    entries_content: bytes
    extensions: dict[str, Extension]
    point: IssuingDistributionPoint
    has_point: bool
    number: int | None
    base_number: int | None
    authority_key: bytes | None
    expired_since: datetime | None

    @property
    def is_delta(self) -> bool:
        """Whether this is a delta CRL (5.2.4)."""
        return self.base_number is not None

    def unknown_critical(self) -> str | None:
        """A critical extension of the list that we do not process, which forbids its use (5.2)."""
        return next((e.oid for e in self.extensions.values() if e.critical and e.oid not in _KNOWN), None)

    def find(self, issuer: bytes, serial: int) -> Entry | None:
        """The last entry for a certificate; Malformed if any entry has an unknown critical extension (5.3)."""
        content = self.entries_content
        if not content:
            return None
        digits = der.read(der.encode_integer(serial)).content  # also the end of an encoding that is not minimal
        # something critical must be known, and may be the issuer of what follows
        if _TRUE.search(content) or len(digits) > 100:
            rows: Iterator[Element] = iter(der.Reader(content))
        elif digits not in content:
            return None
        else:
            rows = (
                der.read(content[start:end])
                for start, inside, end in der.spans(content)  # the serial number is the first thing inside
                if end - inside > 2 and content[inside + 2 : inside + 2 + content[inside + 1]].endswith(digits)
            )
        found = None
        wanted = normalised(issuer)
        for entry in self._entries(rows):
            if entry.serial == serial and (entry.issuer == issuer or normalised(entry.issuer) == wanted):
                found = entry
        return found

    def _entries(self, rows: Iterator[Element]) -> Iterator[Entry]:
        issuer = self.issuer
        for member in rows:
            reader = member.reader()
            serial, when = reader.take(der.INTEGER).integer(), reader.take().time()
            inner = reader.maybe(der.SEQUENCE)
            reader.finish()
            reason = Reason.UNSPECIFIED
            for extension in (extensions.extensions(inner) if inner else {}).values():
                if extension.oid == extensions.CRL_REASON:
                    reason = _reason(extension.value)
                elif extension.oid == extensions.CERTIFICATE_ISSUER:
                    if not self.point.indirect:
                        raise Malformed(
                            "非间接 CRL 的条目自带证书颁发者",
                            "an entry with its own issuer in a CRL that is not indirect",
                        )
                    issuer = _directory_name(extensions.general_names(extension.value))
                elif extension.critical and extension.oid not in _KNOWN_IN_ENTRY:
                    raise Malformed(
                        f"条目含有无法处理的关键扩展 {extension.oid}",
                        f"an entry with the unknown critical extension {extension.oid}",
                    )
            yield Entry(serial, issuer, when, reason)


def _reason(value: bytes) -> Reason:
    number = der.read(value, der.ENUMERATED).integer()
    return Reason(number) if number in set(Reason) else Reason.UNSPECIFIED  # revoked all the same


def _directory_name(names: tuple[GeneralName, ...]) -> bytes:
    found = next((name.content for name in names if name.kind == DIRECTORY), None)
    if found is None:
        raise Malformed("条目的证书颁发者没有目录名称", "a certificate issuer without a directory name")
    return found


def parse_crl(raw: bytes) -> Crl:
    """Read a CertificateList (5.1); anything that is not one, or is above the size bound, is Malformed.

    Small ones are remembered: the same few lists are asked for every document.
    """
    return _small_crl(raw) if len(raw) <= _REMEMBERED_BYTES else _parse_crl(raw)


@lru_cache(maxsize=64)
def _small_crl(raw: bytes) -> Crl:
    return _parse_crl(raw)


def _parse_crl(raw: bytes) -> Crl:
    if len(raw) > MAX_CRL_BYTES:
        raise Malformed(f"CRL 超过 {MAX_CRL_BYTES} 字节", f"a CRL above {MAX_CRL_BYTES} bytes")
    outer = der.read(raw, der.SEQUENCE).reader()
    tbs, algorithm, signature = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE), outer.take(der.BIT_STRING)
    outer.finish()
    reader = tbs.reader()
    version = reader.maybe(der.INTEGER)
    if version is not None and version.integer() != 1:
        raise Malformed("CRL 版本未知", "a CRL of unknown version")
    if reader.take(der.SEQUENCE).raw != algorithm.raw:
        raise Malformed(
            "CRL 内外的签名算法不一致（RFC 5280 5.1.1.2）",
            "the signature algorithms inside and outside the CRL differ (RFC 5280, 5.1.1.2)",
        )
    issuer, this_update = reader.take(der.SEQUENCE).raw, reader.take().time()
    next_update = reader.take().time() if reader.peek() in {der.UTC_TIME, der.GENERALIZED_TIME} else None
    entries = reader.maybe(der.SEQUENCE)
    wrapped = reader.maybe(0xA0)
    reader.finish()
    found = extensions.extensions(der.read(wrapped.content, der.SEQUENCE)) if wrapped else {}
    if found and version is None:
        raise Malformed("版本 1 的 CRL 带有扩展", "extensions in a CRL of version 1")

    point = found.get(extensions.ISSUING_DISTRIBUTION_POINT)
    key = found.get(extensions.AUTHORITY_KEY_IDENTIFIER)
    since = found.get(EXPIRED_CERTS_ON_CRL)
    return Crl(
        raw=raw,
        tbs=tbs.raw,
        algorithm=algorithm.raw,
        signature=signature.bits(),
        issuer=issuer,
        this_update=this_update,
        next_update=next_update,
        entries_content=entries.content if entries else b"",
        extensions=found,
        point=extensions.issuing_distribution_point(point.value) if point else IssuingDistributionPoint(),
        has_point=point is not None,
        number=_number(found.get(extensions.CRL_NUMBER)),
        base_number=_number(found.get(extensions.DELTA_CRL_INDICATOR)),
        authority_key=extensions.authority_key_identifier(key.value).key_id if key else None,
        expired_since=der.read(since.value, der.GENERALIZED_TIME).time() if since else None,
    )


def _number(extension: Extension | None) -> int | None:
    return der.read(extension.value, der.INTEGER).integer() if extension else None


def covers(crl: Crl, point: DistributionPoint, *, cert_issuer: bytes, is_ca: bool) -> bool:
    """6.3.3 (b): whether a complete CRL is in scope for a certificate at one of its distribution points."""
    # (b)(1) the CRL comes from the cRLIssuer of the point, and is indirect; else from the certificate's issuer
    if point.crl_issuer:
        if not (crl.point.indirect and _names(crl.issuer, point.crl_issuer)):
            return False
    elif not same_name(crl.issuer, cert_issuer):
        return False
    # (b)(2)(i) the names of the two distribution points meet
    if crl.point.name is not None:
        ours = _full(crl.point.name, crl.issuer)
        relative_to = next((n.content for n in point.crl_issuer if n.kind == DIRECTORY), cert_issuer)
        theirs = _full(point.name, relative_to) if point.name else point.crl_issuer
        if not _meet(ours, theirs):
            return False
    # (b)(2)(ii-iv) the kind of certificate
    if crl.point.only_attribute or (crl.point.only_user and is_ca):
        return False
    return is_ca or not crl.point.only_ca


def reasons(crl: Crl, point: DistributionPoint) -> frozenset[int]:
    """6.3.3 (d): interim_reasons_mask."""
    return (point.reasons or ALL_REASONS) & (crl.point.only_reasons or ALL_REASONS) & ALL_REASONS


def same_scope(delta: Crl, base: Crl) -> bool:
    """6.3.3 (c) and 5.2.4: whether a delta CRL may complete a base."""
    if not same_name(delta.issuer, base.issuer) or delta.authority_key != base.authority_key:
        return False
    one, other = (crl.extensions.get(extensions.ISSUING_DISTRIBUTION_POINT) for crl in (delta, base))
    if (one.value if one else None) != (other.value if other else None):
        return False
    if base.number is None or delta.number is None or delta.base_number is None:
        return False
    return delta.base_number <= base.number < delta.number or delta.number == base.number


def _full(name: PointName, base: bytes) -> tuple[GeneralName, ...]:
    """Full names of a point; a relative one is an RDN after the CRL issuer's."""
    if name.relative is None:
        return name.full
    whole = der.tlv(der.SEQUENCE, der.read(base, der.SEQUENCE).content, der.tlv(der.SET, name.relative))
    return (GeneralName(DIRECTORY, whole),)


def _names(issuer: bytes, names: tuple[GeneralName, ...]) -> bool:
    return any(name.kind == DIRECTORY and same_name(issuer, name.content) for name in names)


def _meet(ours: tuple[GeneralName, ...], theirs: tuple[GeneralName, ...]) -> bool:
    return any(
        one == other or (one.kind == other.kind == DIRECTORY and same_name(one.content, other.content))
        for one in ours
        for other in theirs
    )
