"""HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530): one strict profile, requests and responses.

A request must cover ``@method``, the whole target (``@target-uri``, or ``@authority`` with ``@path`` and ``@query``)
and, where it has a body, ``content-digest``; it must state ``created``, ``keyid`` and ``nonce``. A response must cover
``@status`` and, where it has a body, ``content-digest``; its nonce is that of the request it answers, so that no other
answer can be put in its place. Exactly one signature; no component parameters (``;sf``, ``;bs``, ``;req``, ...).

What the caller owes: ``url`` as the signer saw it (behind a proxy: the public address), that the nonce was not seen
before, and whether the system behind ``key_id`` may do what it asks. Refusals are :class:`MessageRefused` with the
reasons listed in docs/protocol/message-signatures.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import http_sf

from certs.digests import digest
from certs.errors import BadKey, MessageRefused
from certs.http.components import Headers, Message
from certs.keys import PublicKey, SignatureAlgorithm, Signer

MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
MAX_NONCE: Final = 128  # characters; the hub stores it
LABEL: Final = "hub"
_PARAMETERS: Final = frozenset({"created", "expires", "keyid", "nonce", "alg", "tag"})
# RFC 9530, 5: sha-256 and sha-512. "sm3" is ours, defined in docs/protocol/message-signatures.md.
_DIGESTS: Final[Mapping[str, str]] = {"sha-256": "sha256", "sha-512": "sha512", "sm3": "sm3"}

# RFC 9421, 3.3, without HMAC; "sm2-sm3" is ours: r||s of 64 octets (GB/T 32918) with the default user id of GB/T 35276.
ALGORITHMS: Final[Mapping[str, SignatureAlgorithm]] = {
    "ecdsa-p256-sha256": SignatureAlgorithm.ECDSA_P256_SHA256,
    "ecdsa-p384-sha384": SignatureAlgorithm.ECDSA_P384_SHA384,
    "rsa-pss-sha512": SignatureAlgorithm.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": SignatureAlgorithm.RSA_PKCS1_SHA256,
    "ed25519": SignatureAlgorithm.ED25519,
    "sm2-sm3": SignatureAlgorithm.SM2_SM3,
}

KeyResolver = Callable[[str], PublicKey | None]
_Member = tuple[list[tuple[object, Mapping[str, object]]], Mapping[str, object]]  # inner list with parameters


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A message whose signature holds: who signed what, when. ``nonce`` is for the caller's replay check."""

    key_id: str
    created: datetime
    expires: datetime | None
    nonce: str
    components: tuple[str, ...]  # in the order signed
    algorithm: str  # RFC 9421 name, or "sm2-sm3"
    label: str


def sign_request(
    method: str,
    url: str,
    headers: Headers,
    body: bytes,
    *,
    key: Signer,
    key_id: str,
    created: datetime,
    nonce: str,
    expires: datetime | None = None,
    algorithm: str | None = None,
    digest_algorithm: str = "sha-256",
) -> dict[str, str]:
    """The headers to add: Signature-Input, Signature and, where there is a body, Content-Digest.

    Covers @method, @target-uri, and content-type and content-digest where there is a body. ``algorithm`` defaults to
    the one of :data:`ALGORITHMS` that fits the key.
    """
    message = Message.request(method, url, headers, body)
    parameters: dict[str, object] = {"created": int(created.timestamp())}
    if expires is not None:
        parameters["expires"] = int(expires.timestamp())
    parameters |= {"keyid": key_id, "nonce": nonce}
    return _sign(message, "@method", key, algorithm, digest_algorithm, parameters)


def sign_response(
    status: int,
    headers: Headers,
    body: bytes,
    *,
    key: Signer,
    key_id: str,
    created: datetime,
    request_nonce: str,
    algorithm: str | None = None,
    digest_algorithm: str = "sha-256",
) -> dict[str, str]:
    """The headers to add to a response: as :func:`sign_request`, covering @status and the nonce of the request."""
    message = Message.response(status, headers, body)
    parameters: dict[str, object] = {"created": int(created.timestamp()), "keyid": key_id, "nonce": request_nonce}
    return _sign(message, "@status", key, algorithm, digest_algorithm, parameters)


def verify_request(
    method: str,
    url: str,
    headers: Headers,
    body: bytes | None,
    *,
    now: datetime,
    max_age: timedelta,
    resolve_key: KeyResolver,
) -> SignedMessage:
    """The signature of a request, or :class:`MessageRefused`. ``resolve_key`` gives the key registered for a keyid.

    A ``body`` of None is still to come: its digest must be there and be signed, and what comes is to be compared by a second call.
    """
    message = Message.request(method, url, headers, body)
    return _verify(message, now, max_age, resolve_key, _require_request)


def verify_response(
    status: int,
    headers: Headers,
    body: bytes,
    *,
    request_nonce: str,
    now: datetime,
    max_age: timedelta,
    resolve_key: KeyResolver,
) -> SignedMessage:
    """The signature of the response to the request that carried ``request_nonce``."""
    signed = _verify(Message.response(status, headers, body), now, max_age, resolve_key, _require_response)
    if not hmac.compare_digest(signed.nonce.encode(), request_nonce.encode()):
        raise MessageRefused("nonce-mismatch", ("答复对应的是另一请求", "the response answers another request"))
    return signed


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """The value of a Content-Digest header (RFC 9530, 2) with one digest."""
    return _serialised({algorithm: digest(_DIGESTS[algorithm], body)})


# --- verifying -------------------------------------------------------------------------------------------------------


def _verify(
    message: Message,
    now: datetime,
    max_age: timedelta,
    resolve_key: KeyResolver,
    require: Callable[[frozenset[str], Message], None],
) -> SignedMessage:
    """RFC 9421, 3.2, in its order; steps 1.1 to 1.3 are the choice of the one signature.

    1. find the one signature          2. the covered components and parameters of our profile
    3. freshness                       4. the digest of the body
    5. the key and its algorithm       6. the signature base, and the signature over it
    """
    label, member, signature = _one_signature(message.fields)  # 1
    components, parameters = _components(member), member[1]  # 2
    require(frozenset(components), message)
    if unknown := parameters.keys() - _PARAMETERS:
        raise MessageRefused("parameter-unsupported", ", ".join(sorted(unknown)))
    key_id, nonce = _text(parameters, "keyid"), _text(parameters, "nonce")
    if not 0 < len(nonce) <= MAX_NONCE:
        raise MessageRefused(
            "signature-malformed",
            (f"nonce 应为 1 至 {MAX_NONCE} 个字符", f"nonce must have 1 to {MAX_NONCE} characters"),
        )
    created, expires = _check_times(parameters, now, max_age)  # 3
    _check_digest(message)  # 4
    key = resolve_key(key_id)  # 5
    if key is None:
        raise MessageRefused("key-unknown", ("此 keyid 未登记", "no key is registered under this keyid"))
    name = _algorithm_for(key, parameters)
    base = _signature_base(message, components, member)  # 6
    if not key.verify(ALGORITHMS[name], base, signature, raw=True):
        raise MessageRefused("signature-invalid", label)
    return SignedMessage(key_id, created, expires, nonce, components, name, label)


def _one_signature(fields: Mapping[str, str]) -> tuple[str, _Member, bytes]:
    for header in ("signature-input", "signature"):
        if header not in fields:
            raise MessageRefused("signature-missing", header)
    inputs, signatures = _dictionary(fields, "signature-input"), _dictionary(fields, "signature")
    if inputs.keys() != signatures.keys():
        raise MessageRefused(
            "signature-malformed",
            ("Signature-Input 与 Signature 的标签不同", "Signature-Input and Signature have different labels"),
        )
    if len(inputs) != 1:
        raise MessageRefused(
            "signature-ambiguous",
            (f"有 {len(inputs)} 个签名, 只收 1 个", f"{len(inputs)} signatures, exactly one is accepted"),
        )
    label, member = next(iter(inputs.items()))
    signature = signatures[label][0]
    if not isinstance(member[0], list) or not isinstance(signature, bytes):
        raise MessageRefused(
            "signature-malformed",
            (
                "Signature-Input 应为内部列表, Signature 应为字节序列",
                "Signature-Input must be an inner list, Signature a byte sequence",
            ),
        )
    return label, cast(_Member, member), signature


def _components(member: _Member) -> tuple[str, ...]:
    names: list[str] = []
    for name, parameters in member[0]:
        if type(name) is not str:  # a Token is a kind of str
            raise MessageRefused("signature-malformed", ("组件名不是字符串", "a component name is not a string"))
        if parameters:
            raise MessageRefused("component-unsupported", (f"{name} 带有参数", f"{name} with parameters"))
        if name != name.lower() or name in ("signature", "signature-input", "@signature-params"):
            raise MessageRefused("component-unsupported", name)
        names.append(name)
    if len(set(names)) != len(names):
        raise MessageRefused("signature-malformed", ("同一组件被覆盖两次", "a component is covered twice"))
    return tuple(names)


def _require_request(covered: frozenset[str], message: Message) -> None:
    missing = [] if "@method" in covered else ["@method"]
    if "@target-uri" not in covered and not {"@authority", "@path", "@query"} <= covered:
        missing.append("@target-uri")
    _require(missing, covered, message)


def _require_response(covered: frozenset[str], message: Message) -> None:
    _require([] if "@status" in covered else ["@status"], covered, message)


def _require(missing: list[str], covered: frozenset[str], message: Message) -> None:
    if message.body != b"" and "content-digest" not in covered:
        missing.append("content-digest")
    if missing:
        raise MessageRefused("component-missing", ", ".join(missing))


def _check_times(
    parameters: Mapping[str, object], now: datetime, max_age: timedelta
) -> tuple[datetime, datetime | None]:
    created = _instant(parameters, "created")
    expires = _instant(parameters, "expires") if "expires" in parameters else None
    if created > now + MAX_CLOCK_SKEW:
        raise MessageRefused("signature-future", ("created 晚于枢纽时钟", "created lies ahead of our clock"))
    if now - created > max_age:
        raise MessageRefused(
            "signature-stale",
            (f"早于 {int(max_age.total_seconds())} 秒前", f"older than {int(max_age.total_seconds())} s"),
        )
    if expires is not None and expires <= now:
        raise MessageRefused("signature-stale", ("expires 已过", "expires has passed"))
    return created, expires


def _check_digest(message: Message) -> None:
    """RFC 9530, 2: every digest whose algorithm we know must match, and we must know one of them."""
    if "content-digest" not in message.fields:
        if message.body != b"":
            raise MessageRefused("digest-missing", ("有正文而没有 Content-Digest", "a body without Content-Digest"))
        return
    known = 0
    for name, (value, _) in _dictionary(message.fields, "content-digest").items():
        if name not in _DIGESTS:
            continue
        known += 1
        if message.body is None:
            continue
        if not isinstance(value, bytes) or not hmac.compare_digest(value, digest(_DIGESTS[name], message.body)):
            raise MessageRefused("digest-mismatch", name)
    if not known:
        raise MessageRefused("digest-unsupported", ("请用 sha-256、sha-512 或 sm3", "use sha-256, sha-512 or sm3"))


def _algorithm_for(key: PublicKey, parameters: Mapping[str, object]) -> str:
    """The stated algorithm if it fits the registered key (RFC 9421, 3.2 step 6), else the one that the key implies."""
    fitting = [name for name, algorithm in ALGORITHMS.items() if key.fits(algorithm)]
    if "alg" not in parameters:
        if not fitting:
            raise MessageRefused(
                "algorithm-mismatch", ("登记的密钥不适用于这里的任何算法", "the registered key fits no algorithm here")
            )
        return fitting[0]
    name = _text(parameters, "alg")
    if name not in ALGORITHMS:
        raise MessageRefused(
            "algorithm-unsupported", ("请用 " + "、".join(ALGORITHMS), "use one of " + ", ".join(ALGORITHMS))
        )
    if name not in fitting:
        raise MessageRefused(
            "algorithm-mismatch", (f"{name} 与登记的密钥不符", f"{name} does not fit the registered key")
        )
    return name


def _signature_base(message: Message, components: tuple[str, ...], member: _Member) -> bytes:
    """RFC 9421, 2.5."""
    lines: list[str] = []
    for name in components:
        value = message.component(name)
        if value is None:
            raise MessageRefused(
                "component-absent", (f"{name} 被签名覆盖, 但报文中没有", f"{name} is covered but not in the message")
            )
        lines.append(f'"{name}": {value}')
    lines.append(f'"@signature-params": {_serialised([member])}')
    base = "\n".join(lines)
    if not base.isascii() or base.count("\n") != len(components) or "\r" in base:
        raise MessageRefused(
            "signature-malformed",
            ("被覆盖的值不是一行可打印的 ASCII 字符", "a covered value is not printable ASCII on one line"),
        )
    return base.encode("ascii")


# --- signing ---------------------------------------------------------------------------------------------------------


def _sign(
    message: Message,
    first: str,
    key: Signer,
    algorithm: str | None,
    digest_algorithm: str,
    parameters: dict[str, object],
) -> dict[str, str]:
    added: dict[str, str] = {}
    components = ["@method", "@target-uri"] if first == "@method" else [first]
    if message.body:
        added["Content-Digest"] = content_digest(message.body, digest_algorithm)
        fields = {**message.fields, "content-digest": added["Content-Digest"]}
        message = replace(message, fields=fields)
        components += [name for name in ("content-type", "content-digest") if name in fields]
    name = algorithm or next((n for n, a in ALGORITHMS.items() if key.public_key.fits(a)), "")
    if name not in ALGORITHMS or not key.public_key.fits(ALGORITHMS[name]):
        raise BadKey(
            f"密钥不适用于 {name or '任何 HTTP 签名算法'}",
            f"the key does not fit {name or 'any HTTP signature algorithm'}",
        )
    member: _Member = ([(component, {}) for component in components], {**parameters, "alg": name})
    signature = key.sign(ALGORITHMS[name], _signature_base(message, tuple(components), member), raw=True)
    added["Signature-Input"] = _serialised({LABEL: member})
    added["Signature"] = _serialised({LABEL: signature})
    return added


# --- reading headers -------------------------------------------------------------------------------------------------


def _dictionary(fields: Mapping[str, str], header: str) -> dict[str, tuple[object, Mapping[str, object]]]:
    def refuse_duplicate(key: str, context: str) -> None:
        raise MessageRefused(
            "signature-malformed", (f"{header}: 同一 {context} 键出现两次", f"{header}: a {context} key stands twice")
        )

    try:
        parsed = http_sf.parse(fields[header].encode("ascii"), tltype="dictionary", on_duplicate_key=refuse_duplicate)
    except (http_sf.StructuredFieldError, UnicodeEncodeError):
        raise MessageRefused(
            "signature-malformed", (f"{header} 不是 RFC 9651 的字典", f"{header} is no RFC 9651 dictionary")
        ) from None
    return cast(dict[str, tuple[object, Mapping[str, object]]], parsed)


def _serialised(structure: object) -> str:
    """RFC 9651, 4.1; http_sf types this as one large union of everything."""
    return cast(Callable[[object], str], http_sf.ser)(structure)


def _text(parameters: Mapping[str, object], name: str) -> str:
    value = parameters.get(name)
    if value is None:
        raise MessageRefused("parameter-missing", name)
    if type(value) is not str:
        raise MessageRefused("signature-malformed", (f"{name} 应为字符串", f"{name} must be a string"))
    return value


def _instant(parameters: Mapping[str, object], name: str) -> datetime:
    value = parameters.get(name)
    if value is None:
        raise MessageRefused("parameter-missing", name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 32_503_680_000:  # the year 3000
        raise MessageRefused("signature-malformed", (f"{name} 应为整数秒", f"{name} must be an integer of seconds"))
    return datetime.fromtimestamp(value, UTC)
