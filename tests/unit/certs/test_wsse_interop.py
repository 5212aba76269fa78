"""Messages that other stacks really signed (tests/interop), and those that our own side signs."""

from __future__ import annotations

import base64
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from certs.errors import MessageRefused
from certs.xml.dsig import DEFAULT_POLICY, verify_xml
from certs.xml.key_info import KnownCertificates
from certs.xml.sign import Reference, append_signature
from certs.xml.tokens import BASE64_BINARY, THUMBPRINT_SHA1
from certs.xml.wsse import SOAP_1_2, SignedEnvelope, allow_sha1, verify_envelope
from certs.xml.wsse_sign import sign_envelope
from certs.xml.zeep_plugin import SignaturePlugin
from tests.unit.certs.messages import NOW, SOAP, WSSE, WSU, KeyKind, certificate_of, envelope, key_of, resolver

FIXTURES = Path(__file__).parents[2] / "interop" / "fixtures"
CERTIFICATES = KnownCertificates(
    x509.load_pem_x509_certificate((FIXTURES / name).read_bytes()).public_bytes(Encoding.DER)
    for name in ("rsa-cert.pem", "ec-cert.pem")
)
REFUSED = {
    "node-soap-no-timestamp": "timestamp-missing",
    "node-soap-rsa-sha1": "algorithm-weak",
    "wss4j-default-sha1": "algorithm-weak",
    "zeep-default-sha1": "algorithm-weak",
    "zeep-binary-default-sha1": "algorithm-weak",
}
MESSAGES = sorted(path.stem for path in FIXTURES.glob("*.xml") if not path.stem.startswith("jdk-"))
SHA1 = sorted(name for name in MESSAGES if "sha1" in name)


def read(name: str, *, legacy: bool = False) -> SignedEnvelope:
    data = (FIXTURES / f"{name}.xml").read_bytes()
    created = re.search(rb"Created>([^<]*)<", data)
    now = datetime.fromisoformat(created.group(1).decode()) if created else NOW
    policy = allow_sha1() if legacy else DEFAULT_POLICY
    return verify_envelope(data, now=now, max_age=timedelta(minutes=5), resolve_key=CERTIFICATES, policy=policy)


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in REFUSED])
def test_accepted_as_other_stacks_sign(name: str) -> None:
    signed = read(name)
    assert signed.body.findtext(".//{urn:test:transfer}student") == "张𠮷"
    assert signed.signer.certificate is not None


@pytest.mark.parametrize("name", REFUSED)
def test_refused_for_its_reason(name: str) -> None:
    with pytest.raises(MessageRefused) as caught:
        read(name)
    assert caught.value.reason == REFUSED[name]


@pytest.mark.parametrize("name", SHA1)
def test_legacy_stacks_where_an_administrator_allows_it(name: str) -> None:
    assert read(name, legacy=True).body.findtext(".//{urn:test:transfer}messageId") == "7d1c9a2e"


@pytest.mark.parametrize("name", ["wss4j-issuer-serial", "wss4j-ski", "wss4j-thumbprint"])
def test_a_reference_to_a_certificate_that_is_not_known(name: str) -> None:
    data = (FIXTURES / f"{name}.xml").read_bytes()
    created = re.search(rb"Created>([^<]*)<", data)
    assert created is not None
    now = datetime.fromisoformat(created.group(1).decode())
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(data, now=now, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert caught.value.reason == "key-unknown"


@pytest.mark.parametrize("name", ["jdk-rsa-exclusive", "jdk-rsa-inclusive", "jdk-ecdsa-inclusive11"])
def test_enveloped_signatures_of_the_jdk(name: str) -> None:
    data = (FIXTURES / f"{name}.xml").read_bytes()
    signed = verify_xml(data, resolve_key=CERTIFICATES)
    assert [element.tag for element in signed.elements] == ["{urn:test:d}record"]
    with pytest.raises(MessageRefused):
        verify_xml(data.replace(b"&lt;", b"&gt;"), resolve_key=CERTIFICATES)


# --- what we sign ourselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "ed25519", "sm2"])
@pytest.mark.parametrize("namespace", [None, SOAP_1_2])
def test_round_trip(kind: KeyKind, namespace: str | None) -> None:
    root = envelope() if namespace is None else envelope(namespace)
    sign_envelope(root, key=key_of(kind), certificate=certificate_of(kind), created=NOW)
    data = etree.tostring(root)
    signed = verify_envelope(data, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert (signed.created, signed.expires) == (NOW, NOW + timedelta(minutes=5))
    assert signed.signer.certificate == certificate_of(kind)


def test_replay_id_names_the_message_and_not_its_spelling() -> None:
    root = sign_envelope(envelope(), key=key_of("p256"), certificate=certificate_of("p256"), created=NOW)
    data = etree.tostring(root)
    other = sign_envelope(envelope(), key=key_of("p256"), certificate=certificate_of("p256"), created=NOW)

    def replay_id(message: bytes) -> str:
        return verify_envelope(message, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver()).replay_id

    spelled_otherwise = re.sub(rb"(<ds:SignatureValue>)(.{20})", rb"\1\n \2\n", data)
    assert spelled_otherwise != data
    assert replay_id(data) == replay_id(spelled_otherwise) != replay_id(etree.tostring(other))


def test_headers_with_an_id_are_signed_and_reported() -> None:
    root = envelope()
    header = etree.Element(f"{{{etree.QName(root).namespace}}}Header")
    root.insert(0, header)
    action = etree.SubElement(header, "{http://www.w3.org/2005/08/addressing}Action")
    action.set("{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id", "action")
    sign_envelope(root, key=key_of("rsa"), certificate=certificate_of("rsa"), created=NOW)
    data = etree.tostring(root)
    signed = verify_envelope(data, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert [block.tag for block in signed.headers] == ["{http://www.w3.org/2005/08/addressing}Action"]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - timedelta(seconds=61), "signature-future"),
        (NOW + timedelta(minutes=5), "signature-stale"),  # wsu:Expires
    ],
)
def test_freshness(now: datetime, reason: str) -> None:
    root = sign_envelope(envelope(), key=key_of("rsa"), certificate=certificate_of("rsa"), created=NOW)
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(etree.tostring(root), now=now, max_age=timedelta(hours=1), resolve_key=resolver())
    assert caught.value.reason == reason


def test_max_age_holds_where_expires_is_far() -> None:
    root = sign_envelope(
        envelope(), key=key_of("rsa"), certificate=certificate_of("rsa"), created=NOW, lifetime=timedelta(days=900)
    )
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(
            etree.tostring(root),
            now=NOW + timedelta(minutes=6),
            max_age=timedelta(minutes=5),
            resolve_key=resolver(),
        )
    assert caught.value.reason == "signature-stale"


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "", "now"])
def test_a_time_that_cannot_be_told(text: str) -> None:
    root = sign_envelope(envelope(), key=key_of("rsa"), certificate=certificate_of("rsa"), created=NOW)
    data = re.sub(rb"(Created>)[^<]*<", rb"\g<1>" + text.encode() + b"<", etree.tostring(root))
    with pytest.raises(MessageRefused) as caught:
        verify_envelope(data, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert caught.value.reason == "timestamp-malformed"


def test_zeep_plugin_signs_and_checks() -> None:
    now = datetime.now(UTC)
    client = SignaturePlugin(key_of("rsa"), certificate_of("rsa"), resolve_key=resolver())
    signed, headers = client.apply(envelope(), {"a": "b"})
    assert headers == {"a": "b"}
    assert verify_envelope(signed, now=now, max_age=timedelta(minutes=5), resolve_key=resolver()).body is signed[1]
    answer = etree.fromstring(etree.tostring(signed))
    assert client.verify(answer) is answer
    with pytest.raises(MessageRefused):
        client.verify(envelope())
    assert SignaturePlugin(key_of("rsa"), certificate_of("rsa")).verify(envelope()) is not None


# --- the documented shape of .NET (WCF, CoreWCF); there is no .NET here to run ----------------------------------------


def wcf_message() -> bytes:
    """Sign-only message security with a thumbprint reference, as the .NET documentation and traces show it."""
    root = etree.fromstring(
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:u="{WSU}"><s:Header><o:Security s:mustUnderstand="1" xmlns:o="{WSSE}">'
        '<u:Timestamp u:Id="_0"><u:Created>2026-03-02T01:30:00.000Z</u:Created><u:Expires>2026-03-02T01:35:00.000Z'
        '</u:Expires></u:Timestamp></o:Security></s:Header><s:Body u:Id="_1" xmlns:xsi="urn:x"><a xmlns="urn:a"/></s:Body>'
        "</s:Envelope>"
    )
    security = root[0][0]
    thumbprint = hashlib.sha1(certificate_of("rsa"), usedforsecurity=False).digest()
    token = etree.fromstring(
        f'<o:SecurityTokenReference xmlns:o="{WSSE}"><o:KeyIdentifier ValueType="{THUMBPRINT_SHA1}" '
        f'EncodingType="{BASE64_BINARY}">{base64.b64encode(thumbprint).decode()}</o:KeyIdentifier></o:SecurityTokenReference>'
    )
    references = [Reference("#_0", security[0]), Reference("#_1", root[1])]
    append_signature(security, references, key=key_of("rsa"), key_info=token)
    return etree.tostring(root)


def test_the_shape_of_dotnet() -> None:
    signed = verify_envelope(wcf_message(), now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    assert signed.key_reference.thumbprint_sha1 is not None
    assert signed.signer.certificate == certificate_of("rsa")


def test_many_threads_verify_at_once() -> None:
    data = wcf_message()

    def check(number: int) -> bool:
        message = data if number % 2 else data.replace(b"urn:a", b"urn:b")
        try:
            verify_envelope(message, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
        except MessageRefused as error:
            return number % 2 == 0 and error.reason == "digest-mismatch"
        return number % 2 == 1

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(400)))
