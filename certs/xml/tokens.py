"""Security tokens of WS-Security: what a SecurityTokenReference means (WSS 1.1, 7; X.509 token profile 1.1, 3)."""

from __future__ import annotations

import base64
from typing import Final

from lxml import etree

from certs.errors import MessageRefused
from certs.xml import c14n
from certs.xml.algorithms import DSIG
from certs.xml.dsig import KeyResolver, element_by_id, prefix_list
from certs.xml.key_info import KeyReference, read_base64, read_key_info, read_x509_data

WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
STR_TRANSFORM: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"
X509_PROFILE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0"
BASE64_BINARY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
X509_V3: Final = f"{X509_PROFILE}#X509v3"
SUBJECT_KEY_IDENTIFIER: Final = f"{X509_PROFILE}#X509SubjectKeyIdentifier"
THUMBPRINT_SHA1: Final = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
_DS: Final = f"{{{DSIG}}}"
_WS: Final = f"{{{WSSE}}}"


def key_reference(signature: etree._Element, security: etree._Element) -> KeyReference:
    """What the ds:KeyInfo of ``signature`` says: a SecurityTokenReference, or X509Data as plain XMLDSig has it."""
    key_info = signature.find(f"{_DS}KeyInfo")
    if key_info is None:
        raise MessageRefused("key-info-missing", ("没有 ds:KeyInfo", "no ds:KeyInfo"))
    references = key_info.findall(f"{_WS}SecurityTokenReference")
    if not references:
        return read_key_info(key_info)
    if len(references) > 1 or len(key_info) > 1:
        raise MessageRefused("key-info-unsupported", ("ds:KeyInfo 中的密钥多于一个", "more than one key in ds:KeyInfo"))
    return read_str(references[0], security)


def read_str(reference: etree._Element, security: etree._Element) -> KeyReference:
    """One SecurityTokenReference; exactly one child decides."""
    children = list(reference)
    if len(children) != 1:
        raise MessageRefused(
            "key-info-unsupported",
            ("SecurityTokenReference 应有且只有一个子元素", "a SecurityTokenReference must have one child"),
        )
    child = children[0]
    if child.tag == f"{_WS}Reference":
        return KeyReference(certificate=_token_certificate(_token(child, security)))
    if child.tag == f"{_WS}KeyIdentifier":
        return _key_identifier(child)
    if child.tag == f"{_DS}X509Data":
        return read_x509_data(child)
    raise MessageRefused("key-info-unsupported", etree.QName(child).localname)


def _token(reference: etree._Element, security: etree._Element) -> etree._Element:
    """X.509 profile 3.2.1: a direct reference is to a token of the same Security header."""
    uri = reference.get("URI", "")
    if not uri.startswith("#"):
        raise MessageRefused("key-info-unsupported", ("令牌不在报文之内", "a token outside the message"))
    token = element_by_id(security.getroottree().getroot(), uri[1:])
    if token.tag != f"{_WS}BinarySecurityToken" or token.getparent() is not security:
        raise MessageRefused(
            "key-info-unsupported",
            ("所引用的不是本头中的 BinarySecurityToken", "the reference is to no BinarySecurityToken of this header"),
        )
    return token


def _token_certificate(token: etree._Element) -> bytes:
    if token.get("ValueType", X509_V3) != X509_V3 or token.get("EncodingType", BASE64_BINARY) != BASE64_BINARY:
        raise MessageRefused(
            "token-unsupported", ("只收 Base64Binary 编码的 X509v3 令牌", "only X509v3 tokens in Base64Binary are read")
        )
    return read_base64(token, "BinarySecurityToken")


def _key_identifier(element: etree._Element) -> KeyReference:
    value = read_base64(element, "KeyIdentifier")
    match element.get("ValueType", ""):
        case value_type if value_type == X509_V3:
            return KeyReference(certificate=value)
        case value_type if value_type == SUBJECT_KEY_IDENTIFIER:
            return KeyReference(subject_key_identifier=value)
        case value_type if value_type == THUMBPRINT_SHA1:
            return KeyReference(thumbprint_sha1=value)
    raise MessageRefused(
        "key-info-unsupported", ("KeyIdentifier 的 ValueType 不受支持", "the ValueType of KeyIdentifier")
    )


def dereference_str(
    target: etree._Element, transform: etree._Element, security: etree._Element, resolve_key: KeyResolver
) -> bytes:
    """The STR Dereference Transform (WSS 1.1, 8.3): the octets of the token instead of those of the reference to it.

    A reference without a token in the message (issuer and serial, identifiers) stands for a BinarySecurityToken made of
    the certificate, in the shape that WSS4J and the JDK write.
    """
    if target.tag != f"{_WS}SecurityTokenReference":
        raise MessageRefused(
            "transform-unsupported",
            ("STR-Transform 所指不是 SecurityTokenReference", "STR-Transform of what is no SecurityTokenReference"),
        )
    method = transform.find(f"{_WS}TransformationParameters/{_DS}CanonicalizationMethod")
    if method is None or method.get("Algorithm", "") not in c14n.METHODS:
        raise MessageRefused(
            "c14n-unsupported",
            ("STR-Transform 的 TransformationParameters 不受支持", "TransformationParameters of STR-Transform"),
        )
    uri = method.get("Algorithm", "")
    direct = target.find(f"{_WS}Reference")
    token = _token(direct, security) if direct is not None else _made_token(target, security, resolve_key)
    return _with_empty_default(c14n.canonicalize(token, uri, prefix_list(method, uri)))


def _made_token(target: etree._Element, security: etree._Element, resolve_key: KeyResolver) -> etree._Element:
    reference = read_str(target, security)
    signer = resolve_key(reference)
    certificate = reference.certificate or (signer.certificate if signer else None)
    if certificate is None:
        raise MessageRefused(
            "key-unknown", ("STR-Transform 所指的证书未登记", "STR-Transform of a certificate that is not known")
        )
    token = etree.Element(f"{_WS}BinarySecurityToken", nsmap={target.prefix: WSSE})
    token.set("ValueType", X509_V3)
    token.text = base64.b64encode(certificate).decode("ascii")
    return token


def _with_empty_default(octets: bytes) -> bytes:
    """WSS 1.1, 8.3: the apex element shows its default namespace, and so ``xmlns=""`` where it has none."""
    name, space, rest = octets.partition(b" ")
    if b">" in name:
        name, space, rest = octets.partition(b">")
        return name + b' xmlns=""' + space + rest
    return octets if rest.startswith(b"xmlns=") else name + b' xmlns="" ' + rest
