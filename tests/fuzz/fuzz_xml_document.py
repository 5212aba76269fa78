"""verify_xml_document: any bytes give a report, and nothing passes but what was signed, whole."""

from __future__ import annotations

from lxml import etree

from certs.policy import Policy
from certs.report import Indication
from certs.x509.revocation import RevocationSource
from certs.xml.document import verify_xml_document
from certs.xml.dsig import parse_message
from certs.xml.sign import sign_element
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

_DOCUMENT = b'<d xmlns="urn:d" xmlns:u="urn:u"><a Id="a">x</a><b Id="b" u:c="1">y<u:e/></b></d>'
_DS = "{http://www.w3.org/2000/09/xmldsig#}Signature"


def _signed(*ids: str) -> bytes:
    root = etree.fromstring(_DOCUMENT)
    signer = world().leaf
    sign_element(root, ids, key=signer.key, certificate=signer.cert.der)
    return etree.tostring(root)


def _content(document: bytes) -> bytes:
    root = parse_message(document)
    for signature in root.findall(f".//{_DS}"):
        parent = signature.getparent()
        assert parent is not None
        parent.remove(signature)
    return etree.tostring(root, method="c14n", exclusive=True)


SEEDS = [_signed(), _signed("a"), _signed("a", "b")]
_WHOLE = _content(SEEDS[0])
_POLICY = Policy(revocation="off")
_KNOWN = (world().middle.cert,)


def one_input(data: bytes) -> None:
    report = verify_xml_document(
        data, trust=world().trust, policy=_POLICY, revocation=RevocationSource(), at=NOW, extra_certs=_KNOWN
    )
    if report.indication is Indication.PASSED:
        assert _content(data) == _WHOLE


if __name__ == "__main__":
    run(one_input, SEEDS)
