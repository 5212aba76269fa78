"""SM2 by the system's libcrypto, version 3 or later, through ctypes: fast, and without the interpreter lock."""

from __future__ import annotations

import ctypes as c
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Final, cast

from certs import der
from certs.errors import BadConfiguration, BadKey, DecryptionFailed
from certs.sm2.encoding import SPKI_PREFIX, ciphertext_from_der, ciphertext_to_der

NAME: Final = "libcrypto"
# Names with a version only: an unversioned one may be LibreSSL, and loading Apple's ends the process.
_LIBRARIES: Final = {
    "linux": ("libcrypto.so.4", "libcrypto.so.3"),
    "darwin": ("libcrypto.4.dylib", "libcrypto.3.dylib"),
    "win32": ("libcrypto-4-x64.dll", "libcrypto-3-x64.dll"),
}
_KEYS_CACHED: Final = 1024
_OID_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
_OID_SM2_CURVE: Final = "1.2.156.10197.1.301"

_pointer, _bytes, _int, _size = c.c_void_p, c.c_char_p, c.c_int, c.c_size_t
_size_out = c.POINTER(c.c_size_t)
_SIGNATURES: Final[dict[str, tuple[object, tuple[object, ...]]]] = {
    "OPENSSL_version_major": (c.c_uint, ()),
    "ERR_clear_error": (None, ()),
    "d2i_PUBKEY": (_pointer, (_pointer, c.POINTER(_bytes), c.c_long)),
    "d2i_AutoPrivateKey": (_pointer, (_pointer, c.POINTER(_bytes), c.c_long)),
    "i2d_PUBKEY": (_int, (_pointer, c.POINTER(c.POINTER(c.c_ubyte)))),
    "EVP_PKEY_free": (None, (_pointer,)),
    "EVP_PKEY_is_a": (_int, (_pointer, _bytes)),
    "EVP_PKEY_CTX_new": (_pointer, (_pointer, _pointer)),
    "EVP_PKEY_CTX_free": (None, (_pointer,)),
    "EVP_PKEY_CTX_set1_id": (_int, (_pointer, _bytes, _int)),
    "EVP_MD_CTX_new": (_pointer, ()),
    "EVP_MD_CTX_free": (None, (_pointer,)),
    "EVP_MD_CTX_set_pkey_ctx": (None, (_pointer, _pointer)),
    "EVP_sm3": (_pointer, ()),
    "EVP_DigestVerifyInit": (_int, (_pointer,) * 5),
    "EVP_DigestVerify": (_int, (_pointer, _bytes, _size, _bytes, _size)),
    "EVP_DigestSignInit": (_int, (_pointer,) * 5),
    "EVP_DigestSign": (_int, (_pointer, _bytes, _size_out, _bytes, _size)),
    "EVP_PKEY_encrypt_init": (_int, (_pointer,)),
    "EVP_PKEY_encrypt": (_int, (_pointer, _bytes, _size_out, _bytes, _size)),
    "EVP_PKEY_decrypt_init": (_int, (_pointer,)),
    "EVP_PKEY_decrypt": (_int, (_pointer, _bytes, _size_out, _bytes, _size)),
}


class _Key:
    """An EVP_PKEY that is freed when the last user lets go of it."""

    __slots__ = ("_free", "handle")

    def __init__(self, handle: int, free: Callable[[int], None]) -> None:
        self.handle = handle
        self._free = free

    def __del__(self) -> None:
        self._free(self.handle)


class LibcryptoBackend:
    """The five operations over raw keys; arguments have been checked by :mod:`certs.sm2`."""

    name = NAME

    def __init__(self, library: str | None = None) -> None:
        """``library`` is a path or name; None tries the usual ones. BadConfiguration if none of them will do."""
        self._lib = _load(library)
        self._sm3 = self._lib.EVP_sm3()
        self._public = lru_cache(maxsize=_KEYS_CACHED)(self._load_public)
        self._private = lru_cache(maxsize=64)(self._load_private)

    def verify(self, point: bytes, message: bytes, signature: bytes, user_id: bytes) -> bool:
        lib, key = self._lib, self._public(point)
        key_context, context = lib.EVP_PKEY_CTX_new(key.handle, None), lib.EVP_MD_CTX_new()
        try:
            if lib.EVP_PKEY_CTX_set1_id(key_context, user_id, len(user_id)) != 1:
                raise self._failure("set1_id")
            lib.EVP_MD_CTX_set_pkey_ctx(context, key_context)
            if lib.EVP_DigestVerifyInit(context, None, self._sm3, None, key.handle) != 1:
                raise self._failure("verify init")
            good: bool = lib.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1
            if not good:
                lib.ERR_clear_error()
            return good
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(key_context)

    def sign(self, scalar: bytes, message: bytes, user_id: bytes) -> bytes:
        lib, key = self._lib, self._private(scalar)
        key_context, context = lib.EVP_PKEY_CTX_new(key.handle, None), lib.EVP_MD_CTX_new()
        out, size = c.create_string_buffer(80), c.c_size_t(80)
        try:
            if lib.EVP_PKEY_CTX_set1_id(key_context, user_id, len(user_id)) != 1:
                raise self._failure("set1_id")
            lib.EVP_MD_CTX_set_pkey_ctx(context, key_context)
            if lib.EVP_DigestSignInit(context, None, self._sm3, None, key.handle) != 1:
                raise self._failure("sign init")
            if lib.EVP_DigestSign(context, out, c.byref(size), message, len(message)) != 1:
                raise self._failure("sign")
            return out.raw[: size.value]
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(key_context)

    def encrypt(self, point: bytes, plaintext: bytes, order: str) -> bytes:
        cipher = self._crypt(self._public(point), "encrypt", plaintext, len(plaintext) + 160)
        if cipher is None:
            raise self._failure("encrypt")
        return ciphertext_from_der(cipher, order)

    def decrypt(self, scalar: bytes, ciphertext: bytes, order: str) -> bytes:
        cipher = ciphertext_to_der(ciphertext, order)
        plain = self._crypt(self._private(scalar), "decrypt", cipher, len(cipher))
        if plain is None:
            raise DecryptionFailed(
                "密文被改动，或不是用该密钥加密的", "the ciphertext was altered or made for another key"
            )
        return plain

    def _crypt(self, key: _Key, what: str, data: bytes, room: int) -> bytes | None:
        lib = self._lib
        context = lib.EVP_PKEY_CTX_new(key.handle, None)
        out, size = c.create_string_buffer(room), c.c_size_t(room)
        try:
            if getattr(lib, f"EVP_PKEY_{what}_init")(context) != 1:
                raise self._failure(what)
            if getattr(lib, f"EVP_PKEY_{what}")(context, out, c.byref(size), data, len(data)) != 1:
                lib.ERR_clear_error()
                return None
            return out.raw[: size.value]
        finally:
            lib.EVP_PKEY_CTX_free(context)

    def public_key(self, scalar: bytes) -> bytes:
        """The point of a private key."""
        key = self._private(scalar)
        size = self._lib.i2d_PUBKEY(key.handle, None)
        if size != len(SPKI_PREFIX) + 65:
            raise self._failure("i2d_PUBKEY")
        buffer = (c.c_ubyte * size)()
        self._lib.i2d_PUBKEY(key.handle, c.byref(c.cast(buffer, c.POINTER(c.c_ubyte))))
        return bytes(buffer)[-65:]

    def _load_public(self, point: bytes) -> _Key:
        return self._decoded("d2i_PUBKEY", SPKI_PREFIX + point)

    def _load_private(self, scalar: bytes) -> _Key:
        algorithm = der.tlv(der.SEQUENCE, der.encode_oid(_OID_EC_PUBLIC_KEY), der.encode_oid(_OID_SM2_CURVE))
        inner = der.tlv(der.SEQUENCE, der.encode_integer(1), der.tlv(der.OCTET_STRING, scalar))
        pkcs8 = der.tlv(der.SEQUENCE, der.encode_integer(0), algorithm, der.tlv(der.OCTET_STRING, inner))
        return self._decoded("d2i_AutoPrivateKey", pkcs8)

    def _decoded(self, function: str, encoded: bytes) -> _Key:
        start = c.c_char_p(encoded)
        handle = getattr(self._lib, function)(None, c.byref(start), len(encoded))
        if not handle:
            self._lib.ERR_clear_error()
            raise BadKey("libcrypto 不接受该 SM2 密钥", "libcrypto does not take this SM2 key")
        key = _Key(handle, self._lib.EVP_PKEY_free)
        if self._lib.EVP_PKEY_is_a(handle, b"SM2") != 1:
            raise BadKey("libcrypto 认为这不是 SM2 密钥", "libcrypto does not see an SM2 key here")
        return key

    def _failure(self, what: str) -> BadConfiguration:
        self._lib.ERR_clear_error()
        return BadConfiguration(f"libcrypto 的 SM2 运算失败: {what}", f"libcrypto failed at SM2: {what}")


def _load(library: str | None) -> c.CDLL:
    names = (library,) if library else _LIBRARIES.get(sys.platform, ())
    for name in names:
        try:
            lib = c.CDLL(name)
            if cast(int, lib.OPENSSL_version_major()) < 3:
                continue
            for function, (result, arguments) in _SIGNATURES.items():
                pointer = getattr(
                    lib, function
                )  # kept by the library object; lib[function] would be a new one each time
                pointer.restype, pointer.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return lib
    raise BadConfiguration(
        "未找到带 SM2 的 libcrypto (3 或更高版本)", "no libcrypto of version 3 or later with SM2 was found"
    )
