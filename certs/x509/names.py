"""Comparison of X.509 names over raw DER, and name constraints (RFC 5280, 7.1 and 4.2.1.10).

Names of real certificates are broken in many ways, so a name is its DER bytes. Two names are the same when the bytes
are, or else when they are after normalisation; a value that cannot be decoded is compared as bytes and never raises.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from certs import der
from certs.der import Malformed
from certs.x509 import extensions
from certs.x509.extensions import GeneralName, NameConstraints

EMAIL_ADDRESS = "1.2.840.113549.1.9.1"
EMPTY = b"\x30\x00"
MAX_COMPARISONS = 250_000  # of names with subtrees, over one path

_CODECS = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "ascii",
    der.IA5_STRING: "ascii",
    der.BMP_STRING: "utf-16-be",
    der.UNIVERSAL_STRING: "utf-32-be",
}

TypeValue = tuple[str, str | bytes]
Rdn = frozenset[TypeValue]


def same_name(one: bytes, other: bytes) -> bool:
    """Whether two Names are the same (RFC 5280, 7.1)."""
    return one == other or normalised(one) == normalised(other)


@lru_cache(maxsize=1024)
def normalised(name: bytes) -> tuple[Rdn, ...] | bytes:
    """RDNs as sets of (type, folded text or raw value); the bytes themselves where the Name cannot be read."""
    try:
        return tuple(_rdn(member) for member in der.read(name, der.SEQUENCE).members(der.SET))
    except Malformed:
        return name


def _rdn(element: der.Element) -> Rdn:
    found = set()
    for member in element.members(der.SEQUENCE):
        reader = member.reader()
        oid, value = reader.take(der.OID).oid(), reader.take()
        text = _text(value)
        found.add((oid, value.raw if text is None else folded(text)))
    return frozenset(found)


def _text(value: der.Element) -> str | None:
    codec = _CODECS.get(value.tag)
    if codec is None:
        return None
    try:
        return value.content.decode(codec)
    except UnicodeDecodeError:
        return None


def folded(text: str) -> str:
    """RFC 4518 as far as certificates need it: compatibility form, case folded, one space inside, none outside."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=1024)
def attribute_texts(name: bytes, oid: str) -> tuple[str, ...]:
    """The readable values of one attribute type in a Name, in order."""
    found = []
    try:
        for element in der.read(name, der.SEQUENCE).members(der.SET):
            for member in element.members(der.SEQUENCE):
                reader = member.reader()
                if reader.take(der.OID).oid() == oid:
                    text = _text(reader.take())
                    if text is not None:
                        found.append(text)
    except Malformed:
        return tuple(found)
    return tuple(found)


@dataclass
class NameTrees:
    """permitted_subtrees and excluded_subtrees of RFC 5280, 6.1.2 (b, c): constraints gathered down one path.

    A name must lie in one subtree of each certificate's permitted set for its kind (that is the intersection), and in
    no excluded one.
    """

    permitted: list[tuple[GeneralName, ...]] = field(default_factory=list)
    excluded: list[GeneralName] = field(default_factory=list)
    _left: int = MAX_COMPARISONS

    def add(self, constraints: NameConstraints) -> None:
        """6.1.4 (g)."""
        for kind in {subtree.kind for subtree in constraints.permitted}:
            self.permitted.append(tuple(s for s in constraints.permitted if s.kind == kind))
        self.excluded.extend(constraints.excluded)

    def refused(self, names: list[GeneralName]) -> GeneralName | None:
        """The first name that the constraints do not let through, or None (6.1.3 (b, c))."""
        for name in names:
            for subtrees in self.permitted:
                if subtrees[0].kind == name.kind and not any(self._inside(name, s, False) for s in subtrees):
                    return name
            if any(s.kind == name.kind and self._inside(name, s, True) for s in self.excluded):
                return name
        return None

    def _inside(self, name: GeneralName, subtree: GeneralName, doubtful: bool) -> bool:
        self._left -= 1
        if self._left < 0:
            raise Malformed(
                f"名称与名称约束的比较多于 {MAX_COMPARISONS} 次",
                f"more than {MAX_COMPARISONS} comparisons of names with constraints",
            )
        inside = within(name, subtree)
        return doubtful if inside is None else inside


def constrained_names(subject: bytes, alternatives: tuple[GeneralName, ...] | None) -> list[GeneralName]:
    """The names of a certificate that constraints apply to.

    The subject if not empty, all alternative names, and the subject's e-mail addresses where there is no
    subjectAltName extension (4.2.1.10).
    """
    names = [] if subject == EMPTY else [GeneralName(extensions.DIRECTORY, subject)]
    if alternatives is None:
        addresses = attribute_texts(subject, EMAIL_ADDRESS)
        return names + [GeneralName(extensions.RFC822, text.encode("utf-8", "replace")) for text in addresses]
    return names + list(alternatives)


def within(name: GeneralName, subtree: GeneralName) -> bool | None:
    """Whether a name lies in a subtree of the same kind; None where this cannot be told, which counts as a refusal."""
    if name.kind == extensions.DIRECTORY:
        inner, outer = normalised(name.content), normalised(subtree.content)
        if isinstance(inner, bytes) or isinstance(outer, bytes):
            return None
        return inner[: len(outer)] == outer
    if name.kind == extensions.IP:
        return _ip_within(name.content, subtree.content)
    try:
        text, base = name.content.decode("ascii"), subtree.content.decode("ascii")
    except UnicodeDecodeError:
        return None
    match name.kind:
        case extensions.RFC822:
            return _mailbox_within(text, base)
        case extensions.DNS:
            return _dns_within(text.lower().rstrip("."), base.lower().rstrip("."))
        case extensions.URI:
            return _uri_within(text, base.lower())
    return None  # a kind that we do not process: 4.2.1.10 lets us reject


def _dns_within(host: str, base: str) -> bool:
    base = base.removeprefix(".")
    return not base or host == base or host.endswith("." + base)


def _mailbox_within(mailbox: str, base: str) -> bool | None:
    local, at, host = mailbox.rpartition("@")
    if not at:
        return None
    host = host.lower()
    if "@" in base:
        base_local, _, base_host = base.rpartition("@")
        return local == base_local and host == base_host.lower()
    base = base.lower()
    return host.endswith(base) if base.startswith(".") else host == base


def _uri_within(uri: str, base: str) -> bool | None:
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    if not host or _is_ip(host):
        return None
    host = host.rstrip(".")
    return host.endswith(base) if base.startswith(".") else host == base


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ip_within(address: bytes, subtree: bytes) -> bool | None:
    size = len(address)
    if size not in {4, 16}:
        return None
    if len(subtree) != 2 * size:
        return False
    mask = subtree[size:]
    return all(a & m == b & m for a, b, m in zip(address, subtree[:size], mask, strict=True))
