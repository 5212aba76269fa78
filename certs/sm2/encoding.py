"""Byte forms of SM2 keys, signatures and ciphertexts (GB/T 32918, GB/T 35276, GM/T 0009), checked before any backend runs.

Both backends get the same strictly read values, so they cannot differ on a malformed one.
"""

from __future__ import annotations

from typing import Final

from certs import der
from certs.der import Malformed
from certs.errors import BadKey, DecryptionFailed

# GB/T 32918.5: the recommended curve.
P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123

# SubjectPublicKeyInfo of an SM2 key up to the point: id-ecPublicKey, curve 1.2.156.10197.1.301, BIT STRING of 65 octets.
SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_MAX_SIGNATURE: Final = 72
C3_LENGTH: Final = 32


def point(public_key: bytes) -> bytes:
    """The 65 octets 04||x||y of a key given as such or as SubjectPublicKeyInfo; BadKey unless it lies on the curve."""
    if public_key.startswith(SPKI_PREFIX):
        public_key = public_key[len(SPKI_PREFIX) :]
    if len(public_key) != 65 or public_key[0] != 4:
        raise BadKey(
            "不是 SM2 公钥：应为 04||x||y 或其 SubjectPublicKeyInfo",
            "not an SM2 public key: 04||x||y or its SubjectPublicKeyInfo is expected",
        )
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if x >= P or y >= P or (y * y - (x * x * x + A * x + B)) % P:
        raise BadKey("不是 SM2 公钥：该点不在曲线上", "not an SM2 public key: the point is not on the curve")
    return public_key


def scalar(private_key: bytes) -> bytes:
    """The 32 octets of a private key in [1, n-2] (GB/T 32918.2, 6.1)."""
    if len(private_key) != 32 or not 1 <= int.from_bytes(private_key, "big") <= N - 2:
        raise BadKey(
            "不是 SM2 私钥：应为 [1, n-2] 内的 32 字节", "not an SM2 private key: 32 octets in [1, n-2] are expected"
        )
    return private_key


def is_signature(signature: bytes) -> bool:
    """Whether this is DER of SEQUENCE {r, s} with r and s in [1, n-1]: short lengths, minimal integers, nothing behind."""
    if not 8 <= len(signature) <= _MAX_SIGNATURE or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        return False
    end = _integer_end(signature, 2)
    return end is not None and _integer_end(signature, end) == len(signature)


def _integer_end(data: bytes, start: int) -> int | None:
    """The end of a minimal positive INTEGER in [1, n-1] at ``start``; None if it is not one."""
    if start + 3 > len(data) or data[start] != 0x02:
        return None
    length, content = data[start + 1], start + 2
    if not 1 <= length <= 33 or content + length > len(data) or data[content] & 0x80:
        return None
    if length > 1 and data[content] == 0 and not data[content + 1] & 0x80:
        return None
    value = int.from_bytes(data[content : content + length], "big")
    return content + length if 1 <= value < N else None


def signature_to_raw(signature: bytes) -> bytes:
    """64 octets r||s of a DER signature; Malformed if it is not one."""
    if not is_signature(signature):
        raise Malformed("不是 SM2 签名值", "not an SM2 signature")
    r, s = der.read(signature, der.SEQUENCE).members(der.INTEGER)
    return r.integer().to_bytes(32, "big") + s.integer().to_bytes(32, "big")


def signature_from_raw(raw: bytes) -> bytes:
    """DER of 64 octets r||s; Malformed at any other length."""
    if len(raw) != 64:
        raise Malformed("不是 r||s 形式的 SM2 签名值：应为 64 字节", "not a raw SM2 signature: 64 octets are expected")
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return der.tlv(der.SEQUENCE, der.encode_integer(r), der.encode_integer(s))


def ciphertext_to_der(ciphertext: bytes, order: str) -> bytes:
    """SM2Cipher of GM/T 0009, 7.2 from C1||C3||C2 or C1||C2||C3, C1 being 65 octets that begin with 04."""
    if len(ciphertext) < 65 + C3_LENGTH + 1:
        raise DecryptionFailed("密文过短", "the ciphertext is too short")
    try:
        c1 = point(ciphertext[:65])
    except BadKey:
        raise DecryptionFailed("C1 不是曲线上的点", "C1 is not a point of the curve") from None
    rest = ciphertext[65:]
    if order == "C1C3C2":
        c3, c2 = rest[:C3_LENGTH], rest[C3_LENGTH:]
    else:
        c3, c2 = rest[-C3_LENGTH:], rest[:-C3_LENGTH]
    x, y = int.from_bytes(c1[1:33], "big"), int.from_bytes(c1[33:], "big")
    return der.tlv(
        der.SEQUENCE,
        der.encode_integer(x),
        der.encode_integer(y),
        der.tlv(der.OCTET_STRING, c3),
        der.tlv(der.OCTET_STRING, c2),
    )


def ciphertext_from_der(cipher: bytes, order: str) -> bytes:
    """The other way round; Malformed if it is not an SM2Cipher."""
    reader = der.read(cipher, der.SEQUENCE).reader()
    x, y = (reader.take(der.INTEGER).integer().to_bytes(32, "big") for _ in range(2))
    c3, c2 = reader.take(der.OCTET_STRING).content, reader.take(der.OCTET_STRING).content
    reader.finish()
    return b"\x04" + x + y + (c3 + c2 if order == "C1C3C2" else c2 + c3)
