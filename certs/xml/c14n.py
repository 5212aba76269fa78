"""Canonical XML of one element with its descendants, as XMLDSig needs it; without comments.

lxml canonicalises an element in the namespace context of its ancestors, which suffices for exclusive canonical XML. For
inclusive canonical XML it does not: lxml 6.1 writes a wrong ``xmlns=""`` in some subtrees, and leaves out the ``xml:*``
attributes that are inherited (Canonical XML 1.0, 2.4; 1.1, 2.4). So there the element is first made the root of a
document of its own, with all that it inherits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from lxml import etree

from certs.errors import MessageRefused

EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE_1_0: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
INCLUSIVE_1_1: Final = "http://www.w3.org/2006/12/xml-c14n11"
METHODS: Final = frozenset({EXCLUSIVE, INCLUSIVE_1_0, INCLUSIVE_1_1})
WITH_COMMENTS: Final[Mapping[str, str]] = {
    f"{EXCLUSIVE}WithComments": EXCLUSIVE,
    f"{INCLUSIVE_1_0}#WithComments": INCLUSIVE_1_0,
    f"{INCLUSIVE_1_1}#WithComments": INCLUSIVE_1_1,
}
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_NOT_INHERITED_1_1: Final = f"{_XML}id"  # Canonical XML 1.1, 2.4: xml:id names one element only
_XML_BASE: Final = f"{_XML}base"
_COPIER: Final = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)


def canonicalize(element: etree._Element, method: str, prefixes: Sequence[str] = ()) -> bytes:
    """The canonical octets of ``element`` in its document; ``prefixes`` is the InclusiveNamespaces PrefixList.

    Raises :class:`MessageRefused` for a method outside :data:`METHODS`. The tree is as before when this returns.
    """
    if method not in METHODS:
        raise MessageRefused(
            "c14n-unsupported",
            (
                "请用不含注释的 exclusive 或 inclusive 规范化 XML",
                "use exclusive or inclusive canonical XML, without comments",
            ),
        )
    exclusive = method == EXCLUSIVE
    apex = element if exclusive else _standing_alone(element, method)
    inclusive_prefixes = list(prefixes) if exclusive and prefixes else None
    try:
        return etree.tostring(
            apex, method="c14n", exclusive=exclusive, with_comments=False, inclusive_ns_prefixes=inclusive_prefixes
        )
    except (etree.C14NError, ValueError):  # Canonical XML 1.0, 1.3: relative namespace names have no canonical form
        raise MessageRefused(
            "c14n-unsupported", ("命名空间名不是绝对 URI", "a namespace name that is no absolute URI")
        ) from None


def _standing_alone(element: etree._Element, method: str) -> etree._Element:
    """``element`` itself if it is the root, else a copy with the namespaces and attributes that it inherits."""
    if element.getparent() is None:
        return element
    copy = etree.fromstring(etree.tostring(element, encoding="utf-8", with_tail=False), _COPIER)
    for name, value in _inherited(element, method).items():
        copy.set(name, value)
    return copy


def _inherited(element: etree._Element, method: str) -> dict[str, str]:
    """The ``xml:*`` attributes of ancestors that ``element`` does not set itself; the nearest ancestor wins."""
    found: dict[str, str] = {}
    for ancestor in element.iterancestors():
        for name, value in ancestor.attrib.items():
            key = str(name)
            if not key.startswith(_XML) or (method == INCLUSIVE_1_1 and key == _NOT_INHERITED_1_1):
                continue
            if method == INCLUSIVE_1_1 and key == _XML_BASE:
                raise MessageRefused(
                    "c14n-unsupported", ("被签名元素的上级有 xml:base", "xml:base above a signed element")
                )
            found.setdefault(key, str(value))
    return {name: value for name, value in found.items() if name not in element.attrib}


@contextmanager
def without(element: etree._Element) -> Iterator[None]:
    """The tree without ``element`` for a moment (the enveloped-signature transform, XMLDSig 6.6.4); its tail stays."""
    parent = element.getparent()
    if parent is None:
        raise MessageRefused(
            "transform-unsupported", ("enveloped 签名不能是根元素", "an enveloped signature cannot be the root")
        )
    index, tail = parent.index(element), element.tail
    previous = parent[index - 1] if index else None
    before = parent.text if previous is None else previous.tail
    element.tail = None
    parent.remove(element)
    joined = (before or "") + (tail or "") or None
    if previous is None:
        parent.text = joined
    else:
        previous.tail = joined
    try:
        yield
    finally:
        if previous is None:
            parent.text = before
        else:
            previous.tail = before
        parent.insert(index, element)
        element.tail = tail
