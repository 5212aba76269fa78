"""SM2 signatures and encryption (GB/T 32918, GB/T 35276) and SM3, over whichever backend this machine offers.

Keys are bytes: a private key 32 octets (big-endian scalar), a public key 65 octets ``04||x||y`` or the DER of its
SubjectPublicKeyInfo. What is malformed is refused here, before a backend sees it, so both backends answer the same.
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final, Literal, Protocol

from certs.digests import digest
from certs.errors import BadConfiguration, BadKey, DecryptionFailed
from certs.sm2.encoding import (
    SPKI_PREFIX,
    N,
    is_signature,
    point,
    scalar,
    signature_from_raw,
    signature_to_raw,
)
from certs.sm2.gmssl import GmsslBackend
from certs.sm2.libcrypto import LibcryptoBackend

__all__ = [
    "DEFAULT_USER_ID",
    "SPKI_PREFIX",
    "backend_name",
    "decrypt",
    "encrypt",
    "generate",
    "is_signature",
    "point",
    "public_key",
    "scalar",
    "select_backend",
    "self_test",
    "sign",
    "signature_from_raw",
    "signature_to_raw",
    "sm3",
    "verify",
]

DEFAULT_USER_ID: Final = b"1234567812345678"  # GB/T 35276-2017, clause 10
Order = Literal["C1C3C2", "C1C2C3"]
BackendName = Literal["auto", "libcrypto", "gmssl"]
MAX_USER_ID: Final = 8190  # what both backends take; ENTL (GB/T 32918.2, 5.5) would have room for one more
MAX_PLAINTEXT: Final = 16 * 1024 * 1024


class Backend(Protocol):
    """What a backend does. ``point`` is 65 octets on the curve, ``scalar`` 32 octets in range, ``signature`` strict DER."""

    @property
    def name(self) -> str: ...
    def verify(self, point: bytes, message: bytes, signature: bytes, user_id: bytes) -> bool: ...
    def sign(self, scalar: bytes, message: bytes, user_id: bytes) -> bytes: ...
    def encrypt(self, point: bytes, plaintext: bytes, order: str) -> bytes: ...
    def decrypt(self, scalar: bytes, ciphertext: bytes, order: str) -> bytes: ...
    def public_key(self, scalar: bytes) -> bytes: ...


_selected: Backend | None = None
_point = lru_cache(maxsize=1024)(point)


def select_backend(name: BackendName = "auto", *, library: str | None = None) -> str:
    """Choose the backend of this process and give its name; it must pass :func:`self_test`, else BadConfiguration.

    ``auto`` is libcrypto where it is there and passes, else gmssl. ``library`` is the path of a libcrypto.
    Called by itself with ``auto`` at the first use.
    """
    global _selected  # noqa: PLW0603 - one process has one backend, chosen once
    faults = []
    for candidate in ("libcrypto", "gmssl") if name == "auto" else (name,):
        try:
            backend: Backend = LibcryptoBackend(library) if candidate == "libcrypto" else GmsslBackend()
            _test(backend)
        except (BadConfiguration, ImportError) as error:
            faults.append(f"{candidate}: {error.en if isinstance(error, BadConfiguration) else error}")
            continue
        _selected = backend
        return backend.name
    raise BadConfiguration("没有可用的 SM2 密码库", "no usable SM2 backend; " + "; ".join(faults))


def backend_name() -> str:
    """``libcrypto`` or ``gmssl``."""
    return _backend().name


def _backend() -> Backend:
    if _selected is None:
        select_backend()
    assert _selected is not None  # noqa: S101 - for the type checker: select_backend raises or sets it
    return _selected


def verify(public_key: bytes, message: bytes, signature_der: bytes, user_id: bytes = DEFAULT_USER_ID) -> bool:
    """Whether the signature holds. Only strict DER with r and s in [1, n-1] can; a bad key or user id is BadKey."""
    key = _point(public_key)
    _check_user_id(user_id)
    return is_signature(signature_der) and _backend().verify(key, message, signature_der, user_id)


def sign(private_key: bytes, message: bytes, user_id: bytes = DEFAULT_USER_ID) -> bytes:
    """A DER signature over SM3(Z || message), Z from the user id and the public key (GB/T 32918.2, 5.5)."""
    _check_user_id(user_id)
    return _backend().sign(scalar(private_key), message, user_id)


def _check_user_id(user_id: bytes) -> None:
    if not 1 <= len(user_id) <= MAX_USER_ID:
        raise BadKey(f"用户身份标识（ID）应为 1 至 {MAX_USER_ID} 字节", f"a user id has 1 to {MAX_USER_ID} octets")


def encrypt(public_key: bytes, plaintext: bytes, order: Order = "C1C3C2") -> bytes:
    """Ciphertext with C1 as 65 octets ``04||x||y``; 1 octet to 16 MiB of plaintext (GB/T 32918.4)."""
    if not 1 <= len(plaintext) <= MAX_PLAINTEXT:
        raise ValueError("1 octet to 16 MiB can be encrypted")
    return _backend().encrypt(_point(public_key), plaintext, order)


def decrypt(private_key: bytes, ciphertext: bytes, order: Order = "C1C3C2") -> bytes:
    """The plaintext; DecryptionFailed if malformed, altered, or made for another key."""
    if len(ciphertext) > MAX_PLAINTEXT + 97:
        raise DecryptionFailed("密文过长", "the ciphertext is too long")
    return _backend().decrypt(scalar(private_key), ciphertext, order)


def generate() -> bytes:
    """A new private key: uniform in [1, n-2] (GB/T 32918.1, 6.1)."""
    return (secrets.randbelow(N - 2) + 1).to_bytes(32, "big")


def public_key(private_key: bytes) -> bytes:
    """The public key ``04||x||y`` of a private key."""
    return _backend().public_key(scalar(private_key))


def sm3(data: bytes) -> bytes:
    """32 octets (GB/T 32905)."""
    return digest("sm3", data)


def self_test() -> None:
    """Known answers and a round trip on the backend in use; BadConfiguration if it fails."""
    _test(_backend())


# A key, and a signature and a ciphertext made by the OpenSSL 3.0 command line (other software than either backend runs).
_TEST_KEY: Final = bytes.fromhex("9f8a9bb2d7831c15c904152c50e11deb6b2aeee5037102f4477ee0bdcd7a2df1")
_TEST_POINT: Final = bytes.fromhex(
    "044dbe5ddc1d86477da5f223ddf6b132ae510b2348a2a7e747dc437377b8f9e3af"
    "e55cd988411d7a372bd5ed77570c4173e437abecf71686a2f744f2fa56498bd1"
)
_TEST_SIGNATURE: Final = bytes.fromhex(
    "3045022100faec8d6740b2f04fbabf73a284577266f6a59a890417c50f1c6d399a"
    "8f6ef4e202205c8f4d9950fd6d88c377a21b6031f81e815e0e58c4c4a21f3cfbaa"
    "be8657173c"
)
_TEST_CIPHERTEXT: Final = bytes.fromhex(
    "04e4e49b94b4cd45e6d4b07ce780ee787451add892dd3700246f959686ac8a1400"
    "67f3283b1d22ed22ca040bb9ebd608aeb0e99960c709cfdbf977e3714c3eb3ce94"
    "0833a0910969b2fa99f280477ba25fe3bcf58a2da8b402533517091836afcb7ad6"
    "28dfcf1ac36868b1e5bc87f645b0"
)
_TEST_MESSAGE: Final = "互通枢纽 SM2".encode()


def _test(backend: Backend) -> None:
    altered = bytes((*_TEST_SIGNATURE[:-1], _TEST_SIGNATURE[-1] ^ 1))
    checks = {
        "sm3": sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        "public key": backend.public_key(_TEST_KEY) == _TEST_POINT,
        "verify": backend.verify(_TEST_POINT, _TEST_MESSAGE, _TEST_SIGNATURE, DEFAULT_USER_ID),
        "refuse": not backend.verify(_TEST_POINT, _TEST_MESSAGE, altered, DEFAULT_USER_ID),
        "user id": not backend.verify(_TEST_POINT, _TEST_MESSAGE, _TEST_SIGNATURE, b"ALICE123@YAHOO.COM"),
        "sign": backend.verify(_TEST_POINT, b"x", backend.sign(_TEST_KEY, b"x", DEFAULT_USER_ID), DEFAULT_USER_ID),
        "decrypt": backend.decrypt(_TEST_KEY, _TEST_CIPHERTEXT, "C1C3C2") == _TEST_MESSAGE,
        "encrypt": backend.decrypt(_TEST_KEY, backend.encrypt(_TEST_POINT, b"x", "C1C2C3"), "C1C2C3") == b"x",
    }
    failed = [name for name, passed in checks.items() if not passed]
    if failed:
        raise BadConfiguration(f"SM2 自检未通过: {', '.join(failed)}", f"SM2 self-test failed: {', '.join(failed)}")
