"""How a case moves on. Everything here happens inside the transaction that commits the reason for the move.

A :class:`Progress` gathers what one batch changes; ``finish`` writes events and enqueues deliveries once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.contract import AttachedEcert, StepCancelled, TransferStep
from hub.cases import events, states, store
from hub.cases.events import NewEvent
from hub.cases.flow import Flow, FlowStep
from hub.cases.routing import Directory
from hub.db import AuditEntry, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Kind, NewDelivery
from hub.logs import mask
from hub.vault import Vault
from hub.working_days import limit_after
from schemas.ecerts import EnrolmentRecord
from schemas.events import EventType
from schemas.transfers import CaseState, EvidenceState, StepState, TransferRequest


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every part of this room works with."""

    vault: Vault
    flows: Mapping[str, Flow]
    directory: Directory
    ask_after: timedelta = timedelta(minutes=10)  # a party that has not decided is asked


@dataclass(slots=True)
class CaseFile:
    """One case with its steps and evidence, as the transaction sees them."""

    case: store.CaseRow
    steps: list[store.StepRow]
    evidence: list[store.EvidenceRow]

    def step(self, name: str) -> store.StepRow | None:
        return next((step for step in self.steps if step.name == name), None)

    def record_moves(self, flow: Flow) -> bool:
        """Whether a group that cannot be taken back has opened."""
        return any(flow.group[s.group_no].irrevocable and s.state is not StepState.PENDING for s in self.steps)


def load_files(tx: Tx, case_ids: Iterable[str]) -> dict[str, CaseFile]:
    """The cases, locked, with all that belongs to them."""
    cases = store.load_cases(tx.conn, case_ids, lock=True)
    steps = store.load_steps(tx.conn, cases)
    evidence = store.load_evidence(tx.conn, cases)
    return {id_: CaseFile(case, steps.get(id_, []), evidence.get(id_, [])) for id_, case in cases.items()}


@dataclass(slots=True)
class Progress:
    tx: Tx
    rooms: Rooms
    _events: list[NewEvent] = field(default_factory=list)
    _deliveries: list[NewDelivery] = field(default_factory=list)

    # --- evidence -------------------------------------------------------------------------------------------------------

    def evidence_changed(self, file: CaseFile) -> None:
        """Go on when nothing is missing (any more); refuse the case when something that it requires was refused."""
        if file.case.state not in (CaseState.OPEN, CaseState.WAITING):
            return
        flow = self.rooms.flows[file.case.flow]
        for row in file.evidence:
            if row.state is EvidenceState.REFUSED and flow.need(row.requirement).required:
                self._event(file, EventType.EVIDENCE_REFUSED, requirement=row.requirement, reason=row.reason or "")
                self.close(file, CaseState.REFUSED, f"evidence {row.requirement}: {row.reason}")
                return
        if file.case.state is CaseState.WAITING:  # it was revoked, and fetched anew
            self._go_on(file)
            return
        missing = [row for row in file.evidence if row.state is not EvidenceState.SATISFIED]
        if not any(row.state is EvidenceState.PENDING or flow.need(row.requirement).required for row in missing):
            self._move(file, CaseState.WAITING)
            self._open_group(file, 0)

    # --- steps ----------------------------------------------------------------------------------------------------------

    def decide(self, file: CaseFile, step: store.StepRow, approved: bool, by: str, reason: str | None) -> None:
        """The party of an open step has decided; the group, the case and the other parties follow."""
        after = StepState.APPROVED if approved else StepState.REFUSED
        step.state = states.check(states.STEP, step.state, after)
        step.decided_at, step.decided_by, step.reason = self.tx.now, by, reason
        values: store.Values = {
            "state": after.value,
            "decided_at": self.tx.now,
            "decided_by": by,
            "reason": reason,
        }
        store.update_step(self.tx.conn, step.case_id, step.name, values)
        self._event(file, EventType.STEP_DECIDED, step=step.name, outcome=after.value)
        if not approved:
            self.close(file, CaseState.REFUSED, f"{step.name}: {reason or 'refused'}")
            return
        self._go_on(file)

    def _go_on(self, file: CaseFile) -> None:
        """The next group, or the end, if the newest one has approved; not while revoked evidence is fetched anew."""
        if any(row.state is EvidenceState.PENDING for row in file.evidence):
            return
        newest = max(step.group_no for step in file.steps if step.state is not StepState.PENDING)
        if all(step.state is StepState.APPROVED for step in file.steps if step.group_no == newest):
            if any(step.group_no > newest for step in file.steps):
                self._open_group(file, newest + 1)
            else:
                self.close(file, CaseState.COMPLETED, None)

    def _open_group(self, file: CaseFile, group_no: int) -> None:
        flow = self.rooms.flows[file.case.flow]
        transfer = TransferRequest.model_validate_json(
            self.rooms.vault.open(file.case.payload_sealed, f"cases:{file.case.id}")
        )
        attached, enrolment = self._summaries(file)
        for step in file.steps:
            if step.group_no != group_no:
                continue
            rule = flow.step(step.name)
            step.state = states.check(states.STEP, step.state, StepState.OPEN)
            step.opened_at = self.tx.now
            step.limit_at = limit_after(self.tx.now, rule.limit_working_days).at
            values: store.Values = {
                "state": step.state.value, "opened_at": step.opened_at, "limit_at": step.limit_at,
                "ask_at": step.opened_at + self.rooms.ask_after,
            }  # fmt: skip
            store.update_step(self.tx.conn, step.case_id, step.name, values)
            self._event(file, EventType.STEP_OPENED, step=step.name)
            self._deliveries.append(_deliver_step(file, step, rule, step.limit_at, transfer, attached, enrolment))

    def _summaries(self, file: CaseFile) -> tuple[tuple[AttachedEcert, ...], EnrolmentRecord | None]:
        """What the parties see of the evidence: only what was verified."""
        flow = self.rooms.flows[file.case.flow]
        attached: list[AttachedEcert] = []
        enrolment = None
        for row in file.evidence:
            if row.state is not EvidenceState.SATISFIED or row.summary_sealed is None:
                continue
            summary = self.rooms.vault.open(row.summary_sealed, f"evidence:{row.case_id}:{row.requirement}:summary")
            if flow.need(row.requirement).kind == "enrolment":
                enrolment = EnrolmentRecord.model_validate_json(summary)
            else:
                attached.append(AttachedEcert.model_validate_json(summary))
        return tuple(attached), enrolment

    # --- the end --------------------------------------------------------------------------------------------------------

    def close(self, file: CaseFile, state: CaseState, reason: str | None) -> None:
        """End the case: open steps are cancelled and their parties told; what was not sent yet never is."""
        self._move(file, state)
        file.case.closed_at, file.case.outcome_reason = self.tx.now, reason
        values: store.Values = {"closed_at": self.tx.now, "outcome_reason": reason, "open_subject": None}
        store.update_case(self.tx.conn, file.case.id, values)
        unsent = deliveries.cancel_queued(self.tx, file.case.id)
        for step in file.steps:
            if step.state not in (StepState.OPEN, StepState.PENDING):
                continue
            told = step.state is StepState.OPEN and (Kind.STEP, step.name) not in unsent
            step.state = states.check(states.STEP, step.state, StepState.CANCELLED)
            store.update_step(self.tx.conn, step.case_id, step.name, {"state": step.state.value})
            if told:
                self._deliveries.append(_cancel_step(file, step, state))
        event = {
            CaseState.COMPLETED: EventType.COMPLETED,
            CaseState.REFUSED: EventType.REFUSED,
            CaseState.WITHDRAWN: EventType.WITHDRAWN,
        }[state]
        said = mask(reason or "")  # a party's own words, which go to subscribers and into the audit log
        self._event(file, event, reason=said)
        self.tx.audit.append(AuditEntry("node", f"case.{state.value}", file.case.id, state.value, {"reason": said}))

    def flag(self, file_case: store.CaseRow, event: EventType, **data: str) -> None:
        """Write an event that changes no state."""
        self._events.append(NewEvent(file_case, event, data))

    def say(self, event: NewEvent) -> set[str]:
        """Write an event; gives the systems that are told of it."""
        self._events.append(event)
        return {one.system_id for one in self.rooms.directory.subscriptions() if events.wants(one, event)}

    def deliver(self, delivery: NewDelivery) -> None:
        self._deliveries.append(delivery)

    def finish(self) -> None:
        """Write what was gathered. Nothing of it is sent before the commit."""
        told = events.write(self.tx, self._events, self.rooms.directory.subscriptions())
        deliveries.enqueue(self.tx, self.rooms.vault, self._deliveries + told)
        self._events, self._deliveries = [], []

    def _move(self, file: CaseFile, state: CaseState) -> None:
        file.case.state = states.check(states.CASE, file.case.state, state)
        store.update_case(self.tx.conn, file.case.id, {"state": state.value})

    def _event(self, file: CaseFile, event: EventType, **data: str) -> None:
        self._events.append(NewEvent(file.case, event, data))


def _deliver_step(
    file: CaseFile,
    step: store.StepRow,
    rule: FlowStep,
    limit_at: datetime,
    transfer: TransferRequest,
    attached: tuple[AttachedEcert, ...],
    enrolment: EnrolmentRecord | None,
) -> NewDelivery:
    key = f"{file.case.id}.{step.name}"
    body = TransferStep(
        idempotency_key=key,
        case_id=file.case.id,
        step=step.name,
        action=rule.action,
        acting_for=step.name,
        limit_at=limit_at,
        transfer=transfer,
        evidence=attached,
        enrolment=enrolment,
    )
    return NewDelivery(step.endpoint_id, file.case.id, Kind.STEP, step.name, key, body)


def _cancel_step(file: CaseFile, step: store.StepRow, state: CaseState) -> NewDelivery:
    key = f"{file.case.id}.{step.name}.x"
    body = StepCancelled(idempotency_key=key, case_id=file.case.id, step=step.name, reason=f"case {state.value}")
    return NewDelivery(step.endpoint_id, file.case.id, Kind.CANCEL, step.name, key, body)
