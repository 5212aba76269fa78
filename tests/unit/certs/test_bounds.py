"""Every bound of the tables in docs/verification.md: one beyond it is refused by our own words, in little memory and time."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from certs import der, pdf
from certs.cms import signed_data, timestamps
from certs.cms import verify as cms
from certs.der import Malformed
from certs.errors import BadKey, CertsError, MessageRefused
from certs.issuing.messages import sign_message
from certs.jws import MAX_CHAIN, check_jws
from certs.ofd import metadata as ofd_metadata
from certs.ofd import package as ofd
from certs.ofd import seals
from certs.ofd.seals import parse_seal, parse_seal_signature
from certs.ofd.write import pack, unpack
from certs.policy import Policy
from certs.report import Axis, Indication, Report, SubIndication
from certs.verify import MAX_DOCUMENT_BYTES, Fetchers, verify
from certs.x509 import crl, ocsp, paths, signing_cert
from certs.x509.path_policies import MAX_POLICIES
from certs.x509.revocation import MAX_ANSWERS, MAX_LISTS, RevocationSource
from certs.xml import document as xml_document
from certs.xml.algorithms import DSIG
from tests.fuzz.chains import world as chains
from tests.unit.certs.ofd_cases import NOW, on, unsigned, world
from tests.unit.certs.test_ofd_hostile import INDEX, LIST_OF, SIGNED_INDEX, archive

MIB = 1024 * 1024


def judged(data: bytes) -> Report:
    return verify(data, policy=Policy(), at=NOW, trust=world().trust, fetchers=Fetchers())


def signature_xml(references: int) -> bytes:
    one = b'<Reference FileRef="/OFD.xml"><CheckValue>AA==</CheckValue></Reference>'
    return (
        b'<Signature xmlns="http://www.ofdspec.org/2016"><SignedInfo><References CheckMethod="SM3">'
        + one * references
        + b"</References></SignedInfo><SignedValue>V</SignedValue></Signature>"
    )


def with_bodies(number: int) -> bytes:
    body = b"<DocBody><DocRoot>D</DocRoot></DocBody>" * number
    return archive(("OFD.xml", b'<OFD xmlns="http://www.ofdspec.org/2016">' + body + b"</OFD>"))


def listed(number: int, references: int = 1) -> bytes:
    entries = b"".join(b'<Signature ID="%d" BaseLoc="S%d.xml"/>' % (n, n) for n in range(number))
    files = [(f"S{n}.xml", signature_xml(references)) for n in range(number)]
    return archive(SIGNED_INDEX, ("L.xml", LIST_OF % entries), ("V", b"\x30\x00"), *files)


# what: (words of the table, one beyond the bound)
DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "64 MiB": lambda: b"PK\x03\x04" + bytes(MAX_DOCUMENT_BYTES - 3),
    "4,096 files": lambda: archive(("OFD.xml", INDEX % b""), *((f"f{n}", b"") for n in range(4096))),
    "64 MiB each": lambda: archive(SIGNED_INDEX, ("L.xml", bytes(64 * MIB + 1))),
    "a packing ratio of 200": lambda: archive(SIGNED_INDEX, ("L.xml", bytes(2 * MIB))),
    "names of 512 characters": lambda: archive(("OFD.xml", INDEX % b""), ("n" * 513, b"")),
    "XML of 8 MiB": lambda: archive(("OFD.xml", INDEX % random.Random(1).randbytes(4 * MIB + 1).hex().encode())),
    "depth 64": lambda: archive(("OFD.xml", INDEX % (b"<a>" * 63 + b"</a>" * 63))),
    "50,000 elements": lambda: archive(("OFD.xml", INDEX % (b"<a/>" * 50_000))),
    "256 attributes": lambda: archive(("OFD.xml", INDEX % (b"<a %s/>" % b" ".join(b'a%d=""' % n for n in range(257))))),
    "2,000 namespaces": lambda: archive(("OFD.xml", INDEX % (b'<a xmlns:b="c"/>' * 2_000))),
    "32 signatures": lambda: listed(33),
    "8,192 references": lambda: listed(1, 8193),
    "16 documents": lambda: with_bodies(17),
}


@pytest.mark.parametrize("bound", DOCUMENTS)
def test_one_beyond_the_bound_of_a_document(bound: str) -> None:
    data = DOCUMENTS[bound]()
    began = time.monotonic()
    report = judged(data)
    assert time.monotonic() - began < 3
    assert (report.indication, report.sub_indication) == (Indication.FAILED, SubIndication.FORMAT_FAILURE)


@pytest.mark.parametrize("data", [listed(32), listed(1, 8192), with_bodies(16)], ids=["32", "8192", "16"])
def test_what_is_at_its_bound_is_read(data: bytes) -> None:
    report = judged(data)
    assert not any(
        "more than" in f.data.get("why", "") or "are taken" in f.data.get("why", "") for f in report.findings
    )


def test_256_mib_together() -> None:
    """Told from the directory: nothing is unpacked for it."""
    members = [("OFD.xml", INDEX % b""), *((f"f{n}", bytes(60 * MIB)) for n in range(5))]
    data = archive(*members)
    assert judged(data).sub_indication is SubIndication.FORMAT_FAILURE
    small = ofd.OfdLimits(max_total=10_000)
    package = ofd.OfdPackage.open(archive(("OFD.xml", INDEX % b""), ("a", b"x" * 5000), ("b", b"y" * 4000)), small)
    package.read("a")
    package.read("b")  # what is read counts again, as a directory may lie
    package._total = 9_999
    package._read.clear()
    with pytest.raises(Malformed):
        package.read("a")


RAISES: dict[str, Callable[[], object]] = {
    "a seal of 8 MiB": lambda: parse_seal(bytes(seals.MAX_SEAL_BYTES + 1)),
    "a seal signature of 8 MiB": lambda: parse_seal_signature(bytes(seals.MAX_SEAL_BYTES + 1)),
    "256 listed certificates": lambda: seals._listed(
        der.read(der.tlv(der.SEQUENCE, der.tlv(der.OCTET_STRING, b"x") * (seals.MAX_LISTED + 1))), 1
    ),
    "a certificate of 64 KiB": lambda: signing_cert.SigningCert.from_der(bytes(signing_cert.MAX_CERT_BYTES + 1)),
    "a CRL of 32 MiB": lambda: crl.parse_crl(bytes(crl.MAX_CRL_BYTES + 1)),
    "an OCSP answer of 256 KiB": lambda: ocsp.parse_response(bytes(ocsp.MAX_OCSP_BYTES + 1)),
    "64 certificates in a message": lambda: signed_data.parse_signed_data(
        sign_message(
            b"x", chains().leaf, chain=[chains().leaf.issue(f"c{n}").cert for n in range(signed_data.MAX_CERTS)]
        )
    ),
    "32 levels of BER": lambda: der.ber_to_der(b"\x30\x80" * 40 + b"\x00\x00" * 40),
    "a JWS header of 32 KiB": lambda: check_jws("A" * 50_000 + ".e30.AA", chains().leaf.key.public_key),
}


@pytest.mark.parametrize("bound", RAISES)
def test_one_beyond_the_bound_of_a_part(bound: str) -> None:
    began = time.monotonic()
    with pytest.raises(CertsError) as caught:
        RAISES[bound]()
    assert isinstance(caught.value, Malformed | BadKey | MessageRefused)
    assert time.monotonic() - began < 3


def test_messages_tokens_and_pdfs_beyond_their_size() -> None:
    given = {"trust": world().trust, "policy": Policy(), "revocation": RevocationSource()}
    message = cms.verify_cms(b"\x30" + bytes(cms.MAX_MESSAGE_BYTES), at=NOW, **given)
    document = pdf.verify_pdf(b"%PDF-1.7" + bytes(pdf.MAX_PDF_BYTES), at=NOW, **given)
    token = timestamps.verify_timestamp(bytes(timestamps.MAX_TOKEN_BYTES + 1), b"", now=NOW, **given)
    for found in (message.findings, document.findings, token.findings):
        assert [f.sub_indication for f in found] == [SubIndication.FORMAT_FAILURE]


def test_32_signatures_and_32_certificates_in_xml() -> None:
    signatures = f'<a xmlns:d="{DSIG}">' + "<d:Signature/>" * (xml_document.MAX_SIGNATURES + 1) + "</a>"
    assert judged(signatures.encode()).sub_indication is SubIndication.FORMAT_FAILURE
    certs = "<d:X509Certificate>AA==</d:X509Certificate>" * (xml_document.MAX_CERTS + 1)
    info = f"<d:KeyInfo><d:X509Data>{certs}</d:X509Data></d:KeyInfo>"
    report = judged(f'<a xmlns:d="{DSIG}"><d:Signature>{info}</d:Signature></a>'.encode())
    assert "32 certificates" in on(report, Axis.FORMAT)[0].data["why"] + on(report, Axis.FORMAT)[-1].data.get("why", "")


def test_the_largest_legal_work_is_bounded_in_time() -> None:
    """32 signatures with as many references as XML of 50,000 elements allows: the most that one document can ask."""
    data = listed(32, 8192)
    began = time.monotonic()
    report = judged(data)
    assert report.indication is Indication.FAILED
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("data", "at_most"),
    [
        (archive(SIGNED_INDEX, ("L.xml", bytes(60 * MIB))), 2 * MIB),  # a bomb is not unpacked
        (archive(("OFD.xml", b"<a>" * 500_000)), 8 * MIB),  # XML is counted before a tree is made
        (b"\x30\x80" * (2 * MIB), 16 * MIB),
        (b"\x30\x84\x7f\xff\xff\xff" + bytes(1000), MIB),  # a length that is not there is not reserved
        (b"<a b='" + b"x" * (7 * MIB), 32 * MIB),
    ],
    ids=["zip bomb", "deep XML", "endless BER", "false length", "huge attribute"],
)
def test_hostile_bytes_take_little_memory(data: bytes, at_most: int) -> None:
    judged(unsigned())  # what is loaded once does not count
    tracemalloc.start()
    try:
        report = judged(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.indication is Indication.FAILED
    assert peak < at_most + 2 * len(data)


def test_memory_of_a_good_document_is_a_few_times_what_it_unpacks_to() -> None:
    members = unpack(unsigned()) | {"Doc_0/Res/large.bin": random.Random(1).randbytes(8 * MIB)}
    data = pack(members)
    tracemalloc.start()
    try:
        judged(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 8 * MIB


def test_a_valid_signature_over_somebody_elses_document() -> None:
    """Signature parts of one document put beside the pages of another: the seal holds, the pages are not those."""
    w = world()
    page = "Doc_0/Pages/Page_0/Content.xml"
    ours, theirs = unpack(w.signed()), unpack(unsigned())
    theirs[page] = theirs[page].replace("签发机关".encode(), "别的机关".encode())
    assert theirs[page] != ours[page]
    theirs["OFD.xml"] = ours["OFD.xml"]
    theirs |= {name: content for name, content in ours.items() if "/Signs/" in name}
    report = w.verify(pack(theirs))
    assert report.axis(Axis.SIGNATURE) is report.axis(Axis.SEAL) is Indication.PASSED
    assert (report.indication, report.sub_indication) == (Indication.FAILED, SubIndication.HASH_FAILURE)
    assert on(report, Axis.CONTENT)[0].data["changed"] == page


def test_the_tables_say_what_the_code_says() -> None:
    page = Path(__file__).parents[3].joinpath("docs", "verification.md").read_text(encoding="utf-8")
    table = page.split("## Bounds")[1].split("\n## ")[0]
    numbers = set(re.findall(r"\d[\d,]*", table))
    said = {
        *(MAX_DOCUMENT_BYTES // MIB, ofd.OfdLimits().max_members, ofd.OfdLimits().max_total // MIB),
        *(ofd.OfdLimits().max_ratio, ofd.OfdLimits().max_name, ofd.MAX_SIGNATURES, ofd.MAX_REFERENCES),
        *(ofd.MAX_DOC_BODIES, seals.MAX_SEAL_BYTES // MIB, seals.MAX_LISTED, signing_cert.MAX_CERT_BYTES // 1024),
        *(ofd_metadata.MAX_ATTACHMENTS, cms.MAX_MESSAGE_BYTES // MIB, signed_data.MAX_SIGNERS, signed_data.MAX_CERTS),
        *(timestamps.MAX_TOKEN_BYTES // 1024, MAX_CHAIN, pdf.MAX_STORE, xml_document.MAX_SIGNATURES),
    }
    assert {f"{number:,}" for number in said} <= numbers
    paths_page = Path(__file__).parents[3].joinpath("docs", "trust-and-paths.md").read_text(encoding="utf-8")
    limits = [
        *paths.LIMITS,
        MAX_LISTS,
        MAX_ANSWERS,
        MAX_POLICIES,
        crl.MAX_CRL_BYTES // MIB,
        ocsp.MAX_OCSP_BYTES // 1024,
    ]
    assert {f"{number:,}" for number in limits} <= set(re.findall(r"\d[\d,]*", paths_page))
