"""Verification of CMS, PKCS#7 and GB/T 35275 signed messages, attached and detached.

Steps for each signer:

1. The message is read (RFC 5652, 5; GB/T 35275-2017, 8) and its content is there, inside or handed in.
2. The signer's digest, attributes and signature (:func:`certs.cms.signed_data.check_signer`).
3. A signature timestamp, if there is one, is over this signature value (RFC 3161, appendix A); it proves the time.
4. The signer's certificate has a path to a trusted anchor at that time: the proven one, else the claimed signing time
   where the policy accepts claims, else the time of verification.

The caller owes: what the content means, and whether this signer may say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from certs import der
from certs.cms.signed_data import (
    DATA,
    GB_DATA,
    SIGNATURE_TIMESTAMP,
    SignedData,
    SignerInfo,
    check_signer,
    parse_signed_data,
    signer_of,
    single_value,
)
from certs.cms.timestamps import verify_timestamp
from certs.errors import BadKey, CertsError
from certs.findings import finding
from certs.pkcs8 import unarmour
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignedDataResult:
    """Findings over all signers, who they are, and the content that was judged (None where the message is unreadable)."""

    findings: tuple[Finding, ...]
    signers: tuple[Signer, ...] = ()
    content: bytes | None = None


def verify_cms(
    data: bytes,
    content: bytes | None = None,
    *,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str = "message",
    extra_certs: Sequence[SigningCert] = (),
) -> Report:
    """Judge a CMS message (DER, BER or PEM). ``content`` is what a detached signature is over."""
    result = verify_signed_data(
        _unarmoured(data),
        content,
        trust=trust,
        policy=policy,
        revocation=revocation,
        at=at,
        purpose=purpose,
        extra_certs=extra_certs,
    )
    return Report.of("cms", data if content is None else content, at, policy.name, result.findings, result.signers)


def verify_signed_data(
    content_info_der: bytes,
    content: bytes | None,
    *,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str = "message",
    extra_certs: Sequence[SigningCert] = (),
    first_index: int = 0,
) -> SignedDataResult:
    """Judge a ContentInfo; ``at`` is the time of verification, ``first_index`` the number of its first signature.

    With ``content`` given, an attached content must be the same bytes. Raises nothing on bad input.
    """
    # 1. the message and its content
    try:
        if len(content_info_der) > MAX_MESSAGE_BYTES:
            raise der.Malformed(f"签名消息超过 {MAX_MESSAGE_BYTES} 字节", f"a message above {MAX_MESSAGE_BYTES} bytes")
        message = parse_signed_data(content_info_der)
    except CertsError as error:
        sub = SubIndication.FORMAT_FAILURE
        return SignedDataResult(
            (finding(Axis.FORMAT, sub, "RFC 5652 5.1", f"签名消息格式错误：{error.zh}", f"malformed: {error.en}"),)
        )
    if message.content_type not in {DATA, GB_DATA}:
        zh, en = "签名内容的类型不是数据", "the signed content is of another type than data"
        return SignedDataResult((finding(Axis.FORMAT, SubIndication.FORMAT_FAILURE, "RFC 5652 5.2", zh, en),))
    judged = message.content if content is None else content
    if judged is None:
        zh, en = "缺少被签名的内容", "the signed content is neither in the message nor given"
        missing = finding(Axis.CONTENT, SubIndication.SIGNED_DATA_NOT_FOUND, "RFC 5652 5.2", zh, en)
        return SignedDataResult((replace(missing, indication=Indication.INDETERMINATE),))
    if message.content is not None and message.content != judged:
        zh, en = "消息内的内容与给出的内容不同", "the content inside is not the one that was given"
        return SignedDataResult((finding(Axis.CONTENT, SubIndication.HASH_FAILURE, "RFC 5652 5.2", zh, en),))
    if not message.signers:
        zh, en = "消息没有签名者", "the message has no signer"
        return SignedDataResult((finding(Axis.SIGNATURE, SubIndication.NOT_SIGNED, "RFC 5652 5.1", zh, en),))

    clause = "GB/T 35275-2017 8" if message.gb else "RFC 5652 5.1"
    findings = [finding(Axis.FORMAT, None, clause, "签名消息格式正确", "the message is well formed")]
    signers = []
    for number, info in enumerate(message.signers, first_index):
        found, signer = _one(message, info, judged, number, trust, policy, revocation, at, purpose, tuple(extra_certs))
        findings.extend(found)
        signers.extend([signer] if signer else [])
    return SignedDataResult(tuple(findings), tuple(signers), judged)


def _one(  # noqa: PLR0917 - one signer of one message: all that is known of both
    message: SignedData,
    info: SignerInfo,
    content: bytes,
    number: int,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str,
    extra_certs: tuple[SigningCert, ...],
) -> tuple[list[Finding], Signer | None]:
    # 2. cryptography
    checked = check_signer(message, info, content, policy=policy, extra_certs=extra_certs, index=number)
    findings = list(checked.findings)
    if checked.cert is None:
        return findings, None
    signer = signer_of(checked.cert, checked.signing_time, checked.algorithm)
    if any(f.indication is not Indication.PASSED for f in findings):
        return findings, signer
    pool = (*message.certificates, *extra_certs)
    source = replace(revocation, crls=(*revocation.crls, *message.crls))

    # 3. timestamp
    proven: datetime | None = None
    token = info.unsigned.get(SIGNATURE_TIMESTAMP)
    if token is not None:
        try:
            raw = single_value(info.unsigned, SIGNATURE_TIMESTAMP, der.SEQUENCE)
        except der.Malformed:
            raw = None
        stamp = verify_timestamp(
            raw.raw if raw else b"",
            info.signature,
            trust=trust,
            policy=policy,
            revocation=source,
            now=at,
            extra_certs=pool,
            index=number,
        )
        findings.extend(stamp.findings)
        if stamp.indication is Indication.PASSED:
            proven = stamp.time

    # 4. path
    claimed = checked.signing_time if policy.accept_claimed_time else None
    path = validate_path(
        checked.cert,
        pool,
        trust=trust,
        purpose=purpose,
        at=proven or claimed or at,
        policy=policy,
        revocation=source,
        now=at,
        proven_time=proven is not None,
    )
    findings.extend(replace(found, signature=number) for found in path.findings)
    if checked.signing_time is not None and checked.signing_time > at:
        zh, en = "声称的签名时间晚于验证时间", "the claimed signing time lies after the time of verification"
        findings.append(finding(Axis.VALIDITY, SubIndication.NOT_YET_VALID, "policy", zh, en, number))
    return findings, signer


def _unarmoured(data: bytes) -> bytes:
    """DER of a PEM message (RFC 7468, 8 and 9); other bytes as they stand."""
    if data.lstrip()[:10] != b"-----BEGIN":
        return data
    try:
        return unarmour(data, ("CMS", "PKCS7", "PKCS #7 SIGNED DATA"))[1]
    except BadKey:
        return b""  # not a message: refused as such below
