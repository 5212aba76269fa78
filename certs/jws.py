"""JSON Web Signatures, compact and detached (RFC 7515, RFC 7797): read by joserfc, verified by our keys.

``none``, the HMAC family and every algorithm that does not fit the registered key are refused before anything is
computed, so a public key can never be taken for a shared secret. ``SM2SM3`` is not registered with IANA: it is the name
that domestic gateways use, the signature being r‖s over the signing input with the default user id.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact
from joserfc.util import urlsafe_b64decode

from certs.cms.signed_data import signer_of
from certs.errors import BadKey, CertsError, MessageRefused
from certs.findings import Findings
from certs.keys import PublicKey, SignatureAlgorithm
from certs.keys import Signer as SigningKey
from certs.policy import Policy
from certs.report import Axis, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

SM2_NAME: Final = "SM2SM3"
ALGORITHMS: Final = {
    "RS256": SignatureAlgorithm.RSA_PKCS1_SHA256,
    "RS384": SignatureAlgorithm.RSA_PKCS1_SHA384,
    "RS512": SignatureAlgorithm.RSA_PKCS1_SHA512,
    "PS256": SignatureAlgorithm.RSA_PSS_SHA256,
    "PS384": SignatureAlgorithm.RSA_PSS_SHA384,
    "PS512": SignatureAlgorithm.RSA_PSS_SHA512,
    "ES256": SignatureAlgorithm.ECDSA_P256_SHA256,
    "ES384": SignatureAlgorithm.ECDSA_P384_SHA384,
    "EdDSA": SignatureAlgorithm.ED25519,
    SM2_NAME: SignatureAlgorithm.SM2_SM3,
}
MAX_CHAIN: Final = 8


class _Registry(JWSRegistry):
    """Our bounds: a header of 32 KiB because of ``x5c``, a payload of 4 MiB."""

    max_header_length = 32 * 1024
    max_payload_length = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """What was signed. ``header`` is the protected header; strings only, other members are left out."""

    payload: bytes
    algorithm: str
    key_id: str | None
    header: dict[str, str]


def check_jws(token: str, key: PublicKey, *, payload: bytes | None = None) -> VerifiedJws:
    """Verify a compact JWS with the key that is registered for its sender; ``payload`` is given when it is detached.

    Raises MessageRefused: ``jws-malformed``, ``algorithm-unsupported``, ``algorithm-mismatch``, ``signature-invalid``.
    """
    parsed, name = _parsed(token, payload)
    if not _holds(parsed, name, key):
        raise MessageRefused("signature-invalid", "JWS")
    texts = {k: v for k, v in parsed.headers().items() if isinstance(v, str)}
    return VerifiedJws(_payload(parsed, payload), name, texts.get("kid"), texts)


def verify_jws(
    token: str,
    *,
    payload: bytes | None = None,
    trust: TrustStore,
    policy: Policy,
    revocation: RevocationSource,
    at: datetime,
    purpose: str = "message",
    extra_certs: Sequence[SigningCert] = (),
) -> Report:
    """Judge a compact JWS by the certificates in its own ``x5c`` (RFC 7515, 4.1.6); trust comes from the store alone."""
    findings, signers = Findings(0), list[Signer]()
    try:
        parsed, name = _parsed(token, payload)
        chain = _x5c(parsed)
        leaf = chain[0]
        findings.passed(Axis.FORMAT, "RFC 7515 7.1", "JWS 格式正确", "the JWS is well formed")
        signers.append(signer_of(leaf, None, name))
        if not policy.allows(ALGORITHMS[name]):
            sub = SubIndication.CRYPTO_CONSTRAINTS_FAILURE
            findings.failed(Axis.SIGNATURE, sub, "policy", "签名算法被策略禁止", "the algorithm is not allowed")
        elif _holds(parsed, name, leaf.public_key):
            findings.passed(Axis.SIGNATURE, "RFC 7515 5.2", "签名值成立", "the signature holds")
            path = validate_path(
                leaf,
                (*chain[1:], *extra_certs),
                trust=trust,
                purpose=purpose,
                at=at,
                policy=policy,
                revocation=revocation,
            )
            findings.extend(path.findings)
        else:
            sub = SubIndication.SIG_CRYPTO_FAILURE
            findings.failed(Axis.SIGNATURE, sub, "RFC 7515 5.2", "签名值不成立", "the signature does not hold")
    except MessageRefused as refused:
        sub = (
            SubIndication.FORMAT_FAILURE
            if refused.reason == "jws-malformed"
            else SubIndication.CRYPTO_CONSTRAINTS_FAILURE
        )
        axis = Axis.FORMAT if refused.reason == "jws-malformed" else Axis.SIGNATURE
        findings.failed(axis, sub, "RFC 7515 5.2", f"JWS 被拒绝：{refused.said[0]}", str(refused))
    return Report.of("jws", token.encode("utf-8", "replace"), at, policy.name, findings.found, signers)


def sign_jws(
    payload: bytes, key: SigningKey, algorithm: str, *, headers: dict[str, str], detached: bool = False
) -> str:
    """A compact JWS with these protected headers besides ``alg``; detached, its payload part is empty (appendix F)."""
    if algorithm not in ALGORITHMS or not key.public_key.fits(ALGORITHMS[algorithm]):
        raise BadKey(f"密钥不适用于 {algorithm}", f"the key does not fit {algorithm}")
    header = json.dumps({"alg": algorithm, **headers}, separators=(",", ":"), ensure_ascii=False).encode()
    first, second = _b64(header), _b64(payload)
    signature = key.sign(ALGORITHMS[algorithm], f"{first}.{second}".encode(), raw=True)
    return f"{first}.{'' if detached else second}.{_b64(signature)}"


def _parsed(token: str, payload: bytes | None) -> tuple[CompactSignature, str]:
    """The token read, with an algorithm that is one of ours; a detached payload must not come on top of one inside."""
    registry = _Registry()
    try:
        parsed = extract_compact(token.encode("ascii"), payload, registry)
        header = parsed.headers()
        if not isinstance(header, dict):
            raise MessageRefused("jws-malformed", "header")
        registry.check_header(header)
    except (JoseError, UnicodeError, ValueError, TypeError, RecursionError) as error:
        raise MessageRefused("jws-malformed", type(error).__name__) from error
    name = header["alg"]
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise MessageRefused(
            "algorithm-unsupported", ("请用 " + "、".join(ALGORITHMS), "use one of " + ", ".join(ALGORITHMS))
        )
    if payload is not None and token.split(".")[1] != "" and parsed.payload != payload:
        raise MessageRefused(
            "jws-malformed", ("内含的载荷与另行给出的不同", "a payload inside that is not the one that was given")
        )
    return parsed, name


def _payload(parsed: CompactSignature, payload: bytes | None) -> bytes:
    return parsed.payload if payload is None else payload


def _holds(parsed: CompactSignature, name: str, key: PublicKey) -> bool:
    algorithm = ALGORITHMS[name]
    if not key.fits(algorithm):
        raise MessageRefused("algorithm-mismatch", (f"{name} 与密钥不符", f"{name} does not fit the key"))
    signed = parsed.segments["header"] + b"." + parsed.segments["payload"]
    try:
        return key.verify(algorithm, signed, urlsafe_b64decode(parsed.segments["signature"]), raw=True)
    except ValueError:
        return False


def _x5c(parsed: CompactSignature) -> list[SigningCert]:
    chain = parsed.headers().get("x5c")
    if not isinstance(chain, list) or not 0 < len(chain) <= MAX_CHAIN:
        raise MessageRefused("jws-malformed", "x5c")
    try:
        return [SigningCert.from_der(base64.b64decode(str(one), validate=True)) for one in chain]
    except (CertsError, binascii.Error, ValueError) as error:
        raise MessageRefused("jws-malformed", "x5c") from error


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
