"""Encryption at rest. One key, from a file in the state folder or from the environment, made on the first run.

A sealed value is ``version(1) | key id(4) | nonce(12) | ciphertext | tag(16)``; the context (table and row) is authenticated, so a
sealed value moved to another row does not open. AES-256-GCM by default, SM4-GCM where the assessment asks for it (密评).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

CipherName = Literal["aes-256-gcm", "sm4-gcm"]
_VERSIONS: dict[CipherName, int] = {"aes-256-gcm": 1, "sm4-gcm": 2}
_HEADER = 5
_NONCE = 12
_TAG = 16


class VaultError(Exception):
    """A key is missing or unreadable, or a sealed value does not open under it."""


class Vault:
    """Seals and opens values, and makes keyed indexes of values that must be found but not read."""

    def __init__(self, master: bytes, *, cipher: CipherName = "aes-256-gcm") -> None:
        if len(master) != 32:
            raise VaultError("the vault key must be 32 bytes")
        self._aes = AESGCM(_derive(master, b"seal/aes-256-gcm", 32))
        self._sm4 = _derive(master, b"seal/sm4-gcm", 16)
        self._index = _derive(master, b"index", 32)
        self.audit_key = _derive(master, b"audit", 32)
        self.session_key = _derive(master, b"session", 32)
        self._key_id = hashlib.sha256(master).digest()[:4]
        self._version = _VERSIONS[cipher]

    @classmethod
    def load(cls, path: Path, *, from_environment: str | None = None, cipher: CipherName = "aes-256-gcm") -> Vault:
        """The key from base64 text in the environment if given, else from ``path``, which is made (mode 600) if absent."""
        if from_environment:
            return cls(_decode(from_environment), cipher=cipher)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        return cls(_decode(path.read_text(encoding="ascii")), cipher=cipher)

    def seal(self, plaintext: bytes, context: str) -> bytes:
        header = bytes([self._version]) + self._key_id
        nonce = secrets.token_bytes(_NONCE)
        aad = header + context.encode()
        if self._version == _VERSIONS["aes-256-gcm"]:
            return header + nonce + self._aes.encrypt(nonce, plaintext, aad)
        encryptor = Cipher(algorithms.SM4(self._sm4), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(aad)
        return header + nonce + encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plaintext; VaultError if the value was altered, moved to another row, or sealed under another key."""
        header, nonce, rest = sealed[:_HEADER], sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        if len(rest) < _TAG or header[1:] != self._key_id:
            raise VaultError("sealed under another key, or cut short")
        aad = header + context.encode()
        try:
            if header[0] == _VERSIONS["aes-256-gcm"]:
                return self._aes.decrypt(nonce, rest, aad)
            if header[0] == _VERSIONS["sm4-gcm"]:
                decryptor = Cipher(algorithms.SM4(self._sm4), modes.GCM(nonce, rest[-_TAG:])).decryptor()
                decryptor.authenticate_additional_data(aad)
                return decryptor.update(rest[:-_TAG]) + decryptor.finalize()
        except InvalidTag:
            raise VaultError("the sealed value was altered or moved") from None
        raise VaultError(f"unknown sealing version {header[0]}")

    def index(self, value: str) -> str:
        """A keyed hash: equal for equal values, and of no use without the key."""
        return hmac.new(self._index, value.encode(), hashlib.sha256).hexdigest()


def _derive(master: bytes, purpose: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, b"exchange-hub/" + purpose).derive(master)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise VaultError("the vault key is not base64") from None
