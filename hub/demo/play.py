"""Plays the scenario against a stage: submits, does what each scene says, and watches until every case has come to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from adapters.population import transfer
from hub.demo.callers import Answer, RestCaller, SoapCaller
from hub.demo.scenario import SCENES, Scene, Twist
from hub.demo.stage import Stage
from hub.own_keys import OwnKeys
from schemas.transfers import CaseState, TransferRequest

DOWN_S = 6.0
PATIENCE_S = 75.0
OPEN = (CaseState.OPEN, CaseState.WAITING)


@dataclass
class Run:
    """One scene as it goes: case ids, their states, and what callers were told besides."""

    scene: Scene
    cases: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # problem codes
    states: dict[str, CaseState] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return sum(state not in OPEN for state in self.states.values())


@dataclass
class Play:
    """``watch`` is called whenever something changed, for the display."""

    stage: Stage
    watch: Callable[[list[Run]], None]
    runs: list[Run] = field(default_factory=lambda: [Run(scene) for scene in SCENES])
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        own = OwnKeys.ensure(self.stage.settings.state_dir)
        self.rest = {id_: RestCaller(self.stage.url, party) for id_, party in self.stage.cast.parties.items()}
        self.soap = {
            id_: SoapCaller(self.stage.url, party, own)
            for id_, party in self.stage.cast.parties.items()
            if party.wsse_key is not None and any(scene.caller == id_ and scene.wire == "soap" for scene in SCENES)
        }

    def run(self) -> list[Run]:
        """The whole scenario; gives the runs as they stood at the end."""
        simulators = self.stage.cast.simulators
        simulators["zhangqiu"].fail("down", seconds=DOWN_S)
        simulators["huangdao"].fail("hang-after", path="/api/xjyd/apply", times=2)
        self.began = time.monotonic()
        with ThreadPoolExecutor(8, thread_name_prefix="caller") as pool:
            jobs = [pool.submit(self._submit, run, n) for run in self.runs for n in run.scene.students]
            for job in jobs:
                job.result()
                self.watch(self.runs)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self._look()
            self.watch(self.runs)
            if all(run.ended == len(run.cases) for run in self.runs):
                break
            time.sleep(0.5)
        self._gather_facts()
        return self.runs

    # --- callers --------------------------------------------------------------------------------------------------------

    def _submit(self, run: Run, student: int) -> None:
        scene = run.scene
        request = transfer(f"demo-{scene.key}-{student}", scene.releasing, student, scene.receiving)
        caller = self.soap[scene.caller] if scene.wire == "soap" else self.rest[scene.caller]
        self._note(run, caller.submit(request))
        if scene.twist is Twist.DUPLICATE:
            self._repeat(run, request)
        elif scene.twist is Twist.WITHDRAWN:
            self.rest[scene.caller].withdraw(run.cases[0], f"demo-{scene.key}-{student}-w")

    def _repeat(self, run: Run, request: TransferRequest) -> None:
        caller = self.rest[run.scene.caller]
        again = [caller.submit(request) for _ in range(2)]
        changed = caller.submit(request.model_copy(update={"reason": "内容已更改"}))
        same = all(answer.case_id == run.cases[0] for answer in again)
        run.facts["again"] = "same case" if same else "another case"
        run.facts["changed"] = changed.code or "taken"

    @staticmethod
    def _note(run: Run, answer: Answer) -> None:
        if answer.case_id is not None:
            run.cases.append(answer.case_id)
            run.states[answer.case_id] = CaseState.OPEN
        else:
            run.refused.append(answer.code or "unknown")

    # --- watching -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        states: dict[str, str] = {}
        for id_ in {run.scene.caller for run in self.runs}:
            states |= self.rest[id_].cases()
        for run in self.runs:
            for case_id in run.cases:
                run.states[case_id] = CaseState(states[case_id])

    def _gather_facts(self) -> None:
        """What the simulators counted, and what the hub says of the first case of each scene."""
        simulators = self.stage.cast.simulators
        effects: dict[str, int] = {}
        for id_ in self.stage.cast.parties:
            effects |= simulators[id_].effects()
        asked = {
            request["path"].rsplit("/", 1)[-1]
            for request in simulators["huangdao"].requests()
            if request["path"].startswith("/api/xjyd/status/")
        }
        for run in self.runs:
            if not run.cases:
                continue
            view = self.rest[run.scene.caller].query(run.cases[0])
            run.facts["reason"] = str(view.get("outcomeReason") or "")
            steps = [f"{case_id}.{step['name']}" for case_id in run.cases for step in view["steps"]]
            run.facts["effects"] = str(sum(effects.get(key, 0) for key in steps))
            run.facts["steps"] = str(len(steps))
            run.facts["most"] = str(max((effects.get(key, 0) for key in steps), default=0))
            run.facts["asked"] = str(len(asked & set(steps)))
