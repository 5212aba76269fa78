"""The keys at rest: which there are, and which one seals.

As text, in ``vault.key`` or in ``HUB_VAULT_KEY``: the keys in base64, in the order in which they were made, with the word
``current`` behind the one that seals (nowhere: the first seals). The first is the *root*: keyed indexes, the audit chain and
sessions are derived from it, so it is never replaced. Every key opens what rests under it. See docs/decisions/0009.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.told import Told

KEY_BYTES = 32
_CURRENT = "current"


class VaultError(Told):
    """A key is missing or unreadable, or a sealed value does not open under it."""


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits, as they stand in every sealed value; they tell nothing of the key."""
    return hashlib.sha256(key).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class KeyRing:
    keys: tuple[bytes, ...]
    current: str  # the id of the key that seals

    @classmethod
    def of(cls, key: bytes) -> KeyRing:
        return cls((_checked(key),), key_id(key))

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """VaultError if this is no list of keys."""
        keys: list[bytes] = []
        current: str | None = None
        for word in text.split():
            if word != _CURRENT:
                keys.append(_decode(word))
            elif not keys or current is not None:
                raise VaultError(
                    "current 一词只能出现一次, 写在用于加密的密钥之后",
                    "the word 'current' stands once, behind the key that seals",
                )
            else:
                current = key_id(keys[-1])
        if not keys:
            raise VaultError("没有静态加密密钥", "there is no vault key")
        if len({key_id(key) for key in keys}) < len(keys):
            raise VaultError("同一密钥出现两次, 请删去一个", "a vault key stands there twice: remove one")
        return cls(tuple(keys), current or key_id(keys[0]))

    def to_text(self) -> str:
        """One key a line; :meth:`parse` reads it again."""
        lines = []
        for key in self.keys:
            mark = f" {_CURRENT}" if key_id(key) == self.current != self.root else ""
            lines.append(f"{base64.b64encode(key).decode()}{mark}\n")
        return "".join(lines)

    @property
    def ids(self) -> list[str]:
        return [key_id(key) for key in self.keys]

    @property
    def root(self) -> str:
        return self.ids[0]

    @property
    def prepared(self) -> list[str]:
        """Keys made after the current one: known, and waiting to seal."""
        return self.ids[self.ids.index(self.current) + 1 :]

    def with_new(self) -> KeyRing:
        """One more key, which does not seal yet."""
        while key_id(key := secrets.token_bytes(KEY_BYTES)) in self.ids:
            pass
        return KeyRing((*self.keys, key), self.current)

    def using_newest(self) -> KeyRing:
        return KeyRing(self.keys, self.ids[-1])

    def without(self, gone: str) -> KeyRing:
        """VaultError for the root, the key that seals, and what is not there."""
        if gone not in self.ids:
            raise VaultError(
                f"没有密钥 {gone}; 现有: {' '.join(self.ids)}",
                f"there is no key {gone}; there are {' '.join(self.ids)}",
            )
        if gone == self.root:
            raise VaultError(
                f"{gone} 是根密钥, 索引与审计链由它派生, 不能移除",
                f"{gone} is the root: indexes and the audit chain are derived from it",
            )
        if gone == self.current:
            raise VaultError(
                f"{gone} 是当前用于加密的密钥; 先 hub vault rotate",
                f"{gone} is the key that seals: first hub vault rotate",
            )
        return KeyRing(tuple(key for key in self.keys if key_id(key) != gone), self.current)


class KeyFile:
    """A key ring in a file (mode 600), replaced whole, so that whoever reads it finds the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> KeyRing:
        """Makes the file with a first key if it is not there. VaultError if it is unreadable."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not self.path.exists():
                    self._replace(KeyRing.of(secrets.token_bytes(KEY_BYTES)))
        try:
            seen = self._signature()
            ring = KeyRing.parse(self.path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise VaultError(
                f"密钥文件无法读取: {type(error).__name__}", f"the key file cannot be read: {type(error).__name__}"
            ) from None
        self._seen = seen
        return ring

    def changed(self) -> KeyRing | None:
        """The ring if the file is another than when it was last read. A file that cannot be read (now) has not changed."""
        try:
            return self.read() if self.path.exists() and self._signature() != self._seen else None
        except (OSError, VaultError):
            return None

    def change(self, function: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Replace the ring by what the function makes of it; two processes come one after the other."""
        with self._alone():
            ring = function(self.read())
            self._replace(ring)
        return ring

    def _signature(self) -> tuple[int, int, int]:
        stat = self.path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(os.open(self.path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, ring: KeyRing) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".vault-")  # mode 600
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(ring.to_text())
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # a key that sealed something must outlast a power failure
        finally:
            os.close(folder)


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise VaultError(f"静态加密密钥应为 {KEY_BYTES} 字节", f"a vault key has {KEY_BYTES} bytes")
    return key


def _decode(text: str) -> bytes:
    try:
        return _checked(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise VaultError("静态加密密钥不是 base64 编码", "the vault key is not base64") from None
