"""The only errors that leave this package. Malformed documents do not raise: they are FAILED with FORMAT_FAILURE."""

from __future__ import annotations

from certs.refusals import REFUSALS
from schemas.rules import RULES
from schemas.told import Said, Sentence, Told, both


class CertsError(Told):
    """Base of all errors here; ``code`` is stable and documented. What is wrong is said as in every :class:`Told`."""

    code = "certs-error"


class BadKey(CertsError):
    """A key, certificate or key file cannot be read, or is of a kind that does not fit its use."""

    code = "bad-key"


class BadConfiguration(CertsError):
    """A trust store, policy or backend is unusable; an administrator must act."""

    code = "bad-configuration"


class DecryptionFailed(CertsError):
    """A ciphertext is malformed or was made for another key."""

    code = "decryption-failed"


class MessageRefused(CertsError):
    """A message signature (XML, WS-Security, HTTP) is missing, malformed, stale, or does not hold.

    ``reason`` is one of the stable words listed in docs/protocol; ``detail`` names the element or header, or says
    what is wrong in Chinese and English (``zh``, ``en``). As text it is the word and the English detail, for logs.
    """

    code = "message-refused"

    def __init__(self, reason: str, detail: Said = "") -> None:
        super().__init__(*both(detail))
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}: {self.en}" if self.en else self.reason

    @property
    def said(self) -> Sentence:
        """The reason before the detail: in Chinese in words, in English as the word itself."""
        words = RULES[self.reason].zh if self.reason in RULES else REFUSALS[self.reason][0]
        return f"{words}：{self.zh}" if self.zh else words, str(self)
