"""What a caller can do with transfers: submit, query, withdraw, decide. One canonical path behind REST and SOAP."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hub import tables as t
from hub.access import replay
from hub.access.callers import Caller, Nonce, Service
from hub.cases import opening, store
from hub.cases.progress import CaseFile, Progress, Rooms, load_files
from hub.cases.views import views
from hub.db import AuditEntry, BatchOperation, Database, Tx
from schemas.problems import (
    CASE_CLOSED,
    CASE_UNKNOWN,
    DECISION_CONTRADICTS,
    DECISION_NOT_AWAITED,
    DECISION_WRONG_PARTY,
    MESSAGE_ID_CONFLICT,
    MESSAGE_REPLAYED,
    WITHDRAWAL_TOO_LATE,
    HubProblem,
)
from schemas.transfers import (
    CaseState,
    Decision,
    DecisionOutcome,
    StepState,
    TransferAccepted,
    TransferRequest,
    TransferView,
    WithdrawalRequest,
)

I = TypeVar("I")  # noqa: E741  the item of a batch operation
A = TypeVar("A")

Message = WithdrawalRequest | Decision


@dataclass(frozen=True, slots=True)
class Act:
    """One message about an existing case, from one system."""

    system_id: str
    operation: str
    digest: str
    message: Message
    nonces: tuple[Nonce, ...] = ()


class CaseService:
    """Every future gives its answer after the commit, or raises HubProblem; DatabaseBusy is raised at once."""

    def __init__(self, db: Database, rooms: Rooms) -> None:
        self._db = db
        self._rooms = rooms
        self._accept: BatchOperation[opening.Submission, TransferAccepted | HubProblem] = partial(
            opening.accept_many, rooms
        )
        self._act: BatchOperation[Act, TransferView | HubProblem] = self._act_on_cases

    # --- submit ---------------------------------------------------------------------------------------------------------

    def submit_transfer(self, caller: Caller, request: TransferRequest, *, digest: str) -> Future[TransferAccepted]:
        """Open a case; the same message again gets the same answer, another message under its id is a conflict."""
        opening.choose_flow(self._rooms, request)  # a school in another province is no question of rights
        caller.require(Service.TRANSFER_SUBMIT, request.receiving.region)
        submission = opening.prepare(self._rooms, caller, request, digest)
        return _submit(self._db, self._accept, submission)

    # --- query ----------------------------------------------------------------------------------------------------------

    def query_transfer(self, caller: Caller, case_id: str) -> TransferView:
        """One case that the caller submitted or has a step in. HubProblem(CASE_UNKNOWN) else."""
        with self._db.read() as conn:
            case = store.load_cases(conn, [case_id]).get(case_id)
            steps = store.load_steps(conn, [case_id]).get(case_id, [])
            if case is None or not _may_see(caller, case, steps):
                raise HubProblem(CASE_UNKNOWN, case_id)
            return views(conn, self._rooms.flows, [case])[0]

    def list_transfers(
        self, caller: Caller, *, before: str | None, limit: int, state: CaseState | None
    ) -> tuple[list[TransferView], str | None]:
        """A page, newest first, and the id before which the next one starts (None at the end)."""
        with self._db.read() as conn:
            rows = store.page_of_cases(conn, caller.system_id, before=before, limit=limit + 1, state=state)
            page = [row for row in rows[:limit] if caller.may(Service.TRANSFER_QUERY, row.receiving_region)
                    or caller.may(Service.TRANSFER_QUERY, row.releasing_region)]  # fmt: skip
            return views(conn, self._rooms.flows, page), rows[limit - 1].id if len(rows) > limit else None

    # --- withdraw and decide --------------------------------------------------------------------------------------------

    def withdraw(self, caller: Caller, request: WithdrawalRequest, *, digest: str) -> Future[TransferView]:
        """The source takes its request back, until the record begins to move."""
        return _submit(
            self._db, self._act, self._checked(caller, Service.TRANSFER_SUBMIT, "withdrawal", request, digest)
        )

    def decide(self, caller: Caller, decision: Decision, *, digest: str) -> Future[TransferView]:
        """The party of a step decides it; the same decision again changes nothing and is answered alike."""
        return _submit(
            self._db, self._act, self._checked(caller, Service.TRANSFER_DECIDE, "decision", decision, digest)
        )

    def _checked(self, caller: Caller, service: Service, operation: str, message: Message, digest: str) -> Act:
        """The right is checked against the case's regions, so that a system learns nothing of cases elsewhere."""
        with self._db.read() as conn:
            case = store.load_cases(conn, [message.case_id]).get(message.case_id)
            steps = store.load_steps(conn, [message.case_id]).get(message.case_id, [])
        if case is None:
            raise HubProblem(CASE_UNKNOWN, message.case_id)
        if operation == "decision":
            # a party of another case learns that the step is not its own; only a stranger learns nothing
            if not _may_see(caller, case, steps) and not _has_any_right(caller, service, case):
                raise HubProblem(CASE_UNKNOWN, message.case_id)
        elif caller.system_id != case.system_id:
            raise HubProblem(CASE_UNKNOWN, message.case_id)
        elif not _has_any_right(caller, service, case):
            caller.require(service, case.receiving_region)
        return Act(caller.system_id, operation, digest, message, caller.nonces)

    def _act_on_cases(self, tx: Tx, acts: Sequence[Act]) -> list[TransferView | HubProblem]:
        known = store.known_messages(tx.conn, [(act.system_id, act.message.message_id) for act in acts])
        files = load_files(tx, {act.message.case_id for act in acts})
        replayed = replay.used(tx, [act.nonces for act in acts])
        progress = Progress(tx, self._rooms)
        outcomes: list[HubProblem | None] = []
        for act, is_replay in zip(acts, replayed, strict=True):
            if is_replay:
                problem: HubProblem | None = HubProblem(MESSAGE_REPLAYED)
            else:
                problem = self._act_once(tx, progress, files.get(act.message.case_id), act, known)
            outcomes.append(problem)
            if problem is None:  # a refusal has its entry where it is told to the caller (hub.intake.refusals)
                actor, action = f"system:{act.system_id}", f"transfer.{act.operation}"
                detail = {"messageId": act.message.message_id, "digest": act.digest}
                tx.audit.append(AuditEntry(actor, action, act.message.case_id, "accepted", detail))
        progress.finish()
        shown = dict(zip(files, self._views(tx, files), strict=True))
        return [problem or shown[act.message.case_id] for problem, act in zip(outcomes, acts, strict=True)]

    def _act_once(
        self,
        tx: Tx,
        progress: Progress,
        file: CaseFile | None,
        act: Act,
        known: dict[tuple[str, str], store.MessageRow],
    ) -> HubProblem | None:
        key = (act.system_id, act.message.message_id)
        if seen := known.get(key):
            return None if seen.digest == act.digest else HubProblem(MESSAGE_ID_CONFLICT)
        if file is None:
            return HubProblem(CASE_UNKNOWN, act.message.case_id)
        problem = (
            _withdraw(progress, self._rooms, file, act.message)
            if isinstance(act.message, WithdrawalRequest)
            else _decide(progress, file, act.system_id, act.message)
        )
        if problem is None:
            row = _message_values(tx, act)
            store.insert(tx.conn, t.messages, [row])
            known[key] = store.MessageRow(act.digest, act.message.case_id, "")
        return problem

    def _views(self, tx: Tx, files: dict[str, CaseFile]) -> list[TransferView]:
        return views(tx.conn, self._rooms.flows, [file.case for file in files.values()])


def _withdraw(progress: Progress, rooms: Rooms, file: CaseFile, request: WithdrawalRequest) -> HubProblem | None:
    if file.case.closed_at is not None:
        return HubProblem(CASE_CLOSED, file.case.id)
    flow = rooms.flows[file.case.flow]
    if file.record_moves(flow):
        return HubProblem(WITHDRAWAL_TOO_LATE, file.case.id)
    progress.close(file, CaseState.WITHDRAWN, request.reason)
    return None


def _decide(progress: Progress, file: CaseFile, system_id: str, decision: Decision) -> HubProblem | None:
    step = file.step(decision.step)
    if step is None or step.system_id != system_id:
        return HubProblem(DECISION_WRONG_PARTY, f"{file.case.id} {decision.step}"[:120])
    approved = decision.outcome is DecisionOutcome.APPROVED
    if step.state in (StepState.APPROVED, StepState.REFUSED):
        same = (step.state is StepState.APPROVED) == approved
        return None if same else HubProblem(DECISION_CONTRADICTS, f"{file.case.id} {decision.step}")
    if file.case.closed_at is not None:
        return HubProblem(CASE_CLOSED, file.case.id)
    if step.state is not StepState.OPEN:
        return HubProblem(DECISION_NOT_AWAITED, f"{file.case.id} {decision.step}")
    progress.decide(file, step, approved, decision.decided_by, decision.reason)
    return None


def _message_values(tx: Tx, act: Act) -> store.Values:
    return {
        "system_id": act.system_id,
        "message_id": act.message.message_id,
        "operation": act.operation,
        "digest": act.digest,
        "case_id": act.message.case_id,
        "answer": "",  # the case's view at the time of asking
        "received_at": tx.now,
    }


def _may_see(caller: Caller, case: store.CaseRow, steps: Sequence[store.StepRow]) -> bool:
    takes_part = case.system_id == caller.system_id or any(step.system_id == caller.system_id for step in steps)
    return takes_part and _has_any_right(caller, Service.TRANSFER_QUERY, case)


def _has_any_right(caller: Caller, service: Service, case: store.CaseRow) -> bool:
    return caller.may(service, case.receiving_region) or caller.may(service, case.releasing_region)


def _submit(db: Database, operation: BatchOperation[I, A | HubProblem], item: I) -> Future[A]:
    """``db.submit``, with a HubProblem among the answers raised from the future."""
    answer: Future[A] = Future()
    answer.set_running_or_notify_cancel()  # a caller who hangs up does not undo what is being committed

    def pass_on(done: Future[A | HubProblem]) -> None:
        if error := done.exception():
            answer.set_exception(error)
            return
        result = done.result()
        if isinstance(result, HubProblem):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    db.submit(operation, item).add_done_callback(pass_on)
    return answer
