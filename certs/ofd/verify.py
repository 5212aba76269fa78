"""Verification of a signed OFD document: GB/T 33190-2016 clause 18, GB/T 38540-2020, GM/T 0031-2014 and -2025.

For each signature that the document lists, in numbered steps:

0. The container is a bounded, unambiguous ZIP archive.
1. OFD.xml -> Signatures.xml -> each Signature.xml (18.1, 18.2).
2. The digest of every Reference is computed anew and compared (18.2.3): a seal alone says nothing about the pages.
3. dataHash is the digest of the raw bytes of Signature.xml.
4. The signature holds over the DER of TBS_Sign (SM2 with user id 1234567812345678).
5. The seal's own signature, by the seal maker, holds; Seal.esl, where present, is the seal inside the signature.
6. The signer is in the seal's list; seal and certificates were in force at the time of signing; both certificates chain to
   anchors that are trusted for this; none of them is revoked; timestamps hold.
7. Over all signatures: every file is covered by one of them, but for what the policy lets be.

``Type="Sign"`` is a signature without a seal: a GB/T 35275 message, or a bare SM2 value over Signature.xml; steps 3 to 6 are
then those of :mod:`certs.cms.verify`, or a search among the certificates that the caller knows.

Nothing is raised on bad input: it is FAILED with FORMAT_FAILURE. Every step is judged even when an earlier one failed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from certs import der, sm2
from certs.cms.signed_data import signer_of
from certs.cms.verify import verify_signed_data
from certs.der import Malformed
from certs.errors import BadKey
from certs.findings import Findings, because
from certs.ofd.package import (
    ListedSignature,
    OfdPackage,
    SignatureFile,
    child,
    doc_bodies,
    listed_signatures,
    read_signature,
    resolve,
    text,
)
from certs.ofd.seal_verify import DIGEST_NAMES, Context, check_path, verify_seal_signature
from certs.ofd.seals import Seal, parse_seal_signature
from certs.policy import Policy
from certs.report import Axis, Indication, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

_FILES, _LIST, _FILE = "GB/T 33190-2016 7.1", "GB/T 33190-2016 18.1", "GB/T 33190-2016 18.2"
_SHOWN = 20  # names in a finding


def verify_ofd(
    data: bytes,
    *,
    at: datetime,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    extra_certs: Sequence[SigningCert] = (),
    package: OfdPackage | None = None,
) -> Report:
    """Judge an OFD document at a time. ``extra_certs`` may serve as issuers, and as signers of bare SM2 values.

    ``package``: ``data``, where the caller has opened it already.
    """
    context = Context(at, trust, policy, revocation, tuple(extra_certs))
    document, signers = Findings(), list[Signer]()
    per_signature: list[Findings] = []
    try:
        package = package or OfdPackage.open(data)  # 0
        listed = listed_signatures(package)  # 1
        _container(package, document)
        covered, parts = set[str](), set[str]()
        for index, entry in enumerate(listed):
            findings = Findings(index)
            per_signature.append(findings)
            signer = _signature(package, entry, context, findings, covered, parts, last=index == len(listed) - 1)
            signers.extend([signer] if signer else [])
        if listed:
            _coverage(package, covered, parts, policy, document)  # 7
        else:
            zh, en = "文档没有签名", "the document is not signed"
            document.unsure(Axis.SIGNATURE, SubIndication.NOT_SIGNED, _LIST, zh, en)
    except Malformed as error:
        zh, en = "OFD 文件格式错误", "the OFD file is malformed"
        document.found[:] = [
            one for one in document.found if one.axis is not Axis.FORMAT
        ]  # what step 0 could see was well
        document.failed(Axis.FORMAT, SubIndication.FORMAT_FAILURE, _FILES, zh, en, **because(error.said))
    found = [finding for findings in (*per_signature, document) for finding in findings.found]
    return Report("ofd", hashlib.sha256(data).hexdigest(), at, policy.name, tuple(found), tuple(signers))


def _container(package: OfdPackage, findings: Findings) -> None:
    """Step 0. A file that stands twice is harmless only if both are the same: readers differ on which one counts."""
    if any(package.duplicates.values()):
        names = _names(name for name, differs in package.duplicates.items() if differs)
        zh, en = "压缩包内有同名而内容不同的文件", "two files of one name differ in the archive"
        findings.unsure(Axis.FORMAT, SubIndication.FORMAT_FAILURE, _FILES, zh, en, files=names)
        return
    note = {"duplicates": _names(package.duplicates)} if package.duplicates else {}
    findings.passed(Axis.FORMAT, _FILES, "文件结构正确", "the container is well formed", **note)


def _signature(
    package: OfdPackage,
    entry: ListedSignature,
    context: Context,
    findings: Findings,
    covered: set[str],
    parts: set[str],
    *,
    last: bool,
) -> Signer | None:
    """Steps 1 to 6 for one signature; what it covers, and the files that it consists of, are added to the sets."""
    parts.update((entry.list_name, entry.name))
    try:
        file = read_signature(package, entry.name)  # 1
        value = package.read(file.value_name)
    except Malformed as error:
        zh, en = "签名文件格式错误", "the signature file is malformed"
        findings.failed(Axis.FORMAT, SubIndication.FORMAT_FAILURE, _FILE, zh, en, **because(error.said))
        return None
    parts.add(file.value_name)
    covered |= _references(package, file, entry, findings, last=last)  # 2
    if sm2.is_signature(value):
        _require_seal(entry, context, findings)
        return _bare(file, value, context, findings)
    if _is_content_info(value):
        _require_seal(entry, context, findings)
        return _message(file, value, context, findings)
    try:
        seal_signature = parse_seal_signature(value)
    except Malformed as error:
        zh, en = "签名值格式错误", "the signature value is malformed"
        findings.failed(Axis.FORMAT, SubIndication.FORMAT_FAILURE, "GB/T 38540-2020 7.1", zh, en, **because(error.said))
        return None
    signer = verify_seal_signature(seal_signature, file.raw, context, findings)  # 3 to 6
    _seal_file(package, file, seal_signature.seal, parts, findings)  # 5
    return signer


def _references(
    package: OfdPackage, file: SignatureFile, entry: ListedSignature, findings: Findings, *, last: bool
) -> set[str]:
    """Step 2; gives the names of the files that it covers, altered ones too: those are a matter of CONTENT."""
    method = DIGEST_NAMES.get(file.check_method.strip().lower())
    if method is None:
        zh, en = "摘要算法不受支持或过弱", "the digest algorithm is unknown or weak"
        sub = SubIndication.CRYPTO_CONSTRAINTS_FAILURE
        findings.unsure(Axis.CONTENT, sub, _FILE, zh, en, method=file.check_method[:40])
        return set()
    changed, missing = list[str](), list[str]()
    for reference in file.references:
        if reference.name not in package.names:
            missing.append(reference.name)
        elif not hmac.compare_digest(package.digest(method, reference.name), reference.check_value):
            changed.append(reference.name)
    facts = {"changed": _names(changed), "missing": _names(missing), "covered": str(len(file.references))}
    if not changed and not missing:
        findings.passed(
            Axis.CONTENT,
            _FILE,
            "签名保护的文件均未被改动",
            "no file under the signature was altered",
            covered=facts["covered"],
        )
    elif changed == [entry.list_name] and not missing and not last:
        # 18.1: a signature that covers the list of signatures forbids further ones; a later signer added one all the same
        zh = "签名后又追加了签名，改写了受其保护的签名列表；其余文件未被改动"
        en = "a later signature rewrote the list of signatures, which this one covers; nothing else was altered"
        sub = SubIndication.HASH_FAILURE
        findings.failed(Axis.CONTENT, sub, _LIST, zh, en, cause="later-signature", **facts)
    else:
        zh, en = "签名后有文件被改动或移除", "files were altered or removed after signing"
        findings.failed(Axis.CONTENT, SubIndication.HASH_FAILURE, _FILE, zh, en, **facts)
    return {reference.name for reference in file.references}


def _seal_file(package: OfdPackage, file: SignatureFile, seal: Seal, parts: set[str], findings: Findings) -> None:
    """Step 5: Seal.esl is often absent; where it is there, it is the seal inside the signature value."""
    if file.seal_name is None or file.seal_name not in package.names:
        return
    parts.add(file.seal_name)
    if hmac.compare_digest(package.read(file.seal_name), seal.raw):
        zh, en = "印章文件与签章内的印章一致", "Seal.esl is the seal inside the signature"
        findings.passed(Axis.SEAL, "GB/T 33190-2016 18.2.2", zh, en)
    else:
        zh, en = "印章文件与签章内的印章不一致", "Seal.esl is not the seal inside the signature"
        sub = SubIndication.SIG_CONSTRAINTS_FAILURE
        findings.failed(Axis.SEAL, sub, "GB/T 33190-2016 18.2.2", zh, en)


def _require_seal(entry: ListedSignature, context: Context, findings: Findings) -> None:
    """What has no seal inside: against the list, which says Seal unless it says Sign, and against the policy."""
    if entry.kind == "Seal":
        zh, en = "列为电子签章，但签名值中没有印章", "listed as a seal, but there is no seal in the signature value"
        findings.failed(Axis.SEAL, SubIndication.FORMAT_FAILURE, _LIST, zh, en)
    elif context.policy.require_seal:
        zh, en = "策略要求电子签章，而这是不带印章的数字签名", "the policy asks for a seal, and this signature has none"
        findings.unsure(Axis.POLICY, SubIndication.SIG_CONSTRAINTS_FAILURE, "policy", zh, en)


def _bare(file: SignatureFile, value: bytes, context: Context, findings: Findings) -> Signer | None:
    """A bare SM2 value names nobody: whoever the caller knows may have made it."""
    for cert in context.certs:
        try:
            key = cert.public_key
            held = key.kind == "sm2" and sm2.verify(key.spki, file.raw, value)
        except BadKey:
            continue
        if held:
            findings.passed(Axis.SIGNATURE, "GM/T 0009-2012", "签名值成立", "the signature holds", algorithm="sm2-sm3")
            check_path(cert, "seal", context.at, context, findings, proven=False)
            return replace(signer_of(cert, None, "sm2-sm3"), signature=findings.index)
    zh, en = "签名值未附证书，无法确定签名人", "the signature carries no certificate: its signer cannot be told"
    findings.unsure(Axis.SIGNATURE, SubIndication.NO_SIGNING_CERTIFICATE_FOUND, _FILE, zh, en)
    return None


def _is_content_info(value: bytes) -> bool:
    """Whether the value begins as a ContentInfo does: SEQUENCE {OBJECT IDENTIFIER …; BER streams are met as well."""
    header = 2 + (value[1] & 0x7F if len(value) > 1 and value[1] > 0x80 else 0)
    return value[:1] == b"\x30" and value[header : header + 1] == bytes((der.OID,))


def _message(file: SignatureFile, value: bytes, context: Context, findings: Findings) -> Signer | None:
    """A GB/T 35275 (or CMS) message over Signature.xml; its messageDigest is step 3, its signature step 4."""
    result = verify_signed_data(
        value,
        file.raw,
        trust=context.trust,
        policy=context.policy,
        revocation=context.revocation,
        at=context.at,
        purpose="seal",
        extra_certs=context.certs,
    )
    findings.extend(result.findings)
    return replace(result.signers[0], signature=findings.index) if result.signers else None


def _coverage(package: OfdPackage, covered: set[str], parts: set[str], policy: Policy, findings: Findings) -> None:
    """Step 7: files that no signature covers. The files that signatures consist of are covered by their very role."""
    outside = sorted(package.names.keys() - covered - parts)
    unmet = [name for name in outside if not policy.may_be_uncovered(name)]
    # a policy may let OFD.xml be, but then it must lead to a document that is covered
    roots = [resolve("OFD.xml", text(child(body, "DocRoot"))) for body in doc_bodies(package)]
    unmet.extend(root for root in roots if root not in covered and root not in unmet)
    if unmet:
        zh, en = "有文件不在任何签名的保护之内", "files lie outside every signature"
        facts = {"files": _names(unmet), "count": str(len(unmet))}
        if policy.uncovered is Indication.FAILED:
            findings.failed(Axis.COVERAGE, SubIndication.UNCOVERED_CONTENT, _FILE, zh, en, **facts)
        elif policy.uncovered is Indication.INDETERMINATE:
            findings.unsure(Axis.COVERAGE, SubIndication.UNCOVERED_CONTENT, _FILE, zh, en, **facts)
        else:
            findings.passed(Axis.COVERAGE, "policy", f"{zh}，策略允许", f"{en}, as the policy allows", **facts)
    elif outside:
        zh, en = "未受保护的文件均为策略所允许", "the files outside every signature are those that the policy allows"
        findings.passed(Axis.COVERAGE, "policy", zh, en, files=_names(outside), count=str(len(outside)))
    else:
        findings.passed(Axis.COVERAGE, _FILE, "所有文件均在签名保护之内", "every file is under a signature")


def _names(names: Iterable[str]) -> str:
    """Some names for a finding, one a line."""
    return "\n".join(sorted(names)[:_SHOWN])
