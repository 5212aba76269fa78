"""Signing with a key that never leaves its token or HSM, through PKCS #11 (OASIS PKCS #11 v3.0), by python-pkcs11.

Needs the extra ``pkcs11`` (``pip install exchange-hub[pkcs11]``). RSA (PKCS #1 v1.5 and PSS) and ECDSA. Not SM2: PKCS #11
names no mechanism for it, vendors' own ones differ, and domestic devices speak GM/T 0018 instead; an SM2 key is a PEM file.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, cast

from certs.digests import digest
from certs.errors import BadConfiguration, BadKey
from certs.keys import EC, RSA, SPECS, PublicKey, SignatureAlgorithm, ec_der_from_raw
from certs.x509.signing_cert import SigningCert

if TYPE_CHECKING:
    import pkcs11

_PROBE: Final = b"exchange-hub: does this key fit its certificate?"


class _Signs(Protocol):
    """What python-pkcs11 gives for a private key that may sign."""

    def sign(self, data: bytes, **mechanism: object) -> bytes: ...


@dataclass(frozen=True, repr=False)
class TokenKey:
    """A :class:`certs.keys.Signer`. One session, used by one thread at a time: PKCS #11 sessions are not shared (6.7.6)."""

    public_key: PublicKey
    _key: _Signs
    _session: pkcs11.Session
    _lock: Lock

    @classmethod
    def open(cls, module: str, *, token: str, pin: str, label: str, certificate: bytes) -> TokenKey:
        """The private key with this label in the token with that label.

        ``module`` is the path of the vendor's library, ``certificate`` the DER certificate of the key. BadConfiguration if the
        library, the token or the key cannot be used; BadKey if the certificate is another key's, or is for no kind we sign with.
        """
        public = SigningCert.from_der(certificate).public_key
        if public.kind not in (RSA, EC):
            raise BadKey("令牌中的密钥在此只用于 RSA 或 ECDSA 签名", "a key in a token signs with RSA or ECDSA here")
        try:
            import pkcs11
        except ImportError:
            raise BadConfiguration(
                "使用密码设备中的密钥, 须安装 exchange-hub[pkcs11]",
                "keys in tokens need the extra pkcs11 of exchange-hub",
            ) from None
        try:
            holder = pkcs11.lib(module).get_token(token_label=token)
            try:
                session = holder.open(user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # a process logs in to a token once, for all its sessions (6.7.4)
                session = holder.open()
        except (pkcs11.PKCS11Error, RuntimeError) as error:  # RuntimeError: the library cannot be loaded
            raise BadConfiguration(
                f"密码设备无法使用: {type(error).__name__}", f"the token cannot be used: {type(error).__name__}"
            ) from None
        try:
            key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
        except pkcs11.PKCS11Error as error:
            session.close()
            raise BadConfiguration(
                f"密码设备中的密钥无法使用: {type(error).__name__}",
                f"the key in the token cannot be used: {type(error).__name__}",
            ) from None
        found = cls(public, cast(_Signs, key), session, Lock())
        try:
            fits = public.verify(public.default_algorithm, _PROBE, found.sign(public.default_algorithm, _PROBE))
        except BadConfiguration:
            fits = False  # a key of another kind refuses the mechanism
        if not fits:
            found.close()
            raise BadKey("令牌中的密钥与证书不符", "the key in the token is not that of the certificate")
        return found

    def close(self) -> None:
        """End the session; the last one of a process logs out."""
        with self._lock:
            self._session.close()

    def sign(self, algorithm: SignatureAlgorithm, data: bytes, *, raw: bool = False) -> bytes:
        """A signature over ``data``; BadKey if the algorithm does not fit, BadConfiguration if the token fails."""
        from pkcs11 import MGF, Mechanism, PKCS11Error

        spec = SPECS[algorithm]
        if not self.public_key.fits(algorithm) or spec.hash_name == "sha1":
            raise BadKey(f"{algorithm} 不适用于该密钥", f"{algorithm} does not fit this key")
        name = spec.hash_name.upper()  # SHA256, SHA384, SHA512
        try:
            with self._lock:
                if spec.kind == EC:  # the digest is ours: tokens that hash by themselves are few
                    value = self._key.sign(digest(spec.hash_name, data), mechanism=Mechanism.ECDSA)
                elif spec.pss:
                    size = len(digest(spec.hash_name, b""))
                    parameters = (Mechanism[name], MGF[name], size)
                    mechanism = Mechanism[f"{name}_RSA_PKCS_PSS"]
                    value = self._key.sign(data, mechanism=mechanism, mechanism_param=parameters)
                else:
                    value = self._key.sign(data, mechanism=Mechanism[f"{name}_RSA_PKCS"])
        except PKCS11Error as error:
            raise BadConfiguration(
                f"密码设备未能签名: {type(error).__name__}", f"the token did not sign: {type(error).__name__}"
            ) from None
        return value if raw or spec.kind != EC else ec_der_from_raw(value)
