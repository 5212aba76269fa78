"""One call: the item in, the evidence out. The order of things:

1. The right and the item.
2. One commit before any effect: replay, repetition, limits, the purpose, where to call back, the basis; then the request and the
   audit entry of the intent. A refusal is committed too, with its audit entry, and counts as a question.
3. Fetching, with no transaction open (see :mod:`hub.ecerts.evidence.fetching`).
4. One commit with what came of it: documents, uses, deliveries that ask again, the audit entry with the digest of the answer.
   Where a notice has revoked one of the documents meanwhile, or its holder has taken back on what it was asked for, it writes
   nothing, and step 3 goes on without that document.
5. The answer, made of what was committed. The same message again reads it again.

A process that dies between 2 and 4 has told nobody anything: the same message again goes on where it stopped, and if nobody asks
again, :meth:`EvidenceService.keep_house` turns what was to be fetched into deliveries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from adapters.contract import Deadline
from hub.access.callers import Caller, Service
from hub.db import AuditEntry, Database, Tx
from hub.deliveries import endpoint_health
from hub.deliveries import store as deliveries
from hub.deliveries.breaker import BreakerPolicy, Sign
from hub.ecerts.entries import Evidence
from hub.ecerts.evidence import store
from hub.ecerts.evidence.beginning import Begin, Beginnings, Begun
from hub.ecerts.evidence.fetching import Fetcher, standing_of
from hub.ecerts.evidence.file import EvidenceFile
from hub.ecerts.evidence.following import KINDS, FollowUps, Settled, lapsed_documents, relied_on
from hub.ecerts.evidence.judging import BY_NOTICE, HELD, Got
from hub.ecerts.evidence.planning import Question, questions
from hub.ecerts.evidence.rules import PARTS
from hub.ecerts.evidence.views import Answered
from hub.ecerts.revocations import store as revocations
from hub.ecerts.solver import Standing
from hub.ids import new_id
from schemas.evidence import EvidenceRequest
from schemas.problems import EVIDENCE_UNKNOWN, HubProblem

PURGED_AT_ONCE: Final = 200  # answers of one commit


@dataclass(frozen=True, slots=True)
class _Struck:
    """Instead of a commit: what the answer may not rest on. ``by_index``: by notices, of any run of the batch, their ids;
    ``lapsed``: why."""

    by_index: Mapping[str, str]
    lapsed: Mapping[Evidence, str]


@dataclass(frozen=True, slots=True)
class _Finish:
    """One run on its way into step 4."""

    before: store.RequestRow
    ready: Settled
    relied_on: set[str]
    asked: tuple[Question, ...]
    keep: tuple[Mapping[str, object], ...]
    reused: int
    signs: Mapping[str, Sequence[Sign]]  # by endpoint
    exact: bool


class EvidenceService:
    """Shared by every thread. :meth:`ask` blocks for as long as the message's deadline says, and a little longer."""

    def __init__(
        self,
        db: Database,
        fetcher: Fetcher,
        follow_ups: FollowUps,
        breaker: BreakerPolicy,
        node: str,
    ) -> None:
        self._db = db
        self._fetcher = fetcher
        self._breaker = breaker
        self._node = node
        self._follow_ups = follow_ups
        self._items = follow_ups.items
        self._views = follow_ups.views
        self._beginnings = Beginnings(follow_ups)
        self._rules = follow_ups.views.rules

    # --- asking -----------------------------------------------------------------------------------------------------------

    def ask(self, caller: Caller, request: EvidenceRequest, *, digest: str) -> Answered:
        """HubProblem if it is refused; DatabaseBusy if it could not be taken."""
        caller.require(Service.EVIDENCE, request.region)
        item = self._items.current().item(request.item_code, self._db.clock())
        deadline = Deadline.after(request.deadline_s)
        begun = self._db.submit(
            self._beginnings.many, Begin(caller, request, digest, item, new_id("evd"), new_id("run"))
        ).result()
        if isinstance(begun, HubProblem):
            raise begun
        answer = None if begun.owner is None else self._run(begun, begun.owner, deadline)
        return answer or self._answer(begun.request_id)

    # --- fetching ---------------------------------------------------------------------------------------------------------

    def _run(self, begun: Begun, owner: str, deadline: Deadline) -> Answered | None:
        """Steps 3 and 4. None if another run, or keep_house, was quicker: what it committed stands."""
        file, endpoints = begun.file, begun.endpoints
        if file is None:
            file = self._open(begun.request_id)
            if file is None or file.row.owner != owner:
                return None
            with self._db.read() as conn:
                endpoints = store.endpoints(conn, set(file.endpoints.values()))
        available = [document for document, known in file.known.items() if known.standing is Standing.AVAILABLE]
        asked = questions(file.request, file.item, file.grounds, file.endpoints, available)
        seal = partial(self._follow_ups.seal, file.row.id)
        got: dict[Evidence, Got] = {}
        while True:
            known = {**file.known, **{one: standing_of(file.known[one], came) for one, came in got.items()}}
            fetched = self._fetcher.run(
                file.item.requirements, known, asked, endpoints, file.row.region, deadline, seal
            )
            got |= fetched.got
            finish = self._finish_of(file, asked, got, exact=fetched.exact)
            outcome = self._db.submit(self._finish_many, finish).result()
            if not isinstance(outcome, _Struck):
                return outcome
            # what is struck out is replaced by its alternative if there is time
            rows, now = finish.ready.file.documents, self._db.clock()
            got |= {
                document: Got(
                    Standing.REVOKED, BY_NOTICE, outcome.by_index[index], report=one.report, checked_at=one.checked_at,
                    made=one.made,
                )
                for document, one in got.items()
                if (index := rows[document].identifier_index or "") in outcome.by_index
            }  # fmt: skip
            ids = {one.notice for one in got.values() if one.standing is Standing.REVOKED and one.notice is not None}
            if ids:
                with self._db.read() as conn:
                    file = replace(file, revocations={**file.revocations, **revocations.notices(conn, ids)})
            for document, word in outcome.lapsed.items():
                made = got[document].made if document in got else None
                got[document] = Got(Standing.ASK_THE_PERSON, word, checked_at=now, made=made)

    def _finish_of(
        self, file: EvidenceFile, asked: Mapping[Evidence, Question], got: Mapping[Evidence, Got], *, exact: bool
    ) -> _Finish:
        """Everything that can be done before the commit: sealing, planning what else to ask for, the answer and its digest."""
        now = self._db.clock()
        rows = [self._follow_ups.row_of(file.documents[document], document, one) for document, one in got.items()]
        opened = {document: one.answer for document, one in got.items() if isinstance(one.answer, HELD)}
        keep = tuple(one.keep for one in got.values() if one.keep is not None)
        signs: dict[str, list[Sign]] = {}
        for document, one in got.items():
            if one.made is not None:
                signs.setdefault(asked[document].endpoint_id, []).append(one.made.sign)
        ready = self._follow_ups.settled(replace(file, opened=opened), rows, now)
        reused = sum(one.reused for one in got.values())
        questions_ = tuple(asked[document] for document in got)
        return _Finish(file.row, ready, relied_on(rows), questions_, keep, reused, signs, exact)

    def _finish_many(self, tx: Tx, runs: Sequence[_Finish]) -> list[Answered | _Struck | None]:
        revocations.lock_shared(tx.conn)
        gone = revocations.revoked(tx.conn, set().union(*(run.relied_on for run in runs)))
        grounds = {basis for run in runs for basis in run.ready.file.grounds.values()}
        words = self._follow_ups.bases.lapsed(tx.conn, grounds, tx.now, lock=True)
        answers: list[Answered | _Struck | None] = []
        for run in runs:
            lapsed = lapsed_documents(run.ready.file, words) if words else {}
            struck = lapsed or gone.keys() & run.relied_on
            answers.append(_Struck(gone, lapsed) if struck else self._finish(tx, run))
        return answers

    def _finish(self, tx: Tx, run: _Finish) -> Answered | None:
        endpoint_health.note(tx, run.signs, self._breaker, self._node)  # whoever's answer stands: the calls were made
        if not self._follow_ups.write(tx, run.ready, owner=run.before.owner):
            return None
        file, answered = run.ready.file, run.ready.answered
        for values in run.keep:
            store.keep(tx.conn, values)
        answer = answered.answer
        self._follow_ups.note_uses(tx, file, answer, run.asked)
        satisfied = sum(one.satisfied for one in answer.requirements)
        detail = {
            "digest": answered.digest,
            "state": file.row.state,
            "satisfied": f"{satisfied}/{len(answer.requirements)}",
            "reused": str(run.reused),
        }
        if not run.exact:
            detail["plan"] = "not-exact"
        if answer.notices:
            detail["notices"] = " ".join(one.number for one in answer.notices)[:200]
        word = "complete" if answer.complete else "partial"
        tx.audit.append(AuditEntry(f"system:{file.row.system_id}", "evidence.answer", file.row.id, word, detail))
        return answered

    # --- reading ----------------------------------------------------------------------------------------------------------

    def read(self, caller: Caller, request_id: str) -> Answered:
        """How a request of the caller's own stands, with all that it may see. HubProblem(EVIDENCE_UNKNOWN) else."""
        caller.require_somewhere(Service.EVIDENCE)
        with self._db.read() as conn:
            row = store.request(conn, request_id)
        if row is None or row.system_id != caller.system_id or not caller.may(Service.EVIDENCE, row.region):
            raise HubProblem(EVIDENCE_UNKNOWN)
        answered = self._answer(request_id)

        def note(tx: Tx) -> None:
            detail = {"digest": answered.digest, "state": answered.answer.state.value}
            tx.audit.append(AuditEntry(f"system:{caller.system_id}", "evidence.read", request_id, "read", detail))

        self._db.write(note)  # before anything leaves the hub
        return answered

    def _open(self, request_id: str) -> EvidenceFile | None:
        with self._db.read() as conn:
            row = store.request(conn, request_id)
            rows = store.documents(conn, request_id)
            file = None if row is None else self._follow_ups.open(row, rows)
            return None if file is None else self._follow_ups.named(conn, file)

    def _answer(self, request_id: str) -> Answered:
        file = self._open(request_id)
        if file is None:
            raise HubProblem(EVIDENCE_UNKNOWN, "dropped")
        return Answered.of(self._views.answer(file))

    # --- house-keeping --------------------------------------------------------------------------------------------------------

    def keep_house(self) -> int:
        """A chore: take up requests whose process died. Gives how many."""
        return self._db.write(self._follow_ups.hand_over)

    def purge(self, *, now: datetime | None = None) -> int:
        """A chore: drop what may not be kept any longer, so many answers in each commit. Gives how many answers."""
        now, limits = now or self._db.clock(), self._rules.limits
        bucket = store.bucket_of(now, limits.bucket) - max(PARTS, limits.subject_buckets)
        self._db.write(lambda tx: store.purge(tx.conn, now, bucket))

        def drop(tx: Tx) -> int:
            ids = store.ended(tx.conn, now, PURGED_AT_ONCE)
            if ids:
                store.drop_sealed(tx.conn, ids)
                deliveries.forget(tx, ids, KINDS)
            return len(ids)

        count = 0
        while dropped := self._db.write(drop):
            count += dropped
        return count

    def close(self) -> None:
        self._fetcher.close()
