"""A problem as both wires tell it: the typed SOAP fault ``ExchangeFault``, whose members are also those of the REST problem."""

from __future__ import annotations

from typing import Literal, Self

from schemas.base import Canonical
from schemas.problems import HubProblem, WhoActs

Language = Literal["zh", "en"]


class FaultItem(Canonical):
    """One fault in the message. ``rule`` is the stable word of docs/protocol/fields.md."""

    path: str
    line: int | None = None
    column: int | None = None
    rule: str | None = None
    reason: str
    cure: str | None = None


class ExchangeFault(Canonical):
    """What the caller is told: what is wrong, who must act, whether the same message may succeed later, and the cure."""

    code: str
    title: str
    who: WhoActs
    retryable: bool
    detail: str | None = None
    cure: str
    problem_id: str
    retry_after_seconds: int | None = None
    faults: tuple[FaultItem, ...] = ()

    @classmethod
    def of(cls, problem: HubProblem, problem_id: str, language: Language = "zh") -> Self:
        """``problem`` in one language; ``problem_id`` is what the caller names to the administrator."""
        kind, chinese = problem.kind, language == "zh"
        return cls(
            code=kind.code,
            title=kind.title_zh if chinese else kind.title_en,
            who=problem.who,
            retryable=kind.retryable,
            detail=(problem.detail_zh if chinese else problem.detail_en) or None,
            cure=kind.cure_zh if chinese else kind.cure_en,
            problem_id=problem_id,
            retry_after_seconds=problem.retry_after_s,
            faults=tuple(
                FaultItem(
                    path=fault.path,
                    line=fault.line,
                    column=fault.column,
                    rule=fault.rule,
                    reason=fault.reason_zh if chinese else fault.reason_en,
                    cure=fault.cure_zh if chinese else fault.cure_en,
                )
                for fault in problem.faults
            ),
        )
