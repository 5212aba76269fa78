"""Published attacks on signed SOAP messages: each must be refused, and with the word that names it.

Forms after McIntosh and Austel, "XML Signature Element Wrapping Attacks" (2005); Gajek, Jensen, Liao and Schwenk (2009);
Somorovsky and others, "On Breaking SAML" (2012). The attacker has one valid message and changes it without the key.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta

import pytest
from lxml import etree

from certs.errors import MessageRefused
from certs.xml.wsse import verify_envelope
from tests.unit.certs.messages import BODY, DS, HEADER, NOW, SOAP, TIMESTAMP, WSSE, WSU, resolver, signed_bytes

EVIL = "<t:SubmitTransfer xmlns:t='urn:test:transfer'><t:messageId>evil</t:messageId></t:SubmitTransfer>"


def evil_body(identifier: str | None = None) -> etree._Element:
    body = etree.Element(BODY)
    body.append(etree.fromstring(EVIL))
    if identifier is not None:
        body.set(f"{{{WSU}}}Id", identifier)
    return body


def replace_body(root: etree._Element, new: etree._Element) -> etree._Element:
    """The original Body, taken out; ``new`` stands in its place."""
    original = root.find(BODY)
    assert original is not None
    root.replace(original, new)
    return original


def header(root: etree._Element) -> etree._Element:
    found = root.find(HEADER)
    assert found is not None
    return found


def security(root: etree._Element) -> etree._Element:
    return header(root)[0]


def body_into_header_wrapper(root: etree._Element) -> None:
    wrapper = etree.SubElement(header(root), "wrapper")
    wrapper.append(replace_body(root, evil_body()))


def body_as_header_block(root: etree._Element) -> None:
    header(root).append(replace_body(root, evil_body("other")))


def body_into_signature_object(root: etree._Element) -> None:
    signature = security(root).find(f"{{{DS}}}Signature")
    assert signature is not None
    etree.SubElement(signature, f"{{{DS}}}Object").append(replace_body(root, evil_body()))


def body_into_security(root: etree._Element) -> None:
    security(root).append(replace_body(root, evil_body()))


def body_inside_evil_body(root: etree._Element) -> None:
    evil = evil_body()
    evil[0].append(replace_body(root, evil))


def second_body_first(root: etree._Element) -> None:
    root.insert(1, evil_body())


def second_body_last(root: etree._Element) -> None:
    root.append(evil_body())


def same_id_on_evil_body(root: etree._Element) -> None:
    evil = evil_body(str(root.find(BODY).get(f"{{{WSU}}}Id")))  # type: ignore[union-attr]
    etree.SubElement(header(root), "wrapper").append(replace_body(root, evil))


def same_id_as_plain_attribute(root: etree._Element) -> None:
    evil = evil_body()
    evil.set("Id", str(root.find(BODY).get(f"{{{WSU}}}Id")))  # type: ignore[union-attr]
    etree.SubElement(header(root), "wrapper").append(replace_body(root, evil))


def timestamp_wrapped(root: etree._Element) -> None:
    original = security(root).find(TIMESTAMP)
    assert original is not None
    fresh = copy.deepcopy(original)
    fresh.attrib.clear()
    security(root).replace(original, fresh)
    header(root).append(original)


def timestamp_wrapped_same_id(root: etree._Element) -> None:
    original = security(root).find(TIMESTAMP)
    assert original is not None
    fresh = copy.deepcopy(original)
    security(root).replace(original, fresh)
    etree.SubElement(header(root), "wrapper").append(original)


def second_timestamp(root: etree._Element) -> None:
    security(root).append(
        etree.fromstring(f"<u:Timestamp xmlns:u='{WSU}'><u:Created>2030-01-01T00:00:00Z</u:Created></u:Timestamp>")
    )


def timestamp_removed(root: etree._Element) -> None:
    original = security(root).find(TIMESTAMP)
    assert original is not None
    security(root).remove(original)


def signature_removed(root: etree._Element) -> None:
    original = security(root).find(f"{{{DS}}}Signature")
    assert original is not None
    security(root).remove(original)


def security_removed(root: etree._Element) -> None:
    header(root).remove(security(root))


def header_removed(root: etree._Element) -> None:
    root.remove(header(root))


def second_security(root: etree._Element) -> None:
    header(root).append(copy.deepcopy(security(root)))


def security_for_another_role(root: etree._Element) -> None:
    security(root).set(f"{{{SOAP}}}actor", "urn:someone-else")


def signature_outside_security(root: etree._Element) -> None:
    signature = security(root).find(f"{{{DS}}}Signature")
    assert signature is not None
    header(root).append(signature)


def second_signature(root: etree._Element) -> None:
    signature = security(root).find(f"{{{DS}}}Signature")
    assert signature is not None
    security(root).append(copy.deepcopy(signature))


def body_of_another_soap(root: etree._Element) -> None:
    root[1].tag = "{http://www.w3.org/2003/05/soap-envelope}Body"


def body_renamed(root: etree._Element) -> None:
    root[1].tag = "{urn:test:transfer}Body"


def whole_envelope_inside_another(root: etree._Element) -> None:
    inner = copy.deepcopy(root)
    replace_body(root, evil_body())
    header(root).clear()
    etree.SubElement(header(root), "wrapper").append(inner)


def whole_envelope_wrapped_with_its_security(root: etree._Element) -> None:
    inner = copy.deepcopy(root)
    replace_body(root, evil_body())
    inner_security = inner.find(HEADER)[0]  # type: ignore[index]
    header(root).replace(security(root), inner_security)
    etree.SubElement(header(root), "wrapper").append(inner)


def value_changed(root: etree._Element) -> None:
    root[1][0][0].text = "evil"


def namespace_of_payload_changed(root: etree._Element) -> None:
    """Namespace injection: the prefix stays, what it means changes."""
    root[1][0].tag = "{urn:evil}SubmitTransfer"


def attribute_added(root: etree._Element) -> None:
    root[1][0].set("{urn:evil}status", "approved")


def reference_removed(root: etree._Element) -> None:
    references = root.findall(f".//{{{DS}}}Reference")
    references[0].getparent().remove(references[0])  # type: ignore[union-attr]


def reference_outside(root: etree._Element) -> None:
    root.findall(f".//{{{DS}}}Reference")[0].set("URI", "http://evil.example/body.xml")


def hmac_with_the_public_key(root: etree._Element) -> None:
    method = root.find(f".//{{{DS}}}SignatureMethod")
    assert method is not None
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")


def xpath_transform(root: etree._Element) -> None:
    """Gajek and others: an XPath filter whose prefixes the attacker declares anew."""
    transform = root.find(f".//{{{DS}}}Transform")
    assert transform is not None
    transform.set("Algorithm", "http://www.w3.org/2002/06/xmldsig-filter2")


def token_replaced(root: etree._Element) -> None:
    token = security(root).find(f"{{{WSSE}}}BinarySecurityToken")
    assert token is not None
    token.text = "MAA="


def token_twice(root: etree._Element) -> None:
    token = security(root).find(f"{{{WSSE}}}BinarySecurityToken")
    assert token is not None
    security(root).append(copy.deepcopy(token))


def token_elsewhere(root: etree._Element) -> None:
    token = security(root).find(f"{{{WSSE}}}BinarySecurityToken")
    assert token is not None
    header(root).append(token)


def header_that_must_be_understood(root: etree._Element) -> None:
    block = etree.SubElement(header(root), "{urn:evil}Route")
    block.set(f"{{{SOAP}}}mustUnderstand", "1")


def processing_instruction(root: etree._Element) -> None:
    root[1][0].append(etree.ProcessingInstruction("evil", "x"))


def processing_instruction_outside(root: etree._Element) -> None:
    root.addprevious(etree.ProcessingInstruction("xml-stylesheet", "href='evil'"))


ATTACKS: dict[Callable[[etree._Element], None], str] = {
    body_into_header_wrapper: "reference-position",
    body_as_header_block: "body-not-signed",
    body_into_signature_object: "body-not-signed",
    body_into_security: "security-unsupported",
    body_inside_evil_body: "reference-position",
    second_body_first: "soap-malformed",
    second_body_last: "soap-malformed",
    same_id_on_evil_body: "id-duplicate",
    same_id_as_plain_attribute: "id-duplicate",
    timestamp_wrapped: "timestamp-not-signed",
    timestamp_wrapped_same_id: "id-duplicate",
    second_timestamp: "signature-ambiguous",
    timestamp_removed: "timestamp-missing",
    signature_removed: "signature-missing",
    security_removed: "security-missing",
    header_removed: "security-missing",
    second_security: "security-ambiguous",
    security_for_another_role: "security-missing",
    signature_outside_security: "signature-missing",
    second_signature: "signature-ambiguous",
    body_of_another_soap: "soap-malformed",
    body_renamed: "soap-malformed",
    whole_envelope_inside_another: "security-missing",
    whole_envelope_wrapped_with_its_security: "reference-position",
    value_changed: "digest-mismatch",
    namespace_of_payload_changed: "digest-mismatch",
    attribute_added: "digest-mismatch",
    reference_removed: "signature-invalid",
    reference_outside: "signature-invalid",
    hmac_with_the_public_key: "algorithm-unsupported",
    xpath_transform: "signature-invalid",
    token_replaced: "key-unknown",
    token_twice: "id-duplicate",
    token_elsewhere: "key-info-unsupported",
    header_that_must_be_understood: "must-understand",
    processing_instruction: "soap-malformed",
    processing_instruction_outside: "soap-malformed",
}


def test_the_message_itself_is_accepted() -> None:
    signed = verify_envelope(signed_bytes(), now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert signed.body.findtext(".//{urn:test:transfer}messageId") == "m-1"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack_is_refused(attack: Callable[[etree._Element], None]) -> None:
    root = etree.fromstring(signed_bytes())
    attack(root)
    data = etree.tostring(root.getroottree(), encoding="utf-8")
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(data, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert caught.value.reason == ATTACKS[attack]


def test_a_comment_cannot_split_a_signed_value() -> None:
    data = signed_bytes().replace(b"m-1", b"m<!-- -->-1")
    signed = verify_envelope(data, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert signed.body.findtext(".//{urn:test:transfer}messageId") == "m-1"


@pytest.mark.parametrize("prefix", [b"<!DOCTYPE a>", b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>'])
def test_doctype(prefix: bytes) -> None:
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(prefix + signed_bytes(), now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert caught.value.reason == "xml-doctype"


def test_every_changed_letter_of_the_signed_parts_is_noticed() -> None:
    """Each position of the Body's and the Timestamp's own text, one after the other."""
    data = signed_bytes()
    start, end = data.index(b"<t:SubmitTransfer"), data.index(b"</t:SubmitTransfer>")
    created = data.index(b"<wsu:Created>")
    for position in (*range(start, end), *range(created, created + 40)):
        altered = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(MessageRefused):
            verify_envelope(altered, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
