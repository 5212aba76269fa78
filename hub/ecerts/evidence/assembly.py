"""The evidence service put together: what an app, a worker and a test need of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.keys import PrivateKey
from hub.db import Database
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.model import Handlers
from hub.deliveries.places import Places
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.check import EcertChecker
from hub.ecerts.evidence.fetching import Fetcher
from hub.ecerts.evidence.following import EVIDENCE_KINDS, FollowUps
from hub.ecerts.evidence.judging import Judge
from hub.ecerts.evidence.planning import Planner, Routes
from hub.ecerts.evidence.rules import EvidenceRules, load_rules
from hub.ecerts.evidence.service import EvidenceService
from hub.ecerts.evidence.views import Views
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.notices import ExtensionNotices
from hub.ecerts.presentations.library import Library
from hub.ecerts.presentations.service import Presentations
from hub.ecerts.revocations.relying import TellCases, no_cases
from hub.vault import Vault

DEFAULT_BREAKER: Final = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class EvidenceParts:
    """What every process of the hub has: an API node asks, a worker asks again."""

    follow_ups: FollowUps
    judge: Judge
    rules: EvidenceRules

    @property
    def handlers(self) -> Handlers:
        """Who hears of the deliveries of this service."""
        return dict.fromkeys(EVIDENCE_KINDS, self.follow_ups)

    def service(
        self, adapters: AdapterCache, *, breaker: BreakerPolicy = DEFAULT_BREAKER, node: str = "node"
    ) -> EvidenceService:
        follow_ups = self.follow_ups
        db, vault = follow_ups.db, follow_ups.vault
        fetcher = Fetcher(db, vault, adapters, self.judge, self.rules, follow_ups.bases, Places(db, node))
        return EvidenceService(db, fetcher, follow_ups, breaker, node)

    def presentations(
        self, adapters: AdapterCache, *, breaker: BreakerPolicy = DEFAULT_BREAKER, node: str = "node"
    ) -> Presentations:
        """Codes of the library that holders show, which become bases of evidence."""
        f = self.follow_ups
        library = Library(f.db, f.vault, adapters, Places(f.db, node))
        return Presentations(f.db, f.vault, library, f.views.planner, f.items, f.bases, self.rules, breaker, node)


def evidence_parts(
    db: Database,
    vault: Vault,
    routes: Routes,
    checker: EcertChecker,
    key_file: Path,
    *,
    rules: EvidenceRules | None = None,
    tell_cases: TellCases = no_cases,
) -> EvidenceParts:
    """``key_file``: the hub's http key (PEM), by which it signs yes and no. ``tell_cases`` hears of revocations."""
    rules = rules or load_rules()
    notices = ExtensionNotices(db)
    views = Views(vault, rules, Planner(rules, routes), PrivateKey.from_pem(key_file.read_bytes()), notices)
    judge = Judge(checker, notices)
    follow_ups = FollowUps(db, vault, views, judge, ItemCatalogue(db), Bases(vault), tell_cases)
    return EvidenceParts(follow_ups, judge, rules)
