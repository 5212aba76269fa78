"""Presentations in canonical form, and the one function that says how one stands.

A presentation goes on like this; what is not drawn does not happen::

    beginning → pending → authorized → used          begun at the library · the holder agreed · an evidence request took it
    beginning → authorized                           a shown e-certificate (亮证): showing it is agreeing
    beginning → refused                              the library does not take the code
    beginning → not-begun → beginning                nothing happened at the library: the same message may come again
    beginning → outcome-unknown                      sent, and no answer came, or this process died: nobody can say any more
    pending   → denied                               the holder said no
    any       → revoked, expired                     taken back; its time is over
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from adapters.contract import ShownKind
from hub.ecerts.authorizations.model import Holder, Item
from hub.ecerts.entries import RECORDS
from schemas import rules
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.evidence import CaseReference, EvidenceRequest, Word
from schemas.fields import MessageId, RegionCode, UtcDatetime
from schemas.rules import FieldError

PREFIX = "pres_"  # of the ids; the same word in a basis tells a presentation from an authorization of the hub's own


class State(StrEnum):
    """How a presentation stands. The first six are in the row; the others follow from its times."""

    BEGINNING = "beginning"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    DENIED = "denied"
    REFUSED = "refused"
    OUTCOME_UNKNOWN = "outcome-unknown"
    NOT_BEGUN = "not-begun"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Shown(Canonical):
    """What was asked for by a code: these e-certificates, for this purpose, in this region, for one case."""

    ecert_types: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    purpose: Word
    region: RegionCode
    item: Item | None = None

    @field_validator("ecert_types")
    @classmethod
    def _are_certificates(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if any(key not in ecert_types() or key in RECORDS for key in keys):
            raise FieldError(rules.NOT_IN_LIST)
        return keys


class PresentationRequest(Canonical):
    """A counter hands over what it scanned from the phone of a holder whom it knows. The same message gets the same answer.

    ``useSeconds``: how long the presentation may be used after the holder has agreed.
    """

    message_id: MessageId
    kind: ShownKind = ShownKind.AUTHORIZATION_CODE
    code: Annotated[str, StringConstraints(min_length=4, max_length=512, pattern=r"^[!-~]+$"), Field(repr=False)]
    holder: Holder
    wanted: Shown
    case_reference: CaseReference
    use_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800


class PresentationView(Canonical):
    """How it stands. Used as ``{"kind": "authorization", "reference": presentationId}`` by one request for evidence."""

    presentation_id: str
    message_id: str
    kind: ShownKind
    state: State
    reason: str | None = None
    expires_at: UtcDatetime  # the holder must have agreed by then
    checked_at: UtcDatetime | None = None  # when the library was last asked
    use_until: UtcDatetime | None = None


class PresentationRevocation(Canonical):
    """The holder, who stands at the counter, takes it back."""

    holder: Holder


class Presented(Canonical):
    """A presentation that an evidence request took: by what name its library knows it, and which endpoint that is."""

    presentation_id: str
    endpoint_id: str
    reference: str = Field(repr=False)


class FiledRequest(EvidenceRequest):
    """An evidence request as it is kept, sealed, with the presentations that it rests on."""

    presented: tuple[Presented, ...] = ()

    def presentation(self, reference: str) -> Presented | None:
        """The one that a basis names."""
        return next((one for one in self.presented if one.presentation_id == reference), None)


def presentation_of(request: EvidenceRequest, reference: str) -> Presented | None:
    """The presentation behind a basis of a request; None if it rests on something else."""
    return request.presentation(reference) if isinstance(request, FiledRequest) else None


def left_by(kind: ShownKind) -> State:
    """What is known of one whose process died while it asked: only where a person is asked did the call have an effect."""
    return State.NOT_BEGUN if kind is ShownKind.ECERT else State.OUTCOME_UNKNOWN


def standing(
    *,
    kind: ShownKind,
    state: State,
    owned_until: datetime,
    expires_at: datetime,
    use_until: datetime | None,
    used: bool,
    revoked: bool,
    now: datetime,
) -> State:
    """How a row stands at ``now``: what is over says so, even before it was written down."""
    if revoked:
        return State.REVOKED
    if used:
        return State.USED
    if state is State.BEGINNING and now >= owned_until:
        return left_by(kind)
    if state is State.PENDING and now >= expires_at:
        return State.EXPIRED
    if state is State.AUTHORIZED and (use_until is None or now >= use_until):
        return State.EXPIRED
    return state
