"""Signed PDFs: PAdES and adbe.pkcs7.detached signatures, document timestamps, RSA, ECDSA and SM2 (GB/T 35275 inside).

pyHanko reads the file and judges what later revisions changed; the cryptography and the trust are our own, so SM2 and
every other algorithm go one way. Steps (ISO 32000-2, 12.8; ETSI EN 319 142-1):

1. The file is read, within pyHanko's limits for untrusted files, and its filled signature fields are listed.
2. For each: the ByteRange begins at 0 and leaves out exactly the hexadecimal string of /Contents.
3. The message inside is verified over those bytes (:mod:`certs.cms.verify`), or the token (:mod:`certs.cms.timestamps`).
4. Coverage: bytes after the ByteRange are later revisions; pyHanko's difference analysis says what they did.

What the document security store carries (certificates, CRLs, OCSP answers) helps, and is believed no more than what is
fetched. The caller owes: what the document says.
"""

from __future__ import annotations

import binascii
import io
import logging
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature, extract_contents
from pyhanko.sign.validation.status import SignatureCoverageLevel

from certs import der
from certs.cms.timestamps import verify_timestamp
from certs.cms.verify import verify_signed_data
from certs.errors import CertsError
from certs.findings import finding
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert
from schemas.told import Sentence

logging.getLogger("pyhanko").setLevel(logging.CRITICAL)  # it quotes the document, which may name people

MAX_PDF_BYTES = 64 * 1024 * 1024
MAX_SIGNATURES = 32
MAX_STORE = 64  # certificates, CRLs or OCSP answers of the document security store
SUBFILTERS = frozenset({"/adbe.pkcs7.detached", "/ETSI.CAdES.detached"})
TIMESTAMP_SUBFILTER = "/ETSI.RFC3161"

# What pyHanko lets escape on broken files. Each was met while fuzzing, or is raised by a decoder that it calls.
_BROKEN = (
    PdfError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    ArithmeticError,
    RecursionError,
    struct.error,
    zlib.error,
    binascii.Error,
    OSError,
)


class _Unreadable(CertsError):
    """The PDF, or one signature in it, cannot be read."""


class _Field(EmbeddedPdfSignature):
    """One signature field, without pyHanko's reading of the CMS inside, which knows no GB/T 35275."""

    def __init__(self, reader: PdfFileReader, field: generic.DictionaryObject, name: str) -> None:
        reference = field.raw_get("/V")
        self.reader = reader
        self.sig_field = field
        self.sig_object = reference.get_object()
        self.fq_name = name
        self.byte_range = self.sig_object.raw_get("/ByteRange")
        self.pkcs7_content = extract_contents(self.sig_object)
        self.signed_revision = reader.xrefs.get_last_change(reference.reference)
        self.coverage = None
        self._docmdp = self._fieldmdp = None
        self._docmdp_queried = self._fieldmdp_queried = False


@dataclass(frozen=True, slots=True)
class _Signature:
    """One filled field: its message, the bytes it is over, and what lies outside of them."""

    kind: str  # the SubFilter
    message: bytes
    content: bytes
    whole_file: bool
    change: ModificationLevel | None  # by later revisions; None where they did what no signature allows
    loose_end: bool = False  # bytes at the end of the file that belong to no revision
    faults: tuple[Sentence, ...] = ()


def verify_pdf(
    data: bytes,
    *,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str = "message",
    extra_certs: Sequence[SigningCert] = (),
) -> Report:
    """Judge all signatures of a PDF of at most 64 MiB. ``extra_certs`` may be issuers. Raises nothing on bad input."""
    findings: list[Finding] = []
    signers: list[Signer] = []
    try:
        signatures, stored, source = _read(data, revocation)  # step 1
        certs = (*stored, *extra_certs)
    except _Unreadable as error:
        zh, en = f"PDF 无法读取：{error.zh}", f"the PDF cannot be read: {error.en}"
        findings.append(finding(Axis.FORMAT, SubIndication.FORMAT_FAILURE, "ISO 32000-2 7.5", zh, en))
        return Report.of("pdf", data, at, policy.name, findings, signers)
    findings.append(finding(Axis.FORMAT, None, "ISO 32000-2 7.5", "PDF 可以读取", "the PDF can be read"))
    if not signatures:
        zh, en = "PDF 没有签名", "the PDF carries no signature"
        findings.append(finding(Axis.SIGNATURE, SubIndication.NOT_SIGNED, "ISO 32000-2 12.8", zh, en))
    for number, signature in enumerate(signatures):
        if signature.faults:  # step 2
            why_zh, why_en = signature.faults[0]
            zh, en = f"签名字段格式错误：{why_zh}", f"the signature field is malformed: {why_en}"
            findings.append(finding(Axis.FORMAT, SubIndication.FORMAT_FAILURE, "ISO 32000-2 12.8.1", zh, en, number))
            continue
        if signature.kind == TIMESTAMP_SUBFILTER:  # step 3
            stamp = verify_timestamp(
                signature.message,
                signature.content,
                trust=trust,
                policy=policy,
                revocation=source,
                now=at,
                extra_certs=certs,
                index=number,
            )
            findings.extend(stamp.findings)
        elif signature.kind in SUBFILTERS:
            result = verify_signed_data(
                signature.message,
                signature.content,
                trust=trust,
                policy=policy,
                revocation=source,
                at=at,
                purpose=purpose,
                extra_certs=certs,
                first_index=number,
            )
            findings.extend(result.findings)
            signers.extend(result.signers)
        else:
            zh, en = "签名方式不受支持", "the kind of signature is not supported"
            found = finding(Axis.FORMAT, SubIndication.SIG_CONSTRAINTS_FAILURE, "ISO 32000-2 12.8.3", zh, en, number)
            findings.append(replace(found, indication=Indication.INDETERMINATE, data={"subfilter": signature.kind}))
    covered = any(s.whole_file for s in signatures)
    findings.extend(_coverage(signature, n, covered, policy) for n, signature in enumerate(signatures))  # step 4
    return Report.of("pdf", data, at, policy.name, findings, signers)


def _coverage(signature: _Signature, number: int, covered: bool, policy: Policy) -> Finding:
    """What this signature says of the whole file.

    Nothing after it, or only validation data: PASSED. Form fields, which a later signature over the whole file answers
    for: PASSED; without one, what the policy says of uncovered content. Anything else: FAILED.
    """
    clause = "ISO 32000-2 12.8.1; ETSI EN 319 142-1 5.5"
    level = "unallowed" if signature.change is None else signature.change.name.lower()
    data = {"later_changes": level}
    unchanged = signature.change in {ModificationLevel.NONE, ModificationLevel.LTA_UPDATES}
    if signature.whole_file or (unchanged and not signature.loose_end):
        zh, en = "签名覆盖整个文件", "the signature covers the whole file"
        return replace(finding(Axis.COVERAGE, None, clause, zh, en, number), data=data)
    sub = SubIndication.UNCOVERED_CONTENT
    if unchanged or signature.change is ModificationLevel.FORM_FILLING:
        if covered:
            zh, en = "其后仅有表单填写，由后续签名覆盖", "only form fields changed later, covered by a later signature"
            return replace(finding(Axis.COVERAGE, None, clause, zh, en, number), data=data)
        zh, en = "签名之后填写了表单或追加了数据", "form fields were filled in, or bytes added, after this signature"
        found = replace(finding(Axis.COVERAGE, sub, clause, zh, en, number), data=data, indication=policy.uncovered)
        return replace(found, sub_indication=None) if policy.uncovered is Indication.PASSED else found
    zh, en = "签名之后文件被改动", "the file was changed after this signature"
    return replace(finding(Axis.COVERAGE, sub, clause, zh, en, number), data=data)


def _read(
    data: bytes, revocation: RevocationSource
) -> tuple[list[_Signature], tuple[SigningCert, ...], RevocationSource]:
    """Signatures in the order of their revisions, and what the document security store adds."""
    if len(data) > MAX_PDF_BYTES:
        raise _Unreadable(f"超过 {MAX_PDF_BYTES} 字节", f"above {MAX_PDF_BYTES} bytes")
    try:
        reader = PdfFileReader(io.BytesIO(data), strict=False)
        if reader.encrypted:
            raise _Unreadable("文件已加密", "it is encrypted")
        fields = [(name, field) for name, _, field in enumerate_sig_fields(reader, filled_status=True)]
        if len(fields) > MAX_SIGNATURES:
            raise _Unreadable(f"签名多于 {MAX_SIGNATURES} 个", f"more than {MAX_SIGNATURES} signatures")
        found = [_signature(reader, field.get_object(), name, data) for name, field in fields]
        certs, source = _security_store(reader, revocation)
    except _BROKEN as error:
        raise _Unreadable(*_named(error)) from error
    return [signature for _, signature in sorted(found, key=lambda pair: pair[0])], certs, source


def _signature(
    reader: PdfFileReader, dictionary: generic.DictionaryObject, name: str, data: bytes
) -> tuple[int, _Signature]:
    """The number of the revision, and the signature. A field that cannot be read becomes a fault, not an error."""
    try:
        field = _Field(reader, dictionary, name)
        kind = str(field.sig_object.get("/SubFilter", ""))
        numbers = [int(number) for number in field.byte_range]
        hole = data[numbers[1] : numbers[2]] if len(numbers) == 4 else b""
        fault = _byte_range_fault(numbers, hole, field.pkcs7_content, len(data))
        if fault:
            return field.signed_revision, _Signature(kind, b"", b"", False, None, faults=(fault,))
        end = numbers[2] + numbers[3]
        content = data[: numbers[1]] + data[numbers[2] : end]
        coverage = field.evaluate_signature_coverage()
        field.coverage = coverage  # type: ignore[assignment]  # pyHanko declares it as always None
        whole = coverage is SignatureCoverageLevel.ENTIRE_FILE
        changes = field.evaluate_modifications(DEFAULT_DIFF_POLICY)
        allowed = isinstance(changes, DiffResult) and not (
            field.docmdp_level is not None and changes.modification_level.value > field.docmdp_level.value
        )
        change = changes.modification_level if allowed and isinstance(changes, DiffResult) else None
        message = _trimmed(field.pkcs7_content)
        return field.signed_revision, _Signature(kind, message, content, whole, change, _has_loose_end(reader, data))
    except (*_BROKEN, CertsError) as error:
        return 0, _Signature("", b"", b"", False, None, faults=(_named(error),))


def _named(error: Exception) -> Sentence:
    """What pyHanko and others say stays out of reports, as it may quote the file: the kind of error stands for it."""
    name = type(error).__name__
    return error.zh if isinstance(error, CertsError) else f"结构错误（{name}）", name


def _has_loose_end(reader: PdfFileReader, data: bytes) -> bool:
    """Whether more than the end-of-file marker and blanks follow the last cross-reference section that counts."""
    last = reader.xrefs.get_xref_container_info(reader.xrefs.total_revisions - 1)
    parts = data[last.end_location :].split(b"%%EOF")
    return len(parts) != 2 or bool(parts[1].strip())


def _byte_range_fault(numbers: list[int], hole: bytes, contents: bytes, size: int) -> Sentence | None:
    """12.8.1: the range must begin at 0 and leave out the /Contents string and nothing else."""
    if len(numbers) != 4 or numbers[0] != 0 or min(numbers) < 0:
        return "ByteRange 无效", "ByteRange"
    if numbers[2] + numbers[3] > size or numbers[1] > numbers[2]:
        return "ByteRange 超出文件", "ByteRange beyond the file"
    try:
        inside = binascii.unhexlify(hole[1:-1]) if hole[:1] == b"<" and hole[-1:] == b">" else None
    except binascii.Error:
        inside = None
    if inside != contents:
        return "ByteRange 排除了 Contents 以外的内容", "ByteRange leaves out more than Contents"
    return None


def _trimmed(contents: bytes) -> bytes:
    """The message without the zeros that fill the space reserved for it."""
    message, rest = der.ber_prefix_to_der(contents)
    if rest.strip(b"\x00"):
        raise der.Malformed("签名消息之后还有数据", "bytes after the signature message")
    return message


def _security_store(
    reader: PdfFileReader, revocation: RevocationSource
) -> tuple[tuple[SigningCert, ...], RevocationSource]:
    """/DSS (ETSI EN 319 142-1, 5.4.2.2)."""
    store = reader.root.get("/DSS", {})
    streams = {
        key: [entry.get_object().data for entry in list(store.get(key, []))[:MAX_STORE]]
        for key in ("/Certs", "/CRLs", "/OCSPs")
    }
    certs = []
    for raw in streams["/Certs"]:
        try:
            certs.append(SigningCert.from_der(raw))
        except CertsError:
            continue
    crls, answers = (*revocation.crls, *streams["/CRLs"]), (*revocation.ocsp_responses, *streams["/OCSPs"])
    return tuple(certs), replace(revocation, crls=crls, ocsp_responses=answers)
