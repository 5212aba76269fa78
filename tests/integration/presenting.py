"""What the tests of presentations share: a counter in front of the real library simulator."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.contract import Deadline
from adapters.ecert_share.client import EcertShare
from adapters.ecert_share.simulator import endpoint as library_endpoint
from adapters.population import family
from hub import tables as t
from hub.access.callers import Caller
from hub.deliveries.breaker import BreakerPolicy
from hub.ecerts.authorizations import model as am
from hub.ecerts.presentations import model as m
from hub.ecerts.presentations.service import Presentations
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, UseCause
from schemas.evidence import EvidenceAnswer
from schemas.problems import HubProblem
from tests.integration.evidence_world import PURPOSE, REGION, TEACHER, World

TYPES = ("id-card", "degree", "putonghua-level")
_numbers = itertools.count(1)
PATIENT = BreakerPolicy(failures=50, open_s=0.2)


@dataclass
class Counter:
    """A counter of the consumer's, with holders who show codes of the library."""

    world: World
    presentations: Presentations = field(init=False)

    def __post_init__(self) -> None:
        self.presentations = self.world.parts.presentations(self.world.adapters, breaker=PATIENT)

    @staticmethod
    def holder(index: int) -> am.Holder:
        held = World.holder(index)
        return am.Holder(name=held["name"], code=held["code"], code_type=held["codeType"])

    @staticmethod
    def code(index: int, word: str = "PERSON") -> str:
        """A new code of guardian ``index``: PERSON agrees, DENY does not, LATE shows it too late."""
        return f"{word}:{family(REGION, index).guardian.id_number}#{next(_numbers)}"

    def request(self, index: int, **changes: Any) -> m.PresentationRequest:
        wanted = {"ecertTypes": TYPES, "purpose": PURPOSE, "region": REGION, "item": TEACHER}
        values: dict[str, Any] = {
            "messageId": f"p-{next(_numbers)}",
            "code": self.code(index),
            "holder": self.holder(index).model_dump(by_alias=True),
            "wanted": {**wanted, **changes.pop("wanted", {})},
            "caseReference": f"case-{index}",
        }
        return m.PresentationRequest.model_validate({**values, **changes})

    def begin(self, request: m.PresentationRequest, caller: Caller | None = None) -> m.PresentationView:
        return self.presentations.begin(caller or self.world.caller(), request)

    def status(self, presentation_id: str) -> m.PresentationView:
        return self.presentations.status(self.world.caller(), presentation_id)

    def until(self, presentation_id: str, state: m.State) -> m.PresentationView:
        end = time.monotonic() + 15
        while (found := self.status(presentation_id)).state is not state:
            assert time.monotonic() < end, found
            time.sleep(0.2)
        return found

    def agreed(self, index: int, **changes: Any) -> m.PresentationView:
        """Begun, and agreed to on the phone."""
        return self.until(self.begin(self.request(index, **changes)).presentation_id, m.State.AUTHORIZED)

    def ask(self, presentation_id: str, index: int, **changes: Any) -> EvidenceAnswer:
        basis = {"kind": "authorization", "reference": presentation_id}
        return self.world.ask(self.world.request(index, **{"basis": basis, **changes}))

    def row(self, presentation_id: str) -> Any:
        query = sa.select(t.presentations).where(t.presentations.c.id == presentation_id)
        with self.world.db.read() as conn:
            return conn.execute(query).one()

    def begun_at_library(self) -> int:
        paths = [one["path"] for one in self.world.peers.library.requests()]
        return paths.count("/ChannelVerify/begin/verify")

    def close(self) -> None:
        self.presentations.close()


def problem(work: Any, *arguments: Any) -> tuple[str, str]:
    """What the hub says no with."""
    with pytest.raises(HubProblem) as caught:
        work(*arguments)
    return caught.value.kind.code, caught.value.detail


def card_of(world: World, index: int) -> str:
    """The identifier of guardian ``index``'s ID card, as the library knows it."""
    held = world.holder(index)
    cause = UseCause(case_id="c", item_code=None, item_name="", purpose="p", system_name="s", legal_basis="l")
    query = EcertQuery(
        type_code=ecert_types()["id-card"].code,
        holder_code=held["code"],
        holder_code_type=held["codeType"],
        holder_name=held["name"],
        use_cause=cause,
    )
    adapter = EcertShare(library_endpoint(world.peers.library.url, world.peers.folder / "library"))
    found = adapter.ecert_status(query, Deadline.after(10)).metadata.identifier
    adapter.close()
    assert found is not None
    return found
