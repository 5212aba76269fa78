"""Why something cannot be done, in Chinese and English: the base of every error whose text a person reads."""

from __future__ import annotations

Said = str | tuple[str, str]  # a name, the same in every language; or a sentence, (zh, en)


def both(said: Said) -> tuple[str, str]:
    return (said, said) if isinstance(said, str) else said


class Told(Exception):
    """For whoever asked and can mend it: what is wrong and what to do. Holds no secret, no ID number and no person's name."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en
