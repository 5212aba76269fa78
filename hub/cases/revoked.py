"""Cases that rest on a certificate which a notice has revoked: changed and told in the notice's commit.

Until the record begins to move, the evidence is fetched anew (another version may have taken its place): nothing further opens
before it is there, and if it is refused the case is. Afterwards, and within ``relied_days`` of completion, nothing is undone:
the evidence says that it was revoked, and those who take part are told. See docs/decisions/0017-revoked-under-a-case.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hub.cases import states, store
from hub.cases.events import NewEvent
from hub.cases.flow import Flow
from hub.cases.opening import fetch
from hub.cases.progress import CaseFile, Progress, Rooms, load_files
from hub.db import AuditEntry, Tx
from hub.deliveries.model import NewDelivery
from hub.ecerts.evidence.judging import BY_NOTICE
from hub.ecerts.revocations.relying import CasesTold, Revoked, TellCases
from hub.ids import new_id
from schemas.events import EventType
from schemas.problems import HubProblem
from schemas.transfers import CaseState, EvidenceState, TransferRequest

FETCHED_ANEW: Final = "fetched-anew"
STANDS: Final = "stands"


def tell_cases(rooms: Rooms) -> TellCases:
    """What a notice does to cases, for whoever takes notices."""

    def tell(tx: Tx, revoked: Revoked) -> CasesTold:
        rows = store.satisfied_by(tx.conn, revoked.indexes)
        files = load_files(tx, {case_id for case_id, _, _ in rows})
        progress = Progress(tx, rooms)
        relied: set[str] = set()
        systems: set[str] = set()
        told: set[str] = set()
        certificates: set[str] = set()
        for case_id, requirement, index in sorted(rows):
            file = files[case_id]
            if not _relies(rooms, file, tx):
                continue
            parties = _parties(file)
            told |= _revoke(progress, file, requirement, revoked, parties) & parties
            relied.add(case_id)
            certificates.add(index)
            systems |= parties
        for case_id in sorted(relied):  # once all of a case's are marked
            if _undecided(rooms, files[case_id]) is not None:
                progress.evidence_changed(files[case_id])
        progress.finish()
        return CasesTold(frozenset(relied), frozenset(certificates), frozenset(systems), frozenset(told))

    return tell


def _relies(rooms: Rooms, file: CaseFile, tx: Tx) -> bool:
    """It may have ended since it was found, or so long ago that nobody relies on it."""
    if file.case.closed_at is None:
        return True
    flow = rooms.flows.get(file.case.flow)  # a flow that no open case remembers may be gone
    days = flow.relied_days if flow is not None else 0
    return file.case.state is CaseState.COMPLETED and file.case.closed_at + timedelta(days=days) > tx.now


def _undecided(rooms: Rooms, file: CaseFile) -> Flow | None:
    """The case's flow, while it is open and its record has not begun to move: so long evidence can be had anew."""
    flow = rooms.flows.get(file.case.flow)
    return None if flow is None or file.case.closed_at is not None or file.record_moves(flow) else flow


def _parties(file: CaseFile) -> frozenset[str]:
    """The source, and those who were asked: they were handed what was verified."""
    return frozenset({file.case.system_id} | {step.system_id for step in file.steps if step.opened_at is not None})


def _revoke(
    progress: Progress, file: CaseFile, requirement: str, revoked: Revoked, parties: frozenset[str]
) -> set[str]:
    """One evidence of a case; gives the systems that are told."""
    tx, flow = progress.tx, _undecided(progress.rooms, file)
    again = _again(progress, file, flow, requirement) if flow is not None else None
    after = EvidenceState.PENDING if again is not None else EvidenceState.REFUSED
    row = next(row for row in file.evidence if row.requirement == requirement)
    row.state = states.check(states.EVIDENCE, row.state, after)
    row.reason, row.summary_sealed = (None if again is not None else BY_NOTICE), None
    values: store.Values = {
        "b_case_id": file.case.id, "b_requirement": requirement, "state": after.value, "reason": row.reason,
        "summary_sealed": None, "content_sealed": None, "identifier_index": None, "updated_at": tx.now,
    }  # fmt: skip
    store.update_evidence(tx.conn, [values])
    if again is not None:
        progress.deliver(again)
    follows = FETCHED_ANEW if again is not None else STANDS
    detail = {"requirement": requirement, "notice": revoked.notice_id, "follows": follows}
    tx.audit.append(AuditEntry("node", EventType.EVIDENCE_REVOKED.value, file.case.id, after.value, detail))
    data = {
        "requirement": requirement,
        "follows": follows,
        "notice": revoked.notice_id,
        "reason": revoked.reason,
        "revokedAt": revoked.revoked_at.isoformat(),
        "source": revoked.source,
    }
    return progress.say(NewEvent(file.case, EventType.EVIDENCE_REVOKED, data, parties))


def _again(progress: Progress, file: CaseFile, flow: Flow, requirement: str) -> NewDelivery | None:
    """The question to its source once more, under a key of its own; None if the source is no longer registered."""
    sealed = progress.rooms.vault.open(file.case.payload_sealed, f"cases:{file.case.id}")
    request = TransferRequest.model_validate_json(sealed)
    need, key = flow.need(requirement), new_id("again")
    try:
        return fetch(progress.rooms, flow, need, case_id=file.case.id, request=request, at=progress.tx.now, key=key)
    except HubProblem:
        return None
