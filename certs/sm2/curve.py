"""Points of the SM2 curve in plain Python, only for what gmssl_pyx does not offer (see :mod:`certs.sm2.gmssl`).

About 5 ms for a multiplication. A Montgomery ladder: the same steps for every scalar; Python's integers are still not
constant in time, which is one more reason to prefer libcrypto.
"""

from __future__ import annotations

from typing import Final

from certs.sm2.encoding import A, P

G: Final = bytes.fromhex(
    "0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)
_Jacobian = tuple[int, int, int]
_INFINITY: Final[_Jacobian] = (1, 1, 0)


def multiply(scalar: bytes, point: bytes) -> bytes:
    """scalar * point as 04||x||y; the scalar in [1, n-1], the point on the curve."""
    low: _Jacobian = _INFINITY
    high: _Jacobian = (int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big"), 1)
    number = int.from_bytes(scalar, "big")
    for bit in range(255, -1, -1):
        total = _add(low, high)
        low, high = (total, _double(high)) if number >> bit & 1 else (_double(low), total)
    x, y, z = low
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return b"\x04" + (x * square % P).to_bytes(32, "big") + (y * square * inverse % P).to_bytes(32, "big")


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    yy = y * y % P
    s = 4 * x * yy % P
    m = (3 * x * x + A * pow(z, 4, P)) % P
    out = (m * m - 2 * s) % P
    return out, (m * (s - out) - 8 * yy * yy) % P, 2 * y * z % P


def _add(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    if not one[2]:
        return other
    if not other[2]:
        return one
    x1, y1, z1 = one
    x2, y2, z2 = other
    zz1, zz2 = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * zz2 % P, x2 * zz1 % P
    s1, s2 = y1 * zz2 * z2 % P, y2 * zz1 * z1 % P
    h, r = (u2 - u1) % P, (s2 - s1) % P
    if not h:
        return _double(one) if not r else _INFINITY
    hh = h * h % P
    hhh = hh * h % P
    v = u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, h * z1 * z2 % P
