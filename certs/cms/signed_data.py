"""CMS SignedData (RFC 5652), PKCS#7 and GB/T 35275 messages: reading, and the cryptography of one signer.

Steps for one signer, as in RFC 5652, 5.4 and 5.6:

1. The certificate that the signer names is found among those given (signed attributes may bind it: RFC 5035).
2. With signed attributes: content type and message digest agree with the content; the signature is over the DER of the
   attributes re-tagged as a SET. Without: the signature is over the content itself.
3. The algorithm is allowed, the digest algorithms agree, and the key made the signature (SM2 with the default user id).

Whether the certificate is trusted is for :mod:`certs.cms.verify` and :mod:`certs.cms.timestamps`. BER streams are read too.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from certs import der
from certs.algorithms import cms_algorithm, digest_name, key_weakness
from certs.der import Element, Malformed
from certs.digests import digest
from certs.errors import BadKey, CertsError
from certs.keys import SignatureAlgorithm
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, Signer, SubIndication
from certs.x509.names import same_name
from certs.x509.owners import owner_of
from certs.x509.signing_cert import SigningCert

MAX_SIGNERS = 16
MAX_CERTS = 64
MAX_CRLS = 16
MAX_ATTRIBUTES = 64

SIGNED_DATA = "1.2.840.113549.1.7.2"
DATA = "1.2.840.113549.1.7.1"
GB_SIGNED_DATA = "1.2.156.10197.6.1.4.2.2"
GB_DATA = "1.2.156.10197.6.1.4.2.1"
TST_INFO = "1.2.840.113549.1.9.16.1.4"

CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNATURE_TIMESTAMP = "1.2.840.113549.1.9.16.2.14"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"

_SIGNER_CLAUSE = "RFC 5652 5.6"


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One SignerInfo. ``signed_content`` is the inside of the signed attributes, None where there are none."""

    issuer: bytes | None
    serial: int | None
    key_id: bytes | None
    digest_oid: str
    algorithm: bytes
    signature: bytes
    signed_content: bytes | None
    signed: dict[str, Element]  # attribute type -> its SET of values
    unsigned: dict[str, Element]


@dataclass(frozen=True, slots=True)
class SignedData:
    """A read message. ``content`` is None when it is detached; ``gb`` says that it is a GB/T 35275 message."""

    gb: bool
    content_type: str
    content: bytes | None
    certificates: tuple[SigningCert, ...]
    crls: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]


@dataclass(frozen=True, slots=True)
class SignerResult:
    """Findings on FORMAT, CONTENT and SIGNATURE; who signed; and the time that the signer claims."""

    findings: tuple[Finding, ...]
    cert: SigningCert | None
    signing_time: datetime | None
    algorithm: str = ""


def parse_signed_data(data: bytes) -> SignedData:
    """Read a ContentInfo with SignedData (RFC 5652, 3 and 5.1; GB/T 35275-2017, 8). Faults are Malformed."""
    info = der.read(der.ber_to_der(data), der.SEQUENCE).reader()
    kind = info.take(der.OID).oid()
    if kind not in {SIGNED_DATA, GB_SIGNED_DATA}:
        raise Malformed("不是签名数据（SignedData）消息", "not a signed-data message")
    wrapped = info.take(0xA0)
    info.finish()
    reader = der.read(wrapped.content, der.SEQUENCE).reader()
    reader.take(der.INTEGER)
    reader.take(der.SET)
    content_type, content = _encapsulated(reader.take(der.SEQUENCE))
    certificates, crls = reader.maybe(0xA0), reader.maybe(0xA1)
    signers = reader.take(der.SET).members(der.SEQUENCE)
    reader.finish()
    raw_certs = [m.raw for m in certificates.members() if m.tag == der.SEQUENCE] if certificates else []
    raw_crls = [m.raw for m in crls.members() if m.tag == der.SEQUENCE] if crls else []
    if len(raw_certs) > MAX_CERTS or len(raw_crls) > MAX_CRLS or len(signers) > MAX_SIGNERS:
        raise Malformed("一条消息中的证书、CRL 或签名者过多", "too many certificates, CRLs or signers in one message")
    return SignedData(
        gb=kind == GB_SIGNED_DATA,
        content_type=content_type,
        content=content,
        certificates=tuple(_readable(raw_certs)),
        crls=tuple(raw_crls),
        signers=tuple(_signer_info(member) for member in signers),
    )


def _readable(raw_certs: list[bytes]) -> list[SigningCert]:
    """The certificates that can be read: a broken one beside the signer's must not refuse the message."""
    found = []
    for raw in raw_certs:
        try:
            found.append(SigningCert.from_der(raw))
        except (BadKey, Malformed):
            continue
    return found


def _encapsulated(element: Element) -> tuple[str, bytes | None]:
    reader = element.reader()
    content_type = reader.take(der.OID).oid()
    wrapped = reader.maybe(0xA0)
    reader.finish()
    if wrapped is None:
        return content_type, None
    inner = der.read(wrapped.content)
    # PKCS#7 has other content than an OCTET STRING too: signed is then its value without tag and length (RFC 2315, 9.3)
    if inner.tag == 0x24:
        return content_type, b"".join(member.content for member in inner.members(der.OCTET_STRING))
    return content_type, inner.content


def _signer_info(element: Element) -> SignerInfo:
    reader = element.reader()
    reader.take(der.INTEGER)
    sid = reader.take()
    issuer, serial, key_id = None, None, None
    if sid.tag == der.SEQUENCE:
        parts = sid.reader()
        issuer, serial = parts.take(der.SEQUENCE).raw, parts.take(der.INTEGER).integer()
        parts.finish()
    elif sid.tag == 0x80:
        key_id = sid.content
    else:
        raise Malformed("签名者标识的类型未知", "a signer identifier of unknown kind")
    digest_oid = reader.take(der.SEQUENCE).reader().take(der.OID).oid()
    signed = reader.maybe(0xA0)
    algorithm = reader.take(der.SEQUENCE).raw
    signature = reader.take(der.OCTET_STRING).content
    unsigned = reader.maybe(0xA1)
    reader.finish()
    return SignerInfo(
        issuer=issuer,
        serial=serial,
        key_id=key_id,
        digest_oid=digest_oid,
        algorithm=algorithm,
        signature=signature,
        signed_content=signed.content if signed else None,
        signed=_attributes(signed),
        unsigned=_attributes(unsigned, repeated=True),
    )


def _attributes(element: Element | None, *, repeated: bool = False) -> dict[str, Element]:
    """Attributes by type. A signed one may stand once only (RFC 5652, 11); of unsigned ones the first counts."""
    found: dict[str, Element] = {}
    members = element.members(der.SEQUENCE) if element else []
    if len(members) > MAX_ATTRIBUTES:
        raise Malformed("属性过多", "too many attributes")
    for member in members:
        reader = member.reader()
        oid, values = reader.take(der.OID).oid(), reader.take(der.SET)
        reader.finish()
        if oid in found and not repeated:
            raise Malformed(f"属性 {oid} 重复", f"attribute {oid} stands twice")
        found.setdefault(oid, values)
    return found


def single_value(attributes: dict[str, Element], oid: str, tag: int | None = None) -> Element | None:
    """The only value of an attribute, or None where it is absent."""
    values = attributes.get(oid)
    if values is None:
        return None
    members = values.members(tag)
    if len(members) != 1:
        raise Malformed(f"属性 {oid} 应有且仅有一个值", f"attribute {oid} must have one value")
    return members[0]


class _Refused(CertsError):
    """One step of :func:`check_signer` that did not hold."""

    def __init__(self, axis: Axis, sub: SubIndication, clause: str, zh: str, en: str) -> None:
        super().__init__(zh, en)
        self.finding = Finding(axis, Indication.FAILED, sub, clause, zh, en)


def check_signer(
    message: SignedData,
    signer: SignerInfo,
    content: bytes,
    *,
    policy: Policy,
    extra_certs: Sequence[SigningCert] = (),
    index: int | None = None,
) -> SignerResult:
    """Steps 1 to 3 for one signer over the content. ``index`` is the number of the signature for the report."""
    cert: SigningCert | None = None
    claimed: datetime | None = None
    try:
        cert = _find(signer, (*message.certificates, *extra_certs))
        if cert is None:
            sub, zh, en = (
                SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
                "找不到签名证书",
                "the signer's certificate is not there",
            )
            finding = Finding(Axis.SIGNATURE, Indication.INDETERMINATE, sub, _SIGNER_CLAUSE, zh, en, {}, index)
            return SignerResult((finding,), None, None)
        if not _bound(signer, cert):
            zh, en = "签名属性绑定的是另一张证书", "the signed attributes name another certificate"
            raise _Refused(Axis.SIGNATURE, SubIndication.SIG_CONSTRAINTS_FAILURE, "RFC 5035 5.4", zh, en)
        claimed = _claimed(signer)
        name = digest_name(signer.digest_oid)
        if name is None:
            zh, en = "摘要算法不受支持", "the digest algorithm is not supported"
            raise _Refused(Axis.CONTENT, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, "policy", zh, en)
        signed_bytes = _signed_bytes(message, signer, content, name)
        algorithm = _signature(signer, cert, signed_bytes, name, policy)
    except _Refused as refused:
        return SignerResult((replace(refused.finding, signature=index),), cert, claimed)
    except CertsError as error:
        zh, en = f"签名者信息格式错误：{error.zh}", f"malformed: {error.en}"
        sub, failed = SubIndication.FORMAT_FAILURE, Indication.FAILED
        return SignerResult((Finding(Axis.FORMAT, failed, sub, "RFC 5652 5.3", zh, en, {}, index),), cert, claimed)
    passed = Indication.PASSED
    findings = (
        Finding(
            Axis.CONTENT, passed, None, "RFC 5652 5.4", "内容与签名时一致", "the content is what was signed", {}, index
        ),
        Finding(Axis.SIGNATURE, passed, None, _SIGNER_CLAUSE, "签名值成立", "the signature holds", {}, index),
    )
    return SignerResult(findings, cert, claimed, str(algorithm))


def _signed_bytes(message: SignedData, signer: SignerInfo, content: bytes, digest_algorithm: str) -> bytes:
    """Step 2: what the signature is over, after the attributes have been held against the content."""
    if signer.signed_content is None:
        if _looks_like_attributes(content):
            zh, en = "内容可能是他处的签名属性", "the content may be the signed attributes of another message"
            raise _Refused(Axis.FORMAT, SubIndication.SIG_CONSTRAINTS_FAILURE, "RFC 5652 5.4", zh, en)
        return content
    stated_type = single_value(signer.signed, CONTENT_TYPE, der.OID)
    if stated_type is None and not message.gb:
        raise Malformed(
            "签名属性缺少内容类型（RFC 5652 11.1）", "the signed attributes have no content type (RFC 5652, 11.1)"
        )
    if stated_type is not None and stated_type.oid() != message.content_type:
        zh, en = "签名属性的内容类型不符", "the signed content type is another"
        raise _Refused(Axis.CONTENT, SubIndication.HASH_FAILURE, "RFC 5652 11.1", zh, en)
    stated = single_value(signer.signed, MESSAGE_DIGEST, der.OCTET_STRING)
    if stated is None:
        raise Malformed(
            "签名属性缺少消息摘要（RFC 5652 11.2）", "the signed attributes have no message digest (RFC 5652, 11.2)"
        )
    if not hmac.compare_digest(stated.content, digest(digest_algorithm, content)):
        zh, en = "内容与签名时的摘要不符", "the content is not what was signed"
        raise _Refused(Axis.CONTENT, SubIndication.HASH_FAILURE, "RFC 5652 5.6", zh, en)
    return der.tlv(der.SET, signer.signed_content)


def _signature(
    signer: SignerInfo, cert: SigningCert, signed_bytes: bytes, digest_algorithm: str, policy: Policy
) -> SignatureAlgorithm:
    """Step 3."""
    weakness = key_weakness(cert.spki, policy)
    if weakness:
        raise _Refused(Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, "policy", *weakness)
    algorithm = cms_algorithm(signer.algorithm, digest_algorithm, cert.spki)
    if algorithm is None or not policy.allows(algorithm) or not cert.public_key.fits(algorithm):
        zh, en = (
            "签名算法不受支持、与摘要或密钥不符，或被策略禁止",
            "the algorithm is unknown, contradictory or not allowed",
        )
        raise _Refused(Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, "policy", zh, en)
    if not cert.public_key.verify(algorithm, signed_bytes, signer.signature):
        zh, en = "签名值不成立", "the signature does not hold"
        raise _Refused(Axis.SIGNATURE, SubIndication.SIG_CRYPTO_FAILURE, _SIGNER_CLAUSE, zh, en)
    return algorithm


def signer_of(cert: SigningCert, signed_at: datetime | None, algorithm: str) -> Signer:
    """The signer for a report."""
    return Signer(
        cert.subject_text,
        cert.issuer_text,
        cert.serial_hex,
        cert.fingerprint,
        signed_at,
        algorithm,
        owner=owner_of(cert),
    )


def _find(signer: SignerInfo, certs: Sequence[SigningCert]) -> SigningCert | None:
    for cert in certs:
        if signer.issuer is not None:
            if cert.serial == signer.serial and same_name(cert.issuer, signer.issuer):
                return cert
        elif signer.key_id is not None and cert.subject_key_id == signer.key_id:
            return cert
    return None


def _bound(signer: SignerInfo, cert: SigningCert) -> bool:
    """RFC 5035, 5.4 and 5.4.1.1: where the signer names its certificate by digest, it is this one."""
    for oid, default in ((SIGNING_CERTIFICATE_V2, "sha256"), (SIGNING_CERTIFICATE, "sha1")):
        value = single_value(signer.signed, oid, der.SEQUENCE)
        if value is None:
            continue
        first = value.reader().take(der.SEQUENCE).members(der.SEQUENCE)[:1]
        if not first:
            raise Malformed("签名证书属性中没有证书", "a signing certificate attribute without certificate")
        reader = first[0].reader()
        algorithm = reader.maybe(der.SEQUENCE) if oid == SIGNING_CERTIFICATE_V2 else None
        name = digest_name(algorithm.reader().take(der.OID).oid()) if algorithm else default
        if name is None:
            raise Malformed("签名证书属性的摘要算法未知", "a signing certificate attribute with an unknown digest")
        if not hmac.compare_digest(reader.take(der.OCTET_STRING).content, digest(name, cert.der)):
            return False
    return True


def names_certificate(signer: SignerInfo) -> bool:
    """Whether signed attributes bind the signer's certificate, as RFC 3161 and CAdES want."""
    return SIGNING_CERTIFICATE in signer.signed or SIGNING_CERTIFICATE_V2 in signer.signed


def _claimed(signer: SignerInfo) -> datetime | None:
    value = single_value(signer.signed, SIGNING_TIME)
    return value.time() if value else None


def _looks_like_attributes(content: bytes) -> bool:
    """A signature over attributes can be passed off as one over content that is those attributes; refuse such content."""
    return content[:1] == b"\x31" and der.encode_oid(MESSAGE_DIGEST) in content[:4096]
