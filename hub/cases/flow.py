"""A flow is data: which evidence, which parties in which order or in parallel, within how many working days."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.contract import StepAction
from hub.deliveries.model import Kind


class FlowError(Exception):
    """A flow file is not a flow; an administrator or a developer must mend it."""


class Party(StrEnum):
    """Whose registry is asked."""

    RELEASING = "releasing"
    RECEIVING = "receiving"


class Scope(StrEnum):
    """Which transfers a flow is for."""

    WITHIN_COUNTY = "within-county"
    ACROSS_COUNTIES = "across-counties"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
WorkingDays = Annotated[int, Field(ge=1, le=250)]


class EvidenceNeed(_Data):
    """One requirement. ``required = false``: the case goes on without it, and its parties see that it is missing."""

    requirement: Name
    title_zh: str
    title_en: str
    kind: Literal["person", "ecert", "enrolment"]
    subject: Literal["student", "guardian"]
    ecert_type: str | None = None  # a key of schemas/data/ecert_types.toml
    required: bool = True

    @property
    def delivery_kind(self) -> Kind:
        return Kind(self.kind)

    @model_validator(mode="after")
    def _names_a_type(self) -> EvidenceNeed:
        if (self.kind == "ecert") != (self.ecert_type is not None):
            raise ValueError("ecert_type goes with kind = 'ecert', and only with it")
        return self


class FlowStep(_Data):
    """One party's act, within its own limit from the opening of its group."""

    name: Name
    title_zh: str
    title_en: str
    party: Party
    action: StepAction
    limit_working_days: WorkingDays


class Group(_Data):
    """Steps that are open at the same time; the next group opens when all have been approved."""

    step: tuple[FlowStep, ...] = Field(min_length=1)
    irrevocable: bool = False  # once it has opened, the request cannot be withdrawn


class Flow(_Data):
    """See docs/how-to/write-a-flow.md."""

    id: Name
    version: int
    title_zh: str
    title_en: str
    scope: Scope
    limit_working_days: WorkingDays
    near_working_days: WorkingDays  # flagged when fewer remain
    evidence_working_days: WorkingDays
    relied_days: Annotated[int, Field(ge=0, le=3650)] = 60  # after completion: so long a revocation is still told
    evidence: tuple[EvidenceNeed, ...] = ()
    group: tuple[Group, ...] = Field(min_length=1)

    @property
    def key(self) -> str:
        """What a case remembers: the flow and its version."""
        return f"{self.id}@{self.version}"

    def need(self, requirement: str) -> EvidenceNeed:
        return next(need for need in self.evidence if need.requirement == requirement)

    def step(self, name: str) -> FlowStep:
        return next(step for group in self.group for step in group.step if step.name == name)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Flow:
        names = [step.name for group in self.group for step in group.step]
        names += [need.requirement for need in self.evidence]
        if len(set(names)) != len(names):
            raise ValueError("steps and requirements of a flow have names of their own")
        return self


def load_flows(folder: Traversable | None = None) -> Mapping[str, Flow]:
    """Every flow of a folder (default: those that ship), by its key."""
    flows: dict[str, Flow] = {}
    for file in sorted((folder or files("hub.cases") / "flows").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".toml"):
            continue
        try:
            flow = Flow.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        except (ValidationError, tomllib.TOMLDecodeError) as error:
            raise FlowError(f"{file.name}: {error}") from error
        if flow.key in flows:
            raise FlowError(f"{file.name}: {flow.key} is defined twice")
        flows[flow.key] = flow
    return flows


def newest(flows: Mapping[str, Flow], scope: Scope) -> Flow | None:
    """The flow that a new case of this scope takes: the highest version."""
    return max((flow for flow in flows.values() if flow.scope is scope), key=lambda flow: flow.version, default=None)
