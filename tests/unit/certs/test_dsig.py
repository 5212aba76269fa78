"""The strict XMLDSig profile: what it takes, what it refuses and with which word, and signxml in both directions."""

from __future__ import annotations

import pytest
import signxml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from certs.errors import BadKey, MessageRefused
from certs.keys import SignatureAlgorithm
from certs.xml.dsig import XmlPolicy, verify_xml
from certs.xml.key_info import KeyReference, KnownCertificates, SigningKey
from certs.xml.sign import sign_element
from tests.unit.certs.messages import KeyKind, certificate_of, key_of, raw_key, resolver

DS = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
DOCUMENT = b'<d xmlns="urn:d" xmlns:u="urn:u"><a Id="a">x</a><b Id="b" u:c="1">y<u:e/></b></d>'
KINDS: tuple[KeyKind, ...] = ("rsa", "p256", "p384", "ed25519", "sm2")


def signed(*ids: str, kind: KeyKind = "p256") -> bytes:
    root = etree.fromstring(DOCUMENT)
    sign_element(root, ids, key=key_of(kind), certificate=certificate_of(kind))
    return etree.tostring(root)


def reason(document: bytes, policy: XmlPolicy | None = None) -> str:
    with pytest.raises(MessageRefused) as caught:
        verify_xml(document, resolve_key=resolver(), policy=policy or XmlPolicy())
    return caught.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_enveloped_and_by_id(kind: KeyKind) -> None:
    whole = verify_xml(signed(kind=kind), resolve_key=resolver())
    assert [element.tag for element in whole.elements] == ["{urn:d}d"]
    some = verify_xml(signed("b", "a", kind=kind), resolve_key=resolver())
    assert [element.get("Id") for element in some.elements] == ["b", "a"]
    assert some.signer.certificate == certificate_of(kind)


def test_the_elements_are_those_of_the_callers_tree() -> None:
    root = etree.fromstring(signed("b"))
    assert verify_xml(root, resolve_key=resolver()).elements[0] is root[1]


def test_verifying_leaves_the_tree_as_it_was() -> None:
    document = signed().replace(b"</b><", b"</b>before<").replace(b"</ds:Signature>", b"</ds:Signature>after")
    root = etree.fromstring(document)
    before = etree.tostring(root)
    with pytest.raises(MessageRefused):
        verify_xml(root, resolve_key=resolver())
    assert etree.tostring(root) == before


def test_a_registered_key_without_certificate() -> None:
    root = etree.fromstring(DOCUMENT)
    sign_element(root, ["a"], key=key_of("ed25519"))
    known = SigningKey(key_of("ed25519").public_key)
    result = verify_xml(root, resolve_key=lambda reference: known if reference == KeyReference() else None)
    assert result.signer is known


def edited(document: bytes, old: str, new: str) -> bytes:
    assert old.encode() in document
    return document.replace(old.encode(), new.encode(), 1)


EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
REFUSED = {
    "no signature": (DOCUMENT, "signature-missing"),
    "two signatures": (signed().replace(b"</d>", signed()[signed().index(b"<ds:Signature ") :]), "signature-ambiguous"),
    "value altered": (edited(signed("a"), ">x<", ">X<"), "digest-mismatch"),
    "attribute altered": (edited(signed("b"), 'c="1"', 'c="2"'), "digest-mismatch"),
    "namespace altered": (edited(signed("b"), "urn:u", "urn:v"), "digest-mismatch"),
    "id given twice": (edited(signed("a"), '<b Id="b"', '<b Id="a"'), "id-duplicate"),
    "id given twice, spelled ID": (edited(signed("a"), '<b Id="b"', '<b ID="a"'), "id-duplicate"),
    "id given twice, xml:id": (edited(signed("a"), '<b Id="b"', '<b xml:id="a"'), "id-duplicate"),
    "id gone": (edited(signed("a"), '<a Id="a"', "<a"), "reference-not-found"),
    "signature value altered": (edited(signed("a"), "<ds:SignatureValue>", "<ds:SignatureValue>AAAA"), "signature-invalid"),
    "signature value no base64": (edited(signed("a"), "<ds:SignatureValue>", "<ds:SignatureValue>*"), "signature-malformed"),
    "signed info altered": (edited(signed("a"), 'URI="#a"', 'URI="#b"'), "signature-invalid"),
    "sha1": (edited(signed("a"), f"{MORE}ecdsa-sha256", f"{DS}rsa-sha1"), "algorithm-weak"),
    "dsa": (edited(signed("a"), f"{MORE}ecdsa-sha256", f"{DS}dsa-sha1"), "algorithm-weak"),
    "hmac": (edited(signed("a"), f"{MORE}ecdsa-sha256", f"{MORE}hmac-sha256"), "algorithm-unsupported"),
    "algorithm of another key": (edited(signed("a"), f"{MORE}ecdsa-sha256", f"{MORE}rsa-sha256"), "algorithm-mismatch"),
    "c14n with comments": (edited(signed("a"), EXCLUSIVE, f"{EXCLUSIVE}WithComments"), "c14n-unsupported"),
    "no key info": (edited(edited(signed("a"), "<ds:KeyInfo>", "<!--"), "</ds:KeyInfo>", "-->"), "key-unknown"),
    "foreign child": (edited(signed("a"), "<ds:SignatureValue>", "<x/><ds:SignatureValue>"), "signature-malformed"),
    "instruction beside the root": (b"<?evil?>" + signed(), "reference-unsupported"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    document, word = REFUSED[name]
    assert reason(document) == word


# What a holder of a registered key may sign and we still refuse: the profile is not only about strangers.
TRANSFORM = '{}"/></ds:Transforms>'
TR = "http://www.w3.org/TR/1999/REC-"
UNSUPPORTED = {
    "external reference": ('URI="#a"', 'URI="http://evil.example/"', "reference-unsupported"),
    "file reference": ('URI="#a"', 'URI="file:///etc/hostname"', "reference-unsupported"),
    "xpointer": ('URI="#a"', 'URI="#xpointer(id(%27a%27))"', "reference-unsupported"),
    "no URI": ('URI="#a"', "", "reference-unsupported"),
    "xpath": (TRANSFORM.format(EXCLUSIVE), TRANSFORM.format(f"{TR}xpath-19991116"), "transform-unsupported"),
    "xslt": (TRANSFORM.format(EXCLUSIVE), TRANSFORM.format(f"{TR}xslt-19991116"), "transform-unsupported"),
    "base64": (TRANSFORM.format(EXCLUSIVE), TRANSFORM.format(f"{DS}base64"), "transform-unsupported"),
    "two canonicalisations": (
        "<ds:Transforms>",
        f'<ds:Transforms><ds:Transform Algorithm="{EXCLUSIVE}"/>',
        "transform-unsupported",
    ),
    "sha1 digest": ("http://www.w3.org/2001/04/xmlenc#sha256", f"{DS}sha1", "algorithm-weak"),
    "md5 digest": ("http://www.w3.org/2001/04/xmlenc#sha256", f"{MORE}md5", "algorithm-weak"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_signed_but_outside_the_profile(name: str) -> None:
    old, new, word = UNSUPPORTED[name]
    assert reason(resigned(edited(signed("a"), old, new))) == word


def resigned(document: bytes) -> bytes:
    """A valid SignatureValue over whatever SignedInfo now says."""
    import base64

    root = etree.fromstring(document)
    info = root.find(f".//{{{DS}}}SignedInfo")
    value = root.find(f".//{{{DS}}}SignatureValue")
    assert info is not None
    assert value is not None
    octets = etree.tostring(info, method="c14n", exclusive=True, with_comments=False)
    value.text = base64.b64encode(key_of("p256").sign(SignatureAlgorithm.ECDSA_SHA256, octets, raw=True)).decode()
    return etree.tostring(root)


def test_too_many_references() -> None:
    document = signed("a")
    start, end = document.index(b"<ds:Reference "), document.index(b"</ds:SignedInfo>")
    many = document[:start] + document[start:end] * 17 + document[end:]
    assert reason(resigned(many)) == "signature-malformed"
    assert verify_xml(resigned(document[:start] + document[start:end] * 16 + document[end:]), resolve_key=resolver())


def test_signing_needs_a_key_that_fits() -> None:
    with pytest.raises(BadKey):
        sign_element(etree.fromstring(DOCUMENT), ["a"], key=key_of("p256"), algorithm=SignatureAlgorithm.ED25519)


# --- signxml as the other side ----------------------------------------------------------------------------------------

SIGNXML = [
    ("rsa", SignatureMethod.RSA_SHA256, DigestAlgorithm.SHA256, CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0),
    ("rsa", SignatureMethod.RSA_SHA384, DigestAlgorithm.SHA384, CanonicalizationMethod.CANONICAL_XML_1_0),
    ("rsa", SignatureMethod.RSA_SHA512, DigestAlgorithm.SHA512, CanonicalizationMethod.CANONICAL_XML_1_1),
    ("p256", SignatureMethod.ECDSA_SHA256, DigestAlgorithm.SHA256, CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0),
    ("p384", SignatureMethod.ECDSA_SHA384, DigestAlgorithm.SHA384, CanonicalizationMethod.CANONICAL_XML_1_0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "method", "digest", "c14n"), SIGNXML)
def test_we_verify_what_signxml_signs(
    kind: KeyKind, method: SignatureMethod, digest: DigestAlgorithm, c14n: CanonicalizationMethod
) -> None:
    signer = signxml.XMLSigner(signature_algorithm=method, digest_algorithm=digest, c14n_algorithm=c14n)
    certificate = x509.load_der_x509_certificate(certificate_of(kind))
    root = signer.sign(etree.fromstring(DOCUMENT), key=raw_key(kind), cert=[certificate])  # type: ignore[arg-type]
    assert verify_xml(etree.tostring(root), resolve_key=resolver()).elements[0].tag == "{urn:d}d"


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
@pytest.mark.parametrize("ids", [(), ("a",), ("a", "b")])
def test_signxml_verifies_what_we_sign(kind: KeyKind, ids: tuple[str, ...]) -> None:
    pem = x509.load_der_x509_certificate(certificate_of(kind)).public_bytes(Encoding.PEM)
    expected = signxml.SignatureConfiguration(expect_references=max(1, len(ids)), require_x509=True)
    results = signxml.XMLVerifier().verify(signed(*ids, kind=kind), x509_cert=pem, expect_config=expected)
    assert results


# --- only our error leaves --------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_escapes_or_passes_unnoticed(data: st.DataObject) -> None:
    """Any slice of the document replaced by anything: refused with our error, or what is signed is as it was."""
    document = signed("a", "b")
    start = data.draw(st.integers(0, len(document)))
    length = data.draw(st.integers(0, 8))
    new = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from([b"<a/>", b'Id="a"', b"<!---->", b"#", b"&#0;"])))
    mutated = document[:start] + new + document[start + length :]
    try:
        result = verify_xml(mutated, resolve_key=resolver())
    except MessageRefused:
        return
    texts = [etree.tostring(element, method="c14n", exclusive=True, with_comments=False) for element in result.elements]
    assert texts == [
        b'<a xmlns="urn:d" Id="a">x</a>',
        b'<b xmlns="urn:d" xmlns:u="urn:u" Id="b" u:c="1">y<u:e></u:e></b>',
    ]


# --- known certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "known"),
    [
        ("CN=rsa 1,O=Test\\, of messages,C=CN", True),
        ("C=CN, O=Test\\, of messages, CN=rsa 1", True),
        ('CN=rsa 1, O="Test, of messages", C=CN', True),
        ("2.5.4.3=RSA 1,O=test\\2C of  messages,C=cn", True),
        ("CN=rsa 2,O=Test\\, of messages,C=CN", False),
        ("CN=rsa 1", False),
        ("", False),
    ],
)
def test_issuer_names_as_stacks_write_them(issuer: str, known: bool) -> None:
    certificate = certificate_of("rsa")
    serial = x509.load_der_x509_certificate(certificate).serial_number
    found = KnownCertificates([certificate])(KeyReference(issuer=issuer, serial=serial))
    assert (found is not None) is known


def test_statements_must_agree() -> None:
    certificates = KnownCertificates([certificate_of("rsa"), certificate_of("p256")])
    ski = x509.load_der_x509_certificate(certificate_of("rsa")).extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    )
    assert certificates(KeyReference(subject_key_identifier=ski.value.digest)) is not None
    assert certificates(KeyReference(subject_key_identifier=ski.value.digest, thumbprint_sha1=b"x" * 20)) is None
    assert certificates(KeyReference()) is None


def test_a_registered_certificate_that_cannot_be_read() -> None:
    with pytest.raises(BadKey):
        KnownCertificates([b"\x30\x00"])
