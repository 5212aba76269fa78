"""Why something cannot be done, in Chinese and English: the base of every error whose text a person reads."""

from __future__ import annotations

Sentence = tuple[str, str]  # (zh, en)
Said = str | Sentence  # a name, the same in every language; or a sentence


def both(said: Said) -> Sentence:
    return (said, said) if isinstance(said, str) else said


class Told(Exception):
    """For whoever asked and can mend it: what is wrong and what to do. Holds no secret, no ID number and no person's name."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en

    @property
    def said(self) -> Sentence:
        """In both languages, for what carries the reason on."""
        return self.zh, self.en
