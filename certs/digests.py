"""Digests by name: sha1 (legacy XML only, where a policy allows it), sha256, sha384, sha512 and sm3."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SM3, Hash

NAMES = frozenset({"sha1", "sha256", "sha384", "sha512", "sm3"})


def digest(name: str, data: bytes) -> bytes:
    """The digest of ``data``; ``name`` is one of :data:`NAMES`. SM3 (GB/T 32905) is not in every OpenSSL of Python."""
    if name == "sm3":
        context = Hash(SM3())
        context.update(data)
        return context.finalize()
    if name not in NAMES:
        raise KeyError(name)
    return hashlib.new(name, data, usedforsecurity=name != "sha1").digest()
