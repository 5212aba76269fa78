"""What the contract suite asks of every certificate library's adapter: the calls of its harness."""

from __future__ import annotations

import itertools
import time
from typing import cast

from adapters import samples
from adapters.contract import (
    Adapter,
    Capability,
    Deadline,
    EcertFetcher,
    EcertStatusAsker,
    PresentationAsker,
    PresentationBeginner,
    PresentationBegun,
    PresentationRequest,
    PresentationState,
    PresentedFetcher,
    PresentedQuery,
)
from adapters.harness import Call
from adapters.population import family
from adapters.registry_calls import probe
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, UseCause

_codes = itertools.count(1)  # a code may be good once


def guardians(type_key: str, use_cause: UseCause) -> EcertQuery:
    """The guardian's certificate of a type."""
    guardian = family(samples.REGION, samples.STUDENT).guardian
    return EcertQuery(
        type_code=ecert_types()[type_key].code,
        holder_code=guardian.id_number,
        holder_code_type=guardian.id_type,
        holder_name=guardian.name,
        use_cause=use_cause,
    )


def fetching(query: EcertQuery) -> tuple[Call, ...]:
    """The probe, and the certificate that ``query`` finds."""

    def fetch(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
        return cast(EcertFetcher, adapter).fetch_ecert(query, deadline)

    def status(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
        return cast(EcertStatusAsker, adapter).ecert_status(query, deadline)

    return (
        Call("probe", Capability.PROBE, probe),
        Call("fetch-ecert", Capability.FETCH_ECERT, fetch),
        Call("ecert-status", Capability.ECERT_STATUS, status),
    )


def presenting(query: EcertQuery, *, has_effect: bool) -> tuple[Call, ...]:
    """The same certificate by a code that its holder shows; the two behind the first begin with it."""

    def begin(adapter: Adapter, _key: str, deadline: Deadline) -> PresentationBegun:
        code = f"PERSON:{query.holder_code}#{next(_codes)}"
        wanted = PresentationRequest(shown_code=code, type_codes=(query.type_code,), use_cause=query.use_cause)
        return cast(PresentationBeginner, adapter).begin_presentation(wanted, deadline)

    def standing(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
        return cast(PresentationAsker, adapter).presentation_status(begin(adapter, key, deadline), deadline)

    def presented(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
        """Asked until the holder has answered, as the hub does."""
        begun, asker = begin(adapter, key, deadline), cast(PresentationAsker, adapter)
        while asker.presentation_status(begun, deadline).state is PresentationState.PENDING:
            time.sleep(0.05)
        wanted = PresentedQuery(reference=begun.reference, type_code=query.type_code, use_cause=query.use_cause)
        return cast(PresentedFetcher, adapter).fetch_presented(wanted, deadline)

    return (
        Call("begin-presentation", Capability.BEGIN_PRESENTATION, begin, has_effect=has_effect),
        Call("presentation-status", Capability.PRESENTATION_STATUS, standing, has_effect=has_effect),
        Call("fetch-presented", Capability.FETCH_PRESENTED, presented, has_effect=has_effect),
    )
