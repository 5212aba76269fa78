"""Verifying a file that somebody hands in: by the hub's trust folder, one of the named policies, as of a time. Nothing is kept."""

from __future__ import annotations

from datetime import datetime

from certs.policy import NAMED, load_policy
from certs.report import Report
from hub.ecerts.check import opened
from hub.ecerts.issuer import examine
from hub.ecerts.revocations.status import Notices, with_status
from hub.ecerts.sealing import SealingRules, shipped
from hub.ecerts.trust import TrustFolder
from hub.threads import Threads

AT_ONCE = 2  # files that are verified at the same time in one process: each may be 64 MiB and keep a core busy
WAITING = 6  # files that wait meanwhile, in memory
EACH = 4  # of both together, of one caller or operator
BUSY_RETRY_S = 5


class Verifier:
    """Shared by REST and the console. ``default`` is the setting HUB_POLICY; ``notices``: those that the hub has, if it has any;
    ``sealing``: who may seal for whom, as shipped if None."""

    def __init__(
        self,
        trust: TrustFolder,
        default: str,
        notices: Notices | None = None,
        sealing: SealingRules | None = None,
    ) -> None:
        self._trust = trust
        self._sealing = sealing or shipped()
        self._notices = notices
        self._policies = {name: load_policy(name) for name in (*NAMED, default)}
        self._threads = Threads(AT_ONCE, "verifications", waiting=WAITING, each=EACH, retry_s=BUSY_RETRY_S)
        self.default = default
        self.policies = tuple(NAMED)  # what may be asked for by name: never a path, which would open any file

    def verify(self, document: bytes, *, policy: str | None, at: datetime) -> Report:
        """``policy`` is one of :attr:`policies` or None; KeyError else."""
        chosen = self._policies[policy or self.default]
        package = opened(document)
        trust, fetchers = self._trust.store(), self._trust.fetchers()
        report = examine(
            document, package, policy=chosen, at=at, trust=trust, fetchers=fetchers, sealing=self._sealing
        ).report
        return report if self._notices is None else with_status(report, package, self._notices, at)

    async def verify_for(self, who: str, document: bytes, *, policy: str | None, at: datetime) -> Report:
        """The same in threads of its own, so that nothing else waits behind it. HubProblem(HUB_BUSY) at once without a place."""
        return await self._threads.run(lambda: self.verify(document, policy=policy, at=at), who)
