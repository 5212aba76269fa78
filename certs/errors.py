"""The only errors that leave this package. Malformed documents do not raise: they are FAILED with FORMAT_FAILURE."""

from __future__ import annotations

from schemas.told import Told


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

    ``reason`` is one of the stable words listed in docs/protocol; ``detail`` names the element or header.
    """

    code = "message-refused"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
