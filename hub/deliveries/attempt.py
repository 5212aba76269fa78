"""One attempt: from a claimed delivery to its outcome, with no transaction open. Never raises; every way out is an outcome.

0. Its time has passed, its lease is nearly over, or the room that asked must not ask any more: nothing is sent.
1. Open the body and take the endpoint's adapter.
2. In doubt (an earlier attempt may have taken effect): send again only to a peer that recognises the key; else ask; else suspend.
3. Call, with a deadline that ends before the lease does.
4. Let the room that asked work on the answer.
5. An error is one of four, and each says what to do. Anything else is a bug of ours: suspend, alert.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError

from adapters.contract import (
    Adapter,
    AdapterError,
    Capability,
    CaseEvent,
    Collection,
    Deadline,
    Deliverer,
    DeliveryStatus,
    EcertCollector,
    EcertFetcher,
    EnrolmentFetcher,
    EnrolmentQuery,
    Message,
    OutcomeUnknown,
    PeerMisconfigured,
    PeerRefused,
    PersonQuery,
    PersonVerifier,
    PresentedFetcher,
    PresentedQuery,
    Receipt,
    RetryLater,
    StatusAsker,
    StepCancelled,
    TransferStep,
)
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.breaker import Effect, Sign
from hub.deliveries.endpoint_health import sign_of
from hub.deliveries.model import Claimed, Handlers, Kind, Outcome, State, Stopper, Word
from hub.deliveries.retry import RetryPolicy
from hub.deliveries.store import body_context
from hub.vault import Vault
from schemas.base import Canonical
from schemas.ecerts import EcertQuery

LEASE_MARGIN_S: Final = 1.0  # a call ends this long before its lease, for the outcome to be recorded in time

BODIES: Final[dict[Kind, type[Canonical]]] = {
    Kind.STEP: TransferStep,
    Kind.ASK: TransferStep,
    Kind.CANCEL: StepCancelled,
    Kind.EVENT: CaseEvent,
    Kind.ECERT: EcertQuery,
    Kind.PERSON: PersonQuery,
    Kind.ENROLMENT: EnrolmentQuery,
    Kind.EVIDENCE_ECERT: EcertQuery,
    Kind.EVIDENCE_PERSON: PersonQuery,
    Kind.EVIDENCE_ENROLMENT: EnrolmentQuery,
    Kind.EVIDENCE_PRESENTED: PresentedQuery,
    Kind.COLLECT: Collection,
}
NEEDED: Final[dict[Kind, Capability]] = {
    Kind.STEP: Capability.DELIVER,
    Kind.ASK: Capability.STATUS,
    Kind.CANCEL: Capability.DELIVER,
    Kind.EVENT: Capability.DELIVER,
    Kind.ECERT: Capability.FETCH_ECERT,
    Kind.PERSON: Capability.VERIFY_PERSON,
    Kind.ENROLMENT: Capability.FETCH_ENROLMENT,
    Kind.EVIDENCE_ECERT: Capability.FETCH_ECERT,
    Kind.EVIDENCE_PERSON: Capability.VERIFY_PERSON,
    Kind.EVIDENCE_ENROLMENT: Capability.FETCH_ENROLMENT,
    Kind.EVIDENCE_PRESENTED: Capability.FETCH_PRESENTED,
    Kind.COLLECT: Capability.COLLECT,
}
QUESTIONS: Final = frozenset(
    kind for kind, model in BODIES.items() if model in (EcertQuery, PersonQuery, EnrolmentQuery, PresentedQuery)
)
# asking those twice changes nothing at the peer

log = structlog.get_logger(__name__)


class _MustNotSend(Exception):
    """In doubt, and neither sending again nor asking is possible."""


@dataclass(frozen=True)
class Attempter:
    """What an attempt needs. Used by all worker threads at once."""

    vault: Vault
    adapters: AdapterCache
    handlers: Handlers
    retry: RetryPolicy

    def run(self, claimed: Claimed) -> Outcome:
        """Takes at most the endpoint's timeout, and ends before the lease does."""
        deadline = Deadline(min(time.monotonic() + claimed.target.timeout_s, claimed.lease_ends - LEASE_MARGIN_S))
        if claimed.expires_at is not None and claimed.expires_at <= claimed.now():
            return self._outcome(claimed, Word.EXPIRED, State.SUSPENDED, "expired", in_doubt=claimed.in_doubt)
        if deadline.remaining() <= 0.0:  # this process stood still
            return self._again(claimed, Word.RETRY_LATER, "lease-nearly-over", Sign(Effect.NONE), claimed.in_doubt)
        asked = False
        adapter: Adapter | None = None
        try:
            handler = self.handlers[claimed.kind]
            if isinstance(handler, Stopper) and (word := handler.stopped(claimed.case_id, claimed.subject)):
                return self._outcome(claimed, Word.REFUSED, State.REFUSED, word)
            body = self._body(claimed)
            adapter = self.adapters.of(claimed.target)
            answer = self._call(claimed, adapter, body, deadline)
            asked = True
            result = handler.prepare(claimed.case_id, claimed.subject, answer)
            return self._outcome(
                claimed, Word.DELIVERED, State.DELIVERED, "delivered", Sign(Effect.WELL), result=result
            )
        except AdapterError as error:
            return self._judge(claimed, error, asked, adapter)
        except _MustNotSend:
            return self._outcome(claimed, Word.OUTCOME_UNKNOWN, State.SUSPENDED, "outcome-unknown", in_doubt=True)
        except (OperationalError, InterfaceError):  # the database is away, where its room read: nobody's own fault
            sent = asked and claimed.kind not in QUESTIONS
            sign = Sign(Effect.WELL if asked else Effect.NONE)
            return self._again(claimed, Word.RETRY_LATER, "database-away", sign, claimed.in_doubt or sent)
        except Exception as error:  # noqa: BLE001  a bug, ours or an adapter's: an operator decides; nothing is swallowed
            return self.bug(claimed, error)

    # --- the call -------------------------------------------------------------------------------------------------------

    def _body(self, claimed: Claimed) -> Canonical:
        sealed = self.vault.open(claimed.body_sealed, body_context(claimed.id))
        return BODIES[claimed.kind].model_validate_json(sealed)

    def _call(self, claimed: Claimed, adapter: Adapter, body: Canonical, deadline: Deadline) -> Canonical:
        manifest = adapter.manifest
        if NEEDED[claimed.kind] not in manifest.capabilities:
            raise PeerMisconfigured("no-capability", NEEDED[claimed.kind].value)
        match body:
            case EcertQuery():
                return cast(EcertFetcher, adapter).fetch_ecert(body, deadline)
            case PersonQuery():
                return cast(PersonVerifier, adapter).verify_person(body, deadline)
            case EnrolmentQuery():
                return cast(EnrolmentFetcher, adapter).fetch_enrolment(body, deadline)
            case PresentedQuery():
                return cast(PresentedFetcher, adapter).fetch_presented(body, deadline)
            case Collection():
                if claimed.in_doubt and not manifest.idempotent and not claimed.replayed:
                    raise _MustNotSend  # there is no asking after one collection: an operator looks at the reconciliation
                return cast(EcertCollector, adapter).collect(body, deadline)
            case TransferStep() | StepCancelled() | CaseEvent():
                if claimed.kind is Kind.ASK or (claimed.in_doubt and not manifest.idempotent):
                    known = self._ask(claimed, adapter, body, deadline)
                    if known is not None:
                        return known
                return cast(Deliverer, adapter).deliver(body, deadline)
        raise TypeError(f"no message: {type(body).__name__}")

    def _ask(self, claimed: Claimed, adapter: Adapter, message: Message, deadline: Deadline) -> Canonical | None:
        """What the peer has of it: a receipt or its decision; None if it may be sent."""
        if not adapter.manifest.status_query:
            if claimed.replayed:
                return None  # an operator knows more than we do, and said: send
            raise _MustNotSend
        answer = cast(StatusAsker, adapter).status(message, deadline)
        match answer.status:
            case DeliveryStatus.UNKNOWN:
                return None
            case DeliveryStatus.RECEIVED:
                return Receipt(peer_reference=answer.peer_reference)
            case DeliveryStatus.DECIDED:
                return answer.decision or Receipt(peer_reference=answer.peer_reference)

    # --- what it came to ------------------------------------------------------------------------------------------------

    def _judge(self, claimed: Claimed, error: AdapterError, asked: bool, adapter: Adapter | None) -> Outcome:
        """``asked``: the peer had answered; it was our own judgement of the answer that must wait. ``adapter``: the one that was
        called, if it came to that: asking for it anew may fail."""
        sign = Sign(Effect.WELL) if asked else sign_of(error)
        match error:
            case RetryLater(code=code, retry_after_s=seconds):
                return self._again(claimed, Word.RETRY_LATER, code, sign, claimed.in_doubt, seconds)
            case OutcomeUnknown(code=code):
                if claimed.kind in QUESTIONS:
                    return self._again(claimed, Word.OUTCOME_UNKNOWN, code, sign, in_doubt=False)
                manifest = adapter.manifest if adapter is not None else None
                if manifest is not None and (manifest.idempotent or manifest.status_query):
                    return self._again(claimed, Word.OUTCOME_UNKNOWN, code, sign, in_doubt=True)
                return self._outcome(claimed, Word.OUTCOME_UNKNOWN, State.SUSPENDED, code, sign, in_doubt=True)
            case PeerRefused(code=code):
                return self._outcome(claimed, Word.REFUSED, State.REFUSED, code, sign)
            case PeerMisconfigured(code=code):
                # the endpoint is paused, loudly; what waits for it goes out as soon as it is resumed
                return self._outcome(claimed, Word.MISCONFIGURED, State.QUEUED, code, sign, in_doubt=claimed.in_doubt)
        return self.bug(claimed, error)

    def _again(
        self,
        claimed: Claimed,
        word: Word,
        code: str,
        sign: Sign,
        in_doubt: bool,
        retry_after_s: float | None = None,
    ) -> Outcome:
        """To be tried again later, or suspended if this was the last try."""
        if self.retry.is_last(claimed.tries):
            return self._outcome(claimed, word, State.SUSPENDED, code, sign, in_doubt=in_doubt)
        wait = self.retry.wait(claimed.tries, retry_after_s)
        return self._outcome(claimed, word, State.QUEUED, code, sign, in_doubt=in_doubt, wait=wait)

    def bug(self, claimed: Claimed, error: Exception) -> Outcome:
        """Suspended, and told loudly."""
        where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
        faults = _places(error)
        # neither the message nor the locals: they may quote what was sent
        log.critical("bug", delivery=claimed.id, endpoint=claimed.target.id, error=type(error).__name__, where=where,
                     faults=faults)  # fmt: skip
        # it may have happened after the message was sent
        doubtful = claimed.in_doubt or claimed.kind not in QUESTIONS
        return self._outcome(claimed, Word.BUG, State.SUSPENDED, f"bug-{type(error).__name__}", in_doubt=doubtful)

    def _outcome(
        self,
        claimed: Claimed,
        word: Word,
        state: State,
        code: str,
        sign: Sign | None = None,
        *,
        in_doubt: bool = False,
        wait: timedelta = timedelta(0),
        result: object | None = None,
    ) -> Outcome:
        return Outcome(
            claimed=claimed,
            word=word,
            state=state,
            code=code,
            sign=sign or Sign(Effect.NONE),
            at=claimed.now(),
            wait=wait,
            in_doubt=in_doubt,
            result=result,
        )


def _places(error: Exception) -> list[str]:
    """Where a model refused its input; never what the input was."""
    if not isinstance(error, ValidationError):
        return []
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return [f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults][:5]
