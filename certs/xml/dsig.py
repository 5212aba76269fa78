"""Verification of one XML signature (W3C XMLDSig 1.1) in a strict profile: which elements are signed, by which key.

Allowed: references inside the document, to the root (``URI=""``) or to one element by Id; the transforms
enveloped-signature and canonical XML (exclusive with PrefixList, inclusive 1.0 and 1.1, without comments); digests and
signatures of :mod:`certs.xml.algorithms`. Everything else is refused: SHA-1, MD5, HMAC and DSA, XPath, XSLT and base64
transforms, external references, an Id that two elements carry. A policy may allow RSA with SHA-1 for one legacy
partner.

The answer names the very elements (lxml objects of the caller's tree) that the signature covers. The caller must take
its data from these and from nothing else; whether it trusts the key is its own matter.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from lxml import etree

from certs.digests import digest
from certs.errors import MessageRefused
from certs.keys import SignatureAlgorithm
from certs.xml import c14n
from certs.xml.algorithms import DIGESTS, DSIG, SHA1_DIGESTS, SHA1_SIGNATURES, SIGNATURES, WEAK
from certs.xml.key_info import KeyReference, SigningKey, read_base64, read_key_info
from schemas.safe_xml import DEFAULT_LIMITS, UnsafeXml, XmlLimits, parse

WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
ENVELOPED: Final = f"{DSIG}enveloped-signature"
_DS: Final = f"{{{DSIG}}}"
_INCLUSIVE_NAMESPACES: Final = f"{{{c14n.EXCLUSIVE}}}InclusiveNamespaces"
# Every attribute that some stack takes for an Id. The expression finds candidates by any attribute: four times as fast.
_ID_ATTRIBUTES: Final = (f"{{{WSU}}}Id", "Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")
_HAVING_ATTRIBUTE: Final = etree.XPath("//*[@*=$value]")

KeyResolver = Callable[[KeyReference], SigningKey | None]
# A transform of our own layer (WS-Security's STR-Transform): element and ds:Transform -> octets.
Transform = Callable[[etree._Element, etree._Element], bytes]


@dataclass(frozen=True, slots=True)
class XmlPolicy:
    """What one partner is allowed. ``allow_sha1`` admits RSA-SHA1 and SHA-1 digests, for legacy partners only."""

    allow_sha1: bool = False
    max_references: int = 16
    limits: XmlLimits = DEFAULT_LIMITS


DEFAULT_POLICY: Final = XmlPolicy()


@dataclass(frozen=True, slots=True)
class SignedXml:
    """A signature that holds. ``elements`` stands in the order of the references.

    ``replay_id`` is the SHA-256 of the canonical SignedInfo in hexadecimal. It names what was signed and not the
    signature value, of which an ECDSA or SM2 signature has a second valid form that anybody can compute.
    """

    elements: tuple[etree._Element, ...]
    signer: SigningKey
    key_reference: KeyReference
    algorithm: SignatureAlgorithm
    replay_id: str


def parse_message(data: bytes, limits: XmlLimits = DEFAULT_LIMITS) -> etree._Element:
    """:func:`schemas.safe_xml.parse`, with the error of this package."""
    try:
        return parse(data, limits=limits)
    except UnsafeXml as error:
        zh, en = (f", 第 {error.line} 行", f", line {error.line}") if error.line else ("", "")
        raise MessageRefused(error.reason, (error.zh + zh, error.en + en)) from None


def verify_xml(
    document: bytes | etree._Element,
    *,
    resolve_key: KeyResolver,
    policy: XmlPolicy = DEFAULT_POLICY,
) -> SignedXml:
    """Verify the one ds:Signature of ``document``; :class:`MessageRefused` where there is none, or more than one.

    An element is taken as the root of what :func:`schemas.safe_xml.parse` returned.
    """
    root = parse_message(document, policy.limits) if isinstance(document, bytes) else document
    found = list(root.iter(f"{_DS}Signature"))
    if not found:
        raise MessageRefused("signature-missing", ("没有 ds:Signature", "no ds:Signature"))
    if len(found) > 1:
        raise MessageRefused(
            "signature-ambiguous", (f"有 {len(found)} 个 ds:Signature 元素", f"{len(found)} ds:Signature elements")
        )
    return verify_signature(found[0], resolve_key=resolve_key, policy=policy)


def verify_signature(
    signature: etree._Element,
    *,
    resolve_key: KeyResolver,
    policy: XmlPolicy = DEFAULT_POLICY,
    key_reference: KeyReference | None = None,
    transforms: Mapping[str, Transform] | None = None,
) -> SignedXml:
    """W3C XMLDSig 1.1, 3.2 (core validation), signature first, so that nothing is dereferenced for a stranger.

    0. the structure: SignedInfo, SignatureValue, KeyInfo?, Object*         (4.1 to 4.5)
    1. CanonicalizationMethod and SignatureMethod are of our profile        (4.4.1, 4.4.2)
    2. obtain the key                                                       (3.2.2 step 1)
    3. verify SignatureValue over the canonical SignedInfo                  (3.2.2 steps 2 and 3)
    4. for each Reference: obtain the data object, digest it, compare       (3.2.1 step 2)

    ``key_reference`` replaces ds:KeyInfo where a higher layer has read it. Owed by the caller: that the key is trusted,
    and that it works on ``elements`` only.
    """
    signed_info, value, key_info = _parts(signature)  # 0
    method, prefixes = _canonicalization(_child(signed_info, "CanonicalizationMethod"))  # 1
    algorithm = _signature_algorithm(_child(signed_info, "SignatureMethod"), policy)
    reference = key_reference or read_key_info(key_info)  # 2
    signer = resolve_key(reference)
    if signer is None:
        raise MessageRefused("key-unknown", ("此 ds:KeyInfo 所指的密钥未登记", "no key is known for this ds:KeyInfo"))
    if not signer.key.fits(algorithm):
        raise MessageRefused(
            "algorithm-mismatch", ("SignatureMethod 与密钥不符", "SignatureMethod does not fit the key")
        )
    signature_value = read_base64(value, "SignatureValue")  # 3
    signed = c14n.canonicalize(signed_info, method, prefixes)
    if not signer.key.verify(algorithm, signed, signature_value, raw=True):
        raise MessageRefused("signature-invalid", "SignatureValue")
    references = signed_info.findall(f"{_DS}Reference")  # 4
    if not 0 < len(references) <= policy.max_references:
        raise MessageRefused(
            "signature-malformed",
            (
                f"有 {len(references)} 个引用, 应为 1 至 {policy.max_references} 个",
                f"{len(references)} references, 1 to {policy.max_references} taken",
            ),
        )
    elements = tuple(_validate_reference(r, signature, policy, transforms or {}) for r in references)
    return SignedXml(elements, signer, reference, algorithm, hashlib.sha256(signed).hexdigest())


def _parts(signature: etree._Element) -> tuple[etree._Element, etree._Element, etree._Element | None]:
    names = [child.tag for child in signature.iterchildren(tag=etree.Element)]
    expected = [f"{_DS}SignedInfo", f"{_DS}SignatureValue"]
    rest = names[2:]
    if rest[:1] == [f"{_DS}KeyInfo"]:
        rest = rest[1:]
    if names[:2] != expected or any(name != f"{_DS}Object" for name in rest):
        raise MessageRefused(
            "signature-malformed",
            ("ds:Signature 的子元素不符合 XMLDSig 规范", "ds:Signature has not the children of the XMLDSig schema"),
        )
    signed_info = _child(signature, "SignedInfo")
    inner = [child.tag for child in signed_info.iterchildren(tag=etree.Element)]
    head = [f"{_DS}CanonicalizationMethod", f"{_DS}SignatureMethod"]
    if inner[:2] != head or any(name != f"{_DS}Reference" for name in inner[2:]):
        raise MessageRefused(
            "signature-malformed",
            ("ds:SignedInfo 的子元素不符合 XMLDSig 规范", "ds:SignedInfo has not the children of the XMLDSig schema"),
        )
    return signed_info, _child(signature, "SignatureValue"), signature.find(f"{_DS}KeyInfo")


def _canonicalization(element: etree._Element) -> tuple[str, tuple[str, ...]]:
    method = element.get("Algorithm", "")
    if method not in c14n.METHODS:
        raise MessageRefused("c14n-unsupported", "CanonicalizationMethod")
    return method, prefix_list(element, method)


def prefix_list(element: etree._Element, method: str) -> tuple[str, ...]:
    """InclusiveNamespaces of Exclusive XML Canonicalization, 3; no other parameter is known."""
    children = list(element)
    if not children:
        return ()
    if len(children) > 1 or children[0].tag != _INCLUSIVE_NAMESPACES or method != c14n.EXCLUSIVE:
        raise MessageRefused(
            "c14n-unsupported", ("含有 InclusiveNamespaces 以外的参数", "a parameter that is not InclusiveNamespaces")
        )
    return tuple(children[0].get("PrefixList", "").split())


def _signature_algorithm(element: etree._Element, policy: XmlPolicy) -> SignatureAlgorithm:
    uri = element.get("Algorithm", "")
    if len(element):
        raise MessageRefused("algorithm-unsupported", ("SignatureMethod 带有参数", "SignatureMethod with parameters"))
    found = SIGNATURES.get(uri) or (SHA1_SIGNATURES.get(uri) if policy.allow_sha1 else None)
    if found is None:
        raise _unsupported(uri, "SignatureMethod")
    return found


def _unsupported(uri: str, where: str) -> MessageRefused:
    if uri in WEAK:
        return MessageRefused(
            "algorithm-weak", (f"{where}: SHA-1、MD5、DSA 或 HMAC", f"{where}: SHA-1, MD5, DSA or HMAC")
        )
    return MessageRefused("algorithm-unsupported", where)


def _validate_reference(
    reference: etree._Element, signature: etree._Element, policy: XmlPolicy, own: Mapping[str, Transform]
) -> etree._Element:
    """3.2.1 step 2: dereference, transform (4.4.3.4), digest, compare. The element that is covered."""
    target = _dereference(reference, signature)
    octets = _transformed(reference, target, signature, own)
    method = _child(reference, "DigestMethod").get("Algorithm", "")
    name = DIGESTS.get(method) or (SHA1_DIGESTS.get(method) if policy.allow_sha1 else None)
    if name is None:
        raise _unsupported(method, "DigestMethod")
    stated = read_base64(_child(reference, "DigestValue"), "DigestValue")
    if not hmac.compare_digest(stated, digest(name, octets)):
        raise MessageRefused(
            "digest-mismatch",
            (f"对 {etree.QName(target).localname} 的引用", f"the reference to {etree.QName(target).localname}"),
        )
    return target


def _dereference(reference: etree._Element, signature: etree._Element) -> etree._Element:
    """4.4.3.3: the root for ``""``, the one element with the Id for ``#id``; never anything outside the document."""
    uri = reference.get("URI")
    if uri is None:
        raise MessageRefused("reference-unsupported", ("Reference 没有 URI", "a Reference without URI"))
    root = signature.getroottree().getroot()
    if uri == "":
        target = root
    elif uri.startswith("#") and len(uri) > 1 and not uri.startswith("#xpointer("):
        target = element_by_id(root, uri[1:])
    else:
        raise MessageRefused(
            "reference-unsupported", ("只接受对文档之内的引用", "only references inside the document are followed")
        )
    if target is root and (root.getprevious() is not None or root.getnext() is not None):
        raise MessageRefused(
            "reference-unsupported", ("被签名的根元素之外有处理指令", "a processing instruction beside the signed root")
        )
    return target


def element_by_id(root: etree._Element, identifier: str) -> etree._Element:
    """The one element that carries ``identifier`` in any Id attribute; two candidates are an attack, not a choice."""
    having = cast(list[etree._Element], _HAVING_ATTRIBUTE(root, value=identifier))
    found = [element for element in having if any(element.get(name) == identifier for name in _ID_ATTRIBUTES)]
    if not found:
        raise MessageRefused("reference-not-found", ("没有元素带有所引用的 Id", "no element has the referenced Id"))
    if len(found) > 1:
        raise MessageRefused(
            "id-duplicate", (f"有 {len(found)} 个元素带有所引用的 Id", f"{len(found)} elements have the referenced Id")
        )
    return found[0]


def _transformed(
    reference: etree._Element, target: etree._Element, signature: etree._Element, own: Mapping[str, Transform]
) -> bytes:
    """4.4.3.2: at most enveloped-signature, then one canonicalisation (inclusive 1.0 where none is named)."""
    holder = reference.find(f"{_DS}Transforms")
    steps = [] if holder is None else list(holder)
    if any(step.tag != f"{_DS}Transform" for step in steps):
        raise MessageRefused("signature-malformed", "ds:Transforms")
    enveloped = bool(steps) and steps[0].get("Algorithm") == ENVELOPED
    steps = steps[1:] if enveloped else steps
    if len(steps) > 1:
        raise MessageRefused(
            "transform-unsupported",
            ("enveloped-signature 之后的变换多于一个", "more than one transform after enveloped-signature"),
        )
    uri = steps[0].get("Algorithm", "") if steps else c14n.INCLUSIVE_1_0
    if not enveloped and uri in own:
        return own[uri](target, steps[0])
    if uri not in c14n.METHODS:
        raise MessageRefused("transform-unsupported", uri if uri in c14n.WITH_COMMENTS else "XPath, XSLT, base64, ...")
    prefixes = prefix_list(steps[0], uri) if steps else ()
    # 6.6.4: of a target that does not hold the signature, the transform takes nothing away (node-soap writes such).
    if enveloped and any(ancestor is target for ancestor in signature.iterancestors()):
        with c14n.without(signature):
            return c14n.canonicalize(target, uri, prefixes)
    return c14n.canonicalize(target, uri, prefixes)


def _child(element: etree._Element, name: str) -> etree._Element:
    found = element.findall(f"{_DS}{name}")
    if len(found) != 1:
        raise MessageRefused(
            "signature-malformed",
            (f"ds:{name} 应有 1 个, 实有 {len(found)} 个", f"{len(found)} ds:{name} elements where one must be"),
        )
    return found[0]
