"""The only errors that leave this package. Malformed documents do not raise: they are FAILED with FORMAT_FAILURE."""

from __future__ import annotations

from schemas.told import Said, Told, both


class CertsError(Exception):
    """Base of all errors here; ``code`` is stable and documented."""

    code = "certs-error"


class BadKey(CertsError):
    """A key, certificate or key file cannot be read, or is of a kind that does not fit its use."""

    code = "bad-key"


class BadConfiguration(Told, CertsError):
    """A trust store, policy or backend is unusable; an administrator must act."""

    code = "bad-configuration"


class DecryptionFailed(CertsError):
    """A ciphertext is malformed or was made for another key."""

    code = "decryption-failed"


class MessageRefused(CertsError):
    """A message signature (XML, WS-Security, HTTP) is missing, malformed, stale, or does not hold.

    ``reason`` is one of the stable words listed in docs/protocol; ``detail`` names the element or header, or says
    what is wrong in Chinese and English (``zh``, ``en``).
    """

    code = "message-refused"

    def __init__(self, reason: str, detail: Said = "") -> None:
        self.zh, self.en = both(detail)
        super().__init__(f"{reason}: {self.en}" if self.en else reason)
        self.reason = reason
