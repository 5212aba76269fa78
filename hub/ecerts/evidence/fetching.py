"""Fetching side by side under one deadline, with no transaction open: plan, ask, and plan again with what came of it.

1. The solver says what to fetch; each document is asked for in a thread of its own, none twice.
2. Whenever one has ended otherwise than hoped, the plan is made again: the next alternative replaces it at once.
3. It ends when the plan is complete or nothing more can be asked for, or with the deadline; what is under way then is left alone.
4. Where a notice has revoked what came (the commit finds out), it goes on from there with the document struck out.

A paused endpoint, one whose breaker is open or whose service hours are over is not called. Calls take their places beside
deliveries (:mod:`hub.deliveries.places`), and what they say of an endpoint opens and closes the same breaker.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Final, cast

import structlog

from adapters.contract import (
    Adapter,
    AdapterError,
    Capability,
    Deadline,
    EcertDocument,
    EcertFetcher,
    EcertStatusAsker,
    EnrolmentFetcher,
    EnrolmentQuery,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PersonQuery,
    PersonVerifier,
    PresentedFetcher,
    PresentedQuery,
    RetryLater,
)
from hub.db import Database
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.breaker import Effect, Sign
from hub.deliveries.endpoint_health import sign_of
from hub.deliveries.model import Word
from hub.deliveries.places import Places, closed_word
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.entries import Evidence, Requirement
from hub.ecerts.evidence import judging, store
from hub.ecerts.evidence.judging import Got, Judge, Made, Sealed
from hub.ecerts.evidence.planning import Question
from hub.ecerts.evidence.rules import EvidenceRules
from hub.ecerts.revocations.index import identifier_index
from hub.ecerts.solver import Known, Standing, solve
from hub.vault import Vault
from schemas.base import Canonical
from schemas.ecerts import EcertQuery, EcertStatus

MAX_CALLS: Final = 64  # calls under way at once in this process
FAIR_S: Final = 5.0
WORD_OF: Final[Mapping[type[AdapterError], Word]] = {
    RetryLater: Word.RETRY_LATER,
    OutcomeUnknown: Word.OUTCOME_UNKNOWN,
    PeerRefused: Word.REFUSED,
    PeerMisconfigured: Word.MISCONFIGURED,
}
log = structlog.get_logger(__name__)


Seal = Callable[[Evidence, Canonical], Sealed]  # raises nothing


@dataclass(frozen=True, slots=True)
class Fetched:
    """``got``: by document, what was asked; what was under way when the deadline came is UNREACHABLE by ``deadline``.

    ``exact``: every plan was the best one there is, not only the best that was found in the solver's limit.
    """

    got: dict[Evidence, Got]
    exact: bool


def standing_of(before: Known, got: Got) -> Known:
    """What is known of a document once it was asked for."""
    return Known(got.standing, before.fields, got.notice, got.reason)


def kept_context(holder_index: str, type_code: str) -> str:
    """What a kept document is sealed under."""
    return f"kept_ecerts:{holder_index}:{type_code}"


class Fetcher:
    """Shared by every request of the process."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        adapters: AdapterCache,
        judge: Judge,
        rules: EvidenceRules,
        bases: Bases,
        places: Places,
    ) -> None:
        self._db = db
        self._vault = vault
        self._adapters = adapters
        self._judge = judge
        self._rules = rules
        self._bases = bases
        self._pool = ThreadPoolExecutor(MAX_CALLS, "evidence-call")
        self._places = places

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._places.close()

    def run(
        self,
        requirements: Sequence[Requirement],
        known: Mapping[Evidence, Known],
        questions: Mapping[Evidence, Question],
        endpoints: Mapping[str, store.EndpointRow],
        region: str,
        deadline: Deadline,
        seal: Seal,
    ) -> Fetched:
        """Ask for what the plan needs until it is complete, nothing is left to ask, or the deadline has come.

        What may be relied on is sealed (``seal``) where it came, while others are still awaited.
        """
        now_known = dict(known)
        got: dict[Evidence, Got] = {}
        running: dict[Evidence, Future[None]] = {}
        ended: SimpleQueue[tuple[Evidence, Got]] = SimpleQueue()
        begun: dict[Evidence, float] = {}  # when its place was taken, on the monotonic clock

        def ask(question: Question) -> None:
            endpoint = endpoints.get(question.endpoint_id)
            ended.put((question.document, self._one(question, endpoint, region, deadline, begun, seal)))

        plan = solve(requirements, now_known)
        exact = plan.exact
        while (left := deadline.remaining()) > 0.0:
            wanted = [document for document in plan.fetch if document not in got]
            if not wanted:
                break
            for document in wanted:
                if document not in running:
                    running[document] = self._pool.submit(ask, questions[document])
            try:
                document, one = ended.get(timeout=left)
            except Empty:
                break
            del running[document]
            got[document] = one
            now_known[document] = standing_of(now_known[document], one)
            if one.standing is not Standing.HELD:  # what came as hoped leaves the best plan the best
                plan = solve(requirements, now_known)
                exact = exact and plan.exact
        for document, future in running.items():
            future.cancel()
            got[document] = self._late(endpoints.get(questions[document].endpoint_id), begun.get(document))
        if not exact:
            log.warning("the best plan was not found in the solver's limit: a good one was taken")
        return Fetched(got, exact)

    def _late(self, endpoint: store.EndpointRow | None, began: float | None) -> Got:
        """The deadline came first. A call that had time enough says that its endpoint does not answer."""
        now = self._db.clock()
        made = None
        if endpoint is not None and began is not None:
            lasted = time.monotonic() - began
            sign = Sign(Effect.FAILED if lasted >= _fair(endpoint) else Effect.NONE, "timeout")
            made = Made(now - timedelta(seconds=lasted), now, Word.RETRY_LATER, sign)
        return Got(Standing.UNREACHABLE, "deadline", ask_again=True, checked_at=now, made=made)

    # --- one document ---------------------------------------------------------------------------------------------------

    def _one(
        self,
        question: Question,
        endpoint: store.EndpointRow | None,
        region: str,
        deadline: Deadline,
        begun: dict[Evidence, float],
        seal: Seal,
    ) -> Got:
        """Never raises: a bug is logged and told as an issuer out of reach, and the delivery that follows it up suspends."""
        now = self._db.clock()
        if endpoint is None:
            return Got(Standing.NO_SOURCE, "no-endpoint", checked_at=now)
        closed = closed_word(endpoint.paused_at, endpoint.open_at, endpoint.service_hours, now)
        closed = closed or self._places.enter(endpoint.target.id, deadline)
        if closed is not None:
            return Got(Standing.UNREACHABLE, closed, ask_again=True, checked_at=now)
        began, began_at = time.monotonic(), self._db.clock()
        begun[question.document] = began
        given = min(deadline.remaining(), float(endpoint.target.timeout_s))
        word, sign = Word.DELIVERED, Sign(Effect.WELL)
        try:
            got = self._ask(question, self._adapters.of(endpoint.target), region, Deadline.after(given))
            if got.answer is not None:
                got = replace(got, sealed=seal(question.document, got.answer), keep=self._keep(question, got))
        except AdapterError as error:
            got = self._judge.failed(error, self._db.clock())
            word, sign = WORD_OF[type(error)], sign_of(error)
            if sign.effect is Effect.FAILED and given < _fair(endpoint) and time.monotonic() - began >= given:
                sign = Sign(Effect.NONE)  # its caller was in a hurry: that says nothing of the endpoint
        except Exception as error:  # noqa: BLE001  a bug, ours or an adapter's: one document's, not the whole answer's
            where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
            log.critical("bug", endpoint=endpoint.target.id, error=type(error).__name__, where=where)
            code = f"bug-{type(error).__name__}"[:100]
            got = Got(Standing.UNREACHABLE, code, ask_again=True, checked_at=now)
            word, sign = Word.BUG, Sign(Effect.NONE)
        finally:
            self._places.leave(endpoint.target.id, well=sign.effect is Effect.WELL)
        return replace(got, made=Made(began_at, self._db.clock(), word, sign))

    def _ask(self, question: Question, adapter: Adapter, region: str, deadline: Deadline) -> Got:
        if (kept := self._kept(question, adapter, deadline)) is not None:
            found = self._judge.answered(question, kept, region, self._db.clock())
            if found.standing is Standing.HELD:
                return replace(found, reused=True)
        asked = self._judge.to_ask(question, region, self._db.clock())
        return self._judge.answered(question, call(adapter, asked, deadline), region, self._db.clock())

    def _kept(self, question: Question, adapter: Adapter, deadline: Deadline) -> EcertDocument | None:
        """A document that was kept, if the source says now that it is still the one and valid."""
        query, kind = question.body, question.document.type
        if not isinstance(query, EcertQuery) or question.presented is not None or kind not in self._rules.keep_s:
            return None  # what a holder shows is fetched by what was shown
        if Capability.ECERT_STATUS not in adapter.manifest.capabilities:
            return None
        index = self._bases.holder_index(question.holder)
        with self._db.read() as conn:
            row = store.kept(conn, index, query.type_code, question.endpoint_id, self._db.clock())
        if row is None:
            return None
        sealed = self._vault.open(row.document_sealed, kept_context(index, query.type_code))
        document = judging.from_bytes(sealed)
        if not isinstance(document, EcertDocument):
            return None
        try:
            standing = cast(EcertStatusAsker, adapter).ecert_status(query, deadline)
        except PeerRefused as refused:
            if refused.code != EcertStatus.EXPIRED.value:
                raise
            return None  # it ran out meanwhile: as a fresh one it may be deemed valid
        return document if judging.same_certificate(document.metadata, standing) else None

    def _keep(self, question: Question, got: Got) -> store.Values | None:
        """The row that keeps a fresh document for as long as its type's rule says; None where it may not be kept."""
        document, query, seconds = got.answer, question.body, self._rules.keep_s.get(question.document.type)
        if not isinstance(query, EcertQuery) or not isinstance(document, EcertDocument) or seconds is None:
            return None
        if got.standing is not Standing.HELD or got.reused or document.metadata.identifier is None:
            return None
        if question.presented is not None:  # shown for one case
            return None
        now = self._db.clock()
        index = self._bases.holder_index(question.holder)
        sealed = self._vault.seal(judging.to_bytes(document), kept_context(index, query.type_code))
        return {
            "holder_index": index,
            "type_code": query.type_code,
            "endpoint_id": question.endpoint_id,
            "identifier_index": identifier_index(self._vault, document.metadata.identifier),
            "fetched_at": now,
            "keep_until": now + timedelta(seconds=seconds),
            "document_sealed": sealed,
        }


def call(adapter: Adapter, body: Canonical, deadline: Deadline) -> Canonical:
    """One question to one source. Raises only the errors of the contract; PeerMisconfigured if it cannot be asked this."""
    capabilities = adapter.manifest.capabilities
    match body:
        case EcertQuery() if Capability.FETCH_ECERT in capabilities:
            return cast(EcertFetcher, adapter).fetch_ecert(body, deadline)
        case PresentedQuery() if Capability.FETCH_PRESENTED in capabilities:
            return cast(PresentedFetcher, adapter).fetch_presented(body, deadline)
        case PersonQuery() if Capability.VERIFY_PERSON in capabilities:
            return cast(PersonVerifier, adapter).verify_person(body, deadline)
        case EnrolmentQuery() if Capability.FETCH_ENROLMENT in capabilities:
            return cast(EnrolmentFetcher, adapter).fetch_enrolment(body, deadline)
    raise PeerMisconfigured("no-capability", type(body).__name__)


def _fair(endpoint: store.EndpointRow) -> float:
    """The seconds after which silence counts against an endpoint."""
    return min(float(endpoint.target.timeout_s), FAIR_S)
