"""verify_xml: a mutated document is refused with our error, or what is signed in it is what was signed."""

from __future__ import annotations

from lxml import etree

from certs.errors import MessageRefused
from certs.xml.dsig import verify_xml
from certs.xml.sign import sign_element
from tests.fuzz.engine import run
from tests.unit.certs.messages import certificate_of, key_of, resolver

DOCUMENT = b'<d xmlns="urn:d" xmlns:u="urn:u"><a Id="a">x</a><b Id="b" u:c="1">y<u:e/></b></d>'


def signed(*ids: str) -> bytes:
    root = etree.fromstring(DOCUMENT)
    sign_element(root, ids, key=key_of("ed25519"), certificate=certificate_of("ed25519"))
    return etree.tostring(root)


def canonical(document: bytes) -> set[bytes]:
    elements = verify_xml(document, resolve_key=resolver()).elements
    return {etree.tostring(element, method="c14n", exclusive=True, with_comments=False) for element in elements}


SEEDS = [signed("a"), signed("a", "b")]
SIGNED = canonical(SEEDS[1])


def one_input(data: bytes) -> None:
    try:
        found = canonical(data)
    except MessageRefused:
        return
    assert found <= SIGNED


if __name__ == "__main__":
    run(one_input, SEEDS)
