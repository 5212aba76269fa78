"""SM2 by the wheels of gmssl_pyx, where no libcrypto >= 3 is found: half as fast, and it holds the interpreter lock.

Its C code writes a trace to standard error for a signature that does not hold, which anybody could fill a log with, so C's
``stderr`` is turned away during the call (with glibc; elsewhere the trace is seen, and nothing secret stands in it). It takes
at most 255 octets of plaintext and derives no public key, so :mod:`certs.sm2.curve` does those two.
"""

from __future__ import annotations

import ctypes
import hmac
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Final, cast

from certs.digests import digest
from certs.errors import BadKey, DecryptionFailed
from certs.sm2 import curve
from certs.sm2.encoding import C3_LENGTH, N, ciphertext_from_der, ciphertext_to_der

NAME: Final = "gmssl"
_MAX_PLAINTEXT: Final = 255


class GmsslBackend:
    """The same operations as :class:`certs.sm2.libcrypto.LibcryptoBackend`."""

    name = NAME

    def __init__(self) -> None:
        import gmssl_pyx

        self._gmssl = gmssl_pyx
        self._point_of = lru_cache(maxsize=64)(lambda scalar: curve.multiply(scalar, curve.G))

    def verify(self, point: bytes, message: bytes, signature: bytes, user_id: bytes) -> bool:
        try:
            with _quiet():
                return cast(bool, self._gmssl.sm2_verify(point[1:], message, signature, user_id))
        except self._gmssl.InvalidValueError:
            raise BadKey("gmssl 不接受该 SM2 密钥", "gmssl does not take this SM2 key") from None

    def sign(self, scalar: bytes, message: bytes, user_id: bytes) -> bytes:
        return cast(bytes, self._gmssl.sm2_sign(scalar, self.public_key(scalar)[1:], message, user_id))

    def encrypt(self, point: bytes, plaintext: bytes, order: str) -> bytes:
        if len(plaintext) <= _MAX_PLAINTEXT:
            return ciphertext_from_der(self._gmssl.sm2_encrypt(point[1:], plaintext), order)
        ephemeral = (secrets.randbelow(N - 2) + 1).to_bytes(32, "big")
        c1, shared = curve.multiply(ephemeral, curve.G), curve.multiply(ephemeral, point)
        c2, c3 = _masked(shared, plaintext), digest("sm3", shared[1:33] + plaintext + shared[33:])
        return c1 + (c3 + c2 if order == "C1C3C2" else c2 + c3)

    def decrypt(self, scalar: bytes, ciphertext: bytes, order: str) -> bytes:
        cipher = ciphertext_to_der(ciphertext, order)
        if len(ciphertext) <= 65 + C3_LENGTH + _MAX_PLAINTEXT:
            try:
                with _quiet():
                    return cast(bytes, self._gmssl.sm2_decrypt(scalar, cipher))
            except self._gmssl.GmsslInnerError:
                raise DecryptionFailed(
                    "密文被改动，或不是用该密钥加密的", "the ciphertext was altered or made for another key"
                ) from None
        rest = ciphertext[65:]
        c3, c2 = (rest[:32], rest[32:]) if order == "C1C3C2" else (rest[-32:], rest[:-32])
        shared = curve.multiply(scalar, ciphertext[:65])
        plain = _masked(shared, c2)
        if not hmac.compare_digest(c3, digest("sm3", shared[1:33] + plain + shared[33:])):
            raise DecryptionFailed(
                "密文被改动，或不是用该密钥加密的", "the ciphertext was altered or made for another key"
            )
        return plain

    def public_key(self, scalar: bytes) -> bytes:
        """The point of a private key."""
        return self._point_of(scalar)


_turning = Lock()


@lru_cache(maxsize=1)
def _c_stderr() -> tuple[ctypes.c_void_p, int] | None:
    """glibc's variable ``stderr`` and an open /dev/null; None with another C library, where it may not be written."""
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)
    nothing = libc.fopen(b"/dev/null", b"w")
    return (ctypes.c_void_p.in_dll(libc, "stderr"), nothing) if nothing else None


@contextmanager
def _quiet() -> Iterator[None]:
    """What C code prints goes nowhere; Python's own ``sys.stderr`` does not use this variable and is not touched."""
    found = _c_stderr()
    if found is None:
        yield
        return
    variable, nothing = found
    with _turning:
        before, variable.value = variable.value, nothing
        try:
            yield
        finally:
            variable.value = before


def _masked(shared: bytes, data: bytes) -> bytes:
    """Data xor the key stream of GB/T 32918.4, 5.4.3 (KDF over SM3) from the shared point."""
    blocks = (len(data) + 31) // 32
    stream = b"".join(digest("sm3", shared[1:] + n.to_bytes(4, "big")) for n in range(1, blocks + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
