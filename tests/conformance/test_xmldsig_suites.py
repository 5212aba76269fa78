"""The XMLDSig interoperability sets (Merlin, Phaos, W3C 1.1 of 2012) against the strict profile.

``data/xmldsig.json`` says of each file whether it verifies, or with which reason it is refused and why: most of these
files are from 2002 and use SHA-1, DSA, HMAC, XPath, XSLT or references outside the document. Of those that verify, an
altered byte at every sampled place must be noticed.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from certs.errors import BadKey, MessageRefused
from certs.keys import PublicKey
from certs.x509.signing_cert import SigningCert
from certs.xml.dsig import KeyResolver, SignedXml, verify_xml
from certs.xml.key_info import KeyReference, SigningKey
from schemas.safe_xml import UnsafeXml, parse

TABLE = json.loads((Path(__file__).parent / "data" / "xmldsig.json").read_text())
EXPECTED: dict[str, str] = {name: row["outcome"] for name, row in TABLE.items()}
VERIFY = [name for name, outcome in EXPECTED.items() if outcome == "verifies"]
DS = "{http://www.w3.org/2000/09/xmldsig#}"
DS11 = "{http://www.w3.org/2009/xmldsig11#}"
CURVES = {
    "urn:oid:1.2.840.10045.3.1.7": ec.SECP256R1(),
    "urn:oid:1.3.132.0.34": ec.SECP384R1(),
    "urn:oid:1.3.132.0.35": ec.SECP521R1(),
}


def suite() -> Path:
    folder = os.environ.get("HUB_CONFORMANCE_DIR")
    if not folder:
        pytest.skip("HUB_CONFORMANCE_DIR names no folder with the conformance data")
    return Path(folder) / "xmldsig"


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def stated_key(document: bytes) -> bytes | None:
    """The SPKI of the ds:KeyValue in the message; our profile takes no key from a message, so the test registers it."""
    try:
        root = parse(document)
    except UnsafeXml:
        return None

    def octets(element: etree._Element, name: str) -> bytes:
        return base64.b64decode(element.findtext(name) or "")

    if (value := root.find(f".//{DS}RSAKeyValue")) is not None:
        n, e = (int.from_bytes(octets(value, f"{DS}{name}"), "big") for name in ("Modulus", "Exponent"))
        return spki(rsa.RSAPublicNumbers(e, n).public_key())
    if (value := root.find(f".//{DS11}DEREncodedKeyValue")) is not None:
        return base64.b64decode(value.text or "")
    if (value := root.find(f".//{DS11}ECKeyValue")) is not None:
        named = value.find(f"{DS11}NamedCurve")
        if named is not None:
            curve = CURVES[named.get("URI", "")]
            return spki(ec.EllipticCurvePublicKey.from_encoded_point(curve, octets(value, f"{DS11}PublicKey")))
    return rfc4050_key(root)


def rfc4050_key(root: etree._Element) -> bytes | None:
    """RFC 4050: the point as two decimal numbers."""
    value = root.find(".//{http://www.w3.org/2001/04/xmldsig-more#}ECDSAKeyValue")
    if value is None:
        return None
    named = value.find(".//{*}NamedCurve")
    x, y = value.find(".//{*}X"), value.find(".//{*}Y")
    assert named is not None
    assert x is not None
    assert y is not None
    numbers = ec.EllipticCurvePublicNumbers(
        int(x.get("Value", "")), int(y.get("Value", "")), CURVES[named.get("URN", "")]
    )
    return spki(numbers.public_key())


def resolver(document: bytes, folder: Path) -> KeyResolver:
    def resolve(reference: KeyReference) -> SigningKey | None:
        try:
            if reference.certificate is not None:
                return SigningKey.of_certificate(reference.certificate)
            stated = stated_key(document)
            if stated is None:  # X509Digest names the suite's own RSA key
                own = folder / "keys" / "rsa-key.crt"
                return SigningKey(SigningCert.from_der(own.read_bytes()).public_key) if own.exists() else None
            return SigningKey(PublicKey.from_spki_der(stated))
        except BadKey:
            return None

    return resolve


def verify(name: str, document: bytes) -> SignedXml:
    return verify_xml(document, resolve_key=resolver(document, (suite() / name).parent))


@pytest.mark.parametrize("name", EXPECTED)
def test_outcome(name: str) -> None:
    document = (suite() / name).read_bytes()
    try:
        outcome = "verifies" if verify(name, document).elements else "nothing"
    except MessageRefused as error:
        outcome = error.reason
    assert outcome == EXPECTED[name]


def test_every_file_of_the_suites_is_in_the_table() -> None:
    files = {str(path.relative_to(suite())) for path in suite().rglob("*.xml")}
    assert files == set(EXPECTED)


@pytest.mark.parametrize("name", VERIFY)
def test_every_altered_byte_is_noticed(name: str) -> None:
    """One bit of each byte of SignedInfo, SignatureValue and the signed element, wherever it carries meaning.

    ``certain`` are bytes of values (text and attribute values); of markup, an alteration that leaves the canonical form as
    it was (one kind of white space for another inside a tag) is no alteration.
    """
    document = (suite() / name).read_bytes()
    resolve = resolver(document, (suite() / name).parent)
    original = verify_xml(document, resolve_key=resolve)
    canonical = [etree.tostring(element, method="c14n", with_comments=False) for element in original.elements]
    start, end = document.index(b"SignedInfo"), document.rindex(b"SignatureValue")
    noticed = 0
    for position in range(start, end, 3):
        altered = document[:position] + bytes([document[position] ^ 1]) + document[position + 1 :]
        try:
            result = verify_xml(altered, resolve_key=resolve)
        except MessageRefused:
            noticed += 1
            continue
        assert [etree.tostring(element, method="c14n", with_comments=False) for element in result.elements] == canonical
        assert result.replay_id == original.replay_id
    assert noticed > 0.95 * len(range(start, end, 3))
    content = document.index(b">", document.index(b"Object ")) + 1
    for position in range(content, document.index(b"</", content)):
        altered = document[:position] + bytes([document[position] ^ 1]) + document[position + 1 :]
        with pytest.raises(MessageRefused):
            verify_xml(altered, resolve_key=resolve)
