"""Making XML signatures of our profile: exclusive canonical XML, references by Id or to the root, X509Data."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from certs.digests import digest
from certs.errors import BadKey
from certs.keys import SignatureAlgorithm, Signer
from certs.xml import c14n
from certs.xml.algorithms import DIGESTS, DSIG, SIGNATURES
from certs.xml.dsig import ENVELOPED, element_by_id

_DS: Final = f"{{{DSIG}}}"


@dataclass(frozen=True, slots=True)
class Reference:
    """One element to sign. ``uri`` is ``#id``, or empty for the root with the signature inside it."""

    uri: str
    target: etree._Element


def sign_element(
    root: etree._Element,
    ids: Sequence[str],
    *,
    key: Signer,
    certificate: bytes | None = None,
    algorithm: SignatureAlgorithm | None = None,
) -> etree._Element:
    """Append a ds:Signature over the elements with these Ids to ``root`` and return it; no Id signs the whole root.

    ``certificate`` is DER, written as X509Data. ``algorithm`` defaults to the first that fits the key.
    """
    references = [Reference(f"#{name}", element_by_id(root, name)) for name in ids] or [Reference("", root)]
    key_info = None if certificate is None else x509_data(certificate)
    return append_signature(root, references, key=key, key_info=key_info, algorithm=algorithm)


def append_signature(
    parent: etree._Element,
    references: Sequence[Reference],
    *,
    key: Signer,
    key_info: etree._Element | None = None,
    algorithm: SignatureAlgorithm | None = None,
) -> etree._Element:
    """Append a ds:Signature over ``references`` to ``parent``; ``key_info`` becomes the child of its ds:KeyInfo."""
    uri, chosen = _method(key, algorithm)
    digest_uri = next(name for name, value in DIGESTS.items() if value == chosen.hash_name)
    signature = etree.SubElement(parent, f"{_DS}Signature", nsmap={"ds": DSIG})
    signed_info = etree.SubElement(signature, f"{_DS}SignedInfo")
    etree.SubElement(signed_info, f"{_DS}CanonicalizationMethod", Algorithm=c14n.EXCLUSIVE)
    etree.SubElement(signed_info, f"{_DS}SignatureMethod", Algorithm=uri)
    for reference in references:
        _add_reference(signed_info, reference, signature, digest_uri)
    octets = c14n.canonicalize(signed_info, c14n.EXCLUSIVE)
    value = etree.SubElement(signature, f"{_DS}SignatureValue")
    value.text = base64.b64encode(key.sign(chosen, octets, raw=True)).decode("ascii")
    if key_info is not None:
        etree.SubElement(signature, f"{_DS}KeyInfo").append(key_info)
    return signature


def x509_data(certificate: bytes) -> etree._Element:
    """ds:X509Data with one certificate (DER)."""
    data = etree.Element(f"{_DS}X509Data", nsmap={"ds": DSIG})
    etree.SubElement(data, f"{_DS}X509Certificate").text = base64.b64encode(certificate).decode("ascii")
    return data


def _add_reference(
    signed_info: etree._Element, reference: Reference, signature: etree._Element, digest_uri: str
) -> None:
    element = etree.SubElement(signed_info, f"{_DS}Reference", URI=reference.uri)
    transforms = etree.SubElement(element, f"{_DS}Transforms")
    enveloped = any(ancestor is reference.target for ancestor in signature.iterancestors())
    if enveloped:
        etree.SubElement(transforms, f"{_DS}Transform", Algorithm=ENVELOPED)
    etree.SubElement(transforms, f"{_DS}Transform", Algorithm=c14n.EXCLUSIVE)
    etree.SubElement(element, f"{_DS}DigestMethod", Algorithm=digest_uri)
    if enveloped:
        with c14n.without(signature):
            octets = c14n.canonicalize(reference.target, c14n.EXCLUSIVE)
    else:
        octets = c14n.canonicalize(reference.target, c14n.EXCLUSIVE)
    stated = etree.SubElement(element, f"{_DS}DigestValue")
    stated.text = base64.b64encode(digest(DIGESTS[digest_uri], octets)).decode("ascii")


def _method(key: Signer, algorithm: SignatureAlgorithm | None) -> tuple[str, SignatureAlgorithm]:
    for uri, candidate in SIGNATURES.items():
        if algorithm in (None, candidate) and key.public_key.fits(candidate):
            return uri, candidate
    raise BadKey(
        "该密钥不适用于任何 XML 签名算法，或不适用于所要求的算法",
        "the key fits no XML signature algorithm, or not the one asked for",
    )
