"""Signed PDFs: SM2 and RSA, several signatures, timestamps, and what was changed after signing."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko_certvalidator.registry import SimpleCertificateStore

from certs.issuing.authority import Identity, new_root
from certs.issuing.messages import issue_timestamp, sign_message
from certs.keys import SignatureAlgorithm
from certs.pdf import verify_pdf
from certs.policy import Policy
from certs.report import Axis, Indication, Report, SubIndication
from certs.trust import TrustStore
from certs.x509.path_checks import TIME_STAMPING
from certs.x509.revocation import RevocationSource
from tests.unit.certs.pdfs import blank, embed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(revocation="off")


def authority(kind: SignatureAlgorithm) -> Identity:
    return new_root("root", kind, not_before=NOW - timedelta(days=9), not_after=NOW + timedelta(days=9999))


def sign(pdf: bytes, signer: Identity, field: str = "one", *, gb: bool = False) -> bytes:
    return embed(pdf, lambda content: sign_message(content, signer, gb=gb), field)


def judge(pdf: bytes, root: Identity, policy: Policy = POLICY) -> Report:
    trust = TrustStore.of([root.cert], ["message", "timestamp"], NOW)
    return verify_pdf(pdf, trust=trust, policy=policy, revocation=RevocationSource(), at=NOW)


@pytest.mark.parametrize("kind", [SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.RSA_PKCS1_SHA256])
def test_a_signed_pdf_passes_and_an_altered_one_fails(kind: SignatureAlgorithm) -> None:
    root = authority(kind)
    pdf = sign(blank(), root.issue("signer"))
    report = judge(pdf, root)
    assert report.indication is Indication.PASSED, report.findings
    assert report.axis(Axis.COVERAGE) is Indication.PASSED
    assert report.signers[0].algorithm == kind.value
    altered = judge(pdf.replace(b"q Q", b"Q q"), root)
    assert altered.axis(Axis.CONTENT) is Indication.FAILED
    assert altered.sub_indication is SubIndication.HASH_FAILURE


def test_gb_t_35275_inside_a_pdf_passes() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    assert judge(sign(blank(), root.issue("signer"), gb=True), root).indication is Indication.PASSED


def test_several_signatures_and_a_document_timestamp() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    pdf = sign(sign(blank(), root.issue("a"), "one"), root.issue("b"), "two", gb=True)
    assert judge(pdf, root).indication is Indication.PASSED
    stamper = root.issue("tsa", extended=[TIME_STAMPING], extended_critical=True)
    stamped = embed(pdf, lambda content: issue_timestamp(content, stamper, time=NOW), "three", "/ETSI.RFC3161")
    report = judge(stamped, root)
    assert report.indication is Indication.PASSED, report.findings
    assert report.axis(Axis.TIMESTAMP) is Indication.PASSED
    assert len(report.signers) == 2


def _change(pdf: bytes) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"1 0 0 rg 0 0 99 99 re f"))
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("change", [_change, lambda pdf: pdf + b"\n% more\n", lambda pdf: pdf + pdf])
def test_what_comes_after_the_signature_is_found(change: Callable[[bytes], bytes]) -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    report = judge(change(sign(blank(), root.issue("signer"))), root)
    assert report.indication is not Indication.PASSED, report.findings


def test_a_change_that_a_later_signature_covers_is_found() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    pdf = sign(_change(sign(blank(), root.issue("a"), "one")), root.issue("b"), "two")
    report = judge(pdf, root)
    coverage = [f.indication for f in report.findings if f.axis is Axis.COVERAGE]
    assert coverage == [Indication.FAILED, Indication.PASSED]


def test_a_byte_range_that_leaves_out_more_is_refused() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    pdf = sign(blank(), root.issue("signer"))
    start = pdf.index(b"/ByteRange") + 10
    end = pdf.index(b"]", start) + 1
    numbers = [int(n) for n in pdf[start:end].strip(b" []").split()]
    wider = [0, numbers[1] - 20, numbers[2], numbers[3]]
    text = b"[" + b" ".join(b"%d" % n for n in wider) + b"]"
    report = judge(pdf[:start] + text.rjust(end - start) + pdf[end:], root)
    assert report.axis(Axis.FORMAT) is Indication.FAILED


def test_no_signature_and_an_unknown_kind() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    assert judge(blank(), root).sub_indication is SubIndication.NOT_SIGNED
    odd = embed(blank(), lambda content: sign_message(content, root.issue("a")), "one", "/GM.unknown")
    assert judge(odd, root).indication is Indication.INDETERMINATE


@pytest.mark.parametrize("junk", [b"", b"%PDF-1.7", b"%PDF-1.7\nstartxref\n5\n%%EOF", blank()[:200], b"\x00" * 5000])
def test_junk_is_a_finding(junk: bytes) -> None:
    report = judge(junk, authority(SignatureAlgorithm.SM2_SM3))
    assert (report.indication, report.sub_indication) == (Indication.FAILED, SubIndication.FORMAT_FAILURE)


def test_every_cut_of_a_signed_pdf_is_a_report() -> None:
    root = authority(SignatureAlgorithm.SM2_SM3)
    pdf = sign(blank(), root.issue("signer"))
    for end in range(0, len(pdf) - 2, len(pdf) // 60):
        assert judge(pdf[:end], root).indication is not Indication.PASSED


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("pades", [True, False])
def test_a_pdf_that_pyhanko_signed_itself_passes(kind: str, pades: bool) -> None:
    """Not only our own messages inside: signer, CMS and placeholder are all pyHanko's."""
    algorithm = SignatureAlgorithm.RSA_PKCS1_SHA256 if kind == "rsa" else SignatureAlgorithm.ECDSA_SHA256
    root = authority(algorithm)
    leaf = root.issue("signer")
    signer = SimpleSigner(
        signing_cert=asn1_x509.Certificate.load(leaf.cert.der),
        signing_key=asn1_keys.PrivateKeyInfo.load(pem.unarmor(leaf.key.to_pem())[2]),
        cert_registry=SimpleCertificateStore.from_certs([asn1_x509.Certificate.load(root.cert.der)]),
    )
    kinds = SigSeedSubFilter.PADES if pades else SigSeedSubFilter.ADOBE_PKCS7_DETACHED
    metadata = PdfSignatureMetadata(field_name="one", subfilter=kinds, md_algorithm="sha256")
    writer = IncrementalPdfFileWriter(io.BytesIO(blank()))
    with ThreadPoolExecutor(1) as pool:  # pyHanko starts an event loop, and a browser test may have one in this thread
        pdf = pool.submit(sign_pdf, writer, metadata, signer=signer).result().getvalue()
    # pyHanko writes the signing time of its clock; the certificate is valid then too
    at = datetime.now(UTC) + timedelta(seconds=5)
    given = {"policy": POLICY, "revocation": RevocationSource(), "at": at}
    trust = TrustStore.of([root.cert], ["message"], NOW)
    report = verify_pdf(pdf, trust=trust, **given)
    assert report.indication is Indication.PASSED, report.findings
    assert report.signers[0].algorithm == algorithm.value
    assert verify_pdf(pdf.replace(b"q Q", b"Q q"), trust=trust, **given).sub_indication is SubIndication.HASH_FAILURE
    assert verify_pdf(pdf, trust=TrustStore(), **given).indication is Indication.INDETERMINATE
