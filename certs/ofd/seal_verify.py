"""One seal signature (SES_Signature) against the Signature.xml that it is over: steps 3 to 6 of :mod:`certs.ofd.verify`."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certs import der
from certs.algorithms import key_weakness, signature_algorithm
from certs.cms.timestamps import TimestampResult, verify_timestamp
from certs.digests import digest
from certs.errors import BadKey
from certs.findings import Findings, because
from certs.keys import SPECS, PublicKey, SignatureAlgorithm
from certs.ofd.seals import Seal, SealSignature
from certs.policy import Policy
from certs.report import Axis, Indication, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.owners import owner_of
from certs.x509.paths import validate_path
from certs.x509.revocation import SKEW, RevocationSource
from certs.x509.signing_cert import SigningCert

_SEAL, _SIGN = "GB/T 38540-2020 6.3", "GB/T 38540-2020 7.3"
# Some makers name the curve where the signature algorithm belongs.
_SM2_OIDS: Final = frozenset({"1.2.156.10197.1.301", "1.2.156.10197.1.301.1", "1.2.156.10197.1.501"})
DIGEST_NAMES: Final = {
    "1.2.156.10197.1.401": "sm3",
    "sm3": "sm3",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "sha256": "sha256",
    "sha-256": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "sha384": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "sha512": "sha512",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What one verification is done with. ``at`` is its time; ``certs`` may serve as issuers."""

    at: datetime
    trust: TrustStore
    policy: Policy
    revocation: RevocationSource
    certs: tuple[SigningCert, ...] = ()


def verify_seal_signature(
    value: SealSignature, signature_xml: bytes, context: Context, findings: Findings
) -> Signer | None:
    """Steps 3 to 6 without Seal.esl; findings are added, and who signed is given, if its certificate can be read."""
    signer = _data_hash_and_signature(value, signature_xml, context, findings)  # 3, 4
    maker = _seal_signature(value.seal, context, findings)  # 5
    _listed(value, findings)  # 6
    signed_at, proven = _signing_time(value, signature_xml, context, findings)
    _seal_period(value.seal, signed_at, findings)
    if signer is not None:
        check_path(signer, "seal", signed_at, context, findings, proven=proven)
    if maker is not None:
        made_at, made_proven = _making_time(value.seal, context, findings)
        check_path(maker, "seal-maker", made_at, context, findings, proven=made_proven)
    if signer is None:
        return None
    return Signer(
        subject=signer.subject_text,
        issuer=signer.issuer_text,
        serial=signer.serial_hex,
        fingerprint_sha256=signer.fingerprint,
        signed_at=signed_at if value.time or proven else None,
        algorithm=str(algorithm_of(value.algorithm_oid) or value.algorithm_oid),
        seal_id=value.seal.seal_id,
        seal_name=value.seal.name,
        owner=owner_of(signer),
        signature=findings.index,
    )


def algorithm_of(oid: str) -> SignatureAlgorithm | None:
    """The signature algorithm that an OID in a seal means, or None."""
    if oid in _SM2_OIDS:
        return SignatureAlgorithm.SM2_SM3
    return signature_algorithm(der.tlv(der.SEQUENCE, der.encode_oid(oid)))


def _data_hash_and_signature(
    value: SealSignature, signature_xml: bytes, context: Context, findings: Findings
) -> SigningCert | None:
    """Steps 3 and 4."""
    algorithm = algorithm_of(value.algorithm_oid)
    # 3. dataHash is over the raw bytes of Signature.xml: SM3, or the digest of a signer that is not SM2
    names = {"sm3", SPECS[algorithm].hash_name if algorithm else "sm3"}
    if any(hmac.compare_digest(value.data_hash, digest(name, signature_xml)) for name in names):
        zh, en = "签名文件与签章时一致", "Signature.xml is what was sealed"
        findings.passed(Axis.CONTENT, _SIGN, zh, en)
    else:
        zh, en = "签名文件（Signature.xml）在签章后被改动", "Signature.xml was altered after sealing"
        findings.failed(Axis.CONTENT, SubIndication.HASH_FAILURE, _SIGN, zh, en, step="3")
    # 4. the signature over the DER of TBS_Sign
    cert = _read_cert(value.cert, "签章人", "the signer's", Axis.SIGNATURE, findings)
    if cert is not None:
        _check_value(cert, algorithm, value.tbs, value.signature, Axis.SIGNATURE, context, findings)
    return cert


def _seal_signature(seal: Seal, context: Context, findings: Findings) -> SigningCert | None:
    """Step 5: the seal maker's signature, over SES_SealInfo alone (v4, v5) or with certificate and algorithm (v1)."""
    maker = _read_cert(seal.maker_cert, "制章人", "the seal maker's", Axis.SEAL, findings)
    if maker is not None:
        algorithm = algorithm_of(seal.algorithm_oid)
        remembered = PublicKey.verify_remembered  # one seal stands on all the documents of its owner
        _check_value(maker, algorithm, seal.signed, seal.signature, Axis.SEAL, context, findings, remembered)
    return maker


def _read_cert(raw: bytes, whose_zh: str, whose_en: str, axis: Axis, findings: Findings) -> SigningCert | None:
    try:
        cert = SigningCert.from_der(raw)
        _ = cert.public_key
    except BadKey as error:
        zh, en = f"{whose_zh}证书无法读取", f"{whose_en} certificate cannot be read"
        findings.unsure(axis, SubIndication.NO_SIGNING_CERTIFICATE_FOUND, _SIGN, zh, en, **because(error.said))
        return None
    return cert


def _check_value(
    cert: SigningCert,
    algorithm: SignatureAlgorithm | None,
    signed: bytes,
    signature: bytes,
    axis: Axis,
    context: Context,
    findings: Findings,
    verify: Callable[[PublicKey, SignatureAlgorithm, bytes, bytes], bool] = PublicKey.verify,
) -> None:
    clause, what_zh, what_en = (
        (_SIGN, "签章", "the seal signature")
        if axis is Axis.SIGNATURE
        else (_SEAL, "印章自身的签名", "the seal itself")
    )
    if algorithm is None or not context.policy.allows(algorithm) or key_weakness(cert.spki, context.policy):
        zh, en = f"{what_zh}：算法不受支持或被策略禁止", f"{what_en}: the algorithm or key is not allowed"
        findings.unsure(axis, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, clause, zh, en)
    elif cert.public_key.fits(algorithm) and verify(cert.public_key, algorithm, signed, signature):
        findings.passed(axis, clause, f"{what_zh}成立", f"{what_en} holds", algorithm=str(algorithm))
    else:
        zh, en = f"{what_zh}不成立", f"{what_en} does not hold"
        findings.failed(axis, SubIndication.SIG_CRYPTO_FAILURE, clause, zh, en, algorithm=str(algorithm))


def _listed(value: SealSignature, findings: Findings) -> None:
    """Step 6: the signer's certificate is one of those that may use the seal: type 1 certificates, type 2 digests."""
    seal = value.seal
    good = any(hmac.compare_digest(value.cert, cert) for cert in seal.certs)
    for name, stated in seal.digests:
        known = DIGEST_NAMES.get(name.strip().lower())
        good = good or (known is not None and hmac.compare_digest(digest(known, value.cert), stated))
    if good:
        zh, en = "签章人在印章的授权列表内", "the signer is among those who may use the seal"
        findings.passed(Axis.SEAL, _SIGN, zh, en, list=seal.list_type)
    else:
        zh, en = "签章人不在印章的授权列表内", "the signer is not among those who may use the seal"
        findings.failed(Axis.SEAL, SubIndication.SIG_CONSTRAINTS_FAILURE, _SIGN, zh, en, list=seal.list_type)


def _signing_time(
    value: SealSignature, signature_xml: bytes, context: Context, findings: Findings
) -> tuple[datetime, bool]:
    """The time that the signature is judged at, and whether it is proven: a timestamp, else timeInfo, else now."""
    claimed, proven = value.time, None
    if (
        value.time_token is not None
    ):  # v1: a timestamp inside what is signed proves the file's time, not the signature's
        stamp = _timestamp(value.time_token, (signature_xml, value.data_hash), context)
        findings.extend(stamp.findings, of="timeInfo")
        claimed = stamp.time
    if value.timestamp is not None:  # v4, v5: over the signature value
        stamp = _timestamp(value.timestamp, (value.signature,), context)
        findings.extend(stamp.findings, of="signature")
        proven = stamp.time if stamp.indication is Indication.PASSED else None
    if claimed is not None and claimed - context.at > SKEW:  # no sum: the time asked for may be the last there is
        zh, en = "签章时间晚于验证时间", "the stated time of signing lies in the future"
        findings.failed(Axis.VALIDITY, SubIndication.NOT_YET_VALID, _SIGN, zh, en, signed_at=claimed.isoformat())
    if proven is not None:
        if claimed is not None and claimed - proven > SKEW:
            zh, en = "声称的签章时间晚于时间戳", "the stated time of signing is later than its timestamp"
            findings.unsure(Axis.TIMESTAMP, SubIndication.TIMESTAMP_ORDER_FAILURE, _SIGN, zh, en)
        return proven, True
    if claimed is not None and context.policy.accept_claimed_time:
        return claimed, False
    return context.at, False


def _making_time(seal: Seal, context: Context, findings: Findings) -> tuple[datetime, bool]:
    """When the seal was made: its timestamp (v5), else its createDate."""
    if seal.timestamp is not None:
        stamp = _timestamp(seal.timestamp, (seal.signature,), context)
        findings.extend(stamp.findings, of="seal")
        if stamp.indication is Indication.PASSED and stamp.time is not None:
            return stamp.time, True
    return (seal.created if context.policy.accept_claimed_time else context.at), False


def _timestamp(token: bytes, candidates: Sequence[bytes], context: Context) -> TimestampResult:
    """The judgement of the first candidate that the token is over; the last one where it is over none of them."""
    for stamped in candidates:
        result = verify_timestamp(
            token,
            stamped,
            trust=context.trust,
            policy=context.policy,
            revocation=context.revocation,
            now=context.at,
            extra_certs=context.certs,
        )
        if not any(finding.sub_indication is SubIndication.HASH_FAILURE for finding in result.findings):
            break
    return result


def _seal_period(seal: Seal, signed_at: datetime, findings: Findings) -> None:
    """Step 6: the seal was in force at the time of signing."""
    period = {"valid_from": seal.valid_from.isoformat(), "valid_to": seal.valid_to.isoformat()}
    if signed_at < seal.valid_from:
        zh, en = "签章时印章尚未生效", "the seal was not in force yet when it was used"
        findings.failed(Axis.VALIDITY, SubIndication.NOT_YET_VALID, _SIGN, zh, en, **period)
    elif signed_at > seal.valid_to:
        zh, en = "签章时印章已过有效期", "the seal had expired when it was used"
        findings.failed(Axis.VALIDITY, SubIndication.EXPIRED, _SIGN, zh, en, **period)
    else:
        findings.passed(
            Axis.VALIDITY, _SIGN, "签章时印章在有效期内", "the seal was in force when it was used", **period
        )


def check_path(
    cert: SigningCert, purpose: str, signed_at: datetime, context: Context, findings: Findings, *, proven: bool
) -> None:
    """Step 6: chain, validity and revocation of one certificate, at the time when it signed."""
    result = validate_path(
        cert,
        context.certs,
        trust=context.trust,
        purpose=purpose,
        at=signed_at,
        policy=context.policy,
        revocation=context.revocation,
        now=context.at,
        proven_time=proven,
    )
    findings.extend(result.findings, purpose=purpose)
    if result.chain:
        return
    # without a path the validator says nothing of times; the certificate's own period can be told all the same
    period = {
        "not_before": cert.not_before.isoformat(),
        "not_after": cert.not_after.isoformat(),
        "certificate": cert.fingerprint,
        "purpose": purpose,
    }
    clause = "RFC 5280 6.1.3 (a)(2)"
    if signed_at < cert.not_before:
        zh, en = "签名时证书尚未生效", "the certificate was not valid yet at the time of signing"
        findings.failed(Axis.VALIDITY, SubIndication.NOT_YET_VALID, clause, zh, en, **period)
    elif signed_at > cert.not_after:
        zh, en = "签名时证书已过有效期", "the certificate had expired at the time of signing"
        findings.failed(Axis.VALIDITY, SubIndication.EXPIRED, clause, zh, en, **period)
    else:
        zh, en = "签名时证书在有效期内", "the certificate was valid at the time of signing"
        findings.passed(Axis.VALIDITY, clause, zh, en, **period)
