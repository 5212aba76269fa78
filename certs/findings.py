"""Gathering the findings of one verification: short calls, so that the steps stay readable beside the standard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from certs.report import Axis, Finding, Indication, SubIndication
from schemas.told import Sentence


def finding(axis: Axis, sub: SubIndication | None, clause: str, zh: str, en: str, index: int | None = None) -> Finding:
    """A step that holds where ``sub`` is None, else one that does not."""
    return Finding(axis, Indication.FAILED if sub else Indication.PASSED, sub, clause, zh, en, {}, index)


def because(*reasons: Sentence) -> dict[str, str]:
    """Data of a finding that say why: ``why`` in English, ``why_zh`` in Chinese. A report shows that of its language."""
    return {"why": "; ".join(en for _, en in reasons), "why_zh": "；".join(zh for zh, _ in reasons)}


@dataclass
class Findings:
    """The findings about one signature (``index``), or about the document (None), in the order of the steps."""

    index: int | None = None
    found: list[Finding] = field(default_factory=list)

    def passed(self, axis: Axis, clause: str, zh: str, en: str, **data: str) -> None:
        """A step that holds."""
        self.found.append(Finding(axis, Indication.PASSED, None, clause, zh, en, data, self.index))

    def failed(self, axis: Axis, sub: SubIndication, clause: str, zh: str, en: str, **data: str) -> None:
        """A step that does not hold: final."""
        self.found.append(Finding(axis, Indication.FAILED, sub, clause, zh, en, data, self.index))

    def unsure(self, axis: Axis, sub: SubIndication, clause: str, zh: str, en: str, **data: str) -> None:
        """A step that could not be told."""
        self.found.append(Finding(axis, Indication.INDETERMINATE, sub, clause, zh, en, data, self.index))

    def extend(self, findings: Iterable[Finding], **data: str) -> None:
        """Findings of another module, made this signature's, with ``data`` added."""
        self.found.extend(
            Finding(
                f.axis,
                f.indication,
                f.sub_indication,
                f.clause,
                f.detail_zh,
                f.detail_en,
                {**f.data, **data},
                self.index,
            )
            for f in findings
        )
