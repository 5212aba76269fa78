"""One request for evidence as it stands: its rows, opened, and the plan that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from hub.ecerts.entries import Evidence, Item
from hub.ecerts.evidence import judging, store
from hub.ecerts.evidence.planning import Grounds
from hub.ecerts.revocations.store import NoticeRow
from hub.ecerts.solver import Known, Plan, RequirementState, Standing, solve
from schemas.evidence import EvidenceRequest


@dataclass(frozen=True)
class EvidenceFile:
    """One request as it stands, opened."""

    row: store.RequestRow
    request: EvidenceRequest
    item: Item
    grounds: Grounds
    documents: Mapping[Evidence, store.DocumentRow]
    known: Mapping[Evidence, Known]
    revocations: Mapping[str, NoticeRow] = field(default_factory=dict)  # the notices that revoked documents, by id
    opened: Mapping[Evidence, judging.Held] = field(default_factory=dict)  # what is sealed in rows, where it is at hand

    @cached_property
    def plan(self) -> Plan:
        return solve(self.item.requirements, self.known)

    def with_row(self, row: store.RequestRow) -> EvidenceFile:
        """The same documents, and so the same plan."""
        changed = replace(self, row=row)
        changed.__dict__["plan"] = self.plan
        return changed

    @property
    def revoked_by(self) -> set[str]:
        """The ids of the notices by which documents were revoked here; of what its source called revoked there is none."""
        revoked = (row for row in self.documents.values() if row.standing == Standing.REVOKED.value)
        return {row.notice for row in revoked if row.notice is not None}

    @property
    def endpoints(self) -> dict[Evidence, str]:
        return {document: row.endpoint_id for document, row in self.documents.items() if row.endpoint_id is not None}


def handed_out(plan: Plan) -> list[Evidence]:
    """The documents of requirements that are satisfied; of an alternative that is not whole nothing leaves the hub."""
    found = (d for one in plan.answers if one.state is RequirementState.SATISFIED for d in one.by)
    return list(dict.fromkeys(found))
