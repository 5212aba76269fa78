"""Keys and signature algorithms: one small interface over RSA, ECDSA, Ed25519 (cryptography) and SM2 (certs.sm2).

``verify`` is a primitive and answers bool; whoever calls it turns that into a verdict. An algorithm must fit the key:
:data:`SPECS` says which, and what does not fit is BadKey, never a quiet False.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from threading import Lock
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import pkcs12

from certs import der, pkcs8, sm2
from certs.der import Malformed
from certs.errors import BadKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384

RSA, EC, ED25519, SM2 = "rsa", "ec", "ed25519", "sm2"
P256, P384, P521 = "p256", "p384", "p521"
_CURVES: Final[Mapping[str, tuple[str, int]]] = {  # cryptography's name -> ours, octets of a coordinate
    "secp256r1": (P256, 32),
    "secp384r1": (P384, 48),
    "secp521r1": (P521, 66),
}


class SignatureAlgorithm(StrEnum):
    """What can be verified and signed. ``ecdsa-p256-…`` binds the curve (RFC 9421, JOSE); ``ecdsa-…`` does not (X.509)."""

    SM2_SM3 = "sm2-sm3"
    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ED25519 = "ed25519"
    RSA_PKCS1_SHA1 = "rsa-pkcs1-sha1"  # old partners' XML, verified only where a policy allows it; never signed

    @property
    def hash_name(self) -> str:
        """The digest inside, by the names of :mod:`certs.digests`."""
        return SPECS[self].hash_name


@dataclass(frozen=True, slots=True)
class Spec:
    """What an algorithm asks of a key: its kind, and of an elliptic curve which ones; and the digest that it uses."""

    kind: str
    hash_name: str
    curves: frozenset[str] = frozenset()
    pss: bool = False


_ANY_CURVE: Final = frozenset({P256, P384, P521})
SPECS: Final[Mapping[SignatureAlgorithm, Spec]] = {
    SignatureAlgorithm.SM2_SM3: Spec(SM2, "sm3"),
    SignatureAlgorithm.ECDSA_P256_SHA256: Spec(EC, "sha256", frozenset({P256})),
    SignatureAlgorithm.ECDSA_P384_SHA384: Spec(EC, "sha384", frozenset({P384})),
    SignatureAlgorithm.ECDSA_SHA256: Spec(EC, "sha256", _ANY_CURVE),
    SignatureAlgorithm.ECDSA_SHA384: Spec(EC, "sha384", _ANY_CURVE),
    SignatureAlgorithm.ECDSA_SHA512: Spec(EC, "sha512", _ANY_CURVE),
    SignatureAlgorithm.RSA_PKCS1_SHA256: Spec(RSA, "sha256"),
    SignatureAlgorithm.RSA_PKCS1_SHA384: Spec(RSA, "sha384"),
    SignatureAlgorithm.RSA_PKCS1_SHA512: Spec(RSA, "sha512"),
    SignatureAlgorithm.RSA_PSS_SHA256: Spec(RSA, "sha256", pss=True),
    SignatureAlgorithm.RSA_PSS_SHA384: Spec(RSA, "sha384", pss=True),
    SignatureAlgorithm.RSA_PSS_SHA512: Spec(RSA, "sha512", pss=True),
    SignatureAlgorithm.ED25519: Spec(ED25519, "sha512"),
    SignatureAlgorithm.RSA_PKCS1_SHA1: Spec(RSA, "sha1"),
}
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - see RSA_PKCS1_SHA1
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DEFAULTS: Final[Mapping[str, SignatureAlgorithm]] = {
    SM2: SignatureAlgorithm.SM2_SM3,
    RSA: SignatureAlgorithm.RSA_PKCS1_SHA256,
    ED25519: SignatureAlgorithm.ED25519,
    P256: SignatureAlgorithm.ECDSA_SHA256,
    P384: SignatureAlgorithm.ECDSA_SHA384,
    P521: SignatureAlgorithm.ECDSA_SHA512,
}

_Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Signer(Protocol):
    """Whatever signs: :class:`PrivateKey`, or a key that stays in a device (PKCS#11)."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies."""

    def sign(self, algorithm: SignatureAlgorithm, data: bytes, *, raw: bool = False) -> bytes:
        """A signature over ``data``; ``raw`` as in :meth:`PublicKey.verify`. BadKey if the algorithm does not fit."""


@dataclass(frozen=True)
class PublicKey:
    """A public key. ``kind`` is rsa, ec, ed25519 or sm2; ``curve`` p256, p384, p521 or empty; ``bits`` its size."""

    kind: str
    curve: str
    bits: int
    spki: bytes  # DER of the SubjectPublicKeyInfo
    _key: _Public | bytes  # bytes: the point of an SM2 key

    @classmethod
    def from_spki_der(cls, spki: bytes) -> PublicKey:
        """From a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7); BadKey if malformed, too weak or of another kind."""
        return _public_key(bytes(spki))

    @classmethod
    def from_sm2_point(cls, point: bytes) -> PublicKey:
        """From the 65 octets ``04||x||y`` of an SM2 key."""
        return cls.from_spki_der(sm2.SPKI_PREFIX + point)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """From ``PUBLIC KEY`` in PEM; see also :func:`certs.x509.signing_cert.public_key_from_pem`."""
        return cls.from_spki_der(pkcs8.unarmour(pem, ("PUBLIC KEY",))[1])

    @classmethod
    def _of(cls, key: object, spki: bytes) -> PublicKey:
        if isinstance(key, rsa.RSAPublicKey):
            if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                raise BadKey(
                    f"RSA 密钥为 {key.key_size} 位；应为 {MIN_RSA_BITS} 至 {MAX_RSA_BITS} 位",
                    f"an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are taken",
                )
            return cls(RSA, "", key.key_size, spki, key)
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
            return cls(EC, _CURVES[key.curve.name][0], key.key_size, spki, key)
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(ED25519, "", 256, spki, key)
        raise BadKey(
            "公钥类型不受支持：请用 SM2、RSA、ECDSA（P-256/384/521）或 Ed25519",
            "a public key of a kind that is not taken: use SM2, RSA, ECDSA on P-256/384/521, or Ed25519",
        )

    @property
    def default_algorithm(self) -> SignatureAlgorithm:
        """What this key signs with unless told otherwise."""
        return _DEFAULTS[self.curve or self.kind]

    @property
    def sm2_point(self) -> bytes:
        """``04||x||y`` of an SM2 key; BadKey for another kind."""
        if not isinstance(self._key, bytes):
            raise BadKey("不是 SM2 密钥", "not an SM2 key")
        return self._key

    def fits(self, algorithm: SignatureAlgorithm) -> bool:
        """Whether this key may be used with the algorithm."""
        spec = SPECS[algorithm]
        return spec.kind == self.kind and (not spec.curves or self.curve in spec.curves)

    def verify(
        self,
        algorithm: SignatureAlgorithm,
        data: bytes,
        signature: bytes,
        *,
        raw: bool = False,
        user_id: bytes = sm2.DEFAULT_USER_ID,
    ) -> bool:
        """Whether the signature over ``data`` holds; BadKey if the algorithm does not fit the key.

        ``raw`` tells the form of ECDSA and SM2 signatures: r||s of fixed width (JOSE, RFC 9421, XMLDSig, IEEE P1363)
        instead of DER (X.509, CMS, OFD). Each is strict: the other form, or any other length, does not hold.
        """
        self._must_fit(algorithm)
        key, spec = self._key, SPECS[algorithm]
        try:
            if isinstance(key, bytes):
                return sm2.verify(key, data, sm2.signature_from_raw(signature) if raw else signature, user_id)
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, _padding(spec), _HASHES[spec.hash_name])
            elif isinstance(key, ec.EllipticCurvePublicKey):
                if raw and len(signature) != 2 * _width(key):
                    return False
                form = ec_der_from_raw(signature) if raw else signature
                key.verify(form, data, ec.ECDSA(_HASHES[spec.hash_name]))
            else:
                key.verify(signature, data)
        except (InvalidSignature, Malformed, ValueError, UnsupportedAlgorithm):
            return False
        return True

    def verify_remembered(self, algorithm: SignatureAlgorithm, data: bytes, signature: bytes) -> bool:
        """:meth:`verify` for what is judged again and again: certificates, CRLs and seals. Answers are remembered by a digest of
        all that they depend on, the newest 4096 of them."""
        content = hashlib.sha256(
            b"".join((algorithm.encode(), b"\x00", _prefixed(self.spki), _prefixed(signature), data))
        )
        question = content.digest()
        answer = _answers.get(question)
        if answer is None:
            answer = self.verify(algorithm, data, signature)
            with _answers_lock:
                while len(_answers) >= _ANSWERS_KEPT:
                    del _answers[next(iter(_answers))]
                _answers[question] = answer
        return answer

    def _must_fit(self, algorithm: SignatureAlgorithm) -> None:
        if not self.fits(algorithm):
            raise BadKey(
                f"{algorithm} 不适用于 {self.curve or self.kind} 类密钥",
                f"{algorithm} does not fit a key of kind {self.curve or self.kind}",
            )


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """A private key in memory. It never shows itself in a repr."""

    _key: _Private | bytes  # bytes: the scalar of an SM2 key

    @classmethod
    def from_pem(cls, pem: bytes, password: str | None = None) -> PrivateKey:
        """PKCS#8 (plain or encrypted) or SEC 1 / PKCS#1 in PEM; BadKey if it cannot be read or the password is wrong."""
        scalar = pkcs8.sm2_scalar_from_pem(pem, password)
        if scalar is not None:
            return cls(scalar)
        try:
            key = serialization.load_pem_private_key(pem, password.encode() if password else None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadKey(
                "私钥无法读取，或口令错误", "the private key cannot be read, or its password is wrong"
            ) from None
        return cls._of(key)

    @classmethod
    def from_sm2_scalar(cls, scalar: bytes) -> PrivateKey:
        """From 32 octets."""
        return cls(sm2.scalar(scalar))

    @classmethod
    def generate(cls, algorithm: SignatureAlgorithm, *, rsa_bits: int = 3072) -> PrivateKey:
        """A new key that fits the algorithm; curve P-256 where it leaves a choice."""
        spec = SPECS[algorithm]
        if spec.kind == SM2:
            return cls(sm2.generate())
        if spec.kind == RSA:
            return cls._of(rsa.generate_private_key(65537, max(rsa_bits, MIN_RSA_BITS)))
        if spec.kind == ED25519:
            return cls(ed25519.Ed25519PrivateKey.generate())
        return cls(ec.generate_private_key(ec.SECP384R1() if spec.curves == {P384} else ec.SECP256R1()))

    @classmethod
    def _of(cls, key: object) -> PrivateKey:
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise BadKey(
                "私钥类型不受支持：请用 SM2、RSA、ECDSA 或 Ed25519",
                "a private key of a kind that is not taken: use SM2, RSA, ECDSA or Ed25519",
            )
        PublicKey._of(key.public_key(), b"")
        return cls(key)

    @cached_property
    def public_key(self) -> PublicKey:
        """The key that verifies."""
        if isinstance(self._key, bytes):
            return PublicKey.from_sm2_point(sm2.public_key(self._key))
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return PublicKey.from_spki_der(self._key.public_key().public_bytes(encoding, form))

    @property
    def default_algorithm(self) -> SignatureAlgorithm:
        """What this key signs with unless told otherwise."""
        return self.public_key.default_algorithm

    @property
    def sm2_scalar(self) -> bytes:
        """The 32 octets of an SM2 key; BadKey for another kind."""
        if not isinstance(self._key, bytes):
            raise BadKey("不是 SM2 密钥", "not an SM2 key")
        return self._key

    def sign(self, algorithm: SignatureAlgorithm, data: bytes, *, raw: bool = False) -> bytes:
        """A signature over ``data``, in the form that :meth:`PublicKey.verify` takes with the same ``raw``."""
        self.public_key._must_fit(algorithm)
        key, spec = self._key, SPECS[algorithm]
        if spec.hash_name == "sha1":
            raise BadKey("不使用 SHA-1 签名", "nothing is signed with SHA-1")
        if isinstance(key, bytes):
            signature = sm2.sign(key, data)
            return sm2.signature_to_raw(signature) if raw else signature
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, _padding(spec), _HASHES[spec.hash_name])
        if isinstance(key, ec.EllipticCurvePrivateKey):
            signature = key.sign(data, ec.ECDSA(_HASHES[spec.hash_name]))
            return _ec_to_raw(signature, key) if raw else signature
        return key.sign(data)

    def to_pem(self) -> bytes:
        """PKCS#8 in PEM, not encrypted: who stores it protects it."""
        if isinstance(self._key, bytes):
            return pkcs8.sm2_to_pem(self._key, self.public_key.sm2_point)
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, repr=False, slots=True)
class KeyFile:
    """What a PKCS#12 file holds: the key, its certificate, and the other certificates, in DER."""

    key: PrivateKey
    certificate: bytes | None
    others: tuple[bytes, ...]


def load_pkcs12(data: bytes, password: str | None) -> KeyFile:
    """Read a PKCS#12 file with an RSA, ECDSA or Ed25519 key; BadKey otherwise (SM2 keys travel in PKCS#8)."""
    try:
        bundle = pkcs12.load_pkcs12(data, password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(
            "PKCS#12 文件无法读取，或口令错误", "the PKCS#12 file cannot be read, or its password is wrong"
        ) from None
    if bundle.key is None:
        raise BadKey("PKCS#12 文件中没有私钥", "the PKCS#12 file holds no private key")
    encoding = serialization.Encoding.DER
    own = bundle.cert.certificate.public_bytes(encoding) if bundle.cert else None
    others = tuple(other.certificate.public_bytes(encoding) for other in bundle.additional_certs)
    return KeyFile(PrivateKey._of(bundle.key), own, others)


_ANSWERS_KEPT: Final = 4096
_answers: dict[bytes, bool] = {}
_answers_lock = Lock()


def forget_answers() -> None:
    """Forget what :meth:`PublicKey.verify_remembered` remembers: for measurements of a first verification."""
    with _answers_lock:
        _answers.clear()


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _padding(spec: Spec) -> padding.AsymmetricPadding:
    """PSS with MGF1 of the same digest and a salt of its length (RFC 8017, 9.1; RFC 9421, 3.3.1), else PKCS #1 v1.5."""
    if not spec.pss:
        return padding.PKCS1v15()
    digest = _HASHES[spec.hash_name]
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def _width(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> int:
    return _CURVES[key.curve.name][1]


def ec_der_from_raw(raw: bytes) -> bytes:
    """DER of r||s, both of one width."""
    half = len(raw) // 2
    return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def _ec_to_raw(signature: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    width = _width(key)
    r, s = utils.decode_dss_signature(signature)
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


@lru_cache(maxsize=2048)
def _public_key(spki: bytes) -> PublicKey:
    point = _sm2_point(spki)
    if point is not None:
        return PublicKey(SM2, "", 256, sm2.SPKI_PREFIX + point, point)
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("公钥无法读取", "the public key cannot be read") from None
    return PublicKey._of(key, spki)


def _sm2_point(spki: bytes) -> bytes | None:
    """The point if this is the SubjectPublicKeyInfo of an SM2 key, in any of the algorithm identifiers that are met."""
    try:
        reader = der.read(spki, der.SEQUENCE).reader()
        algorithm, bits = reader.take(der.SEQUENCE).members(), reader.take(der.BIT_STRING)
        if not any(member.tag == der.OID and member.oid() == pkcs8.SM2_CURVE for member in algorithm):
            return None
        return sm2.point(bits.bits())
    except Malformed:
        return None
