"""The two calls of the provincial library that a presentation makes, with no transaction open, and what each comes to."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import structlog

from adapters.contract import (
    Adapter,
    AdapterError,
    Capability,
    Deadline,
    OutcomeUnknown,
    PeerRefused,
    PresentationAsker,
    PresentationBeginner,
    PresentationBegun,
    PresentationRequest,
    PresentationState,
    ShownKind,
)
from hub.db import Database
from hub.deliveries import endpoint_health
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.breaker import Effect, Sign
from hub.deliveries.places import LONGEST_CALL_S, Places, closed_word
from hub.ecerts.authorizations.model import Standing
from hub.ecerts.evidence import store as evidence_store
from hub.ecerts.evidence.planning import HUB_NAME
from hub.ecerts.evidence.store import EndpointRow
from hub.ecerts.presentations import model as m
from hub.ecerts.presentations.basis import reference_context
from hub.ecerts.presentations.model import State
from hub.ecerts.presentations.store import PresentationRow
from hub.vault import Vault
from schemas.ecert_types import ecert_types
from schemas.ecerts import UseCause
from schemas.problems import NO_ROUTE, HubProblem

WRONG: Final = frozenset({"not-found", "bad-value"})  # the library's words for a code that nobody has
NOTHING: Final = Sign(Effect.NONE)
WELL: Final = Sign(Effect.WELL)
R = TypeVar("R")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """One process's turn at a presentation."""

    presentation_id: str
    system_id: str
    endpoint_id: str
    owner: str
    use_s: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call came to; recorded only if the row is still in ``before`` and this run's."""

    run: Run
    before: State
    state: State
    reason: str | None
    sign: Sign
    reference_sealed: bytes | None = None

    @property
    def is_wrong_code(self) -> bool:
        return self.state is State.REFUSED and self.reason == Standing.UNKNOWN.value


@dataclass(frozen=True, slots=True)
class Library:
    """Shared by all threads. Places and health of an endpoint are those that deliveries use too."""

    db: Database
    vault: Vault
    adapters: AdapterCache
    places: Places

    def endpoint(self, endpoint_id: str) -> EndpointRow:
        with self.db.read() as conn:
            found = evidence_store.endpoints(conn, [endpoint_id]).get(endpoint_id)
        if found is None:
            raise HubProblem(NO_ROUTE, "no-endpoint")
        return found

    def begin(
        self, run: Run, request: m.PresentationRequest, endpoint: EndpointRow, item_name: str, purpose: str
    ) -> Outcome:
        """Hand over the code. Once sent and not answered, nobody can say whether the holder was asked."""
        asked = PresentationRequest(
            kind=request.kind,
            shown_code=request.code,
            type_codes=tuple(ecert_types()[key].code for key in request.wanted.ecert_types),
            use_cause=UseCause(
                case_id=request.case_reference,
                item_code=request.wanted.item,
                item_name=item_name,
                purpose=purpose,
                system_name=HUB_NAME,
                legal_basis=f"持有人出示 {run.presentation_id}",
            ),
        )

        def begin(adapter: Adapter, deadline: Deadline) -> PresentationBegun:
            return cast(PresentationBeginner, adapter).begin_presentation(asked, deadline)

        answer, sign = self._call(endpoint, Capability.BEGIN_PRESENTATION, begin)
        match answer:
            case PresentationBegun(reference=reference):
                sealed = self.vault.seal(reference.encode(), reference_context(run.presentation_id))
                state = State.AUTHORIZED if request.kind is ShownKind.ECERT else State.PENDING  # showing it is agreeing
                return Outcome(run, State.BEGINNING, state, None, sign, sealed)
            case PeerRefused(code=code):
                return Outcome(run, State.BEGINNING, State.REFUSED, _reason(code, request.kind), sign)
            case OutcomeUnknown(code=code):
                return Outcome(run, State.BEGINNING, State.OUTCOME_UNKNOWN, code[:100], sign)
            case AdapterError(code=code):
                return Outcome(run, State.BEGINNING, State.NOT_BEGUN, code[:100], sign)
            case str():
                return Outcome(run, State.BEGINNING, State.NOT_BEGUN, answer, sign)

    def state(self, row: PresentationRow) -> Outcome:
        """Has the holder answered? What cannot be learned now leaves it pending, with the reason."""
        if row.reference_sealed is None:
            raise RuntimeError("a pending presentation without its reference")
        reference = self.vault.open(row.reference_sealed, reference_context(row.id)).decode()
        run = Run(row.id, row.system_id, row.endpoint_id, row.owner, row.use_s)

        def ask(adapter: Adapter, deadline: Deadline) -> PresentationState:
            begun = PresentationBegun(reference=reference)
            return cast(PresentationAsker, adapter).presentation_status(begun, deadline).state

        answer, sign = self._call(self.endpoint(row.endpoint_id), Capability.PRESENTATION_STATUS, ask)
        match answer:
            case PresentationState.AUTHORIZED:
                return Outcome(run, State.PENDING, State.AUTHORIZED, None, sign)
            case PresentationState.FAILED:
                return Outcome(run, State.PENDING, State.DENIED, "denied-by-holder", sign)
            case PresentationState.PENDING:
                return Outcome(run, State.PENDING, State.PENDING, None, sign)
            case PeerRefused(code=code):  # the library has forgotten it, or never knew it
                return Outcome(run, State.PENDING, State.DENIED, f"library-{code}"[:100], sign)
            case AdapterError(code=code):
                return Outcome(run, State.PENDING, State.PENDING, code[:100], sign)
            case _:
                return Outcome(run, State.PENDING, State.PENDING, answer, sign)

    def _call(
        self, endpoint: EndpointRow, needed: Capability, ask: Callable[[Adapter, Deadline], R]
    ) -> tuple[R | AdapterError | str, Sign]:
        """The answer, the error, or the word why it was not called; and what that says of the endpoint."""
        target, deadline = endpoint.target, Deadline.after(min(endpoint.target.timeout_s, LONGEST_CALL_S))
        closed = closed_word(endpoint.paused_at, endpoint.open_at, endpoint.service_hours, self.db.clock())
        closed = closed or self.places.enter(target.id, deadline)
        if closed is not None:
            return closed, NOTHING
        sign = WELL
        try:
            adapter = self.adapters.of(target)
            if needed not in adapter.manifest.capabilities:
                return "no-capability", sign
            return ask(adapter, deadline), sign
        except AdapterError as error:
            sign = endpoint_health.sign_of(error)
            return error, sign
        except Exception as error:  # noqa: BLE001  a bug, ours or an adapter's: whether it took effect, nobody can say
            where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
            log.critical("bug", endpoint=target.id, error=type(error).__name__, where=where)
            sign = NOTHING
            return OutcomeUnknown(f"bug-{type(error).__name__}"), sign
        finally:
            self.places.leave(target.id, well=sign.effect is Effect.WELL)


def _reason(code: str, kind: ShownKind) -> str:
    """The word of ``authorization-code-refused`` for a library's refusal."""
    if code in WRONG:
        return Standing.UNKNOWN.value
    if code == "expired" and kind is ShownKind.AUTHORIZATION_CODE:
        return Standing.EXPIRED.value
    return f"library-{code}"[:100]
