"""Opening cases, many in one commit: the case, its steps, its evidence and the first deliveries, and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.contract import EnrolmentQuery, PersonQuery
from hub import tables as t
from hub.access import replay
from hub.access.callers import Caller, Nonce
from hub.cases import events, store
from hub.cases.events import NewEvent
from hub.cases.flow import EvidenceNeed, Flow, Party, Scope, newest
from hub.cases.progress import CaseFile, Progress, Rooms
from hub.db import AuditEntry, Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Kind, NewDelivery
from hub.ids import new_id
from hub.working_days import limit_after
from schemas import rules
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, UseCause
from schemas.events import EventType
from schemas.parsing import fault
from schemas.problems import CASE_OPEN_ALREADY, FLOW_NOT_APPLICABLE, MESSAGE_ID_CONFLICT, MESSAGE_REPLAYED, HubProblem
from schemas.regions import REGIONS
from schemas.transfers import CaseState, EvidenceState, Guardian, StepState, Student, TransferAccepted, TransferRequest

OPERATION = "transfer"
SERVICE_OF_KIND = {Kind.PERSON: "identity", Kind.ECERT: "ecert-library", Kind.ENROLMENT: "registry"}


@dataclass(frozen=True, slots=True)
class Submission:
    """One SubmitTransfer, checked and sealed before it waits for its commit."""

    case_id: str
    system_id: str
    digest: str
    request: TransferRequest
    subject_index: str
    payload_sealed: bytes
    nonces: tuple[Nonce, ...]


def prepare(rooms: Rooms, caller: Caller, request: TransferRequest, digest: str) -> Submission:
    """What can be done with no transaction open."""
    case_id = new_id("case")
    sealed = rooms.vault.seal(request.model_dump_json().encode(), f"cases:{case_id}")
    index = rooms.vault.index(f"{request.student.id_type}:{request.student.id_number}")
    return Submission(case_id, caller.system_id, digest, request, index, sealed, caller.nonces)


def choose_flow(rooms: Rooms, request: TransferRequest) -> Flow:
    """The newest flow for where the two schools are. HubProblem(FLOW_NOT_APPLICABLE) if there is none, or one lies elsewhere."""
    places = {"/releasing/region": request.releasing.region, "/receiving/region": request.receiving.region}
    elsewhere = [fault(path, rules.REGION_UNKNOWN) for path, region in places.items() if region not in REGIONS]
    if elsewhere:
        raise HubProblem(FLOW_NOT_APPLICABLE, faults=elsewhere)
    same = request.releasing.region == request.receiving.region
    flow = newest(rooms.flows, Scope.WITHIN_COUNTY if same else Scope.ACROSS_COUNTIES)
    if flow is None:
        raise HubProblem(FLOW_NOT_APPLICABLE)
    return flow


def accept_many(rooms: Rooms, tx: Tx, submissions: Sequence[Submission]) -> list[TransferAccepted | HubProblem]:
    """The batch operation behind SubmitTransfer. A refusal is an answer, not an exception: it must not undo its neighbours."""
    known = store.known_messages(tx.conn, [(s.system_id, s.request.message_id) for s in submissions])
    busy = store.open_subjects(tx.conn, [s.subject_index for s in submissions])
    replayed = replay.used(tx, [s.nonces for s in submissions])
    batch = _Batch(rooms, tx)
    answers: list[TransferAccepted | HubProblem] = []
    for submission, is_replay in zip(submissions, replayed, strict=True):
        key = (submission.system_id, submission.request.message_id)
        if is_replay:
            answers.append(HubProblem(MESSAGE_REPLAYED))
        elif seen := known.get(key):
            answers.append(_answer_again(seen, submission.digest))
        elif submission.subject_index in busy:
            answers.append(HubProblem(CASE_OPEN_ALREADY))
        else:
            try:
                accepted = batch.open(submission)
            except HubProblem as problem:
                answers.append(problem)
                continue
            known[key] = store.MessageRow(submission.digest, submission.case_id, accepted.model_dump_json())
            busy[submission.subject_index] = submission.case_id
            answers.append(accepted)
    batch.write()
    return answers


def _answer_again(seen: store.MessageRow, digest: str) -> TransferAccepted | HubProblem:
    if seen.digest != digest:
        return HubProblem(MESSAGE_ID_CONFLICT)
    return TransferAccepted.model_validate_json(seen.answer)


class _Batch:
    """The rows of one commit, gathered case by case and written table by table."""

    def __init__(self, rooms: Rooms, tx: Tx) -> None:
        self._rooms = rooms
        self._tx = tx
        self._cases: list[store.Values] = []
        self._steps: list[store.Values] = []
        self._evidence: list[store.Values] = []
        self._messages: list[store.Values] = []
        self._deliveries: list[NewDelivery] = []
        self._events: list[NewEvent] = []
        self._without_evidence: list[str] = []

    def open(self, submission: Submission) -> TransferAccepted:
        request, now = submission.request, self._tx.now
        flow = choose_flow(self._rooms, request)
        steps = [
            self._step(submission, rule.name, rule.party, no) for no, g in enumerate(flow.group) for rule in g.step
        ]
        first = [
            fetch(self._rooms, flow, need, case_id=submission.case_id, request=request, at=now)
            for need in flow.evidence
        ]
        limit = limit_after(now, flow.limit_working_days)
        near = limit_after(now, max(1, flow.limit_working_days - flow.near_working_days))
        case = store.CaseRow(
            id=submission.case_id,
            flow=flow.key,
            system_id=submission.system_id,
            message_id=request.message_id,
            releasing_region=request.releasing.region,
            receiving_region=request.receiving.region,
            state=CaseState.OPEN,
            opened_at=now,
            near_at=near.at,
            limit_at=limit.at,
            limit_provisional=limit.provisional,
            near_flagged=False,
            past_flagged=False,
            closed_at=None,
            outcome_reason=None,
            payload_sealed=submission.payload_sealed,
        )
        accepted = TransferAccepted(
            case_id=case.id,
            message_id=case.message_id,
            state=case.state,
            accepted_at=now,
            limit_at=limit.at,
            limit_provisional=limit.provisional,
        )
        self._cases.append(_case_values(case, submission.subject_index))
        self._messages.append(_message_values(submission, accepted))
        self._steps += steps
        self._evidence += [
            {
                "case_id": case.id,
                "requirement": need.requirement,
                "state": EvidenceState.PENDING.value,
                "updated_at": now,
            }
            for need in flow.evidence
        ]
        self._deliveries += first
        self._events.append(NewEvent(case, EventType.ACCEPTED))
        if not first:
            self._without_evidence.append(case.id)
        self._tx.audit.append(
            AuditEntry(
                f"system:{submission.system_id}",
                "transfer.accept",
                case.id,
                "accepted",
                {"messageId": case.message_id, "digest": submission.digest, "flow": flow.key},
            )
        )
        return accepted

    def write(self) -> None:
        conn = self._tx.conn
        store.insert(conn, t.cases, self._cases)
        store.insert(conn, t.steps, self._steps)
        store.insert(conn, t.evidence, self._evidence)
        store.insert(conn, t.messages, self._messages)
        told = events.write(self._tx, self._events, self._rooms.directory.subscriptions()) if self._events else []
        deliveries.enqueue(self._tx, self._rooms.vault, self._deliveries + told)
        if self._without_evidence:  # a flow that needs none: its first group opens at once
            progress = Progress(self._tx, self._rooms)
            cases = store.load_cases(conn, self._without_evidence)
            steps = store.load_steps(conn, cases)
            for id_, case in cases.items():
                progress.evidence_changed(CaseFile(case, steps[id_], []))
            progress.finish()

    def _step(self, submission: Submission, name: str, party: Party, group_no: int) -> store.Values:
        place = submission.request.releasing if party is Party.RELEASING else submission.request.receiving
        route = self._rooms.directory.route("registry", place.region)
        return {
            "case_id": submission.case_id,
            "name": name,
            "group_no": group_no,
            "endpoint_id": route.endpoint_id,
            "state": StepState.PENDING.value,
        }


def fetch(
    rooms: Rooms,
    flow: Flow,
    need: EvidenceNeed,
    *,
    case_id: str,
    request: TransferRequest,
    at: datetime,
    key: str | None = None,
) -> NewDelivery:
    """The question to the source of one evidence; ``key`` where it is asked once more. HubProblem(NO_ROUTE) if there is none."""
    kind = need.delivery_kind
    region = request.releasing.region if kind is Kind.ENROLMENT else request.receiving.region
    route = rooms.directory.route(SERVICE_OF_KIND[kind], region)
    return NewDelivery(
        endpoint_id=route.endpoint_id,
        case_id=case_id,
        kind=kind,
        subject=need.requirement,
        idempotency_key=key or f"{case_id}.{need.requirement}",
        body=question(flow, need, case_id, request),
        expires_at=limit_after(at, flow.evidence_working_days).at,
    )


def question(flow: Flow, need: EvidenceNeed, case_id: str, request: TransferRequest) -> Canonical:
    """What is asked of the source of one evidence."""
    person: Student | Guardian = request.student if need.subject == "student" else request.guardian
    match need.delivery_kind:
        case Kind.PERSON:
            return PersonQuery(
                name=person.name,
                id_type=person.id_type,
                id_number=person.id_number,
                case_id=case_id,
                purpose=flow.title_zh,
            )
        case Kind.ENROLMENT:
            return EnrolmentQuery(
                enrolment_number=request.student.enrolment_number, id_number=request.student.id_number, case_id=case_id
            )
        case _:
            return EcertQuery(
                type_code=ecert_types()[need.ecert_type or ""].code,
                holder_code=person.id_number,
                holder_code_type=person.id_type,
                holder_name=person.name,
                use_cause=UseCause(
                    case_id=case_id,
                    item_code=request.item_code,
                    item_name=flow.title_zh,
                    purpose=f"{flow.title_zh}: {need.title_zh}",
                    system_name="教育政务互通枢纽",
                    legal_basis=request.consent.reference,
                ),
            )


def _case_values(case: store.CaseRow, subject_index: str) -> store.Values:
    return {
        "id": case.id,
        "flow": case.flow,
        "system_id": case.system_id,
        "message_id": case.message_id,
        "subject_index": subject_index,
        "open_subject": subject_index,
        "releasing_region": case.releasing_region,
        "receiving_region": case.receiving_region,
        "state": case.state.value,
        "opened_at": case.opened_at,
        "near_at": case.near_at,
        "limit_at": case.limit_at,
        "limit_provisional": case.limit_provisional,
        "payload_sealed": case.payload_sealed,
    }


def _message_values(submission: Submission, accepted: TransferAccepted) -> store.Values:
    return {
        "system_id": submission.system_id,
        "message_id": submission.request.message_id,
        "operation": OPERATION,
        "digest": submission.digest,
        "case_id": submission.case_id,
        "answer": accepted.model_dump_json(),
        "received_at": accepted.accepted_at,
    }
