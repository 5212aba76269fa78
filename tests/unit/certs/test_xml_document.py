"""Signed XML documents at the front door: by their own certificates, with what lies outside of every signature."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from lxml import etree

from certs.issuing.authority import Identity, new_root
from certs.issuing.messages import sign_message
from certs.keys import SignatureAlgorithm
from certs.policy import Policy
from certs.report import Axis, Indication, Report, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, format_of, verify
from certs.xml.algorithms import DSIG
from certs.xml.document import verify_xml_document
from certs.xml.sign import sign_element
from certs.xml.wsse_sign import sign_envelope
from tests.fuzz.chains import NOW, world
from tests.unit.certs.messages import envelope
from tests.unit.certs.ofd_cases import on
from tests.unit.certs.pdfs import blank, embed

PASSED, FAILED, UNSURE = Indication.PASSED, Indication.FAILED, Indication.INDETERMINATE
POLICY = Policy(revocation="off")
DOCUMENT = '<licence xmlns="urn:l"><holder Id="h">某校</holder><issuer Id="i">教育局</issuer></licence>'
KINDS = [
    SignatureAlgorithm.SM2_SM3,
    SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithm.RSA_PKCS1_SHA256,
    SignatureAlgorithm.ED25519,
]


def signed(*ids: str, signer: Identity | None = None, chain: tuple[Identity, ...] = ()) -> etree._Element:
    signer = signer or world().leaf
    root = etree.fromstring(DOCUMENT)
    signature = sign_element(root, ids, key=signer.key, certificate=signer.cert.der)
    data = signature.find(f".//{{{DSIG}}}X509Data")
    assert data is not None
    for number, other in enumerate(chain or (world().middle,)):
        element = etree.Element(f"{{{DSIG}}}X509Certificate")
        element.text = base64.b64encode(other.cert.der).decode()
        data.insert(number, element)  # before the signer's: XMLDSig gives a chain no order
    return root


def judge(root: etree._Element | bytes, policy: Policy = POLICY, trust: TrustStore | None = None) -> Report:
    data = root if isinstance(root, bytes) else etree.tostring(root)
    return verify(data, policy=policy, at=NOW, trust=trust or world().trust, fetchers=Fetchers())


def test_an_enveloped_signature_covers_everything() -> None:
    report = judge(signed())
    assert (report.format, report.indication) == ("xml", PASSED)
    assert {axis: report.axis(axis) for axis in (Axis.FORMAT, Axis.CONTENT, Axis.COVERAGE, Axis.PATH)} == dict.fromkeys(
        (Axis.FORMAT, Axis.CONTENT, Axis.COVERAGE, Axis.PATH), PASSED
    )
    assert report.signers[0].fingerprint_sha256 == world().leaf.cert.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key(kind: SignatureAlgorithm) -> None:
    w = world(kind)
    report = judge(signed(signer=w.leaf, chain=(w.middle,)), trust=w.trust)
    assert report.indication is PASSED
    assert on(report, Axis.SIGNATURE)[0].data["algorithm"]


def test_what_no_signature_covers_is_named() -> None:
    report = judge(signed("h"))
    assert (report.indication, report.sub_indication) == (UNSURE, SubIndication.UNCOVERED_CONTENT)
    assert on(report, Axis.COVERAGE)[0].data == {"files": "/licence\n/licence/issuer", "count": "2"}
    assert on(report, Axis.CONTENT)[0].data == {"signed": "/licence/holder"}
    assert judge(signed("h"), Policy(revocation="off", uncovered=FAILED)).indication is FAILED
    assert judge(signed("h"), Policy(revocation="off", uncovered_allowed=("/licence*",))).indication is PASSED


def test_two_signers_cover_one_part_each() -> None:
    root = signed("h")
    other = world(SignatureAlgorithm.SM2_SM3)
    sign_element(root, ["i"], key=other.leaf.key, certificate=other.leaf.cert.der)
    report = judge(root)
    assert on(report, Axis.COVERAGE)[0].data["files"] == "/licence"
    assert [s.fingerprint_sha256 for s in report.signers] == [
        world().leaf.cert.fingerprint,
        other.leaf.cert.fingerprint,
    ]
    paths = {f.signature: f.indication for f in on(report, Axis.PATH)}
    assert paths == {0: PASSED, 1: UNSURE}  # the second signer's root is not trusted


def test_altered_content_and_altered_signatures_fail() -> None:
    altered = etree.tostring(signed()).replace("某校".encode("ascii", "xmlcharrefreplace"), b"x")
    report = judge(altered)
    assert (report.indication, report.sub_indication) == (FAILED, SubIndication.HASH_FAILURE)
    assert report.axis(Axis.SIGNATURE) is PASSED
    root = signed()
    value = root.find(f".//{{{DSIG}}}SignatureValue")
    assert value is not None
    value.text = base64.b64encode(bytes(64)).decode()
    report = judge(root)
    assert (report.indication, report.sub_indication) == (FAILED, SubIndication.SIG_CRYPTO_FAILURE)
    assert on(report, Axis.PATH)  # judged all the same


def test_a_moved_part_leaves_its_old_place_uncovered() -> None:
    """Signature wrapping: the signed holder is put aside, another one stands in its place."""
    root = signed("h")
    holder = root[0]
    aside = etree.SubElement(root, "{urn:l}aside")
    false = etree.fromstring(etree.tostring(holder))
    false.text, false.attrib["Id"] = "别的学校", "x"
    root.replace(holder, false)
    aside.append(holder)
    report = judge(root)
    assert (report.indication, report.axis(Axis.SIGNATURE)) == (UNSURE, PASSED)
    assert "/licence/holder" in on(report, Axis.COVERAGE)[0].data["files"].split("\n")


def test_an_object_slipped_into_the_signature_is_uncovered() -> None:
    root = signed()
    etree.SubElement(root[-1], f"{{{DSIG}}}Object").text = "holder: somebody else"
    assert on(judge(root), Axis.COVERAGE)[0].data == {"files": "/licence/Signature/Object", "count": "1"}
    root = signed("h", "i")
    etree.SubElement(root[-1], f"{{{DSIG}}}Object").text = "holder: somebody else"
    assert "/licence/Signature/Object" in on(judge(root), Axis.COVERAGE)[0].data["files"].split("\n")


@pytest.mark.parametrize(
    ("old", "new", "axis", "indication"),
    [
        (b"rsa-sha256", b"rsa-md5", Axis.SIGNATURE, UNSURE),
        (b"2001/04/xmldsig-more#rsa-sha256", b"2000/09/xmldsig#rsa-sha1", Axis.SIGNATURE, UNSURE),
        (b"2001/04/xmldsig-more#rsa-sha256", b"2000/09/xmldsig#hmac-sha1", Axis.SIGNATURE, UNSURE),
        (b"xmldsig-more#rsa-sha256", b"xmldsig-more#ecdsa-sha256", Axis.SIGNATURE, FAILED),
        (b"<ds:SignedInfo>", b"<ds:SignedInfo><x/>", Axis.FORMAT, FAILED),
    ],
)
def test_methods_that_are_weak_or_of_another_key(old: bytes, new: bytes, axis: Axis, indication: Indication) -> None:
    w = world(SignatureAlgorithm.RSA_PKCS1_SHA256)
    data = etree.tostring(signed(signer=w.leaf, chain=(w.middle,)))
    assert old in data
    report = judge(data.replace(old, new), trust=w.trust)
    assert report.axis(axis) is indication
    assert report.indication is indication


def test_no_signature_no_certificate_no_xml() -> None:
    assert judge(DOCUMENT.encode()).sub_indication is SubIndication.NOT_SIGNED
    root = etree.fromstring(DOCUMENT)
    sign_element(root, [], key=world().leaf.key)
    assert judge(root).sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND
    for junk in (b"<a", b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", b"\xff\xfe<\x00", b"<a>" * 100_000, b"<a b='" * 9):
        report = judge(junk)
        assert (report.indication, report.sub_indication) == (FAILED, SubIndication.FORMAT_FAILURE)


def test_a_known_signer_need_not_be_carried() -> None:
    root = signed()
    data = root.find(f".//{{{DSIG}}}X509Data")
    assert data is not None
    for element in list(data):
        data.remove(element)
    ski = etree.SubElement(data, f"{{{DSIG}}}X509SKI")
    ski.text = base64.b64encode(world().leaf.cert.subject_key_id or b"").decode()
    known = Fetchers(certs=(world().leaf.cert, world().middle.cert))
    document = etree.tostring(root)
    assert verify(document, policy=POLICY, at=NOW, trust=world().trust, fetchers=known).indication is PASSED
    assert judge(document).sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_a_soap_message_as_a_document() -> None:
    """Body and Timestamp are signed, and the frame of SOAP says nothing; a header that is not signed is named."""
    leaf = world().leaf
    message = sign_envelope(envelope(), key=leaf.key, certificate=leaf.cert.der, created=NOW)
    known = Fetchers(certs=(world().middle.cert,))
    report = verify(etree.tostring(message), policy=POLICY, at=NOW, trust=world().trust, fetchers=known)
    assert report.indication is PASSED
    etree.SubElement(message[0], "{urn:x}Route").text = "elsewhere"
    report = verify(etree.tostring(message), policy=POLICY, at=NOW, trust=world().trust, fetchers=known)
    assert on(report, Axis.COVERAGE)[0].data["files"] == "/Envelope/Header/Route"


def test_time_is_that_of_the_verification() -> None:
    root = new_root("r", SignatureAlgorithm.ECDSA_SHA256, not_before=NOW - timedelta(9), not_after=NOW + timedelta(9))
    store = TrustStore.of([root.cert], ["message"], NOW)
    leaf = root.issue("leaf", not_before=NOW - timedelta(2), not_after=NOW + timedelta(1))
    data = etree.tostring(signed(signer=leaf, chain=(root,)))
    for at, wanted in ((NOW, PASSED), (leaf.cert.not_after, PASSED), (NOW + timedelta(days=2), FAILED)):
        report = verify_xml_document(
            data, trust=store, policy=POLICY, revocation=Fetchers().revocation, at=at, purpose="message"
        )
        assert report.axis(Axis.VALIDITY) is wanted


def test_many_uncovered_elements_take_no_time() -> None:
    root = signed("h")
    for _ in range(50_000):
        etree.SubElement(root, "{urn:l}x")
    report = judge(root, Policy(revocation="off", uncovered_allowed=("*",)))
    assert report.axis(Axis.COVERAGE) is UNSURE
    assert on(report, Axis.COVERAGE)[0].data["count"] == "257"


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n  ", b'<?xml version="1.0" encoding="GB18030"?>'])
def test_xml_is_known_by_its_first_bytes(start: bytes) -> None:
    assert format_of(start + b"<a/>") == "xml"


def test_issuers_that_the_caller_knows_serve_pdfs() -> None:
    leaf = world().leaf
    document = embed(blank(), lambda content: sign_message(content, leaf, chain=[]), "one")
    known = Fetchers(certs=(world().middle.cert,))
    assert judge(document).axis(Axis.PATH) is UNSURE
    assert verify(document, policy=POLICY, at=NOW, trust=world().trust, fetchers=known).indication is PASSED
