"""The commit before any effect: whoever asks has a ground and is inside the limits, or is refused; then the request is filed.

Replay, repetition (the same message gets its answer; the run of a process that has died is taken over), limits, purpose, the basis,
the plan's documents, and the audit entry of the intent, all in one transaction. A refusal is committed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from hub.access import replay
from hub.access.callers import Caller
from hub.db import AuditEntry, Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.refusals import basis_refused
from hub.ecerts.entries import Evidence, Item
from hub.ecerts.evidence import store
from hub.ecerts.evidence.file import EvidenceFile
from hub.ecerts.evidence.following import FollowUps
from hub.ecerts.evidence.planning import Found, anonymous, at_their_libraries, by_role, cited, find_grounds, holder_of
from hub.ecerts.evidence.rules import PARTS
from hub.ecerts.evidence.views import grounds_to_json, request_context
from hub.ecerts.presentations.model import FiledRequest
from schemas import rules
from schemas.evidence import (
    ORGANISATION_TYPES,
    BasisKind,
    EvidenceCaseState,
    EvidenceHolder,
    EvidenceRequest,
    HolderKind,
)
from schemas.parsing import fault
from schemas.problems import (
    EVIDENCE_BASIS_REFUSED,
    EVIDENCE_PURPOSE_REFUSED,
    EVIDENCE_THROTTLED,
    HUB_BUSY,
    ITEM_UNKNOWN,
    MESSAGE_ID_CONFLICT,
    MESSAGE_INVALID,
    MESSAGE_REPLAYED,
    HubProblem,
    ProblemKind,
    WhoActs,
)

GRACE_S: Final = 15  # beyond its deadline a run may still commit; then another may take the request over
NOT_OF_THIS_ITEM: Final = "not-of-this-item"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begin:
    """One message on its way into step 2."""

    caller: Caller
    request: EvidenceRequest
    digest: str
    item: Item | None  # None: no definition of it is in effect
    request_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Begun:
    """``owner`` is the token of the run that may go on; None: somebody else's, or it has been answered.

    ``file``: the request as it was committed, with the endpoints that it may ask, so that the run need not read them; None where
    another run began it.
    """

    request_id: str
    owner: str | None
    file: EvidenceFile | None = None
    endpoints: Mapping[str, store.EndpointRow] = field(default_factory=dict)


class Beginnings:
    """Batch operations of the one writer; shared by every thread."""

    def __init__(self, follow_ups: FollowUps) -> None:
        self._follow_ups = follow_ups
        self._vault = follow_ups.vault
        self._bases = follow_ups.bases
        self._planner = follow_ups.views.planner
        self._rules = follow_ups.views.rules

    def many(self, tx: Tx, items: Sequence[Begin]) -> list[Begun | HubProblem]:
        replayed = replay.used(tx, [item.caller.nonces for item in items])
        answers: list[Begun | HubProblem] = []
        for one, is_replay in zip(items, replayed, strict=True):
            answer = HubProblem(MESSAGE_REPLAYED) if is_replay else self._one(tx, one)
            if isinstance(answer, HubProblem):
                detail = {"messageId": one.request.message_id, "digest": one.digest, "reason": answer.detail[:60],
                          "cited": anonymous(one.request, one.request.basis.reference or "")}  # fmt: skip
                actor = f"system:{one.caller.system_id}"
                tx.audit.append(AuditEntry(actor, "evidence.request", one.request_id, answer.kind.code, detail))
            answers.append(answer)
        return answers

    def _one(self, tx: Tx, one: Begin) -> Begun | HubProblem:
        request, caller, item = one.request, one.caller, one.item
        named = self._named(request)
        past = self._past(tx, one, named)
        if past.seen is not None and (seen := store.request(tx.conn, past.seen)) is not None:
            return self._again(tx, one, seen)  # also where its item has ended meanwhile
        if item is None:
            return HubProblem(ITEM_UNKNOWN)
        if (throttled := self._throttle(tx, caller.system_id, past)) is not None:  # before anything is said of it
            return self._noted(tx, one, named, throttled)
        if (wrong := self._misasked(tx, one, item, past)) is not None:
            if request.subject is not None:
                self._note_refused(tx, one, request, self._index(request.subject), wrong.kind)
            return self._noted(tx, one, named, wrong)
        if request.subject is None:
            filled = self._with_subject(tx, one)
            if isinstance(filled, HubProblem):
                return self._noted(tx, one, named, filled)
            request = filled
            named = self._named(request)
            past = self._past(tx, one, named)
            if (throttled := self._throttle(tx, caller.system_id, past)) is not None:
                return self._noted(tx, one, named, throttled)
        found = find_grounds(self._bases, tx.conn, request=request, item=item, system_id=caller.system_id, at=tx.now)
        grounds = found.grounds
        index = self._index(request.subject) if request.subject is not None else ""
        if not grounds:
            return self._noted(tx, one, named, self._without_basis(tx, one, request, index, found.refused))
        store.note_subjects(tx.conn, caller.system_id, named, self._bucket(tx), counted=True)
        known, endpoints = self._planner.known(request, item, self._follow_ups.items.current(), found, tx.now)
        presented = self._bases.use_presentations(
            tx, grounds.values(), message_id=request.message_id, system_id=caller.system_id
        )
        if isinstance(presented, HubProblem):
            return presented
        request = FiledRequest.model_construct(**dict(request), presented=presented)
        endpoints = at_their_libraries(endpoints, grounds, request)
        until = tx.now + timedelta(seconds=request.deadline_s + GRACE_S)
        sealed = self._vault.seal(request.model_dump_json().encode(), request_context(one.request_id))
        row = store.RequestRow(
            id=one.request_id,
            system_id=caller.system_id,
            message_id=request.message_id,
            digest=one.digest,
            subject_index=index,
            item_code=request.item_code,
            region=request.region,
            case_reference=request.case_reference,
            purpose=request.purpose,
            callback=request.callback,
            state=EvidenceCaseState.OPEN.value,
            asked_at=tx.now,
            owned_until=until,
            owner=one.owner,
            answered_at=None,
            answer_digest=None,
            predicate=None,
            purge_at=tx.now + timedelta(seconds=self._rules.times.answer_keep_s + self._rules.times.follow_up_s),
            grounds=grounds_to_json(grounds),
            request_sealed=sealed,
            item_version=item.version,
        )
        documents = {
            document: store.DocumentRow(
                one.request_id, str(document), how.standing.value, how.reason, endpoint_id=endpoints.get(document)
            )
            for document, how in known.items()
        }
        if not store.add_request(tx.conn, row, list(documents.values())):
            return HubProblem(
                HUB_BUSY, said=("另一节点正在受理同一报文", "another node takes the same message"), retry_after_s=1
            )
        bases = sorted({f"{basis.kind.value}:{basis.reference}" for basis in grounds.values()})
        detail = {
            "messageId": request.message_id,
            "digest": one.digest,
            "item": request.item_code,
            "region": request.region,
            "case": request.case_reference,
            "purpose": request.purpose,
            "basis": " ".join(bases)[:200],
            "cited": "; ".join(dict.fromkeys(c for one_ in request.holders if (c := cited(request, one_))))[:200],
            "subject": index[:16],
            "answer": request.answer.value,
        }
        if found.refused:
            self._note_tried(tx, one, request, found)
            detail["refused"] = "; ".join(f"{document} {word}" for document, word in found.refused.items())[:200]
        tx.audit.append(
            AuditEntry(f"system:{caller.system_id}", "evidence.request", one.request_id, "accepted", detail)
        )
        file = EvidenceFile(row, request, item, grounds, documents, known)
        return Begun(one.request_id, one.owner, file, store.endpoints(tx.conn, set(endpoints.values())))

    def _misasked(self, tx: Tx, one: Begin, item: Item, past: store.Past) -> HubProblem | None:
        """What no ground and no waiting changes: the purpose, and where to tell the answer."""
        request, caller = one.request, one.caller
        if not past.allowed or request.purpose not in self._rules.purpose:
            return HubProblem(EVIDENCE_PURPOSE_REFUSED, request.purpose)
        if not item.may_be_asked_for(request.purpose):
            purposes = item.purposes or ()
            note = ("、".join(purposes) or "该事项未列用途, 请枢纽管理员补充事项目录",
                    ", ".join(purposes) or "the item lists none: the hub's administrator adds them to the catalogue")  # fmt: skip
            wrong = fault("/purpose", rules.NOT_IN_LIST, note=note)
            who = WhoActs.CALLER if purposes else WhoActs.ADMINISTRATOR
            return HubProblem(EVIDENCE_PURPOSE_REFUSED, NOT_OF_THIS_ITEM, faults=[wrong], who=who)
        if request.callback and not store.events_endpoint(tx.conn, request.callback, caller.system_id):
            note = ("本系统登记的事件接收端", "an events endpoint of your own system")
            return HubProblem(MESSAGE_INVALID, faults=[fault("/callback", rules.NOT_IN_LIST, note=note)])
        return None

    def _named(self, request: EvidenceRequest) -> list[str]:
        """Every holder that the message names, whatever the role: each of them counts."""
        return sorted({self._index(holder) for holder in request.holders})

    def _index(self, holder: EvidenceHolder) -> str:
        return self._bases.holder_index(holder_of(holder))

    def _with_subject(self, tx: Tx, one: Begin) -> EvidenceRequest | HubProblem:
        """The message with the holder whose authorization or presentation it rests on, who is the applicant."""
        found = self._bases.holder_of(tx.conn, one.request.basis.reference or "", one.caller.system_id, tx.now)
        if found is None:
            return basis_refused("authorization-not-usable")
        kind = HolderKind.ORGANISATION if found.code_type in ORGANISATION_TYPES else HolderKind.PERSON
        holder = EvidenceHolder(kind=kind, name=found.name, code=found.code, code_type=found.code_type)
        if holder.role in {other.role for other in one.request.others}:
            note = (
                "已由授权给出持有人, 不能再有同一角色",
                "the authorization names the holder: nobody else has that role",
            )
            return HubProblem(MESSAGE_INVALID, faults=[fault("/others", rules.NOT_IN_LIST, note=note)])
        return one.request.model_copy(update={"subject": holder})

    def _bucket(self, tx: Tx) -> int:
        return store.bucket_of(tx.now, self._rules.limits.bucket)

    def _past(self, tx: Tx, one: Begin, named: Sequence[str]) -> store.Past:
        bucket = self._bucket(tx)
        return store.past(
            tx.conn, one.caller.system_id, one.request.message_id, one.request.purpose, named, now=tx.now,
            bucket=bucket - PARTS + 1, since=bucket - self._rules.limits.subject_buckets + 1,
        )  # fmt: skip

    def _noted(self, tx: Tx, one: Begin, named: Sequence[str], problem: HubProblem) -> HubProblem:
        """A refusal counts as a question; one beyond a limit tells nothing, and would only make the limit last."""
        refused = problem.kind is not EVIDENCE_THROTTLED
        store.note_subjects(tx.conn, one.caller.system_id, named, self._bucket(tx), counted=refused)
        if refused:
            store.note_refused(tx.conn, one.caller.system_id, tx.now)
        return problem

    def _again(self, tx: Tx, one: Begin, seen: store.RequestRow) -> Begun | HubProblem:
        """The same message: its answer, or the run of a process that has died is taken over."""
        if seen.digest != one.digest:
            return HubProblem(MESSAGE_ID_CONFLICT)
        actor = f"system:{one.caller.system_id}"
        if seen.state != EvidenceCaseState.OPEN.value or seen.owned_until > tx.now:
            detail = {"digest": seen.answer_digest or "", "state": seen.state}
            tx.audit.append(AuditEntry(actor, "evidence.request", seen.id, "repeated", detail))
            return Begun(seen.id, None)
        until = tx.now + timedelta(seconds=one.request.deadline_s + GRACE_S)
        if not store.take_over(tx.conn, seen, one.owner, until):
            return Begun(seen.id, None)
        tx.audit.append(AuditEntry(actor, "evidence.request", seen.id, "taken-over", {"digest": one.digest}))
        return Begun(seen.id, one.owner)

    def _throttle(self, tx: Tx, system_id: str, past: store.Past) -> HubProblem | None:
        """Limits of the caller and of the holders, and the detector of enumeration: many holders, one caller."""
        limits, now = self._rules.limits, tx.now
        window = timedelta(seconds=limits.window_s)
        if (subjects := past.subjects) > limits.subjects:
            if store.note_throttled(tx.conn, system_id, subjects, now, now + window / 6):
                detail = {"subjects": str(subjects), "window": str(limits.window_s)}
                tx.audit.append(AuditEntry("node", "evidence.enumeration", system_id, "alert", detail))
                tx.after_commit.append(
                    lambda: log.error("one caller asks about many holders", system=system_id, subjects=subjects)
                )
            return HubProblem(EVIDENCE_THROTTLED, "many-subjects", retry_after_s=limits.window_s // 6)
        if past.by_caller >= limits.caller_requests:
            return HubProblem(EVIDENCE_THROTTLED, "caller-limit", retry_after_s=60)
        if past.by_subject >= limits.subject_requests:
            return HubProblem(EVIDENCE_THROTTLED, "subject-limit", retry_after_s=limits.subject_window_s // 6)
        return None

    def _without_basis(
        self, tx: Tx, one: Begin, request: EvidenceRequest, subject_index: str, refused: Mapping[Evidence, str]
    ) -> HubProblem:
        basis = request.basis
        word = "consent-required" if basis.kind is BasisKind.LAW else f"no-{basis.kind.value}"
        if basis.kind is BasisKind.CONSENT and basis.reference is not None:
            word = "no-such-consent"  # another one may cover it: the caller named this one
        self._note_refused(tx, one, request, subject_index, EVIDENCE_BASIS_REFUSED)
        return basis_refused(next(iter(refused.values()), word))

    def _note_tried(self, tx: Tx, one: Begin, request: EvidenceRequest, found: Found) -> None:
        """Somebody else's word for a holder's record: that it was tried is the holder's to know."""
        for document in found.refused:
            owner = self._bases.holder_index(holder_of(by_role(request)[document.role]))
            self._note_refused(tx, one, request, owner, EVIDENCE_BASIS_REFUSED, document.type)

    def _note_refused(
        self, tx: Tx, one: Begin, request: EvidenceRequest, index: str, why: ProblemKind, ecert_type: str = "-"
    ) -> None:
        """The holder sees refused questions too."""
        basis = request.basis
        use = m.DataUse(
            at=tx.now,
            system_id=one.caller.system_id,
            basis=basis.kind,
            basis_reference="-",
            case_id=request.case_reference,
            purpose=request.purpose,
            ecert_type=ecert_type,
            outcome=why.code,
            item=request.item_code,
            cited=anonymous(request, basis.reference) if basis.reference else None,
        )
        self._bases.record_refusal(tx, index, use)
