"""Verification of a signed XML document by the certificates that it carries: enveloped, enveloping or detached by Id.

Messages between systems are judged where they are received (:mod:`certs.xml.wsse`), against registered keys; this is for a
document that somebody holds in hand. For each ds:Signature, in the strict profile of :mod:`certs.xml.dsig`:

1. the signing certificate: X509Data, or the token of a WS-Security header; else one that the caller knows
2. core validation: the signature over SignedInfo, then each Reference (W3C XMLDSig 1.1, 3.2)
3. the path of the certificate, at the time of verification: XMLDSig states no time
4. coverage: every element that lies in no signed element, named by its place in the document

A signed part that was moved (signature wrapping) holds, and what stands in its old place is uncovered: never PASSED by a
policy that does not let that very place be. Nothing is raised on bad input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Final

from lxml import etree

from certs.algorithms import key_weakness
from certs.cms.signed_data import signer_of
from certs.errors import BadKey, CertsError, MessageRefused
from certs.findings import Findings, because
from certs.policy import Policy
from certs.report import Axis, Indication, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert
from certs.xml.algorithms import DSIG
from certs.xml.dsig import SignedXml, Transform, parse_message, verify_signature
from certs.xml.key_info import KeyReference, KnownCertificates, SigningKey, read_base64, read_key_info
from certs.xml.tokens import STR_TRANSFORM, WSSE, dereference_str, key_reference
from certs.xml.wsse import SOAP_1_1, SOAP_1_2

MAX_SIGNATURES: Final = 32
MAX_CERTS: Final = 32  # X509Certificate elements of one signature
_SHOWN: Final = 20  # places in a finding
_LOOKED_AT: Final = 256  # uncovered places; beyond them a policy is not asked any more
_DS: Final = f"{{{DSIG}}}"
_CORE, _SYNTAX = "W3C XMLDSig 1.1 3.2", "W3C XMLDSig 1.1 4"
_SECURITY, _TOKEN = f"{{{WSSE}}}Security", f"{{{WSSE}}}BinarySecurityToken"
# What a signature consists of, and the frame of a signed SOAP message: covered by their role, as they say nothing themselves.
_PARTS: Final = frozenset(f"{_DS}{name}" for name in ("SignedInfo", "SignatureValue", "KeyInfo"))
_FRAMES: Final = tuple(
    (f"{{{soap}}}Envelope", f"{{{soap}}}Header", _SECURITY, _TOKEN)[:depth]
    for soap in (SOAP_1_1, SOAP_1_2)
    for depth in range(1, 5)
)
# reason of MessageRefused -> axis, sub-indication, whether it is final; every other reason: the signature is malformed
_REASONS: Final = {
    "signature-invalid": (Axis.SIGNATURE, SubIndication.SIG_CRYPTO_FAILURE, True),
    "digest-mismatch": (Axis.CONTENT, SubIndication.HASH_FAILURE, True),
    "algorithm-weak": (Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, False),
    "algorithm-unsupported": (Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, False),
    "algorithm-mismatch": (Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, True),
    "key-unknown": (Axis.SIGNATURE, SubIndication.NO_SIGNING_CERTIFICATE_FOUND, False),
    "key-info-missing": (Axis.SIGNATURE, SubIndication.NO_SIGNING_CERTIFICATE_FOUND, False),
    "reference-not-found": (Axis.CONTENT, SubIndication.SIGNED_DATA_NOT_FOUND, False),
    "reference-unsupported": (Axis.CONTENT, SubIndication.SIGNED_DATA_NOT_FOUND, False),
    "transform-unsupported": (Axis.CONTENT, SubIndication.SIGNED_DATA_NOT_FOUND, False),
    "c14n-unsupported": (Axis.CONTENT, SubIndication.SIGNED_DATA_NOT_FOUND, False),
}
_TEXTS: Final = {
    SubIndication.SIG_CRYPTO_FAILURE: ("签名值不成立", "the signature does not hold"),
    SubIndication.HASH_FAILURE: ("签名后内容被改动", "signed content was altered"),
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: ("算法不受支持或过弱", "an algorithm is unknown, weak or not the key's"),
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: ("找不到签名证书", "the signing certificate was not found"),
    SubIndication.SIGNED_DATA_NOT_FOUND: (
        "被签名的内容无法取得",
        "what was signed cannot be obtained within our profile",
    ),
    SubIndication.FORMAT_FAILURE: ("XML 签名格式错误", "the XML signature is malformed"),
}


def verify_xml_document(
    data: bytes,
    *,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str = "message",
    extra_certs: Sequence[SigningCert] = (),
) -> Report:
    """Judge all signatures of an XML document of at most 8 MiB. ``extra_certs`` may be signers and issuers."""
    document, per_signature, signers = Findings(), list[Findings](), list[Signer]()
    try:
        root = parse_message(data)
        found = list(root.iter(f"{_DS}Signature"))
        if len(found) > MAX_SIGNATURES:
            raise MessageRefused(
                "signature-malformed", (f"签名多于 {MAX_SIGNATURES} 个", f"more than {MAX_SIGNATURES} signatures")
            )
        document.passed(Axis.FORMAT, "W3C XML 1.0 2.1", "XML 格式正确", "the XML is well formed")
        covered: list[tuple[etree._Element, etree._Element]] = []  # signature, element
        for index, signature in enumerate(found):
            findings = Findings(index)
            per_signature.append(findings)
            judged = _Judged(signature, extra_certs)
            covered.extend((signature, element) for element in judged.run(findings, policy))
            if judged.cert is not None:
                signers.append(signer_of(judged.cert, None, judged.algorithm))
                path = validate_path(  # 3
                    judged.cert,
                    (*judged.others, *extra_certs),
                    trust=trust,
                    purpose=purpose,
                    at=at,
                    policy=policy,
                    revocation=revocation,
                )
                findings.extend(path.findings)
        if found:
            _coverage(root, covered, policy, document)  # 4
        else:
            document.unsure(
                Axis.SIGNATURE, SubIndication.NOT_SIGNED, _CORE, "文档没有签名", "the document is not signed"
            )
    except MessageRefused as refused:
        zh, en = "XML 无法读取", "the XML cannot be read"
        document.failed(
            Axis.FORMAT,
            SubIndication.FORMAT_FAILURE,
            "W3C XML 1.0 2.1",
            zh,
            en,
            **because((refused.said[0], refused.reason)),
        )
    all_findings = [finding for findings in (*per_signature, document) for finding in findings.found]
    return Report.of("xml", data, at, policy.name, all_findings, signers)


class _Judged:
    """Steps 1 and 2 for one signature."""

    def __init__(self, signature: etree._Element, known: Sequence[SigningCert]) -> None:
        self.signature = signature
        self.known = known
        self.cert: SigningCert | None = None
        self.others: tuple[SigningCert, ...] = ()
        self.algorithm = ""

    def run(self, findings: Findings, policy: Policy) -> tuple[etree._Element, ...]:
        """The elements that the signature covers; none where it does not hold."""
        try:
            reference, transforms = self._reference()  # 1
            signed = verify_signature(  # 2
                self.signature, resolve_key=self._resolve, key_reference=reference, transforms=transforms
            )
        except MessageRefused as refused:
            _refused(refused, findings)
            return ()
        self.algorithm = str(signed.algorithm)
        return self._held(signed, findings, policy)

    def _held(self, signed: SignedXml, findings: Findings, policy: Policy) -> tuple[etree._Element, ...]:
        assert self.cert is not None  # noqa: S101 - the resolver found a key, and it has a certificate
        if not policy.allows(signed.algorithm) or key_weakness(self.cert.spki, policy):
            zh, en = "算法或密钥被策略禁止", "the algorithm or key is not allowed"
            findings.unsure(Axis.SIGNATURE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE, "policy", zh, en)
            return ()
        zh, en = "签名值成立", "the signature holds"
        findings.passed(Axis.SIGNATURE, _CORE, zh, en, algorithm=self.algorithm)
        zh, en = "被签名的内容均未改动", "nothing that was signed was altered"
        findings.passed(Axis.CONTENT, _CORE, zh, en, signed="\n".join(_place(e) for e in signed.elements[:_SHOWN]))
        return signed.elements

    def _reference(self) -> tuple[KeyReference, dict[str, Transform]]:
        """What the signature says of its key: plain XMLDSig, or WS-Security where it stands in a Security header."""
        security = self.signature.getparent()
        if security is not None and security.tag == _SECURITY:

            def str_transform(target: etree._Element, transform: etree._Element) -> bytes:
                return dereference_str(target, transform, security, self._resolve)

            return key_reference(self.signature, security), {STR_TRANSFORM: str_transform}
        key_info = self.signature.find(f"{_DS}KeyInfo")
        carried = _carried(key_info)
        if len(carried) > 1:
            # XMLDSig 4.5.4 gives a chain no order: the signer is the one that issued none of the others
            issuers = {cert.issuer for cert in carried}
            self.others = tuple(carried)
            leaf = next((cert for cert in carried if cert.subject not in issuers), carried[0])
            return KeyReference(certificate=leaf.der), {}
        return read_key_info(key_info), {}

    def _resolve(self, reference: KeyReference) -> SigningKey | None:
        """The certificate that is carried, whoever it is from: whether it is trusted is a matter of its path."""
        try:
            found = (
                SigningKey.of_certificate(reference.certificate)
                if reference.certificate is not None
                else KnownCertificates(cert.der for cert in self.known)(reference)
            )
        except BadKey:
            return None
        if found is not None and found.certificate is not None:
            self.cert = SigningCert.from_der(found.certificate)
        return found


def _carried(key_info: etree._Element | None) -> list[SigningCert]:
    """All certificates in the X509Data of a signature; those that cannot be read are left out."""
    elements = [] if key_info is None else key_info.findall(f"{_DS}X509Data/{_DS}X509Certificate")
    if len(elements) > MAX_CERTS:
        raise MessageRefused(
            "key-info-unsupported", (f"证书多于 {MAX_CERTS} 张", f"more than {MAX_CERTS} certificates")
        )
    found = []
    for element in elements:
        raw = read_base64(element, "X509Certificate")
        try:
            found.append(SigningCert.from_der(raw))
        except CertsError:
            continue
    return found


def _refused(refused: MessageRefused, findings: Findings) -> None:
    malformed = (Axis.FORMAT, SubIndication.FORMAT_FAILURE, True)
    axis, sub, final = _REASONS.get(refused.reason, malformed)
    zh, en = _TEXTS[sub]
    if axis is Axis.CONTENT and sub is SubIndication.HASH_FAILURE:  # references are looked at once the signature held
        findings.passed(Axis.SIGNATURE, _CORE, "签名值成立", "the signature holds")
    say = findings.failed if final else findings.unsure
    say(axis, sub, _SYNTAX if axis is Axis.FORMAT else _CORE, zh, en, **because(refused.said))


def _coverage(
    root: etree._Element,
    covered: Sequence[tuple[etree._Element, etree._Element]],
    policy: Policy,
    findings: Findings,
) -> None:
    """Step 4: elements outside every signed element, the highest of each part, except those covered by their role."""
    elements = {element for _, element in covered}
    everywhere = chain(_outside(root, elements), _left_out(covered, elements))
    outside = [_place(element) for element in islice(everywhere, _LOOKED_AT + 1)]
    unmet = [place for place in outside if len(outside) > _LOOKED_AT or not policy.may_be_uncovered(place)]
    facts = {"files": "\n".join((unmet or outside)[:_SHOWN]), "count": str(len(unmet or outside))}
    if not outside:
        findings.passed(Axis.COVERAGE, _CORE, "整个文档均在签名保护之内", "every element is under a signature")
    elif not unmet or policy.uncovered is Indication.PASSED:
        zh, en = "未受保护的元素为策略所允许", "the elements outside every signature are allowed by the policy"
        findings.passed(Axis.COVERAGE, "policy", zh, en, **facts)
    else:
        zh, en = "有元素不在任何签名的保护之内", "elements lie outside every signature"
        say = findings.failed if policy.uncovered is Indication.FAILED else findings.unsure
        say(Axis.COVERAGE, SubIndication.UNCOVERED_CONTENT, _CORE, zh, en, **facts)


def _outside(root: etree._Element, covered: set[etree._Element]) -> Iterator[etree._Element]:
    """Uncovered elements; below one that holds a covered element the search goes on, else it is named once."""
    above = {ancestor for element in covered for ancestor in element.iterancestors()}
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if element in covered or element.tag in _PARTS:
            continue
        if element.tag == f"{_DS}Signature" or _is_frame(element):
            waiting.extend(reversed(list(element.iterchildren(etree.Element))))
            continue
        yield element
        if element in above:
            waiting.extend(reversed(list(element.iterchildren(etree.Element))))


def _left_out(
    covered: Sequence[tuple[etree._Element, etree._Element]], elements: set[etree._Element]
) -> Iterator[etree._Element]:
    """What enveloped signatures take out of what they cover: their own ds:Object, unless it is referenced by itself."""
    for signature in dict.fromkeys(signature for signature, _ in covered):
        above = set(signature.iterancestors())
        if any(element in above for by, element in covered if by is not signature):
            continue  # all of this signature is under another one
        if any(element in above for by, element in covered if by is signature):
            for held in signature.iterchildren(f"{_DS}Object"):
                yield from _outside(held, elements)


def _is_frame(element: etree._Element) -> bool:
    """Whether this is, at its very place, the frame of a SOAP message, with no text of its own but a token's."""
    tags = tuple(reversed([element.tag, *(ancestor.tag for ancestor in islice(element.iterancestors(), 4))]))
    if tags not in _FRAMES:
        return False
    texts = (element.text, *(child.tail for child in element))
    return element.tag == _TOKEN or not any((text or "").strip() for text in texts)


def _place(element: etree._Element) -> str:
    """``/a/b[2]``: local names, and the number among namesakes where there are several."""
    steps = []
    for step in (element, *element.iterancestors()):
        name, before = etree.QName(step).localname, sum(1 for _ in step.itersiblings(str(step.tag), preceding=True))
        several = before or next(step.itersiblings(str(step.tag)), None) is not None
        steps.append(f"{name}[{before + 1}]" if several else name)
    return "/" + "/".join(reversed(steps))[:200]
