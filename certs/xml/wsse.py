"""WS-Security 1.1 with the X.509 token profile: verification of a signed SOAP envelope, in one strict profile.

A signature proves that some elements were signed; the attacks on SOAP (McIntosh and Austel 2005, Somorovsky and others
2012) move the signed Body elsewhere and put another in its place. So the question asked here is never "does it verify"
but "is the Body that will be processed, the soap:Body child of the root, itself the element that was signed", and the
same for the Timestamp of the Security header that is addressed to us.

Read: BinarySecurityToken by direct reference, KeyIdentifier (X509v3, subject key identifier, SHA-1 thumbprint),
X509Data (issuer and serial, certificate, SKI), inside a SecurityTokenReference or in KeyInfo itself; STR-Transform.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from certs.errors import MessageRefused
from certs.keys import SignatureAlgorithm
from certs.xml.algorithms import DSIG
from certs.xml.dsig import DEFAULT_POLICY, WSU, KeyResolver, SignedXml, XmlPolicy, parse_message, verify_signature
from certs.xml.key_info import KeyReference, SigningKey
from certs.xml.tokens import STR_TRANSFORM, WSSE, dereference_str, key_reference

SOAP_1_1: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2: Final = "http://www.w3.org/2003/05/soap-envelope"
MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
_ADDRESSING: Final = ("http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing")
_SECURITY: Final = f"{{{WSSE}}}Security"
_TIMESTAMP: Final = f"{{{WSU}}}Timestamp"
_SIGNATURE: Final = f"{{{DSIG}}}Signature"
_TOKEN: Final = f"{{{WSSE}}}BinarySecurityToken"
_IGNORED: Final = frozenset(
    {
        f"{{{WSSE}}}UsernameToken",  # a legacy partner may send one beside the signature; it proves nothing here
        "{http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd}SignatureConfirmation",
    }
)
# Roles that mean the hub (SOAP 1.1, 4.2.2; SOAP 1.2, 2.2).
_OUR_ROLES: Final = frozenset(
    {
        "",
        "http://schemas.xmlsoap.org/soap/actor/next",
        f"{SOAP_1_2}/role/next",
        f"{SOAP_1_2}/role/ultimateReceiver",
    }
)


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """A SOAP message whose Body and Timestamp are signed. Take the message from ``body`` and from nothing else."""

    body: etree._Element  # the soap:Body child of the Envelope
    headers: tuple[etree._Element, ...]  # header blocks that are signed too; the others prove nothing
    created: datetime
    expires: datetime | None
    signer: SigningKey
    key_reference: KeyReference
    algorithm: SignatureAlgorithm
    replay_id: str  # remember it until ``created`` plus the permitted age has passed


def verify_envelope(
    message: bytes | etree._Element,
    *,
    now: datetime,
    max_age: timedelta,
    resolve_key: KeyResolver,
    policy: XmlPolicy = DEFAULT_POLICY,
    understood: Collection[str] = _ADDRESSING,
) -> SignedEnvelope:
    """Verify, or raise :class:`MessageRefused`. An element must be the root that the safe parser returned.

    0. parse; the SOAP structure: Envelope(Header, Body), no processing instruction  (SOAP 1.1, 4; SOAP 1.2, 5.1)
    1. every header block that must be understood is                                (SOAP 1.1, 4.2.3; SOAP 1.2, 5.2.3)
    2. the one Security header addressed to us, with one Signature and one Timestamp (WSS 1.1, 5 and 10)
    3. the Timestamp is fresh                                                        (WSS 1.1, 10)
    4. the signing token                                                             (WSS 1.1, 7; X.509 profile, 3.2)
    5. core validation of the signature                                              (:func:`verify_signature`)
    6. the Body and the Timestamp are themselves signed; every reference is to a place of our profile

    ``understood`` are the namespaces of header blocks that the caller processes. Owed by the caller: that it trusts
    the key (``resolve_key`` answers for keys it knows only) and that ``replay_id`` is new.
    """
    root = parse_message(message, policy.limits) if isinstance(message, bytes) else message
    header, body = _structure(root)  # 0
    security = _security(header, understood)  # 1, 2
    signature, timestamp = _parts(security)
    created, expires = _check_timestamp(timestamp, now, max_age)  # 3
    reference = key_reference(signature, security)  # 4

    def str_transform(target: etree._Element, transform: etree._Element) -> bytes:
        return dereference_str(target, transform, security, resolve_key)

    signed = verify_signature(  # 5
        signature,
        resolve_key=resolve_key,
        policy=policy,
        key_reference=reference,
        transforms={STR_TRANSFORM: str_transform},
    )
    _check_coverage(signed, body, timestamp, security)  # 6
    headers = tuple(element for element in signed.elements if element.getparent() is header)
    return SignedEnvelope(body, headers, created, expires, signed.signer, reference, signed.algorithm, signed.replay_id)


def _structure(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace not in (SOAP_1_1, SOAP_1_2):
        raise MessageRefused(
            "soap-malformed", ("根元素不是 SOAP 1.1 或 1.2 的 Envelope", "the root is no SOAP 1.1 or 1.2 Envelope")
        )
    if root.getprevious() is not None or root.getnext() is not None or next(root.iter(etree.PI), None) is not None:
        raise MessageRefused("soap-malformed", ("含有处理指令", "a processing instruction"))
    children = list(root)
    soap = f"{{{name.namespace}}}"
    if [child.tag for child in children] == [f"{soap}Body"]:
        raise MessageRefused("security-missing", ("没有 soap:Header", "no soap:Header"))
    if [child.tag for child in children] != [f"{soap}Header", f"{soap}Body"]:
        raise MessageRefused(
            "soap-malformed",
            (
                "Envelope 应有一个 Header 和一个 Body, 别无其他",
                "the Envelope must have one Header and one Body, and nothing else",
            ),
        )
    return children[0], children[1]


def _security(header: etree._Element, understood: Collection[str]) -> etree._Element:
    soap = f"{{{etree.QName(header).namespace}}}"
    ours: list[etree._Element] = []
    for block in header:
        role = (block.get(f"{soap}actor") or block.get(f"{soap}role") or "").strip()
        if role not in _OUR_ROLES:
            continue
        if block.tag == _SECURITY:
            ours.append(block)
        elif _must_understand(block, soap) and etree.QName(block).namespace not in understood:
            raise MessageRefused("must-understand", etree.QName(block).localname)
    if not ours:
        raise MessageRefused("security-missing", ("没有 wsse:Security 头", "no wsse:Security header"))
    if len(ours) > 1:
        raise MessageRefused(
            "security-ambiguous",
            (f"同一接收方有 {len(ours)} 个 wsse:Security 头", f"{len(ours)} wsse:Security headers for one receiver"),
        )
    return ours[0]


def _must_understand(block: etree._Element, soap: str) -> bool:
    return block.get(f"{soap}mustUnderstand", "0").strip() in ("1", "true")


def _parts(security: etree._Element) -> tuple[etree._Element, etree._Element]:
    signatures: list[etree._Element] = []
    timestamps: list[etree._Element] = []
    for child in security:
        if child.tag == _SIGNATURE:
            signatures.append(child)
        elif child.tag == _TIMESTAMP:
            timestamps.append(child)
        elif child.tag != _TOKEN and child.tag not in _IGNORED:
            raise MessageRefused("security-unsupported", etree.QName(child).localname)
    if not signatures:
        raise MessageRefused(
            "signature-missing", ("wsse:Security 中没有 ds:Signature", "no ds:Signature in wsse:Security")
        )
    if not timestamps:
        raise MessageRefused(
            "timestamp-missing", ("wsse:Security 中没有 wsu:Timestamp", "no wsu:Timestamp in wsse:Security")
        )
    if len(signatures) > 1 or len(timestamps) > 1:
        raise MessageRefused(
            "signature-ambiguous", ("Signature 或 Timestamp 多于一个", "more than one Signature or Timestamp")
        )
    return signatures[0], timestamps[0]


# XML Schema dateTime in UTC or with an offset; a time without a zone is refused, because nobody knows which it means.
_DATE_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _check_timestamp(timestamp: etree._Element, now: datetime, max_age: timedelta) -> tuple[datetime, datetime | None]:
    names = [child.tag for child in timestamp]
    if names not in ([f"{{{WSU}}}Created"], [f"{{{WSU}}}Created", f"{{{WSU}}}Expires"]):
        raise MessageRefused(
            "timestamp-malformed",
            ("wsu:Timestamp 应有 Created, 可有 Expires", "wsu:Timestamp must have Created, and may have Expires"),
        )
    created = _instant(timestamp[0])
    expires = _instant(timestamp[1]) if len(timestamp) == 2 else None
    if created > now + MAX_CLOCK_SKEW:
        raise MessageRefused("signature-future", ("wsu:Created 晚于枢纽时钟", "wsu:Created lies ahead of our clock"))
    if now - created > max_age:
        raise MessageRefused(
            "signature-stale",
            (
                f"wsu:Created 早于 {int(max_age.total_seconds())} 秒前",
                f"wsu:Created is older than {int(max_age.total_seconds())} s",
            ),
        )
    if expires is not None and expires <= now:
        raise MessageRefused("signature-stale", ("wsu:Expires 已过", "wsu:Expires has passed"))
    return created, expires


def _instant(element: etree._Element) -> datetime:
    match = _DATE_TIME.fullmatch((element.text or "").strip())
    if match is None or len(element):
        raise MessageRefused(
            "timestamp-malformed",
            (
                f"{etree.QName(element).localname} 不是带时区的 dateTime",
                f"{etree.QName(element).localname} is no dateTime with a zone",
            ),
        )
    whole, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
        return moment.astimezone(UTC) + timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
    except (ValueError, OverflowError):
        raise MessageRefused("timestamp-malformed", etree.QName(element).localname) from None


def _check_coverage(
    signed: SignedXml, body: etree._Element, timestamp: etree._Element, security: etree._Element
) -> None:
    """The very elements, compared by identity in the tree, never by name or Id."""
    header = security.getparent()
    for element in signed.elements:
        parent = element.getparent()
        inside_key_info = any(ancestor.getparent() is security for ancestor in element.iterancestors(_SIGNATURE))
        if element is not body and parent is not header and parent is not security and not inside_key_info:
            raise MessageRefused(
                "reference-position",
                (
                    f"被签名的 {etree.QName(element).localname} 不在应有的位置",
                    f"a signed {etree.QName(element).localname} in an odd place",
                ),
            )
    if not any(element is body for element in signed.elements):
        raise MessageRefused(
            "body-not-signed",
            ("没有对本 Envelope 的 soap:Body 的引用", "no reference is to the soap:Body of this Envelope"),
        )
    if not any(element is timestamp for element in signed.elements):
        raise MessageRefused(
            "timestamp-not-signed",
            (
                "没有对本 Security 头的 wsu:Timestamp 的引用",
                "no reference is to the wsu:Timestamp of this Security header",
            ),
        )


def allow_sha1(policy: XmlPolicy = DEFAULT_POLICY) -> XmlPolicy:
    """The policy for a legacy partner whose stack signs with RSA-SHA1 (zeep and WSS4J 1.x unless told otherwise)."""
    return replace(policy, allow_sha1=True)
