"""What an answer says of each requirement: by what it is met, or what is missing, why, and who must act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic_core import from_json

from hub.ecerts.entries import Evidence, Requirement
from hub.ecerts.evidence.file import EvidenceFile
from hub.ecerts.evidence.judging import AFTER_ANSWER
from hub.ecerts.evidence.planning import anonymous
from hub.ecerts.evidence.store import DocumentRow
from hub.ecerts.evidence.words import condition_words, words_of
from hub.ecerts.solver import USABLE, RequirementAnswer, RequirementState, Standing
from schemas.evidence import EvidenceRequest, FindingView, MissingView, RequirementView, RevocationView, SignerView
from schemas.revocations import RevocationReason

MAX_FINDINGS: Final = 8  # a hostile file has as many signatures as it likes


def requirement_view(file: EvidenceFile, one: RequirementAnswer) -> RequirementView:
    rule = next(requirement for requirement in file.item.requirements if requirement.name == one.name)
    missing: tuple[MissingView, ...] = ()
    if one.state is not RequirementState.SATISFIED:
        nearest = _being_asked(file, rule) or tuple(gap.evidence for gap in one.missing) or _revoked(file, rule)
        named = dict.fromkeys((*nearest, *unusable(file, rule)))
        missing = tuple(_gap(file, document, nearest=document in nearest) for document in named)
    return RequirementView(
        name=one.name,
        title_zh=rule.title_zh,
        title_en=rule.title_en,
        required=one.required,
        accepts=rule.evidence,
        satisfied=one.state is RequirementState.SATISFIED,
        by=tuple(str(document) for document in one.by) if one.state is RequirementState.SATISFIED else (),
        notices=one.notices,
        missing=missing,
    )


def changed_at(file: EvidenceFile) -> datetime | None:
    """When a notice changed what had been answered; None if none did."""
    after = {row.notice for row in file.documents.values() if row.reason == AFTER_ANSWER}
    return max((one.received_at for one in file.revocations.values() if one.id in after), default=None)


def _revocation(file: EvidenceFile, row: DocumentRow | None) -> RevocationView | None:
    notice = file.revocations.get(row.notice or "") if row is not None else None
    if notice is None:
        return None
    reason = RevocationReason(notice.reason)
    return RevocationView(notice=notice.id, source=notice.source, reason=reason, revoked_at=notice.revoked_at)


def unusable(file: EvidenceFile, rule: Requirement) -> tuple[Evidence, ...]:
    """The gaps of every alternative, in the catalogue's order; what was never asked for is none."""
    named = dict.fromkeys(document for documents in rule.alternatives for document in sorted(documents))
    return tuple(one for one in named if file.known[one].standing not in USABLE)


def _revoked(file: EvidenceFile, rule: Requirement) -> tuple[Evidence, ...]:
    """What it rested on until a notice came; an alternative that was never asked for is asked for by a new request."""
    return tuple(one for one in unusable(file, rule) if file.known[one].standing is Standing.REVOKED)


def _being_asked(file: EvidenceFile, rule: Requirement) -> tuple[Evidence, ...]:
    """The gaps of an alternative that will be whole if what is being asked for comes; empty if there is none."""
    for documents in rule.alternatives:
        rows = {document: file.documents.get(document) for document in sorted(documents)}
        gaps = [d for d in rows if file.known[d].standing not in (Standing.HELD, Standing.DEEMED_VALID)]
        if gaps and all((row := rows[document]) is not None and row.followed_up for document in gaps):
            return tuple(gaps)
    return ()


def _gap(file: EvidenceFile, document: Evidence, *, nearest: bool) -> MissingView:
    known, row = file.known[document], file.documents.get(document)
    followed_up = row is not None and row.followed_up
    condition = condition_words(file.item.conditions.get(document), known.reason)
    said = condition or words_of(known.standing, known.reason, followed_up=followed_up)
    report: Mapping[str, Any] = from_json(row.report) if row is not None and row.report else {}
    return MissingView(
        document=str(document),
        state=known.standing.value,
        reason=known.reason,
        who_acts=said.who.value,
        message_zh=said.zh,
        message_en=said.en,
        nearest=nearest,
        followed_up=followed_up,
        checked_at=row.checked_at if row is not None else None,
        sha256=report.get("digest_sha256"),
        indication=report.get("indication"),
        findings=_deciding(report, file.request) if report else (),
        revocation=_revocation(file, row),
    )


# --- the verdict on a file that is refused ----------------------------------------------------------------------------------


def _deciding(report: Mapping[str, Any], request: EvidenceRequest) -> tuple[FindingView, ...]:
    """The findings that made the report what it is; none of a file that passed, which is refused for what stands in it."""
    if report["indication"] == "PASSED":
        return ()
    found = [one for one in report["findings"] if one["indication"] == report["indication"]]
    return tuple(
        FindingView(
            axis=one["axis"],
            clause=one["clause"],
            detail_zh=one["detail_zh"],
            detail_en=one["detail_en"],
            signer=_signer(report, one["signature"], request),
        )
        for one in found[:MAX_FINDINGS]
    )


def _signer(report: Mapping[str, Any], signature: int | None, request: EvidenceRequest) -> SignerView | None:
    """Whose signature a finding is about; where a signature has no readable signer, numbers and signers do not go together."""
    signers: Sequence[Mapping[str, Any]] = report["signers"]
    numbers = {one["signature"] for one in report["findings"]} - {None}
    if signature is None or len(signers) != len(numbers) or signature >= len(signers):
        return None
    signer = signers[signature]
    return SignerView(
        subject=anonymous(request, signer["subject"]),  # whatever a refused file calls itself
        serial=signer["serial"][:64],
        signed_at=signer["signed_at"],
        seal_name=anonymous(request, signer["seal_name"]) if signer["seal_name"] else None,
    )
