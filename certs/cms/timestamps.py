"""RFC 3161 timestamp tokens: what they prove, and whether they are to be believed; RSA, ECDSA and SM2 authorities.

Steps (RFC 3161, 2.4.2 and 2.3):

1. The token is signed data with one signer over a TSTInfo, and names the authority's certificate (2.4.1, ESSCertID).
2. The imprint is the digest of the data that is said to be stamped.
3. The signature holds.
4. The authority's certificate has a path to an anchor trusted for "timestamp", with its key usage and nothing else, valid
   at the stamped time, and is not revoked.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certs import der
from certs.algorithms import digest_name
from certs.cms.signed_data import TST_INFO, check_signer, names_certificate, parse_signed_data
from certs.der import Malformed
from certs.digests import digest
from certs.errors import CertsError
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, SubIndication, worst
from certs.trust import TrustStore
from certs.x509.paths import validate_path
from certs.x509.revocation import SKEW, RevocationSource
from certs.x509.signing_cert import SigningCert

MAX_TOKEN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class TstInfo:
    """TSTInfo (RFC 3161, 2.4.2). ``accuracy`` is zero where it is not stated."""

    policy: str
    digest_name: str
    imprint: bytes
    serial: int
    time: datetime
    accuracy: timedelta
    nonce: int | None


@dataclass(frozen=True, slots=True)
class TimestampResult:
    """``time`` is proven only where ``indication`` is PASSED; otherwise it is what the token says, or None."""

    findings: tuple[Finding, ...]
    time: datetime | None = None
    authority: SigningCert | None = None

    @property
    def indication(self) -> Indication:
        """The worst of the findings."""
        return worst(finding.indication for finding in self.findings)


def parse_tst_info(content: bytes) -> TstInfo:
    """Read a TSTInfo; faults are Malformed."""
    reader = der.read(content, der.SEQUENCE).reader()
    if reader.take(der.INTEGER).integer() != 1:
        raise Malformed("TSTInfo 版本未知", "a TSTInfo of unknown version")
    policy = reader.take(der.OID).oid()
    imprint = reader.take(der.SEQUENCE).reader()
    name = digest_name(imprint.take(der.SEQUENCE).reader().take(der.OID).oid())
    hashed = imprint.take(der.OCTET_STRING).content
    imprint.finish()
    if name is None:
        raise Malformed("时间戳的摘要算法未知或已不安全", "an imprint with an unknown or broken digest algorithm")
    serial, time = reader.take(der.INTEGER).integer(), reader.take(der.GENERALIZED_TIME).time()
    accuracy = reader.maybe(der.SEQUENCE)
    reader.maybe(der.BOOLEAN)  # ordering
    nonce = reader.maybe(der.INTEGER)
    reader.maybe(0xA0)  # tsa: a hint of the name, which the signature does not need
    reader.maybe(0xA1)
    reader.finish()
    return TstInfo(policy, name, hashed, serial, time, _accuracy(accuracy), nonce.integer() if nonce else None)


def _accuracy(element: der.Element | None) -> timedelta:
    if element is None:
        return timedelta()
    reader = element.reader()
    seconds, millis, micros = reader.maybe(der.INTEGER), reader.maybe(0x80), reader.maybe(0x81)
    reader.finish()
    numbers = [part.integer() if part else 0 for part in (seconds, millis, micros)]
    if any(not 0 <= number <= 86400 for number in numbers):
        raise Malformed("时间戳精度超出范围", "an accuracy out of range")
    return timedelta(seconds=numbers[0], milliseconds=numbers[1], microseconds=numbers[2])


def verify_timestamp(
    token: bytes,
    stamped: bytes,
    *,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    now: datetime,
    extra_certs: tuple[SigningCert, ...] = (),
    index: int | None = None,
) -> TimestampResult:
    """Judge a TimeStampToken (a ContentInfo) over the bytes that it should stamp; all findings are on TIMESTAMP."""

    def refused(sub: SubIndication, clause: str, zh: str, en: str, info: TstInfo | None = None) -> TimestampResult:
        finding = Finding(Axis.TIMESTAMP, Indication.FAILED, sub, clause, zh, en, {}, index)
        return TimestampResult((finding,), info.time if info else None)

    # 1. structure
    try:
        if len(token) > MAX_TOKEN_BYTES:
            raise Malformed(
                f"时间戳令牌超过 {MAX_TOKEN_BYTES} 字节", f"a timestamp token above {MAX_TOKEN_BYTES} bytes"
            )
        message = parse_signed_data(token)
        if message.content_type != TST_INFO or message.content is None or len(message.signers) != 1:
            raise Malformed("不是时间戳令牌", "not a timestamp token")
        info = parse_tst_info(message.content)
        signer = message.signers[0]
        bound = names_certificate(signer)
    except CertsError as error:
        return refused(
            SubIndication.FORMAT_FAILURE, "RFC 3161 2.4.2", f"时间戳格式错误：{error.zh}", f"malformed: {error.en}"
        )
    if not bound and not message.gb:
        zh, en = "时间戳未绑定签发者证书", "the token does not name its authority's certificate"
        return refused(SubIndication.SIG_CONSTRAINTS_FAILURE, "RFC 3161 2.4.1", zh, en, info)
    # 2. imprint
    if not hmac.compare_digest(info.imprint, digest(info.digest_name, stamped)):
        zh, en = "时间戳盖的不是这份数据", "the timestamp is over other data"
        return refused(SubIndication.HASH_FAILURE, "RFC 3161 2.4.2", zh, en, info)
    if info.time - now > SKEW:
        zh, en = "时间戳晚于验证时间", "the timestamp lies after the time of verification"
        return refused(SubIndication.TIMESTAMP_ORDER_FAILURE, "ETSI EN 319 102-1 5.5.4", zh, en, info)
    # 3. signature
    checked = check_signer(message, signer, message.content, policy=policy, extra_certs=extra_certs, index=index)
    if checked.cert is None or any(f.indication is not Indication.PASSED for f in checked.findings):
        return TimestampResult(tuple(_here(f) for f in checked.findings), info.time)
    # 4. path
    path = validate_path(
        checked.cert,
        (*message.certificates, *extra_certs),
        trust=trust,
        purpose="timestamp",
        at=info.time,
        policy=policy,
        revocation=replace(revocation, crls=(*revocation.crls, *message.crls)),
        now=now,
    )
    if path.indication is not Indication.PASSED:
        bad = tuple(_here(f, index) for f in path.findings if f.indication is not Indication.PASSED)
        return TimestampResult(bad, info.time, checked.cert)
    data = {"time": info.time.isoformat(), "policy": info.policy, "authority": checked.cert.fingerprint}
    good = Finding(
        Axis.TIMESTAMP,
        Indication.PASSED,
        None,
        "RFC 3161 2.4.2",
        "时间戳成立",
        "the timestamp holds",
        data,
        index,
    )
    return TimestampResult((good,), info.time, checked.cert)


def _here(finding: Finding, index: int | None = None) -> Finding:
    """A finding about the authority, told on the timestamp's axis."""
    zh, en = f"时间戳：{finding.detail_zh}", f"timestamp: {finding.detail_en}"
    data = {**finding.data, "axis": finding.axis.value}
    number = finding.signature if index is None else index
    return replace(finding, axis=Axis.TIMESTAMP, detail_zh=zh, detail_en=en, data=data, signature=number)
